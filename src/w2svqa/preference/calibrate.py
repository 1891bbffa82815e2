"""Fitting a scale on calibration data: temperature, the meaning of 0 and 100, and intervals that hold what they say.

What the interval claims. Calibration draws videos, cuts each into the part that is scored and a *named target* (other
seconds or crops of the same version, or a held-back version of the same severity), scores both with the same student
and asks how often the target's latent falls inside the scored part's interval. So the interval speaks of the student's
own consistency: where it would put other material of the same quality. It says nothing about how far the student is
from human opinion. The share found on the data that the weight was fitted on is optimistic: report
:func:`coverage` on contents that were held back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.preference.scale import NORMAL_FACTOR_90
from w2svqa.preference.soft import level_probabilities
from w2svqa.preference.thurstone import Placement, place

Floats = NDArray[np.float64]

TEMPERATURES: Final = (0.01, 100.0)
"""Range in which :func:`fit_temperature` searches."""

VOTE_WEIGHTS: Final = (2.0**-6, 2.0**13)
"""Range in which :func:`fit_vote_weight` searches; within it the gradient of ``place`` stays below 1e-8."""

_BISECTIONS: Final = 40
_BEYOND: Final = 0.05  # share of worst severities below 0, and of clean primaries above 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often intervals held their target.

    Attributes:
        share: 0 to 1.
        low: lower end of the 95 % confidence interval of ``share``.
        high: upper end.
        count: number of intervals.
        contents: number of contents they come from; ``count`` where none were named.
    """

    share: float
    low: float
    high: float
    count: int
    contents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteWeight:
    """A fitted weight of a vote.

    Attributes:
        weight: for :class:`w2svqa.preference.scale.Scale`.
        coverage: the share reached on the data it was fitted on; contents count alike.
        at_limit: the search ended at an end of :data:`VOTE_WEIGHTS`, so ``coverage`` is not what was asked for.
    """

    weight: float
    coverage: float
    at_limit: bool


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Find the temperature that makes held-out level labels most probable (least mean cross-entropy).

    For a student that is not antisymmetric, stack both orders of each pair, the second with the opposite label.

    Args:
        logits: ``(N, 5)``, N >= 1, on pairs that the student was not trained on.
        labels: ``(N,)``, integers 0 (inferior) to 4 (superior).

    Returns:
        The temperature, in :data:`TEMPERATURES`. The cross-entropy is convex in 1 / temperature, so it is the best one;
        an end of the range means that the labels are separated perfectly, or that the logits tell nothing.

    Raises:
        ValueError: shapes or labels that do not fit.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017 (temperature scaling). The paper uses no
    temperature, the released code a fixed 5.
    """
    scores = np.asarray(logits, dtype=np.float64)
    levels = np.asarray(labels)
    if levels.ndim != 1 or not len(levels) or not np.issubdtype(levels.dtype, np.integer):
        raise ValueError("labels must be integers of shape (N,), N >= 1")
    if scores.shape != (len(levels), 5) or levels.min() < 0 or levels.max() > 4:
        raise ValueError(f"logits must be ({len(levels)}, 5) with labels 0 to 4, got logits {scores.shape}")
    chosen = scores[np.arange(len(levels)), levels].mean()

    def slope(logarithm: float) -> float:
        """Derivative of the cross-entropy by 1 / temperature, whose logarithm is given; it rises."""
        expected = (level_probabilities(scores, math.exp(-logarithm)) * scores).sum(axis=1).mean()
        return float(expected - chosen)

    return math.exp(-_bisect(slope, -math.log(TEMPERATURES[1]), -math.log(TEMPERATURES[0])))


def fit_scale(latents_worst: ArrayLike, latents_clean: ArrayLike) -> tuple[float, float]:
    """Return the latents of 0 and of 100 from those of calibration contents.

    All but one in twenty of the worst severities lie above 0, all but one in twenty of the clean primaries below 100:
    with means at the ends, half of each would be clipped, and clips that differ would show the same score.

    Args:
        latents_worst: ``(N,)``, of the simulators' worst severities.
        latents_clean: ``(M,)``, of the clean primaries.

    Returns:
        ``latent_zero, latent_hundred`` for :class:`w2svqa.preference.scale.Scale`.

    Raises:
        ValueError: an empty or not finite input, or clean primaries that are no better than the worst severities.

    Source: ours; the paper gives its latents no unit.

    Example:
        >>> fit_scale([-1.5, -0.5], [0.75, 1.25])
        (-1.45, 1.225)
    """
    worst, clean = np.asarray(latents_worst, dtype=np.float64), np.asarray(latents_clean, dtype=np.float64)
    if not worst.size or not clean.size or not (np.isfinite(worst).all() and np.isfinite(clean).all()):
        raise ValueError("latents of worst severities and of clean primaries must be there, and finite")
    if clean.mean() <= worst.mean():
        raise ValueError(
            f"clean primaries (mean latent {clean.mean():.3g}) are no better than the worst ({worst.mean():.3g})"
        )
    return float(np.quantile(worst, _BEYOND)), float(np.quantile(clean, 1 - _BEYOND))


def fit_vote_weight(
    log_odds: ArrayLike,
    positions: ArrayLike,
    target_log_odds: ArrayLike,
    *,
    level: float = 0.90,
    factor: float = NORMAL_FACTOR_90,
    contents: ArrayLike | None = None,
) -> VoteWeight:
    """Find the weight of a vote with which intervals hold their targets in ``level`` of the cases.

    A weight narrows the posterior but also moves estimates (the prior pulls less), so for every weight tried both
    sides are placed anew. Row i of both inputs is the same version of the same video: the scored part, and the target.

    Args:
        log_odds: ``(N, A)``, votes of the scored part. Its length should be that of the videos to be scored: a part of
            one second gives intervals for one second.
        positions: ``(A,)``, of the anchors.
        target_log_odds: ``(N, A)``, votes of the target, e.g. the other seconds.
        level: share to hold, between 0 and 1.
        factor: half the interval's width in posterior deviations; 1.645 is the normal distribution's for 90 %.
        contents: ``(N,)`` names of contents: each then counts alike, however many rows it has.

    Returns:
        The weight, by bisection on its logarithm; where the share steps past ``level``, the side nearer to it.

    Raises:
        ValueError: shapes that do not fit, no rows, or a level outside (0, 1).

    Source: ours. The paper gives no interval.
    """
    votes, targets = np.asarray(log_odds, dtype=np.float64), np.asarray(target_log_odds, dtype=np.float64)
    if votes.shape != targets.shape or not len(votes):
        raise ValueError(f"votes {votes.shape} and targets {targets.shape} must have the same shape, N >= 1")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    shares = _row_shares(len(votes), contents)

    def missing(logarithm: float) -> float:
        """``level`` minus the coverage, which rises with the weight (but for steps)."""
        weight = math.exp(logarithm)
        scored = place(votes, positions, vote_weight=weight)
        target = place(targets, positions, vote_weight=weight).latent
        return level - float(shares @ held(scored, target, factor))

    low, high = math.log(VOTE_WEIGHTS[0]), math.log(VOTE_WEIGHTS[1])
    found = _bisect(missing, low, high)
    nearby = (found, found - 1e-6, found + 1e-6)
    best = min((value for value in nearby if low <= value <= high), key=lambda value: abs(missing(value)))
    return VoteWeight(
        weight=math.exp(best), coverage=level - missing(best), at_limit=not low + 1e-5 < found < high - 1e-5
    )


def held(scored: Placement, target: ArrayLike, factor: float = NORMAL_FACTOR_90) -> NDArray[np.bool_]:
    """Return which intervals ``latent +- factor * deviation`` hold their target, bool ``(N,)``.

    Source: definition.

    Example:
        >>> scored = Placement(np.array([0.0, 0.0]), np.array([0.1, 0.1]), np.zeros(2))
        >>> held(scored, [0.1, 0.2]).tolist()
        [True, False]
    """
    return np.asarray(np.abs(np.asarray(target) - scored.latent) <= factor * scored.deviation)


def fit_factor(scored: Placement, target: ArrayLike, *, level: float = 0.90) -> float:
    """Find how many deviations an interval needs to hold ``level`` of its targets, with everything else fixed.

    For another unit than the vote weight was fitted on: single seconds on a timeline, say. The finite-sample rank
    (N + 1) level makes the expected share on new, exchangeable data at least ``level``.

    Args:
        scored: N placements of the unit in question.
        target: ``(N,)`` latents of their targets.
        level: between 0 and 1.

    Returns:
        The factor, for ``Scale.score(..., factor=...)``; above 0.

    Raises:
        ValueError: no rows, shapes that differ, a level outside (0, 1), or too few rows for the level.

    Source: Vovk et al., "Algorithmic learning in a random world", 2005 (split conformal prediction).
    """
    distance = np.abs(np.asarray(target, dtype=np.float64) - scored.latent) / scored.deviation
    rank = math.ceil((len(distance) + 1) * level)
    if not 0.0 < level < 1.0 or not 1 <= rank <= len(distance):
        raise ValueError(f"{len(distance)} rows are too few for a level of {level}, or the level is not in (0, 1)")
    return max(float(np.sort(distance)[rank - 1]), float(np.finfo(np.float64).tiny))


def coverage(
    holds: ArrayLike,
    *,
    contents: ArrayLike | None = None,
    generator: np.random.Generator | None = None,
    resamples: int = 2000,
) -> Coverage:
    """Return how often intervals held their target, with a 95 % confidence interval of that share.

    Without ``contents`` rows count as independent, and the interval is Wilson's. Versions of one content are not
    independent; with ``contents`` whole contents are drawn with replacement (cluster bootstrap, percentiles), which is
    wider and honest. Where all contents have the same share the bootstrap has no width; Wilson's interval for as many
    rows as there are contents is then the floor, so it is always joined to the bootstrap's.

    Args:
        holds: bool ``(N,)``, N >= 1, from :func:`held`, on data that nothing was fitted on.
        contents: ``(N,)`` names of contents.
        generator: draws the resamples; needed with ``contents``.
        resamples: number of bootstrap draws.

    Returns:
        Share, confidence interval and counts.

    Raises:
        ValueError: no rows, shapes that differ, or ``contents`` without a generator.

    Source: E. B. Wilson, JASA 22 (1927); B. Efron and R. Tibshirani, "An introduction to the bootstrap", 1993.

    Example:
        >>> found = coverage([True] * 90 + [False] * 10)
        >>> round(found.share, 3), round(found.low, 3), round(found.high, 3)
        (0.9, 0.826, 0.945)
    """
    hits = np.asarray(holds, dtype=bool)
    if hits.ndim != 1 or not len(hits):
        raise ValueError(f"holds must have shape (N,), N >= 1, got {hits.shape}")
    share = float(hits.mean())
    if contents is None:
        low, high = _wilson(share, len(hits))
        return Coverage(share=share, low=low, high=high, count=len(hits), contents=len(hits))
    if generator is None:
        raise ValueError("the bootstrap over contents needs a generator")
    index = _content_index(len(hits), contents)
    sizes, held_per_content = np.bincount(index), np.bincount(index, weights=hits)
    drawn = generator.integers(len(sizes), size=(resamples, len(sizes)))
    draws = held_per_content[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975]).tolist()
    floor_low, floor_high = _wilson(share, len(sizes)) if low == high else (low, high)
    return Coverage(
        share=share, low=min(low, floor_low), high=max(high, floor_high), count=len(hits), contents=len(sizes)
    )


def _wilson(share: float, count: int) -> tuple[float, float]:
    quantile = 1.959963984540054  # central 95 % of N(0, 1)
    square = quantile * quantile / count
    middle = (share + 0.5 * square) / (1.0 + square)
    half = quantile / (1.0 + square) * math.sqrt(share * (1.0 - share) / count + 0.25 * square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _content_index(count: int, contents: ArrayLike) -> NDArray[np.intp]:
    names = np.asarray(contents)
    if names.shape != (count,):
        raise ValueError(f"contents must have shape ({count},), got {names.shape}")
    return np.unique(names, return_inverse=True)[1].reshape(-1)


def _row_shares(count: int, contents: ArrayLike | None) -> Floats:
    """What each row counts: all alike, or each content alike."""
    if contents is None:
        return np.full(count, 1.0 / count)
    index = _content_index(count, contents)
    sizes = np.bincount(index)
    return np.asarray(1.0 / (sizes[index] * len(sizes)))


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function passes 0, or the end of the range that is nearest to it."""
    if rising(low) >= 0.0:
        return low
    if rising(high) <= 0.0:
        return high
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return 0.5 * (low + high)
