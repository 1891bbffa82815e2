"""Figures with intervals: the cluster bootstrap over sources, paired for differences, and the statistics it draws.

Every figure is a function of how often each thing counts, so that one way to draw serves them all: sources are drawn
with replacement, with all their clips, versions and pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.stages.ladder_manifest import SEED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ItemT = TypeVar("ItemT")

Statistic = Callable[[Ints], Floats]
"""From how often each of N things counts in each of D draws, int64 ``(D, N)``, to the figure of each, ``(D,)``."""

RESAMPLES: Final = 1000
INTERVAL: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its interval.

    Attributes:
        name: such as ``"within/blur"``.
        value: the figure; NaN where nothing counts.
        low: lower end of the 95 % interval.
        high: upper end.
        n: how many ladders, pairs, versions or seconds it is of.
        sources: the owners drawn in the bootstrap.
        draws: the figure of each resample, float64 ``(RESAMPLES,)``.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    sources: tuple[str, ...]
    draws: Floats = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(Generic[ItemT]):
    """Things that a figure is of, each with the owner of its clip."""

    items: list[ItemT] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)

    def add(self, item: ItemT, owner: str) -> None:
        """Add one."""
        self.items.append(item)
        self.owners.append(owner)


def owner_of(source: str) -> str:
    """Return the owner of a repository: two repositories of one owner count as one source.

    Example:
        >>> owner_of("Someone/first") == owner_of("someone/second")
        True
    """
    return source.partition("/")[0].lower()


@lru_cache(maxsize=64)
def resample(sources: int) -> Ints:
    """Return how often each source is drawn in each resample, int64 ``(RESAMPLES, sources)``.

    The same for the same number of sources, so that the figures of two subjects on the same items can be subtracted
    resample by resample.
    """
    shares = np.full(sources, 1 / sources)
    drawn = generator(SEED, "bootstrap", sources).multinomial(sources, shares, size=RESAMPLES)
    drawn.flags.writeable = False  # it is kept for all figures of so many sources
    return drawn


def estimate(name: str, owners: Sequence[str], statistic: Statistic) -> Figure:
    """Return a figure with its percentile interval.

    Args:
        name: of the figure.
        owners: one per thing that counts.
        statistic: the figure itself; called once for the value and once for all resamples.

    Source: B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, chapter 13; clusters drawn as wholes.
    """
    names, place = np.unique(np.array(owners, dtype=np.str_), return_inverse=True)
    if not len(names):
        nothing = np.full(RESAMPLES, np.nan)
        return Figure(name=name, value=np.nan, low=np.nan, high=np.nan, n=0, sources=(), draws=nothing)
    draws = statistic(resample(len(names))[:, place])
    low, high = percentiles(draws)
    return Figure(
        name=name,
        value=float(statistic(np.ones((1, len(owners)), np.int64))[0]),
        low=low,
        high=high,
        n=len(owners),
        sources=tuple(names.tolist()),
        draws=draws,
    )


def difference(student: Figure, other: Figure) -> tuple[float, float, float]:
    """Return student minus other and its interval, by the paired bootstrap: both on the same drawn sources.

    Raises:
        ValueError: the figures are of other sources.
    """
    if student.sources != other.sources:
        raise ValueError(f"{student.name} has other sources than {other.name}")
    return (student.value - other.value, *percentiles(student.draws - other.draws))


def percentiles(draws: Floats, level: float = INTERVAL) -> tuple[float, float]:
    """Return the ends of the central interval of a share ``level``, over the resamples that have the figure at all.

    NaN if none has.
    """
    there = draws[np.isfinite(draws)]
    if not len(there):
        return np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(there, [tail, 1 - tail]).tolist()
    return low, high


def mean(name: str, counted: Counted[float]) -> Figure:
    """Return the mean of what counts."""
    values = np.array(counted.items, dtype=np.float64)
    return estimate(name, counted.owners, lambda weights: weighted_mean(values, weights))


def weighted_mean(values: Floats, weights: Ints) -> Floats:
    """Return the mean of values, each counted so often, float64 ``(D,)``; NaN where none is.

    Args:
        values: ``(N,)``.
        weights: ``(D, N)``.
    """
    total = weights.sum(axis=1)
    sums = weights.astype(np.float64) @ values
    means = np.full(len(total), np.nan)
    np.divide(sums, total, out=means, where=total > 0)
    return means
