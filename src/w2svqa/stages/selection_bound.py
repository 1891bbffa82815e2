"""The linear programme behind the selection: a lower bound that holds, and a fractional choice close to it.

With a price per bin, |price| <= weight, the videos that cost least, as many as wished, give a lower bound on the value
of every choice, fractional or not (weak duality of the linear programme; the prices are its dual variables, about 450
for any number of videos). Good prices come from the smoothed problem, in which every video's membership pays an
entropy: its dual is smooth, concave and of the same few variables, and L-BFGS-B climbs it. The memberships that belong
to the prices are the fractional choice. With less and less smoothing both come together.

Source: Vonikakis et al., "A Probabilistic Approach to People-Centric Photo Selection and Sequencing", IEEE TMM 19(11),
2017, has the problem, the choice of a subset whose histograms have a wished shape, as a mixed-integer programme; the
smoothing is the usual one of optimal transport and maximum-entropy weighting. Departure: no solver sees single videos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from w2svqa.core.extras import require
from w2svqa.stages.selection_problem import Floats, Lookup, Places, Problem

_SMOOTHINGS: Final = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""Entropy's price, from even memberships to nearly whole ones; in weights."""

_SAMPLE: Final = 60_000  # cells with which prices are found first: their histograms are good to about a hundredth
_STEPS: Final = 150  # of L-BFGS per smoothing
_HISTORY: Final = 10  # curvature pairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relaxed:
    """What the linear programme says.

    Attributes:
        bound: no choice has a lower value.
        value: of the fractional choice.
        memberships: how many videos of each cell, not whole, 0 to its size, ``(cells,)``.
    """

    bound: float
    value: float
    memberships: Floats


