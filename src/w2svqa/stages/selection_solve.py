"""From a problem to a choice: bound and fractional choice, rounding, swaps; HiGHS to the optimum where it is small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.stages.selection_bound import relax
from w2svqa.stages.selection_exact import relax_exactly, solve_exactly
from w2svqa.stages.selection_problem import Counts, Problem
from w2svqa.stages.selection_rounding import improve, round_memberships

EXACT_CELLS: Final = 3000
"""Up to so many different videos HiGHS is asked for the optimum."""

_FINE: Final = 1e-3  # distance of value and bound at which the linear programme counts as solved, in weights
_COARSE: Final = 2e-2  # the same where HiGHS finds the bound
_STARTS: Final = 64  # roundings that are improved, for problems of that size
_EQUAL: Final = 1e-7  # values that differ by less are the same

Progress = Callable[[str, int, int, str], None]
"""Called as ``progress(stage, done, total, text)``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """A choice, and how good any could be.

    Attributes:
        chosen: videos per cell.
        value: weighted sum of the L1 distances of shares.
        lp_bound: lower bound on it, from a dual solution of the linear programme.
        bound: the best known lower bound: for small problems HiGHS's, which knows that videos are whole.
    """

    chosen: Counts
    value: float
    lp_bound: float
    bound: float

    @property
    def optimal(self) -> bool:
        """No choice is better."""
        return self.value <= self.bound + _EQUAL


def solve(problem: Problem, *, seed: int, seconds: float, progress: Progress) -> Solved:
    """Choose videos whose histograms are as wished, as nearly as can be found.

    Args:
        problem: what is wished.
        seed: of the order in which interchangeable or nearly as good videos are tried.
        seconds: time for swaps, and again for HiGHS; the linear programme takes what it takes.
        progress: told of the three steps.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if not problem.quotas.any():  # the videos that must be chosen are all
        value = problem.value(problem.base.astype(np.float64))
        return Solved(chosen=np.zeros(len(problem.sizes), np.int64), value=value, lp_bound=value, bound=value)
    small = len(problem.sizes) <= EXACT_CELLS
    progress("select", 0, 3, "linear programme")
    relaxed = relax(problem, tolerance=_COARSE if small else _FINE, seed=seed)
    bound = lp_bound = max(relaxed.bound, relax_exactly(problem) if small else 0.0)
    progress("select", 1, 3, f"rounding; the linear programme's bound is {lp_bound:.4f}")
    random = generator(seed, "select")
    starts = _STARTS if small else 1
    rounded = (round_memberships(problem, relaxed.memberships, random) for _ in range(starts))
    tried = [improve(problem, each, random, seconds=seconds / starts) for each in rounded]
    if small and seconds > 0:
        progress("select", 2, 3, "HiGHS")
        exact = solve_exactly(problem, seconds=seconds)
        bound = max(bound, exact.bound)
        if exact.chosen is not None:
            tried.append(improve(problem, exact.chosen, random, seconds=seconds))
    chosen = min(tried, key=lambda each: problem.value(problem.totals(each)))
    value = problem.value(problem.totals(chosen))
    progress("select", 3, 3, f"value {value:.4f}")
    return Solved(chosen=chosen, value=value, lp_bound=min(lp_bound, value), bound=min(bound, value))


def pick_members(problem: Problem, chosen: Counts, *, seed: int) -> NDArray[np.bool_]:
    """Return which videos are chosen, ``(videos,)``: of each cell as many as wished, at random.

    Args:
        problem: whose videos.
        chosen: videos per cell.
        seed: of the random order within the cells.
    """
    random = generator(seed, "members")
    order = random.permutation(len(problem.cell_of))
    order = order[np.argsort(problem.cell_of[order], kind="stable")]
    firsts = np.cumsum(problem.sizes) - problem.sizes
    cell = problem.cell_of[order]
    picked = np.zeros(len(order), np.bool_)
    picked[order] = np.arange(len(order)) - firsts[cell] < chosen[cell]
    return picked
