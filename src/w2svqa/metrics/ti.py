"""TI, temporal information: how much a picture changes from frame to frame."""

from __future__ import annotations

from w2svqa.core.extras import require
from w2svqa.metrics.base import Grey, Metric, Moment, bands, mean_and_spread


def ti(before: Grey, after: Grey) -> float:
    """Return the population standard deviation of the difference of two frames: 0 to 255, higher changes more.

    A change of the whole picture by one amount, such as a fade, has none. The unit is levels of full-range luma:
    limited range (16-235) is stretched to 0-255 before.

    Departure: the maximum is over one pair a second, the first frame and the one before it (in the first second: the
    one after it), where P.910 takes all.

    Args:
        before: uint8 ``(height, width)``, full range.
        after: the next frame.

    Source: Recommendation ITU-T P.910 (04/2008), 5.3.2.

    Example:
        >>> import numpy as np
        >>> black, half = np.zeros((4, 8), np.uint8), np.zeros((4, 8), np.uint8)
        >>> half[:, 4:] = 100
        >>> ti(black, half)
        50.0
    """
    cv2 = require("cv2", extra="train")
    parts = (cv2.subtract(after[rows], before[rows], dtype=cv2.CV_16S) for rows in bands(len(before)))
    return mean_and_spread(parts)[1]


def _value(moment: Moment) -> float:
    return ti(*moment.last(2))


METRIC = Metric(
    name="ti",
    unit="levels of luma",
    range=(0.0, 255.0),
    meaning="higher changes more",
    value=_value,
    pooling="max",
    frames=2,
)
