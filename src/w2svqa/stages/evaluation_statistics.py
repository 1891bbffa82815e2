"""How far a model's scores agree with opinion scores: correlations, errors after the usual fits, and their intervals.

| measure | what |
| --- | --- |
| ``srcc`` | Spearman's rank correlation, ties at average ranks |
| ``krcc`` | Kendall's tau-b |
| ``plcc`` | Pearson's correlation of ratings with scores after the logistic of four parameters |
| ``rmse`` | root of the mean squared residual of that fit, in units of the ratings; lower is better |
| ``plcc5``, ``rmse5`` | the same after the logistic of five parameters |
| ``plcc_raw`` | Pearson's correlation without a fit |

Intervals are 95 %, by the percentile bootstrap over contents: contents are drawn with replacement, with all their
videos. Ranks are taken anew in every resample. The curve is fitted once, to all videos, and resamples draw its
residuals: what another sample would change about the curve is not in the intervals of ``plcc`` and ``rmse``.

Where a curve falls, its PLCC is given with a minus: a fit must not hide that a model is upside down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.core.extras import require
from w2svqa.stages.evaluation_draws import (
    RESAMPLES,
    KendallDraws,
    SpearmanDraws,
    content_draws,
    drawn,
    percentiles,
)
from w2svqa.stages.logistic_fit import LEAST, Curve, Form, fit_curve

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Measure = Literal["srcc", "krcc", "plcc", "rmse", "plcc5", "rmse5", "plcc_raw"]

MEASURES: Final[tuple[Measure, ...]] = ("srcc", "krcc", "plcc", "rmse", "plcc5", "rmse5", "plcc_raw")
FEW: Final = 50
"""Videos below which a note says that figures after a fit flatter: the curve follows chance."""

LEAST_VIDEOS: Final = 3
"""Below which two numbers always correlate by -1 or 1, or not at all."""

_FORMS: Final[Mapping[Measure, Form]] = {"plcc": "four", "rmse": "four", "plcc5": "five", "rmse5": "five"}

LOWER_IS_BETTER: Final = frozenset({"rmse", "rmse5"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How intervals are drawn.

    Attributes:
        resamples: 0 for no intervals.
        seed: of the draws.
        label: what they are for; models of one label are drawn alike, so that their difference has an interval.
    """

    resamples: int = RESAMPLES
    seed: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: NaN where there is none.
        low: lower end; NaN where there is none.
        high: upper end.
        draws: value in each resample, ``(D,)``.
        problem: why there is no value; empty where there is one.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    draws: Floats = field(default_factory=lambda: np.zeros(0))
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agreement:
    """What was found of one model on one set of videos.

    Attributes:
        known: places of the videos that have a score and a rating, ``(N,)``.
        contents: how many contents these show.
        figures: by measure.
        curves: of the two forms, as far as there are.
        notes: what a reader should know: a model that is upside down, a curve that is not monotone, or that has not
            converged.
    """

    known: Ints
    contents: int
    figures: Mapping[Measure, Estimate]
    curves: Mapping[Form, Curve]
    notes: tuple[str, ...]

    @property
    def videos(self) -> int:
        """How many videos count."""
        return len(self.known)

    @property
    def upside_down(self) -> bool:
        """Whether scores fall where ratings rise, beyond chance."""
        return self.figures["srcc"].high < 0


def measure_agreement(
    scores: ArrayLike,
    ratings: ArrayLike,
    contents: Sequence[str],
    drawing: Drawing | None = None,
    *,
    measures: Sequence[Measure] = MEASURES,
) -> Agreement:
    """Return the measures of a model.

    Args:
        scores: higher is better; NaN or infinite where there is none, ``(N,)``.
        ratings: higher is better; NaN where there is none.
        contents: what each video shows; its own name where nothing else is known.
        drawing: of the intervals.
        measures: which; curves are fitted for these alone.

    Raises:
        ValueError: the lengths differ.
        MissingExtraError: SciPy is not installed.

    Example:
        >>> found = measure_agreement([1, 2, 3, 4], [1, 2, 4, 3], list("abcd"), Drawing(resamples=0))
        >>> [round(found.figures[name].value, 3) for name in ("srcc", "krcc")], found.figures["plcc"].problem
        ([0.8, 0.667], 'a fit takes 8 videos, there are 4')
    """
    said, rated = np.asarray(scores, np.float64), np.asarray(ratings, np.float64)
    if said.shape != rated.shape or len(contents) != len(said):
        raise ValueError(f"{said.shape} scores, {rated.shape} ratings and {len(contents)} contents")
    known = np.flatnonzero(np.isfinite(said) & np.isfinite(rated))
    one, other = said[known], rated[known]
    drawing = drawing or Drawing()
    counts, places = content_draws(contents, drawing.resamples, drawing.seed, drawing.label)
    work = _Work(one, other, counts, places[known])
    problem = _problem(one, other)
    forms = {_FORMS[measure] for measure in measures if measure in _FORMS and not problem}
    curves = {form: found for form in sorted(forms) if (found := fit_curve(one, other, form)) is not None}
    figures = {each: Estimate(value=np.nan, problem=problem) if problem else work.of(each, curves) for each in measures}
    shown = len({contents[place] for place in known.tolist()})
    return Agreement(
        known=known, contents=shown, figures=figures, curves=curves, notes=tuple(_notes(len(known), figures, curves))
    )


