"""Luminance: the mean of R + G + B."""

from __future__ import annotations

from w2svqa.core.extras import require
from w2svqa.metrics.base import Frame, Metric, Moment


def luminance(rgb: Frame) -> float:
    """Return the mean of ``R + G + B`` over all pixels, in levels: 0 (black) to 765 (white), higher is brighter.

    It is no light: the levels are as coded, with gamma, and the three count alike. Departure: the paper does not say
    how pixels become one number; the mean is ours.

    Args:
        rgb: uint8 ``(height, width, 3)``, RGB 0-255, as shown.

    Source: arXiv 2505.03631, low-level metrics of the pool.
    """
    cv2 = require("cv2", extra="train")
    return float(sum(cv2.mean(rgb)[:3]))


def _value(moment: Moment) -> float:
    return luminance(moment.rgb)


METRIC = Metric(name="luminance", unit="levels", range=(0.0, 765.0), meaning="higher is brighter", value=_value)
