"""SI, spatial information: how much edges there are in a picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require
from w2svqa.metrics.base import Grey, Metric, Moment, bands

# The greatest answer of both masks together, to the right pattern of 0 and 255: (4, 2) or (2, 4).
_GREATEST = 255 * math.hypot(4, 2)


def si(luma: Grey) -> float:
    """Return the population standard deviation of ``sqrt(gx^2 + gy^2)``: 0 (flat) to 570, higher has more edges.

    ``gx`` and ``gy`` are Sobel's answers with the masks ``[1 2 1] x [-1 0 1]``, unscaled; pixels at the border, where
    the mask would leave the picture, do not count. The unit is levels of full-range luma: limited range (16-235) is
    stretched to 0-255 before.

    Departure: the maximum is over the seconds' first frames, where P.910 takes all frames.

    Args:
        luma: uint8 ``(height, width)``, both at least 3, full range, as stored.

    Source: Recommendation ITU-T P.910 (04/2008), 5.3.1.
    """
    total, squares, count = 0.0, 0.0, 0
    for rows in bands(len(luma), overlap=2):
        square = _squares(luma[rows])
        squares += float(square.sum(dtype=np.float64))
        total += float(np.sqrt(square).sum(dtype=np.float64))
        count += square.size
    return math.sqrt(max(0.0, squares / count - (total / count) ** 2))


def _squares(luma: Grey) -> NDArray[np.float32]:
    """Return ``gx^2 + gy^2``: whole numbers that float32 holds exactly, so that the same picture has the same sum."""
    cv2 = require("cv2", extra="train")
    across, down = (cv2.Sobel(luma, cv2.CV_32F, *order)[1:-1, 1:-1] for order in ((1, 0), (0, 1)))
    squares: NDArray[np.float32] = across * across + down * down
    return squares


def _value(moment: Moment) -> float:
    return si(moment.luma)


METRIC = Metric(
    name="si",
    unit="levels of luma",
    range=(0.0, _GREATEST / 2),
    meaning="higher has more edges",
    value=_value,
    pooling="max",
    least_size=3,
)
