"""Teachers on one scale: a logistic curve brings each admitted teacher's score to 0-100, then they speak together.

The common scale is that of VMAF on versions of clean sources: the one scale here on which contents compare. Every
teacher's curve is fitted on the same versions, those of the kinds asked for. Which kinds matters: VMAF hardly minds
noise, teachers that read natural scene statistics mind nothing more, and no curve brings the two together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.extras import require
from w2svqa.core.rows import ScoreRow, VersionRow
from w2svqa.core.statistics import spearman

SCALE = (0.0, 100.0)
"""Least and greatest value of the common scale."""

LEAST_VERSIONS = 30
"""Versions below which four parameters and a deviation are not fitted."""

LEAST_RISE = 5.0
"""Points by which a curve must rise from the tenth to the ninetieth percentile of the scores it was fitted on."""

LEAST_VARIANCE = 1.0
"""Squared points: nobody knows the quality of a clip better than to a point."""

_PARAMETERS = 4  # of the curve

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """The curve from a teacher's raw score to the common scale, which always rises.

    It is ``low + (high - low) / (1 + exp(-(x - centre) / width))``; ``x`` is the raw score, its sign
    changed where lower is better.

    Attributes:
        low: value far on the bad side, 0-100.
        high: value far on the good side, 0-100, above ``low``.
        centre: ``x`` halfway between.
        width: how far ``x`` moves while the curve rises by about a quarter of the way; above 0.
        higher_is_better: direction of the raw score.
    """

    low: float
    high: float
    centre: float
    width: float
    higher_is_better: bool

    def __call__(self, raw: Floats) -> Floats:
        """Return raw scores, float64 of any shape, on the common scale, 0-100, higher is better."""
        signed = raw if self.higher_is_better else -raw
        values = _curve(np.array([self.low, self.high, self.centre, self.width]), signed)
        return np.clip(values, self.low, self.high)  # by rounding it can pass its ends by a last digit


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherFit:
    """An admitted teacher on the common scale.

    Attributes:
        teacher: its name.
        curve: from its raw score.
        worst: the worst raw score among the versions it was fitted on.
        deviation: standard deviation of the residuals, in points of the common scale.
        spearman: rank correlation of its scores with VMAF over all versions together, -1 to 1, 1 is best.
        versions: number of versions it was fitted on.
        contents: number of their sources.
    """

    teacher: str
    curve: Logistic
    worst: float
    deviation: float
    spearman: float
    versions: int
    contents: int

    def reaches(self, raw: float) -> bool:
        """Return whether the fit covers a raw score: it is finite, and some version of the fit was no better.

        Beyond the good end the curve is flat; beyond the bad one lies what teachers of natural scenes have never seen,
        such as drawings and screens, and not a quality below that of the worst distortions.
        """
        worse = raw < self.worst if self.curve.higher_is_better else raw > self.worst
        return math.isfinite(raw) and not worse

    def __str__(self) -> str:
        """Return the record on one line."""
        curve = self.curve
        return (
            f"{self.teacher}: {curve.low:.1f} to {curve.high:.1f}, residuals deviate by {self.deviation:.1f} points "
            f"from VMAF, rank correlation {self.spearman:.3f} (N={self.versions} versions of {self.contents} contents)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The teachers on one scale.

    Attributes:
        fits: one per teacher that can be brought to it.
        covariance: of their residuals, row by row in the order of ``fits``, in squared points.
        refused: teacher and reason of the others.
    """

    fits: tuple[TeacherFit, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    def residual_variance(self, teachers: Sequence[str]) -> float:
        """Return the variance of the residuals of the mean of some of the fitted teachers, in squared points.

        Raises:
            ValueError: no teacher is named, or one that has no fit.
        """
        chosen = [[fit.teacher for fit in self.fits].index(teacher) for teacher in teachers]
        if not chosen:
            raise ValueError("the mean of no teachers has no residuals")
        return math.fsum(self.covariance[row][column] for row, column in product(chosen, chosen)) / len(chosen) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabel:
    """What the teachers say of a clip together.

    Attributes:
        mean: over teachers, on the common scale, 0-100, higher is better.
        variance: see :func:`pseudo_label`, in squared points; above 0.
        teachers: how many scored it.
    """

    mean: float
    variance: float
    teachers: int


def calibrate_teachers(
    scores: Sequence[ScoreRow],
    versions: Sequence[VersionRow],
    *,
    higher_is_better: Mapping[str, bool],
    kinds: Sequence[str],
) -> Calibration:
    """Fit the curve of every teacher to VMAF.

    Args:
        scores: of the teachers; those of versions without VMAF and those that are no finite numbers are left out.
        versions: rows of the distort stage.
        higher_is_better: direction of each admitted teacher; its keys are the teachers that are fitted.
        kinds: distortions whose versions take part; untouched sources always do.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    wanted = {*kinds, "none"}
    targets = {
        row.version_id: row.vmaf for row in versions if row.primary and row.vmaf is not None and row.kind in wanted
    }
    fits: list[TeacherFit] = []
    residuals: list[dict[str, float]] = []
    refused: list[tuple[str, str]] = []
    for teacher, rising in higher_is_better.items():
        mine = [row for row in scores if row.teacher == teacher and row.version_id in targets]
        try:
            fit, missed = _fit([row for row in mine if math.isfinite(row.value)], targets, teacher, rising)
        except W2SVQAError as error:
            refused.append((teacher, error.problem))
            continue
        fits.append(fit)
        residuals.append(missed)
    covariance = _covariance(residuals, [fit.deviation for fit in fits])
    return Calibration(fits=tuple(fits), covariance=covariance, refused=tuple(refused))


def fit_logistic(
    raw: Floats,
    target: Floats,
    *,
    higher_is_better: bool,
    name: str = "the teacher",
    against: str = "VMAF",
    least: int = LEAST_VERSIONS,
    start: Logistic | None = None,
) -> Logistic:
    """Fit the four-parameter logistic by least squares, from several starts of either direction.

    Args:
        raw: float64 ``(n,)``, scores on the teacher's own scale.
        target: float64 ``(n,)``, 0-100, higher is better.
        higher_is_better: the direction that the teacher declares.
        name: of the teacher, for messages.
        against: what the targets are, for messages.
        least: scores below which nothing is fitted.
        start: a curve nearby, as of the round before; then it is the only start.

    Raises:
        W2SVQAError: there are too few scores, the fit does not converge, or the curve it finds is flat or falls where
            the teacher declares that it rises.
        ValueError: the arrays differ in length, or hold values that are not finite.
        MissingExtraError: SciPy is not installed.

    Source: arXiv 2505.03631, section 4 (scores of different teachers are brought to one scale by a four-parameter
    logistic); ITU-T Tutorial "Objective perceptual assessment of video quality", 2004 (its form). Ours: the target need
    be no opinion score, and both ends are kept on the scale.
    """
    if raw.shape != target.shape or not (np.isfinite(raw).all() and np.isfinite(target).all()):
        raise ValueError("a fit needs as many scores as targets, all of them finite")
    if len(raw) < least:
        raise W2SVQAError(
            f"{name} scored {len(raw)} versions with {against}, {least} are needed",
            remedy="raise label.test_primaries or distort.vmaf_frames",
        )
    signed = raw if higher_is_better else -raw
    parameters = _least_squares(signed, target, name, start)
    _check_direction(parameters, signed, higher_is_better, name, against)
    low, high, centre, width = parameters.tolist()
    return Logistic(low=low, high=high, centre=centre, width=width, higher_is_better=higher_is_better)


def pseudo_label(values: Mapping[str, float], calibration: Calibration) -> PseudoLabel | None:
    """Return what the teachers say together of one clip; ``None`` if none of them scored it.

    The variance is the greater of two: the sample variance over the teachers, and the variance by which the mean of
    these teachers missed VMAF when they were fitted. The paper takes the first alone, over five teachers. Over two or
    three it is useless: two teachers that agree by chance would be certain. The second is measured on the mean itself,
    because teachers that read the same statistics err together, and their mean is hardly better than each of them.

    Args:
        values: raw score by teacher; those of teachers without a fit, and those that a fit does not reach (see
            :meth:`TeacherFit.reaches`), are left out.
        calibration: the teachers on the common scale.

    Source: arXiv 2505.03631, section 4 (mean and variance over teachers); the floor is ours.
    """
    heard = [fit for fit in calibration.fits if fit.reaches(values.get(fit.teacher, math.nan))]
    if not heard:
        return None
    aligned = np.array([float(fit.curve(np.array(values[fit.teacher]))) for fit in heard])
    spread = float(aligned.var(ddof=1)) if len(heard) > 1 else 0.0
    floor = calibration.residual_variance([fit.teacher for fit in heard])
    variance = max(spread, floor, LEAST_VARIANCE)
    return PseudoLabel(mean=float(aligned.mean()), variance=variance, teachers=len(heard))


def pseudo_labels(scores: Sequence[ScoreRow], calibration: Calibration) -> dict[str, PseudoLabel]:
    """Return the label of every untouched clip that a fitted teacher scored, by clip id.

    Args:
        scores: of the label stage; those of distorted versions are left out.
        calibration: the teachers on the common scale.
    """
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for row in scores:
        if row.version_id == f"{row.clip_id}-none-0":
            values[row.clip_id][row.teacher] = row.value
    labels = {clip: pseudo_label(said, calibration) for clip, said in values.items()}
    return {clip: label for clip, label in labels.items() if label is not None}


def calibrated_scores(scores: Sequence[ScoreRow], calibration: Calibration) -> dict[str, dict[str, float]]:
    """Return what each fitted teacher says of every untouched clip that its fit reaches, by teacher and clip id.

    Args:
        scores: of the label stage; those of distorted versions are left out.
        calibration: the teachers on the common scale, 0-100, higher is better.
    """
    fits = {fit.teacher: fit for fit in calibration.fits}
    found: dict[str, dict[str, float]] = {name: {} for name in fits}
    for row in scores:
        fit = fits.get(row.teacher)
        if fit is not None and row.version_id == f"{row.clip_id}-none-0" and fit.reaches(row.value):
            found[row.teacher][row.clip_id] = float(fit.curve(np.array(row.value)))
    return found


def _fit(
    rows: Sequence[ScoreRow], targets: Mapping[str, float], teacher: str, higher_is_better: bool
) -> tuple[TeacherFit, dict[str, float]]:
    """The fit of one teacher, and its residual by version."""
    raw = np.array([row.value for row in rows], dtype=np.float64)
    target = np.array([targets[row.version_id] for row in rows], dtype=np.float64)
    curve = fit_logistic(raw, target, higher_is_better=higher_is_better, name=teacher)
    residuals = curve(raw) - target
    fit = TeacherFit(
        teacher=teacher,
        curve=curve,
        worst=float(raw.min() if higher_is_better else raw.max()),
        deviation=math.sqrt(float(residuals @ residuals) / (len(residuals) - _PARAMETERS)),
        spearman=spearman(raw if higher_is_better else -raw, target),
        versions=len(rows),
        contents=len({row.clip_id for row in rows}),
    )
    return fit, {row.version_id: residual for row, residual in zip(rows, residuals.tolist(), strict=True)}


def _covariance(residuals: Sequence[Mapping[str, float]], deviations: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """Covariance of residuals: each teacher's own variance, and the correlation on versions that all of them scored."""
    sizes = np.outer(deviations, deviations)
    common = sorted(set.intersection(*(set(each) for each in residuals))) if residuals else []
    # with too few versions in common the teachers are taken to err as one
    correlation = np.ones_like(sizes)
    if len(common) >= LEAST_VERSIONS:
        table = np.array([[each[version] for version in common] for each in residuals])
        lengths = np.sqrt((table**2).sum(axis=1, keepdims=True))
        unit = np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)
        correlation = unit @ unit.T
    return tuple(tuple(row) for row in (sizes * correlation).tolist())


