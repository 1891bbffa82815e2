"""Teachers on one scale without human labels: each is fitted to what the others say together.

Where mean opinion scores are known, teachers are fitted to them instead; see :func:`calibrate_pool` for both.

The algorithm without opinion scores:

1. The scores of every teacher are ranked (its declared direction: higher is better) and replaced by the normal scores
   of their ranks, whatever its scale and its outliers: ties share a rank, and no score counts more than its place.
2. For every teacher the others' values are averaged, by weight, over those that scored the video. Leave-one-out: no
   teacher is fitted to itself. This mean is ranked and replaced by normal scores again, which is the gauge: without it
   every round would shrink the scale, for a fitted curve predicts the mean of what it is fitted to.
3. A teacher whose rank correlation with the mean of the others is not above 0 contradicts them: the worst is left out,
   and step 2 begins anew. Its direction is never changed. Of two teachers that contradict each other none is right.
4. The curve of every teacher is fitted to its mean of the others, and gives its values of the next round; steps 2 and 4
   are repeated until no value moves by more than ``TOLERANCE`` points. Two teachers are at rest at once, for the ranks
   of a rising curve are those of the scores; three and more usually within ten rounds.

The gauge: 50 is the median of this pool, and 0 and 100 lie three standard deviations of it below and above, if its
qualities are taken to be normally distributed. So the scale is this pool's own, and a value says nothing about videos
of another. Fitted to opinion scores, 0 and 100 are the ends of their scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.conversion import near_name
from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.statistics import spearman
from w2svqa.teachers.calibration import SCALE, fit_logistic
from w2svqa.teachers.pool_scale import (
    TOLERANCE,
    PoolCalibration,
    PoolFit,
    Target,
    mos_ends,
    normal_scores,
    weighted_moments,
)

LEAST_SCORES: Final = 10
"""Videos below which no curve is fitted: four parameters need some more."""

MOST_ROUNDS: Final = 50
_PARAMETERS: Final = 4  # of the curve
Floats = NDArray[np.float64]
Scores = Mapping[str, Mapping[str, float]]
"""Raw score by teacher and clip id."""


class FitPoints(NamedTuple):
    """What a curve was fitted to: raw scores and targets, float64 ``(n,)`` each."""

    raw: Floats
    target: Floats


class Calibrated(NamedTuple):
    """A calibration, and by teacher the points of its fit."""

    calibration: PoolCalibration
    points: dict[str, FitPoints]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Scores of some teachers: signed so that higher is better, float64 ``(teachers, videos)``, NaN where missing."""

    names: list[str]
    rising: list[bool]
    weights: Floats
    signed: Floats

    def without(self, row: int) -> _Table:
        kept = [index for index in range(len(self.names)) if index != row]
        return _Table(
            names=[self.names[index] for index in kept],
            rising=[self.rising[index] for index in kept],
            weights=self.weights[kept],
            signed=self.signed[kept],
        )

    def raw(self, row: int, chosen: NDArray[np.bool_]) -> Floats:
        values: Floats = self.signed[row, chosen]
        return values if self.rising[row] else -values


def calibrate_pool(
    scores: Scores,
    *,
    higher_is_better: Mapping[str, bool],
    weights: Mapping[str, float] | None = None,
    mos: Mapping[str, float] | None = None,
    mos_range: tuple[float, float] | None = None,
) -> Calibrated:
    """Bring the teachers of a pool to one scale.

    Args:
        scores: by teacher and clip id, on the teachers' own scales; what is not finite counts as missing.
        higher_is_better: the direction that each teacher declares; its keys are the teachers that are fitted.
        weights: of teachers, 0 or more; 1 where none is given, and 0 leaves a teacher out.
        mos: opinion score by clip id, higher is better: then teachers are fitted to them instead of to each other.
        mos_range: the opinion scores that become 0 and 100; if not given the narrowest of 0-1, 1-5 and 0-100 that holds
            them all, and where none does their own range.

    Raises:
        ConfigError: a weight is negative, not finite or of an unknown teacher, or an opinion score lies outside
            ``mos_range``.
        MissingExtraError: SciPy is not installed.

    Source: arXiv 2505.03631, section 4 (a four-parameter logistic per teacher). What it is fitted to is not said there;
    the consensus is ours, see the module's head. Normal scores: B. L. van der Waerden, 1952.
    """
    given = _checked_weights(weights or {}, list(higher_is_better))
    clips = sorted({clip for teacher in higher_is_better for clip in scores.get(teacher, {})})
    table, refused = _table(scores, higher_is_better, given, clips)
    if mos is None:
        found = _by_consensus(table)
    else:
        known = {clip: value for clip, value in mos.items() if math.isfinite(value)}
        ends = mos_ends(known, mos_range)
        target = np.array([known.get(clip, math.nan) for clip in clips], dtype=np.float64)
        found = _by_mos(table, SCALE[0] + (SCALE[1] - SCALE[0]) * (target - ends[0]) / (ends[1] - ends[0]), ends)
    calibration = replace(found.calibration, refused=(*refused, *found.calibration.refused))
    return Calibrated(calibration, found.points)