def relax(problem: Problem, *, tolerance: float = 1e-3, seed: int = 0) -> Relaxed:
    """Return a lower bound and a fractional choice close to it.

    Args:
        problem: what is wished.
        tolerance: good enough, as distance of value and bound, in the sum of the weights.
        seed: of the sample with which prices are found first.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    prices = np.zeros(len(problem.wish))
    good = tolerance * float(problem.weights[problem.starts[:-1]].sum())
    best = Relaxed(bound=0.0, value=math.inf, memberships=np.zeros(len(problem.sizes)))
    everything = _Smooth(problem)
    sample = _sampled(problem, seed)
    for smoothing in _SMOOTHINGS:
        if sample is not None:
            prices = sample.climb(prices, smoothing)
            sample = None  # with less smoothing it would fit what is chance in the sample
        prices = everything.climb(prices, smoothing)
        best = _better(best, everything.relaxed(prices, smoothing))
        if best.value - best.bound <= good:
            break
    return best


def lower_bound(problem: Problem, prices: Floats) -> float:
    """Return the bound that prices prove; they are brought into -weight to weight first.

    Args:
        problem: what is wished.
        prices: per row, ``(rows,)``.

    Source: weak duality; for the best prices it is the value of the linear programme.
    """
    allowed = np.clip(prices, -problem.weights, problem.weights)
    return max(0.0, _bound(problem, allowed, Lookup(problem).sums(allowed)))


def _bound(problem: Problem, prices: Floats, costs: Floats) -> float:
    total = float(prices @ (problem.base - problem.wish))
    for places, quota in _groups(problem):
        ordered = places[np.argsort(costs[places], kind="stable")]
        taken = np.minimum(np.cumsum(problem.sizes[ordered]), quota)
        total += float((costs[ordered] * np.diff(taken, prepend=0)).sum())
    return total / problem.count


def _groups(problem: Problem) -> Iterator[tuple[Places, int]]:
    for group, quota in enumerate(problem.quotas):
        yield np.flatnonzero(problem.groups == group), int(quota)


def _better(old: Relaxed, new: Relaxed) -> Relaxed:
    better = new if new.value < old.value else old
    return Relaxed(bound=max(old.bound, new.bound), value=better.value, memberships=better.memberships)


def _sampled(problem: Problem, seed: int) -> _Smooth | None:
    """Return the problem of a random part of the cells, each standing for several; ``None`` if there are few."""
    cells = len(problem.sizes)
    if cells <= 2 * _SAMPLE:
        return None
    which = np.sort(np.random.default_rng(seed).choice(cells, _SAMPLE, replace=False))
    return _Smooth(problem, which)


class _Smooth:
    """The smoothed dual, for all cells or a sample of them that stands for all."""

    def __init__(self, problem: Problem, which: Places | None = None) -> None:
        self._problem = problem
        self._lookup = Lookup(problem, which)
        self._groups = problem.groups if which is None else problem.groups[which]
        sizes = (problem.sizes if which is None else problem.sizes[which]).astype(np.float64)
        whole = np.bincount(problem.groups, weights=problem.sizes, minlength=len(problem.quotas))
        part = np.bincount(self._groups, weights=sizes, minlength=len(problem.quotas))
        # A group without a cell in the sample has nothing to scale; its quota then pulls on nothing but its level.
        self._sizes = sizes * (whole / np.maximum(part, 1.0))[self._groups]
        self._one = len(problem.quotas) == 1
        self._scale = np.sqrt(np.concatenate([self._lookup.totals(self._sizes) + 1.0, whole + 1.0]))

    def climb(self, prices: Floats, smoothing: float) -> Floats:
        """Return better prices.

        The levels, per group the cost at which membership is one half, climb with them and start where quotas are met.
        """
        optimize = require("scipy.optimize", extra="train")
        rows = len(prices)
        levels = self._levels(self._lookup.sums(prices), smoothing)
        limit = np.concatenate([self._problem.weights, np.full(len(levels), np.inf)]) * self._scale
        start = np.concatenate([prices, levels]) * self._scale
        found = optimize.minimize(
            self._loss,
            start,
            args=(smoothing,),
            jac=True,
            method="L-BFGS-B",
            bounds=optimize.Bounds(-limit, limit),
            options={"maxiter": _STEPS, "maxcor": _HISTORY, "ftol": 1e-10, "gtol": 1e-9},
        )
        better: Floats = (found.x / self._scale)[:rows]
        return better

    def relaxed(self, prices: Floats, smoothing: float) -> Relaxed:
        """Return the bound of these prices and the fractional choice that meets the quotas."""
        allowed = np.clip(prices, -self._problem.weights, self._problem.weights)
        costs = self._lookup.sums(allowed)
        levels = self._levels(costs, smoothing)
        memberships = self._problem.sizes * _logistic((levels[self._groups] - costs) / smoothing)
        value = self._problem.value(self._lookup.totals(memberships) + self._problem.base)
        return Relaxed(bound=max(0.0, _bound(self._problem, allowed, costs)), value=value, memberships=memberships)

    def _loss(self, scaled: Floats, smoothing: float) -> tuple[float, Floats]:
        """Return the negative of the smoothed dual, and its slope."""
        problem = self._problem
        variables = scaled / self._scale
        prices, levels = variables[: len(problem.wish)], variables[len(problem.wish) :]
        offset = self._lookup.sums(prices)
        np.subtract(levels[0] if self._one else levels[self._groups], offset, out=offset)
        offset /= smoothing
        small = np.exp(-np.abs(offset))
        entropy = float((self._sizes * (np.maximum(offset, 0.0) + np.log1p(small))).sum())  # no BLAS: it starts threads
        chosen = self._sizes * np.where(offset >= 0.0, 1.0, small) / (1.0 + small)
        value = prices @ (problem.base - problem.wish) + levels @ problem.quotas - smoothing * entropy
        slope = np.concatenate(
            [self._lookup.totals(chosen) + problem.base - problem.wish, problem.quotas - self._sum(chosen)]
        )
        return -float(value) / problem.count, -slope / self._scale / problem.count

    def _sum(self, chosen: Floats) -> Floats:
        if self._one:
            return np.array([chosen.sum()])
        return np.bincount(self._groups, chosen, len(self._problem.quotas)).astype(np.float64, copy=False)

    def _levels(self, costs: Floats, smoothing: float) -> Floats:
        """Return the levels at which memberships meet the quotas, by halving."""
        reach = 40.0 * smoothing  # a membership within 1e-17 of 0 or 1
        low = np.full(len(self._problem.quotas), costs.min(initial=0.0) - reach)
        high = np.full(len(self._problem.quotas), costs.max(initial=0.0) + reach)
        for _ in range(50):
            middle = 0.5 * (low + high)
            enough = (
                self._sum(self._sizes * _logistic((middle[self._groups] - costs) / smoothing)) >= self._problem.quotas
            )
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return np.asarray(high)


def _logistic(values: Floats) -> Floats:
    small = np.exp(-np.abs(values))
    return np.where(values >= 0.0, 1.0, small) / (1.0 + small)
