"""The selection as a programme for HiGHS, linear or of whole numbers, where there are few enough videos for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from w2svqa.core.extras import require
from w2svqa.stages.selection_bound import lower_bound
from w2svqa.stages.selection_problem import Counts, Problem


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exact:
    """What the solver found.

    Attributes:
        chosen: videos per cell; ``None`` if the time was too short for any choice.
        bound: no choice of whole videos has a lower value.
    """

    chosen: Counts | None
    bound: float


def solve_exactly(problem: Problem, *, seconds: float) -> Exact:
    """Let HiGHS minimise the value over whole numbers per cell.

    Besides the two sides of |count - wish| each row has the chord between the whole numbers around the wish, which
    every whole count keeps: without it the programme starts from a bound far too low when wishes are fractions.

    Args:
        problem: what is wished.
        seconds: time limit.

    Raises:
        MissingExtraError: scipy is not installed.

    Source: Vonikakis et al., IEEE TMM 19(11), 2017 (the programme); the chord is ours.
    """
    optimize = require("scipy.optimize", extra="train")
    sparse = require("scipy.sparse", extra="train")
    programme = _Programme(problem)
    below = np.floor(programme.wish)
    part = programme.wish - below
    slope = 1.0 - 2.0 * part
    chord = sparse.hstack([sparse.diags_array(-slope) @ programme.histogram, programme.distance])
    constraints = [
        optimize.LinearConstraint(programme.sides, ub=programme.limits),
        optimize.LinearConstraint(chord, lb=part - slope * below),
        optimize.LinearConstraint(programme.members, lb=problem.quotas, ub=problem.quotas),
    ]
    found = optimize.milp(
        programme.costs,
        integrality=programme.costs == 0.0,
        bounds=optimize.Bounds(0.0, programme.most),
        constraints=constraints,
        options={"time_limit": seconds, "mip_rel_gap": 1e-9},
    )
    chosen = None if found.x is None else np.rint(found.x[: len(problem.sizes)]).astype(np.int64)
    bound = found.mip_dual_bound
    return Exact(chosen=chosen, bound=max(0.0, float(bound)) if bound is not None and np.isfinite(bound) else 0.0)


def relax_exactly(problem: Problem) -> float:
    """Return the bound that HiGHS's dual solution of the linear programme proves; 0 if it finds none.

    Args:
        problem: what is wished.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    optimize = require("scipy.optimize", extra="train")
    programme = _Programme(problem)
    found = optimize.linprog(
        programme.costs,
        A_ub=programme.sides,
        b_ub=programme.limits,
        A_eq=programme.members,
        b_eq=problem.quotas,
        bounds=np.column_stack([np.zeros(len(programme.most)), programme.most]),
        method="highs",
    )
    if found.status != 0:
        return 0.0
    above, under = np.split(-found.ineqlin.marginals * problem.count, 2)
    return lower_bound(problem, above - under)


class _Programme:
    """The matrices: variables are the number per cell and the distance per row."""

    def __init__(self, problem: Problem) -> None:
        sparse: Any = require("scipy.sparse", extra="train")
        cells, rows, groups = len(problem.sizes), len(problem.wish), len(problem.quotas)
        columns = np.repeat(np.arange(cells), problem.rows.shape[1])
        places = (problem.rows.reshape(-1), columns)
        self.histogram = sparse.csr_array((np.ones(problem.rows.size), places), shape=(rows, cells))
        self.distance = sparse.eye_array(rows)
        self.wish = problem.wish - problem.base
        self.sides = sparse.vstack(
            [
                sparse.hstack([self.histogram, -self.distance]),
                sparse.hstack([-self.histogram, -self.distance]),
            ]
        )
        self.limits = np.concatenate([self.wish, -self.wish])
        member = sparse.csr_array((np.ones(cells), (problem.groups, np.arange(cells))), shape=(groups, cells))
        self.members = sparse.hstack([member, sparse.csr_array((groups, rows))])
        self.costs = np.concatenate([np.zeros(cells), problem.weights / problem.count])
        self.most = np.concatenate([problem.sizes, np.full(rows, np.inf)])