def _checked_weights(weights: Mapping[str, float], names: Sequence[str]) -> Mapping[str, float]:
    for name, weight in weights.items():
        if name not in names:
            near = near_name(name, list(names))
            remedy = f"did you mean {near!r}?" if near else f"teachers: {', '.join(names) or 'none'}"
            raise ConfigError(f"a weight is given for {name!r}, which scored nothing", remedy=remedy)
        if not 0 <= weight < math.inf:
            raise ConfigError(f"the weight of {name!r} is {weight}", remedy="give 0 or more")
    return weights


def _table(
    scores: Scores, higher_is_better: Mapping[str, bool], weights: Mapping[str, float], clips: Sequence[str]
) -> tuple[_Table, list[tuple[str, str]]]:
    """The teachers that can be fitted at all, and why the others cannot."""
    place = {clip: column for column, clip in enumerate(clips)}
    signed = np.full((len(higher_is_better), len(clips)), np.nan)
    for row, (name, rising) in enumerate(higher_is_better.items()):
        for clip, value in scores.get(name, {}).items():
            if math.isfinite(value):
                signed[row, place[clip]] = value if rising else -value
    table = _Table(
        names=list(higher_is_better),
        rising=list(higher_is_better.values()),
        weights=np.array([weights.get(name, 1.0) for name in higher_is_better], dtype=np.float64),
        signed=signed,
    )
    refused: list[tuple[str, str]] = []
    for row in reversed(range(len(signed))):
        if problem := _useless(signed[row], float(table.weights[row])):
            refused.insert(0, (table.names[row], problem))
            table = table.without(row)
    return table, refused


def _useless(signed: Floats, weight: float) -> str | None:
    there = signed[np.isfinite(signed)]
    if weight == 0:
        return "its weight is 0"
    if len(there) < LEAST_SCORES:
        return f"it scored {len(there)} videos, {LEAST_SCORES} are needed"
    if there.min() == there.max():
        return f"it gives every video the same score, {abs(float(there[0])):g}"
    return None


def _by_mos(table: _Table, target: Floats, ends: tuple[float, float]) -> Calibrated:
    fits: list[PoolFit] = []
    points: dict[str, FitPoints] = {}
    refused: list[tuple[str, str]] = []
    for row, name in enumerate(table.names):
        try:
            fit, points[name] = _fit(table, row, target, "mos", None)
        except W2SVQAError as error:
            refused.append((name, error.problem))
            continue
        fits.append(fit)
    calibration = PoolCalibration(against="mos", fits=tuple(fits), refused=tuple(refused), rounds=1, mos_range=ends)
    return Calibrated(calibration, points)


def _by_consensus(table: _Table) -> Calibrated:
    refused: list[tuple[str, str]] = []
    while len(table.names) > 1:
        try:
            calibration, points = _rounds(table)
        except _RefusedError as error:
            for row in sorted(error.rows, reverse=True):
                refused.append((table.names[row], error.problem))
                table = table.without(row)
            continue
        return Calibrated(replace(calibration, refused=tuple(refused)), points)
    if not table.names or refused:
        # one that is left over from a quarrel agrees with nobody
        refused += [(name, "no other teacher agrees with it") for name in table.names]
        return Calibrated(PoolCalibration(against="consensus", refused=tuple(refused)), {})
    return _alone(table)


class _RefusedError(W2SVQAError):
    """Some teachers cannot stay."""

    def __init__(self, problem: str, rows: Sequence[int]) -> None:
        super().__init__(problem)
        self.rows = rows