def _curve(parameters: Floats, signed: Floats) -> Floats:
    low, high, centre, width = parameters
    # tanh, because exp overflows far from the centre
    share: Floats = 0.5 + 0.5 * np.tanh((signed - centre) / (2 * width))
    values: Floats = low + (high - low) * share
    return values


def _least_squares(signed: Floats, target: Floats, name: str, start: Logistic | None) -> Floats:
    """Return low, high, centre and width of the best fit of all starts."""
    optimize = require("scipy.optimize", extra="train")
    # in units of the bulk of the scores: teachers' scales differ by orders, and have outliers
    middle = float(np.median(signed))
    unit = float(np.subtract(*np.percentile(signed, (90, 10)))) / 2
    if unit <= 0:
        raise W2SVQAError(f"{name} gives nearly everything the same score", remedy="leave this teacher out")
    scaled = (signed - middle) / unit
    bounds = ([SCALE[0], SCALE[0], -5, 0.02], [SCALE[1], SCALE[1], 5, 10])
    found: list[Any] = [
        optimize.least_squares(
            lambda parameters: _curve(parameters, scaled) - target,
            np.clip(first, *bounds),
            bounds=bounds,
            x_scale=(30, 30, 1, 1),
        )
        for first in _starts(target, middle, unit, start)
    ]
    best = min(found, key=lambda result: float(result.cost))
    if not best.success or not np.isfinite(best.x).all():
        raise W2SVQAError(f"the curve of {name} does not converge: {best.message}", remedy="leave this teacher out")
    low, high, centre, width = best.x.tolist()
    return np.array([low, high, middle + unit * centre, unit * width])


def _starts(target: Floats, middle: float, unit: float, start: Logistic | None) -> list[tuple[float, ...]]:
    """Where to begin, each as low, high, and centre and width in units of the bulk of the scores."""
    if start is not None:
        return [(start.low, start.high, (start.centre - middle) / unit, start.width / unit)]
    low, high = np.percentile(target, (10, 90)).tolist()
    return [(*ends, *shape) for ends in ((low, high), (high, low)) for shape in product((-0.5, 0.0, 0.5), (0.2, 0.6))]


def _check_direction(parameters: Floats, signed: Floats, higher_is_better: bool, name: str, against: str) -> None:
    start, end = _curve(parameters, np.percentile(signed, (10, 90))).tolist()
    if end - start >= LEAST_RISE:
        return
    declared = "higher" if higher_is_better else "lower"
    if start - end >= LEAST_RISE:
        problem = f"{name} declares that {declared} is better, but its better scores go with lower {against}"
    else:
        problem = f"{name} knows nothing of {against}: its curve rises by {end - start:.1f} points"
    raise W2SVQAError(f"{problem} ({start:.0f} to {end:.0f})", remedy="correct its direction or leave it out")
