"""Noise: Immerkær's fast estimate of its standard deviation."""

from __future__ import annotations

import math

import numpy as np

from w2svqa.core.extras import require
from w2svqa.metrics.base import Grey, Metric, Moment

_SECOND_DIFFERENCE = np.array([1, -2, 1], np.float32)
_WEIGHT = 6.0  # root of the sum of squares of the mask
_GREATEST = 8 * 255  # the mask's answer to a chequered pattern


def noise(luma: Grey) -> float:
    """Return ``sqrt(pi / 2) / (6 (W - 2) (H - 2)) * sum |I * N|``, in grey levels: 0 to 426, higher is noisier.

    ``N`` is the difference of two Laplacians, ``[[1, -2, 1], [-2, 4, -2], [1, -2, 1]]``, which sees no plane and no
    straight edge along rows or columns; of Gaussian white noise in a flat picture the result is its standard deviation.

    Fine texture counts as noise, and noise that a codec or a filter has spread over neighbours counts less. Departure:
    the paper gives no formula.

    Args:
        luma: uint8 ``(height, width)``, both at least 3, as stored: resampling would smooth it.

    Source: J. Immerkær, "Fast Noise Variance Estimation", CVIU 64(2), 1996.
    """
    cv2 = require("cv2", extra="train")
    answer = cv2.sepFilter2D(luma, cv2.CV_16S, _SECOND_DIFFERENCE, _SECOND_DIFFERENCE)[1:-1, 1:-1]
    mean = float(cv2.norm(answer, cv2.NORM_L1)) / int(answer.size)
    return math.sqrt(math.pi / 2) / _WEIGHT * mean


def _value(moment: Moment) -> float:
    return noise(moment.luma)


METRIC = Metric(
    name="noise",
    unit="grey levels",
    range=(0.0, math.sqrt(math.pi / 2) / _WEIGHT * _GREATEST),
    meaning="higher is noisier",
    value=_value,
    least_size=3,
)
