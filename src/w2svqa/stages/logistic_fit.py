"""The logistic curves between a model's scores and opinion scores, as practice has it before PLCC and RMSE.

Two forms. Four parameters, of VQEG: ``low + (high - low) / (1 + exp(-(x - centre) / width))``. Five parameters, of
Sheikh et al.: the same and a straight line, ``... + slope * x``, which need not rise everywhere.

Given centre and width, all else is linear. So the search has two dimensions only: a grid of starts, and from the best
of them a simplex search over centre and width, each time with the best of the rest. That is robust where a search in
four or five dimensions from one start is not.

Source: VQEG, "Final report on the validation of objective models, phase II", 2003 (form with four parameters, and that
it is to be monotone); H. R. Sheikh, M. F. Sabir, A. C. Bovik, "A statistical evaluation of recent full reference image
quality assessment algorithms", IEEE TIP 15, 2006 (five); G. Golub, V. Pereyra, "The differentiation of pseudo-inverses
and nonlinear least squares problems", SIAM J. Numer. Anal. 10, 1973 (the elimination of what is linear).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require

Floats = NDArray[np.float64]
Form = Literal["four", "five"]

PARAMETERS: Final = {"four": 4, "five": 5}
LEAST: Final = {form: 2 * count for form, count in PARAMETERS.items()}
"""Videos below which nothing is fitted: twice the parameters."""

_CENTRES: Final = (-2.0, -1.2, -0.6, -0.2, 0.2, 0.6, 1.2, 2.0)  # in units of the bulk of the scores
_WIDTHS: Final = (0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0)
_SEARCHED: Final = 4  # starts that are followed
_NARROWEST, _WIDEST, _FARTHEST = 0.05, 10.0, 5.0
"""Bounds, in units of the bulk: a narrower step would fit the gap between two videos, a wider one is a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve from a model's scores to opinion scores.

    Attributes:
        form: four or five parameters.
        centre: score in the middle of the logistic part.
        width: how far the score moves while that part goes about a quarter of its way; above 0.
        base: opinion score far below the centre, without the line.
        rise: how far the logistic part goes from there; negative where the curve falls.
        slope: of the line; 0 in the form of four parameters.
        cost: sum of squared residuals.
        converged: whether the search ended at an optimum.
        monotone: whether it only rises, or only falls, over the scores it was fitted on.
        rising: whether it is higher at the ninetieth percentile of these scores than at the tenth.
    """

    form: Form
    centre: float
    width: float
    base: float
    rise: float
    slope: float
    cost: float
    converged: bool
    monotone: bool
    rising: bool

    def __call__(self, scores: Floats) -> Floats:
        """Return opinion scores for scores of any shape."""
        return np.asarray(self.base + self.rise * _logistic(scores, self.centre, self.width) + self.slope * scores)


def fit_curve(scores: Floats, ratings: Floats, form: Form = "four") -> Curve | None:
    """Return the curve of least squares; ``None`` for fewer than :data:`LEAST` videos, or if either side is constant.

    The direction is free: a model whose scores fall where ratings rise gets a falling curve, and ``rising`` says so.

    Args:
        scores: finite, ``(N,)``.
        ratings: as many.
        form: of the curve.

    Raises:
        ValueError: the lengths differ, or a number is not finite.
        MissingExtraError: SciPy is not installed.

    Example:
        >>> x = np.linspace(-3, 3, 50)
        >>> curve = fit_curve(x, 1 + 4 / (1 + np.exp(-(x - 0.5) / 0.4)))
        >>> round(curve.centre, 3), round(curve.width, 3), round(curve.base, 3), round(curve.rise, 3), curve.rising
        (0.5, 0.4, 1.0, 4.0, True)
    """
    if scores.shape != ratings.shape or not (np.isfinite(scores).all() and np.isfinite(ratings).all()):
        raise ValueError("a fit needs as many scores as ratings, all of them finite")
    if len(scores) < LEAST[form] or np.ptp(scores) == 0 or np.ptp(ratings) == 0:
        return None
    middle, unit = _bulk(scores)
    problem = _Problem((scores - middle) / unit, ratings, form)
    place, converged = _search(problem)
    centre, width = float(place[0]), float(np.exp(place[1]))
    linear = problem.solve(place)
    slope = float(linear[2]) / unit if form == "five" else 0.0
    base = float(linear[0]) - slope * middle
    shape = (middle + unit * centre, unit * width, base, float(linear[1]), slope)
    ends = _values(np.percentile(scores, (10, 90)), *shape)
    return Curve(
        form=form,
        **dict(zip(("centre", "width", "base", "rise", "slope"), shape, strict=True)),
        cost=problem.cost(place),
        converged=converged,
        monotone=_monotone(_values(np.unique(scores), *shape)),
        rising=bool(ends[1] > ends[0]),
    )


class _Problem:
    """Least squares over centre and the logarithm of the width, all else being the best for these."""

    def __init__(self, scaled: Floats, ratings: Floats, form: Form) -> None:
        self._scaled, self._ratings, self._form = scaled, ratings, form

    def solve(self, place: Floats) -> Floats:
        return np.asarray(np.linalg.lstsq(self._columns(place), self._ratings, rcond=None)[0])

    def residuals(self, place: Floats) -> Floats:
        return np.asarray(self._columns(place) @ self.solve(place) - self._ratings)

    def cost(self, place: Floats) -> float:
        return float((self.residuals(place) ** 2).sum())

    def _columns(self, place: Floats) -> Floats:
        columns = [np.ones_like(self._scaled), _logistic(self._scaled, float(place[0]), float(np.exp(place[1])))]
        return np.stack([*columns, self._scaled] if self._form == "five" else columns, axis=1)


def _search(problem: _Problem) -> tuple[Floats, bool]:
    """Return the best place of all starts, and whether a search ended there as it should."""
    optimize = require("scipy.optimize", extra="train")
    starts = sorted(
        (np.array([centre, np.log(width)]) for centre, width in product(_CENTRES, _WIDTHS)), key=problem.cost
    )
    bounds = [(-_FARTHEST, _FARTHEST), (np.log(_NARROWEST), np.log(_WIDEST))]
    # a simplex, not Gauss-Newton: where residuals are large, that creeps
    settings = {"xatol": 1e-7, "fatol": 1e-12 * problem.cost(starts[0]), "maxfev": 2000}
    found = [
        optimize.minimize(problem.cost, start, method="Nelder-Mead", bounds=bounds, options=settings)
        for start in starts[:_SEARCHED]
    ]
    best = min(found, key=lambda each: float(each.fun))
    return np.asarray(best.x), bool(best.success and np.isfinite(best.x).all())


def _bulk(scores: Floats) -> tuple[float, float]:
    """Middle of the scores and half the width of their bulk: outliers do not set the scale."""
    low, middle, high = np.percentile(scores, (10, 50, 90)).tolist()
    return middle, (high - low) / 2 or float(scores.std())


def _logistic(scores: Floats, centre: float, width: float) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh((scores - centre) / (2 * width)))  # exp would overflow far away


def _values(scores: Floats, centre: float, width: float, base: float, rise: float, slope: float) -> Floats:
    return np.asarray(base + rise * _logistic(scores, centre, width) + slope * scores)


def _monotone(values: Floats) -> bool:
    steps = np.diff(values)
    slack = 1e-9 * float(np.ptp(values))
    return bool((steps >= -slack).all() or (steps <= slack).all())