def _problem(scores: Floats, ratings: Floats) -> str:
    """Why nothing can be said at all; empty where something can."""
    if len(scores) < LEAST_VIDEOS:
        return f"{len(scores)} videos have a score and a rating, a correlation takes {LEAST_VIDEOS}"
    if np.ptp(scores) == 0:
        return f"the model gives all {len(scores)} videos the same score"
    return f"all {len(ratings)} ratings are the same" if np.ptp(ratings) == 0 else ""


class _Work:
    """Measures of one model, which share its draws."""

    def __init__(self, scores: Floats, ratings: Floats, counts: Ints, places: Ints) -> None:
        self._scores, self._ratings = scores, ratings
        self._counts, self._places = counts, places
        self._weights = counts.astype(np.float64)

    def of(self, measure: Measure, curves: Mapping[Form, Curve]) -> Estimate:
        stats = require("scipy.stats", extra="train")
        if measure == "srcc":
            draws = drawn(SpearmanDraws(self._scores, self._ratings), self._counts, self._places)
            return _estimate(float(stats.spearmanr(self._scores, self._ratings).statistic), draws)
        if measure == "krcc":
            draws = drawn(KendallDraws(self._scores, self._ratings), self._counts, self._places)
            return _estimate(float(stats.kendalltau(self._scores, self._ratings).statistic), draws)
        if measure == "plcc_raw":
            return self._pearson(self._scores, sign=1)
        form = _FORMS[measure]
        if form not in curves:
            return Estimate(value=np.nan, problem=f"a fit takes {LEAST[form]} videos, there are {len(self._scores)}")
        fitted = curves[form](self._scores)
        if measure.startswith("plcc"):
            return self._pearson(fitted, sign=1 if curves[form].rising else -1)
        squares = (fitted - self._ratings) ** 2
        videos, total = self._sums(np.ones_like(squares), squares)
        draws = np.sqrt(np.divide(total, videos, out=np.full(len(total), np.nan), where=videos > 0))
        return _estimate(float(np.sqrt(squares.mean())), draws)

    def _pearson(self, fitted: Floats, *, sign: int) -> Estimate:
        stats = require("scipy.stats", extra="train")
        if np.ptp(fitted) == 0:
            return Estimate(value=np.nan, problem="the fitted curve is flat")
        # centred first, or the squares of large scores would drown their differences
        one, other = fitted - fitted.mean(), self._ratings - self._ratings.mean()
        count, x, y, xx, yy, xy = self._sums(np.ones_like(one), one, other, one**2, other**2, one * other)
        with np.errstate(divide="ignore", invalid="ignore"):
            draws = (xy - x * y / count) / np.sqrt((xx - x**2 / count) * (yy - y**2 / count))
        draws[~(np.abs(draws) <= 1 + 1e-9)] = np.nan
        return _estimate(sign * float(stats.pearsonr(fitted, self._ratings).statistic), sign * draws)

    def _sums(self, *columns: Floats) -> tuple[Floats, ...]:
        """Sums over the videos of each resample, ``(D,)`` each."""
        by_content = [np.bincount(self._places, column, minlength=self._weights.shape[1]) for column in columns]
        return tuple(np.asarray(self._weights @ np.stack(by_content, axis=1)).T)


def _estimate(value: float, draws: Floats) -> Estimate:
    low, high = percentiles(draws)
    return Estimate(value=value, low=low, high=high, draws=draws)


def _notes(videos: int, figures: Mapping[Measure, Estimate], curves: Mapping[Form, Curve]) -> list[str]:
    srcc = figures.get("srcc")
    notes = []
    if srcc is not None and srcc.high < 0:
        notes.append(
            f"scores fall where ratings rise (SRCC {srcc.value:.3f} [{srcc.low:.3f}, {srcc.high:.3f}]): scores or"
            " ratings may be of the other direction; nothing was turned round"
        )
    if curves and videos < FEW:
        notes.append(f"a curve through {videos} videos follows chance too: PLCC and RMSE flatter")
    for form, curve in curves.items():
        if not curve.converged:
            notes.append(f"the fit with {form} parameters did not converge")
        if not curve.monotone:
            notes.append(f"the curve with {form} parameters is not monotone")
    return notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A figure of one of several sets of videos, and what it weighs.

    Attributes:
        estimate: of the set.
        videos: the weight.
    """

    estimate: Estimate
    videos: int


def weighted_overall(parts: Sequence[Part]) -> Estimate:
    """Return the mean of figures of several sets, weighted by their numbers of videos, with its interval.

    Sets are drawn apart from each other. There is none if a set has no figure.

    Source: arXiv 2505.03631, Table 1 ("overall").

    Example:
        >>> parts = [Part(estimate=Estimate(value=value), videos=videos) for value, videos in ((0.8, 300), (0.4, 100))]
        >>> round(weighted_overall(parts).value, 3)
        0.7
    """
    if not parts or any(not np.isfinite(part.estimate.value) for part in parts):
        return Estimate(value=np.nan, problem="a set has no figure" if parts else "there is no set")
    weights = np.array([part.videos for part in parts], np.float64)
    weights /= weights.sum()
    value = float(sum(weight * part.estimate.value for weight, part in zip(weights, parts, strict=True)))
    if len({len(part.estimate.draws) for part in parts}) > 1 or not len(parts[0].estimate.draws):
        return Estimate(value=value)
    return _estimate(value, np.asarray(weights @ np.stack([part.estimate.draws for part in parts])))
