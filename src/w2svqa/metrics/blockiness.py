"""Blockiness: how much greater the steps are across the borders of coding blocks than inside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require
from w2svqa.metrics.base import Grey, Metric, Moment

GRID = 8
"""Height and width of a block, in pixels; the first begins at the first pixel of the stored picture."""

FLOOR = 0.1
"""Grey levels that are added to both mean steps, so that a flat picture has blockiness 1 and none is infinite."""


def blockiness(luma: Grey) -> float:
    """Return the mean step across block borders divided by the mean step inside blocks.

    ``(across + FLOOR) / (inside + FLOOR)``, where a step is the absolute difference of two pixels side by side or one
    above the other: ``across`` is its mean over pairs with a border of the 8x8 grid between them, ``inside`` over all
    others. A ratio without unit: 1 where the grid shows in nothing, higher is blockier; above 0, at most 2551.

    Departures: the paper divides inside by border, yet calls higher worse: it is turned round. It sums; with sums the
    value would follow the number of pairs. ``FLOOR`` is ours. The grid is that of the picture as stored: what was cut
    or scaled after it was coded in blocks shows less.

    Args:
        luma: uint8 ``(height, width)``, both at least 9, as stored.

    Source: P. Romaniak et al., "Perceptual quality assessment for H.264/AVC compression", IEEE CCNC 2012.

    Example:
        >>> blocks = np.kron(np.array([[50, 90], [90, 50]], np.uint8), np.ones((8, 8), np.uint8))
        >>> round(blockiness(blocks), 1), blockiness(np.full((20, 20), 7, np.uint8))
        (401.0, 1.0)
    """
    cv2 = require("cv2", extra="train")
    upright = cv2.reduce(cv2.absdiff(luma[:, 1:], luma[:, :-1]), 0, cv2.REDUCE_SUM, dtype=cv2.CV_64F)
    level = cv2.reduce(cv2.absdiff(luma[1:], luma[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_64F)
    height, width = luma.shape
    sums: NDArray[np.float64] = np.concatenate([upright.ravel(), level.ravel()])
    pairs = np.repeat([height, width], [width - 1, height - 1])
    border = np.concatenate([_is_border(width), _is_border(height)])
    across = sums[border].sum() / pairs[border].sum()
    inside = sums[~border].sum() / pairs[~border].sum()
    return float((across + FLOOR) / (inside + FLOOR))


def _is_border(size: int) -> NDArray[np.bool_]:
    """Return which of the gaps between ``size`` pixels are between blocks."""
    found: NDArray[np.bool_] = np.arange(1, size) % GRID == 0
    return found


def _value(moment: Moment) -> float:
    return blockiness(moment.luma)


METRIC = Metric(
    name="blockiness",
    unit="ratio",
    range=(FLOOR / (255 + FLOOR), (255 + FLOOR) / FLOOR),
    meaning="higher is blockier; 1 is none",
    value=_value,
    least_size=GRID + 1,
)