def _rounds(table: _Table) -> Calibrated:
    """Fit until nothing moves.

    Raises:
        _RefusedError: some teachers contradict the others, or cannot be fitted to them.
    """
    values = np.full_like(table.signed, np.nan)
    for row in range(len(values)):
        there = np.isfinite(table.signed[row])
        values[row, there] = normal_scores(table.signed[row, there])
    _check_agreement(table, values)
    fits: list[PoolFit | None] = [None] * len(values)
    points: dict[str, FitPoints] = {}
    rounds, change = 0, math.inf
    while rounds < MOST_ROUNDS and change > TOLERANCE:
        after = np.full_like(values, np.nan)
        for row, name in enumerate(table.names):
            try:
                fit, points[name] = _fit(table, row, _others(values, table.weights, row), "consensus", fits[row])
            except W2SVQAError as error:
                raise _RefusedError(error.problem, [row]) from None
            there = np.isfinite(table.signed[row])
            after[row, there] = fit.curve(table.raw(row, there))
            fits[row] = fit
        rounds, change = rounds + 1, float(np.nanmax(np.abs(after - values)))
        values = after
    made = tuple(fit for fit in fits if fit is not None)
    return Calibrated(PoolCalibration(against="consensus", fits=made, rounds=rounds, change=change), points)


def _check_agreement(table: _Table, values: Floats) -> None:
    found: list[float] = []
    for row in range(len(values)):
        others = _others(values, table.weights, row)
        both = np.isfinite(others) & np.isfinite(values[row])
        if both.sum() < LEAST_SCORES:
            problem = f"it shares {both.sum()} videos with other teachers, {LEAST_SCORES} are needed"
            raise _RefusedError(problem, [row])
        found.append(spearman(values[row, both], others[both]))
    worst = int(np.argmin(found))
    if found[worst] > 0:
        return
    problem = f"rank correlation {found[worst]:.3f} with the other teachers, in the direction it declares"
    if len(found) == 2:
        raise _RefusedError(f"{problem}; of two that contradict each other none can be trusted", [0, 1])
    raise _RefusedError(problem, [worst])


def _others(values: Floats, weights: Floats, row: int) -> Floats:
    """What the others say of each video, as normal scores, float64 ``(videos,)``; NaN where they say nothing."""
    kept = np.arange(len(values)) != row
    mean, _ = weighted_moments(values[kept], weights[kept])
    said = np.isfinite(mean)
    if said.any():
        # rounded, so that what differs by the order of summation only remains a tie
        mean[said] = normal_scores(mean[said].round(9))
    return mean


def _fit(table: _Table, row: int, target: Floats, against: Target, before: PoolFit | None) -> tuple[PoolFit, FitPoints]:
    """The fit of one teacher, and its points.

    Raises:
        W2SVQAError: there are too few points, or no curve rises through them.
    """
    name, rising = table.names[row], table.rising[row]
    both = np.isfinite(table.signed[row]) & np.isfinite(target)
    raw, wanted = table.raw(row, both), target[both]
    if len(raw) < LEAST_SCORES:
        raise W2SVQAError(f"it scored {len(raw)} videos with {against}, {LEAST_SCORES} are needed")
    correlation = spearman(table.signed[row, both], wanted)
    if correlation <= 0:
        raise W2SVQAError(f"rank correlation {correlation:.3f} with the {against}, in the direction it declares")
    curve = fit_logistic(
        raw,
        wanted,
        higher_is_better=rising,
        name=name,
        against=f"the {against}",
        least=LEAST_SCORES,
        start=None if before is None else before.curve,
    )
    residuals = curve(raw) - wanted
    fit = PoolFit(
        teacher=name,
        curve=curve,
        against=against,
        videos=len(raw),
        spearman=None if against == "itself" else correlation,
        deviation=math.sqrt(float(residuals @ residuals) / (len(raw) - _PARAMETERS)),
        weight=float(table.weights[row]),
    )
    return fit, FitPoints(raw, wanted)


def _alone(table: _Table) -> Calibrated:
    there = np.isfinite(table.signed[0])
    target = np.full(table.signed.shape[1], np.nan)
    target[there] = normal_scores(table.signed[0, there])
    try:
        fit, points = _fit(table, 0, target, "itself", None)
    except W2SVQAError as error:
        return Calibrated(PoolCalibration(against="itself", refused=((table.names[0], error.problem),)), {})
    return Calibrated(PoolCalibration(against="itself", fits=(fit,), rounds=1), {table.names[0]: points})
