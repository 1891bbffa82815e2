"""Tables of ``feature_lab.py``: correlations with paired intervals by a bootstrap over seeds and videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from w2svqa.core.random import generator

LEVEL: Final = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """One scorer's correlations with the ratings of one test.

    Attributes:
        mean: Spearman's correlation, mean over seeds.
        deviation: over seeds; 0 for one.
        drawn: the same mean in each resample, float64 ``(resamples,)``: all scorers see the same resamples.
    """

    mean: float
    deviation: float
    drawn: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Resamples of the seeds and of the videos of one test.

    Attributes:
        seeds: int64 ``(resamples, seeds)``.
        videos: int64 ``(resamples, videos)``.
    """

    seeds: NDArray[np.int64]
    videos: NDArray[np.int64]

    @classmethod
    def make(cls, test: str, seeds: int, videos: int, resamples: int) -> Draws:
        """Draw with replacement; the seeds are drawn alike for all tests."""
        return cls(
            seeds=generator(0, "feature lab", "seeds").integers(seeds, size=(resamples, seeds)),
            videos=generator(0, "feature lab", test).integers(videos, size=(resamples, videos)),
        )


def rank_correlations(scores: Floats, ratings: Floats) -> Floats:
    """Return Spearman's correlation of each row of ``(rows, videos)`` with ratings ``(videos,)``.

    Example:
        >>> rank_correlations(np.array([[1.0, 2, 3], [3, 2, 1], [1, 1, 1]]), np.array([1.0, 5, 9])).tolist()
        [1.0, -1.0, 0.0]
    """
    one = rankdata(scores, axis=1)
    other = rankdata(ratings)
    one, other = one - one.mean(axis=1, keepdims=True), other - other.mean()
    scale = np.sqrt((one * one).sum(axis=1) * (other @ other))
    correlations: Floats = np.divide(one @ other, scale, out=np.zeros(len(one)), where=scale > 0)
    return correlations


def correlations_within(scores: Floats, ratings: Floats, groups: NDArray[np.int64]) -> Floats:
    """Return the mean of :func:`rank_correlations` within groups ``(videos,)``, each by its number of videos."""
    names, counts = np.unique(groups, return_counts=True)
    each = [rank_correlations(scores[:, groups == name], ratings[groups == name]) for name in names]
    mean: Floats = np.average(each, axis=0, weights=counts)
    return mean


def correlate(scores: Floats, ratings: Floats, groups: NDArray[np.int64], draws: Draws) -> Figures:
    """Return the figures of a scorer.

    Args:
        scores: float64 ``(seeds, videos)``; one row where no seed matters.
        ratings: float64 ``(videos,)``.
        groups: int64 ``(videos,)``: only videos of one group are compared.
        draws: of seeds and videos.
    """
    each = correlations_within(scores, ratings, groups)
    drawn = np.empty(len(draws.seeds))
    for number, (seeds, videos) in enumerate(zip(draws.seeds, draws.videos, strict=True)):
        chosen, counts = np.unique(seeds if len(scores) > 1 else np.zeros(1, dtype=np.int64), return_counts=True)
        found = correlations_within(scores[chosen][:, videos], ratings[videos], groups[videos])
        drawn[number] = float(np.average(found, weights=counts))
    spread = float(each.std(ddof=1)) if len(each) > 1 else 0.0
    return Figures(mean=float(each.mean()), deviation=spread, drawn=drawn)


def difference(one: Figures, other: Figures) -> tuple[float, float, float]:
    """Return how far ``one`` lies above ``other``, and the ends of the paired 95 % interval."""
    low, high = np.quantile(one.drawn - other.drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return one.mean - other.mean, low, high


def signed(values: tuple[float, float, float]) -> str:
    """Return a difference with its interval, such as ``"+0.012 [-0.003, +0.027]"``."""
    return f"{values[0]:+.3f} [{values[1]:+.3f}, {values[2]:+.3f}]"


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(len(first)), *rest]))


def against(found: Mapping[str, Mapping[str, Figures]], name: str, other: str) -> dict[str, tuple[float, float, float]]:
    """Return the differences of two scorers by test."""
    return {test: difference(found[name][test], found[other][test]) for test in found[name]}


def plain(found: Mapping[str, Figures], n: Mapping[str, int], seeds: int) -> dict[str, Any]:
    """Return a scorer's figures as plain values."""
    row: dict[str, Any] = {"seeds": seeds}
    for test, figures in found.items():
        row |= {
            f"srcc_{test}": round(figures.mean, 4),
            f"sd_{test}": round(figures.deviation, 4),
            f"n_{test}": n[test],
        }
    return row
