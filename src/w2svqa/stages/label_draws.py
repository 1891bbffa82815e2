"""The bootstrap of label quality: contents are drawn with replacement, with all that they take part in.

A pair of two contents counts as often as both were drawn together, the product of their counts, so that a figure over
pairs across contents is as unsure as its contents are few. Memory does not grow with the number of pairs: more contents
than :data:`MOST_BLOCKS` are drawn in that many blocks of whole contents.

Source: A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007; B. Efron, R. Tibshirani, "An
introduction to the bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.stages.ladder_intervals import percentiles, resample

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Statistic = Callable[[Floats], Floats]
"""From the sums of K columns in each of D draws, ``(D, K)``, to the figure of each, ``(D,)``; NaN for none."""

MOST_BLOCKS: Final = 1000
"""Blocks are sums of independent contents, so that they are clusters as good as contents are; 1000 are plenty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure with its 95 % interval.

    Attributes:
        value: the figure; NaN where nothing counts.
        low: lower end.
        high: upper end.
        contents: how many there are.
    """

    value: float
    low: float
    high: float
    contents: int


def draw_sums(columns: Floats, first: Sequence[str], second: Sequence[str] | None, statistic: Statistic) -> Drawn:
    """Return a figure that is made of sums over things that each belong to one content, or to two.

    Args:
        columns: what is summed, ``(K, N)``.
        first: the content of each thing, ``(N,)``.
        second: its other content; ``None`` where there is none.
        statistic: the figure.
    """
    count, one, other = _blocks(first, second)
    if not count:
        return Drawn(value=np.nan, low=np.nan, high=np.nan, contents=0)
    blocks = min(count, MOST_BLOCKS)
    weights = resample(blocks).astype(np.float64)
    sums = np.stack([_drawn_sum(column, one, other, weights) for column in columns], axis=1)
    low, high = percentiles(statistic(sums))
    value = float(statistic(columns.sum(axis=1)[None])[0])
    return Drawn(value=value, low=low, high=high, contents=count)


def _drawn_sum(column: Floats, one: Ints, other: Ints, weights: Floats) -> Floats:
    """Sum a column in each draw, ``(D,)``: within a block by its count, across blocks by the product of counts."""
    blocks = weights.shape[1]
    inside = one == other
    alone = np.bincount(one[inside], column[inside], minlength=blocks)
    if inside.all():
        return np.asarray(weights @ alone)
    places = one[~inside] * blocks + other[~inside]
    across = np.bincount(places, column[~inside], minlength=blocks * blocks).reshape(blocks, blocks)
    return np.asarray(weights @ alone + ((weights @ across) * weights).sum(axis=1))


def drawn_correlation(first: Floats, second: Floats, contents: Sequence[str]) -> Drawn:
    """Return Spearman's rank correlation, -1 to 1; 0 where one side is constant, NaN for fewer than two things.

    Args:
        first: finite numbers, ``(N,)``.
        second: as many.
        contents: of each, drawn as wholes.
    """
    count, one, _ = _blocks(contents, None)
    if len(first) < 2:
        return Drawn(value=np.nan, low=np.nan, high=np.nan, contents=count)
    places, others = (np.unique(values, return_inverse=True)[1] for values in (first, second))
    draws = np.array([_correlation(places, others, weights[one]) for weights in resample(min(count, MOST_BLOCKS))])
    low, high = percentiles(draws)
    value = _correlation(places, others, np.ones(len(first), np.int64))
    return Drawn(value=value, low=low, high=high, contents=count)


def _correlation(first: Ints, second: Ints, weights: Ints) -> float:
    """Spearman's correlation of things that count so often each; ``first`` and ``second`` number distinct values."""
    one, other = (_centred_ranks(places, weights) for places in (first, second))
    # sums, not dot products: those wake the threads of BLAS, which take ten times as long beside other work
    scale = np.sqrt((weights * one**2).sum() * (weights * other**2).sum())
    return float((weights * one * other).sum() / scale) if scale else 0.0


def _centred_ranks(places: Ints, weights: Ints) -> Floats:
    """Average ranks among things that count so often each, less their mean; ranks from 0."""
    counts = np.bincount(places, weights)
    ranks = (np.cumsum(counts) - (counts + 1) / 2)[places]
    return np.asarray(ranks - (weights.sum() - 1) / 2)


def _blocks(first: Sequence[str], second: Sequence[str] | None) -> tuple[int, Ints, Ints]:
    """Return how many contents there are, and the block of each thing's contents.

    Contents are numbered by name, so that the same contents fall into the same blocks in any figure.
    """
    names = np.array([*first, *(second or first)], np.str_)
    known, places = np.unique(names, return_inverse=True)
    blocks = places.astype(np.int64) % MOST_BLOCKS
    return len(known), blocks[: len(first)], blocks[len(first) :]
