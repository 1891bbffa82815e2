"""Rank statistics: the one place where ties are settled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def average_ranks(values: ArrayLike) -> Floats:
    """Return ranks from 0, ties at the mean of their places, float64 ``(N,)``.

    Args:
        values: finite numbers, ``(N,)``.

    Example:
        >>> average_ranks([3.0, 1.0, 3.0]).tolist()
        [1.5, 0.0, 1.5]
    """
    array = np.asarray(values, dtype=np.float64)
    ordered = np.sort(array)
    return (np.searchsorted(ordered, array, "left") + np.searchsorted(ordered, array, "right") - 1) / 2


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation, -1 to 1; 0 where one side is constant, for it orders nothing.

    Args:
        first: finite numbers, ``(N,)``.
        second: as many.

    Raises:
        ValueError: the lengths differ, or there are no numbers.

    Source: C. Spearman, "The proof and measurement of association between two things", 1904; ties at average ranks.

    Example:
        >>> round(spearman([1, 2, 3], [5, 9, 7]), 3), spearman([1, 2, 3], [4, 4, 4])
        (0.5, 0.0)
    """
    if np.shape(first) != np.shape(second) or not np.size(first):
        raise ValueError(f"{np.size(first)} and {np.size(second)} numbers have no rank correlation")
    one, other = (ranks - ranks.mean() for ranks in (average_ranks(first), average_ranks(second)))
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else 0.0
