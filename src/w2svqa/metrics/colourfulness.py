"""Colourfulness: the spread and the mean of opponent colours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require
from w2svqa.metrics.base import Frame, Metric, Moment, bands, mean_and_spread

_MEAN_WEIGHT = 0.3
# |(rg, yb)| is greatest for red: (255, 127.5); its mean square is the spread's square and the mean's together.
_GREATEST = math.hypot(1, _MEAN_WEIGHT) * math.hypot(255, 127.5)


def colourfulness(rgb: Frame) -> float:
    """Return ``sqrt(s_rg^2 + s_yb^2) + 0.3 sqrt(m_rg^2 + m_yb^2)``: 0 (grey) to 298, higher is more colourful.

    ``rg = R - G``, ``yb = (R + G) / 2 - B``; s and m are the population standard deviation and mean over all pixels.
    The unit is levels of 255; the authors call 15 slightly, 45 averagely and 82 highly colourful.

    Args:
        rgb: uint8 ``(height, width, 3)``, RGB 0-255, as shown.

    Source: D. Hasler, S. Suesstrunk, "Measuring colourfulness in natural images",
    SPIE 5007, 2003 (the third of their metrics).
    """
    opponents = [_opponents(rgb[rows]) for rows in bands(len(rgb))]
    (rg_mean, rg_spread), (yb_mean, yb_spread) = (mean_and_spread(plane) for plane in zip(*opponents, strict=True))
    return math.hypot(rg_spread, yb_spread / 2) + _MEAN_WEIGHT * math.hypot(rg_mean, yb_mean / 2)


def _opponents(rgb: Frame) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return red-green and twice yellow-blue: whole numbers."""
    cv2 = require("cv2", extra="train")
    red, green, blue = cv2.split(rgb)
    yellow = cv2.add(red, green, dtype=cv2.CV_16S)
    twice_blue = cv2.add(blue, blue, dtype=cv2.CV_16S)
    return cv2.subtract(red, green, dtype=cv2.CV_16S), cv2.subtract(yellow, twice_blue)


def _value(moment: Moment) -> float:
    return colourfulness(moment.rgb)


METRIC = Metric(
    name="colourfulness",
    unit="levels of 255",
    range=(0.0, _GREATEST),
    meaning="higher is more colourful",
    value=_value,
)
