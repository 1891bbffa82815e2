"""The common scale of a pool: its gauge, what stands on it, and the mean and variance over teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError
from w2svqa.core.extras import require
from w2svqa.core.statistics import average_ranks
from w2svqa.teachers.calibration import SCALE, Logistic

Target = Literal["mos", "consensus", "itself"]
"""What a teacher is fitted to; ``"itself"`` where it is alone, so that nothing checks its direction."""

TOLERANCE: Final = 0.05
"""Points by which values may still move at the end."""

LONE_DEVIATION: Final = 10.0
"""Points by which a teacher that is alone in a pool is taken to err. Ours: nothing tells it, good ones err by less."""

_MIDDLE: Final = (SCALE[0] + SCALE[1]) / 2
_SPREAD: Final = (SCALE[1] - SCALE[0]) / 6  # three standard deviations to either side
_MOS_SCALES: Final = ((0.0, 1.0), (1.0, 5.0), (0.0, 100.0))

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFit:
    """A teacher on the common scale of a pool.

    Attributes:
        teacher: its name.
        curve: from its raw score to the common scale, 0-100, higher is better.
        against: what it was fitted to.
        videos: number of videos it was fitted on.
        spearman: rank correlation of its scores with what it was fitted to, -1 to 1; ``None`` where that is itself.
        deviation: standard deviation of the residuals, in points of the common scale.
        weight: with which it counts in the mean; above 0.
    """

    teacher: str
    curve: Logistic
    against: Target
    videos: int
    spearman: float | None
    deviation: float
    weight: float

    @property
    def error(self) -> float:
        """Points by which this teacher errs by itself, as far as is known."""
        return LONE_DEVIATION if self.against == "itself" else self.deviation

    def __str__(self) -> str:
        """Return the record on one line."""
        if self.spearman is None:
            return f"{self.teacher}: alone, so its direction is as declared and not verified (N={self.videos})"
        return (
            f"{self.teacher}: rank correlation {self.spearman:.3f} with the {self.against}, residuals deviate by "
            f"{self.deviation:.1f} points, weight {self.weight:g} (N={self.videos})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCalibration:
    """The teachers of a pool on one scale.

    Attributes:
        against: what they were fitted to.
        fits: one per teacher that can be brought to the scale.
        refused: teacher and reason of the others.
        rounds: how many there were.
        change: largest movement of a value in the last one, in points.
        mos_range: the opinion scores that are 0 and 100 of the common scale; ``None`` without them.
    """

    against: Target
    fits: tuple[PoolFit, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    rounds: int = 0
    change: float = 0.0
    mos_range: tuple[float, float] | None = None

    @property
    def converged(self) -> bool:
        """Whether the values were at rest."""
        return self.change <= TOLERANCE


def normal_scores(values: Floats) -> Floats:
    """Return values at the places of their ranks in a normal distribution around 50, float64 ``(n,)``, 0-100.

    Args:
        values: finite numbers, ``(n,)``; ties come out equal.

    Raises:
        MissingExtraError: SciPy is not installed.

    Example:
        >>> normal_scores(np.array([3.0, -1e9, 1e9])).round(1).tolist()
        [50.0, 33.9, 66.1]
    """
    special = require("scipy.special", extra="train")
    places = (average_ranks(values) + 0.5) / len(values)
    scores: Floats = np.clip(_MIDDLE + _SPREAD * special.ndtri(places), *SCALE)
    return scores


def weighted_moments(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return weighted mean and unbiased weighted variance over teachers, float64 ``(videos,)`` each.

    The variance is ``sum w (v - mean)^2 / (W - sum w^2 / W)``, ``W`` the sum of the weights: unbiased for weights that
    say how much a teacher counts; for equal ones it is the sample variance with ``n - 1``. NaN with fewer than two.

    Args:
        values: ``(teachers, videos)``, NaN where a teacher did not score.
        weights: ``(teachers,)``, above 0.

    Example:
        >>> mean, variance = weighted_moments(np.array([[1.0], [3.0]]), np.array([1.0, 1.0]))
        >>> mean.item(), variance.item()
        (2.0, 2.0)
    """
    heard = np.isfinite(values)
    shares = weights[:, None] * heard
    filled = np.where(heard, values, 0.0)
    total, squares = shares.sum(axis=0), (shares**2).sum(axis=0)
    mean = np.divide((shares * filled).sum(axis=0), total, out=np.full(values.shape[1], np.nan), where=total > 0)
    spread = (shares * (filled - np.where(total > 0, mean, 0.0)) ** 2).sum(axis=0)
    several = heard.sum(axis=0) > 1
    freedom = np.where(several, total - np.divide(squares, total, out=np.ones_like(total), where=several), 1.0)
    return mean, np.where(several, spread / freedom, np.nan)


def mos_ends(mos: Mapping[str, float], given: tuple[float, float] | None) -> tuple[float, float]:
    """Return the opinion scores that are 0 and 100 of the common scale.

    Args:
        mos: opinion score by video.
        given: the ends, where they are known; if not, the narrowest of 0-1, 1-5 and 0-100 that holds all scores, and
            where none does their least and greatest.

    Raises:
        ConfigError: a score lies outside of ``given``, or its ends do not rise.
    """
    low, high = min(mos.values(), default=0.0), max(mos.values(), default=1.0)
    if given is not None:
        if not given[0] <= low <= high <= given[1] or given[0] >= given[1]:
            raise ConfigError(
                f"opinion scores from {low:g} to {high:g} do not lie within {given[0]:g} to {given[1]:g}",
                remedy="give the ends of their scale",
            )
        return given
    for scale in _MOS_SCALES:
        if scale[0] <= low <= high <= scale[1]:
            return scale
    return (low, high)  # wider than any of the above, so never empty
