"""The bootstrap of rank correlations, over contents and for many resamples at once.

A resample is known by how often it drew each content, so a video counts as often as its content, and no array is ever
sorted again: what is sorted is sorted once, and each resample only changes how much the places weigh.

Source: B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES: Final = 1000
LEVEL: Final = 0.95
"""Of all intervals."""

_BLOCK: Final = 64  # resamples at a time: what is worked on stays in the cache


def content_draws(contents: Sequence[str], resamples: int, seed: int, label: str) -> tuple[Ints, Ints]:
    """Return how often each content is drawn, and which content each video shows.

    Args:
        contents: of each video, ``(N,)``.
        resamples: D, 0 or more.
        seed: of the draws.
        label: what they are for: two labels have different draws.

    Returns:
        int64 ``(D, C)``, whose rows sum to C, and int64 ``(N,)``, places among the C contents.
    """
    known, places = np.unique(np.array(contents, np.str_), return_inverse=True)
    count = len(known)
    if not count:
        return np.zeros((resamples, 0), np.int64), np.zeros(0, np.int64)
    random = generator(seed, "evaluation", label)
    return random.multinomial(count, np.full(count, 1 / count), size=resamples), places.astype(np.int64)


def blocks(counts: Ints, places: Ints) -> Iterator[Floats]:
    """Yield how often each video counts, float64 ``(N, d)``, for all resamples in turn."""
    for start in range(0, len(counts), _BLOCK):
        yield np.ascontiguousarray(counts[start : start + _BLOCK].T, dtype=np.float64)[places]


def drawn(statistic: Callable[[Floats], Floats], counts: Ints, places: Ints) -> Floats:
    """Return a statistic of each resample, float64 ``(D,)``.

    Args:
        statistic: from how often each of N videos counts in each of d resamples, ``(N, d)``, to ``(d,)``.
        counts: of :func:`content_draws`.
        places: of the videos that count, ``(N,)``.
    """
    return np.concatenate([np.zeros(0), *(statistic(weights) for weights in blocks(counts, places))])


def percentiles(draws: Floats) -> tuple[float, float]:
    """Return the ends of the interval, NaN where no resample has a value; those without one are left out."""
    known = draws[np.isfinite(draws)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)).tolist()
    return low, high


class SpearmanDraws:
    """Spearman's correlation of two series, as a function of how often each of their pairs counts.

    NaN where a resample leaves one side constant.

    Args:
        first: finite, ``(N,)``.
        second: as many.
    """

    def __init__(self, first: Floats, second: Floats) -> None:
        self._sides = [_Ranked(first), _Ranked(second)]

    def __call__(self, weights: Floats) -> Floats:
        """Return the correlations, ``(d,)``, for weights ``(N, d)``."""
        one, other = (side.centred(weights) for side in self._sides)
        weighted = weights * one
        product = np.einsum("nd,nd->d", weighted, other)
        squares = np.einsum("nd,nd->d", weighted, one)
        np.multiply(weights, other, out=weighted)
        return _ratio(product, squares, np.einsum("nd,nd->d", weighted, other))


class _Ranked:
    """Average ranks among things that count several times."""

    def __init__(self, values: Floats) -> None:
        distinct, self._group = np.unique(values, return_inverse=True)
        self._order = np.argsort(self._group, kind="stable")
        self._starts = np.searchsorted(self._group[self._order], np.arange(len(distinct)))

    def centred(self, weights: Floats) -> Floats:
        sizes = np.add.reduceat(weights[self._order], self._starts, axis=0)
        ranks = np.cumsum(sizes, axis=0)
        ranks -= (sizes + 1) / 2
        ranks -= (weights.sum(axis=0) - 1) / 2
        return np.asarray(ranks[self._group])


class KendallDraws:
    """Kendall's tau-b of two series, as a function of how often each of their pairs counts.

    Discordant pairs are counted by a merge sort whose orders are the same for every resample: on each of its log2 N
    levels the weights are taken in the order of the merged blocks and summed up. NaN as above.

    Args:
        first: finite, ``(N,)``.
        second: as many.

    Source: W. R. Knight, "A computer method for calculating Kendall's tau with ungrouped data", JASA 61, 1966; the
    weights are ours.
    """

    def __init__(self, first: Floats, second: Floats) -> None:
        places = [np.unique(values, return_inverse=True)[1] for values in (first, second)]
        both = places[0] * (int(places[1].max(initial=0)) + 1) + places[1]
        self._ties = [_Groups(each) for each in (*places, np.unique(both, return_inverse=True)[1])]
        self._levels = list(_merges(*places))

    def __call__(self, weights: Floats) -> Floats:
        """Return tau-b, ``(d,)``, for weights ``(N, d)``."""
        total = _pairs(weights.sum(axis=0))
        one, other, both = (_pairs(groups.sizes(weights)).sum(axis=0) for groups in self._ties)
        padded = np.zeros((len(self._levels[0][0]) if self._levels else 0, weights.shape[1]))
        padded[: len(weights)] = weights
        discordant = sum((_discordant(padded, *level) for level in self._levels), np.zeros(weights.shape[1]))
        return _ratio(total - one - other + both - 2 * discordant, total - one, total - other)


class _Groups:
    """Sums over things that are equal."""

    def __init__(self, places: Ints) -> None:
        self._order = np.argsort(places, kind="stable")
        self._starts = np.searchsorted(places[self._order], np.arange(int(places.max(initial=-1)) + 1))

    def sizes(self, weights: Floats) -> Floats:
        return np.asarray(np.add.reduceat(weights[self._order], self._starts, axis=0))


def _merges(first: Ints, second: Ints) -> Iterator[tuple[Ints, NDArray[np.bool_], int]]:
    """Yield, per level of a merge sort of ``second`` in the order of ``first``: order, which are left, block size.

    Within a block the greater come first, and of equal ones those of the right half, so that what stands before a
    right one and is left is discordant with it. The number is filled up to a power of two.
    """
    count = len(first)
    size = 1 << max(0, (count - 1).bit_length())
    by_first = np.lexsort((second, first))
    order = np.concatenate([by_first, np.arange(count, size)])
    values = np.concatenate([second[by_first], np.full(size - count, -1)])
    position = np.arange(size)
    half = 1
    while half < size:
        left = (position // half) % 2 == 0
        merged = np.lexsort((left, -values, position // (2 * half)))
        yield order[merged], left[merged], 2 * half
        half *= 2


def _discordant(weights: Floats, order: Ints, left: NDArray[np.bool_], size: int) -> Floats:
    """Weight of pairs of a left and a right one in a block where the left one, which comes first, is greater."""
    taken = weights[order]
    before = np.cumsum((taken * left[:, None]).reshape(-1, size, taken.shape[1]), axis=1).reshape(taken.shape)
    return np.asarray(np.einsum("nd,nd->d", before[~left], taken[~left]))


def _pairs(counts: Floats) -> Floats:
    return counts * (counts - 1) / 2


def _ratio(above: Floats, one: Floats, other: Floats) -> Floats:
    """Return ``above / sqrt(one * other)``; NaN where a factor is 0."""
    result = np.full(len(above), np.nan)
    np.divide(above, np.sqrt(one) * np.sqrt(other), out=result, where=(one > 0) & (other > 0))
    return np.asarray(np.clip(result, -1.0, 1.0))  # rounding goes beyond by a last digit
