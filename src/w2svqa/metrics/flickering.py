"""Flickering: the share of macroblocks that stood still and then change all at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require
from w2svqa.metrics.base import Grey, Metric, Moment

MACROBLOCK = 16
"""Height and width of a macroblock, in pixels; those cut by the border count like others."""

THRESHOLD = 1.0
"""Grey levels: a macroblock is updated if its pixels change by more than this on average. A block that a codec skips
does not change at all, its border pixels at most by what the neighbours' deblocking does."""


def flickering(first: Grey, second: Grey, third: Grey) -> float:
    """Return the share of macroblocks that are not updated from first to second but are from second to third.

    A macroblock is updated if the mean of ``|I_t - I_(t-1)|`` over its 16x16 pixels exceeds ``THRESHOLD``. 0 (none) to
    1 (all), higher flickers more. A steady picture has 0, and so has one that moves all the time: it is the change from
    one to the other that is seen, as at a key frame of low bit rate.

    Departure: the paper's formula is the share of pixels with ``|I_t - I_(t-1)| > T`` without a value of T, which is
    high for any motion; its words are taken, and T stated.

    Args:
        first: uint8 ``(height, width)``, as stored, like the others.
        second: the next frame.
        third: the one after.

    Source: J. Pandel, "Measuring of flickering artifacts in predictive coded video sequences", WIAMIS 2008.

    Example:
        >>> still, other = np.full((16, 32), 100, np.uint8), np.full((16, 32), 100, np.uint8)
        >>> other[:, 16:] = 110
        >>> flickering(still, still, other), flickering(still, other, still)
        (0.5, 0.0)
    """
    before, after = updated(first, second), updated(second, third)
    return float(np.mean(after & ~before))


def updated(before: Grey, after: Grey) -> NDArray[np.bool_]:
    """Return which macroblocks are updated between two frames."""
    cv2 = require("cv2", extra="train")
    changes = cv2.absdiff(after, before)
    rows, columns = (np.arange(0, size, MACROBLOCK) for size in changes.shape)
    bands = [cv2.reduce(changes[row : row + MACROBLOCK], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S) for row in rows]
    sums = np.add.reduceat(np.concatenate(bands), columns, axis=1)
    pixels = np.outer(
        *(np.diff(starts, append=size) for starts, size in zip((rows, columns), changes.shape, strict=True))
    )
    found: NDArray[np.bool_] = sums > THRESHOLD * pixels
    return found


def _value(moment: Moment) -> float:
    return flickering(*moment.last(3))


METRIC = Metric(
    name="flickering",
    unit="share of macroblocks",
    range=(0.0, 1.0),
    meaning="higher flickers more",
    value=_value,
    frames=3,
)
