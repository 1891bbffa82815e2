"""From a fractional choice to a whole one: systematic rounding, then swaps as long as they help."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from w2svqa.stages.selection_problem import Counts, Floats, Places, Problem

_WINDOW: Final = 1024  # videos that are looked at on each side for one swap
_SHORT_LIST: Final = 24  # of them, those of which every pair is tried
_LEAST_GAIN: Final = 1e-9


def round_memberships(problem: Problem, memberships: Floats, random: np.random.Generator) -> Counts:
    """Return whole numbers per cell that meet the quotas, each next to its membership.

    Systematic sampling in the order of the cells, which are sorted by their bins: the counts of the first metrics'
    bins come out right at once.

    Args:
        problem: what is wished.
        memberships: per cell, 0 to its size; sum to the quota in each group.
        random: for the start.
    """
    chosen = np.floor(memberships + 1e-9).astype(np.int64)
    chosen = np.minimum(chosen, problem.sizes)
    for group, quota in enumerate(problem.quotas):
        places = np.flatnonzero(problem.groups == group)
        chosen[places] += _systematic(memberships[places] - chosen[places], int(quota - chosen[places].sum()), random)
        _settle(problem, chosen, places, int(quota))
    return chosen


def _systematic(parts: Floats, count: int, random: np.random.Generator) -> Counts:
    """Return 0 or 1 for each part, about ``count`` ones, each likely as its part says."""
    total = float(parts.sum())
    if total <= 0 or count <= 0:
        return np.zeros(len(parts), np.int64)
    steps = np.floor(np.cumsum(parts) * (count / total) + random.random())
    return np.clip(np.diff(steps, prepend=0.0), 0, 1).astype(np.int64)


def _settle(problem: Problem, chosen: Counts, places: Places, quota: int) -> None:
    """Add or take single videos until the quota is met: rounding leaves one or two."""
    while (missing := quota - int(chosen[places].sum())) != 0:
        room = problem.sizes[places] > chosen[places] if missing > 0 else chosen[places] > 0
        some = places[np.flatnonzero(room)[: abs(missing)]]
        chosen[some] += np.sign(missing)


def improve(problem: Problem, chosen: Counts, random: np.random.Generator, *, seconds: float) -> Counts:
    """Swap chosen videos for others of their group as long as that lowers the value.

    From a window of both sides the videos that are best taken out and best put in are paired, and the best pair is
    swapped. It ends when windows over all videos have shown no pair that helps, or after ``seconds``.

    Args:
        problem: what is wished.
        chosen: videos per cell; meets the quotas.
        random: for the order in which videos are looked at.
        seconds: time it may take.

    Returns:
        Videos per cell with a value that is not higher.
    """
    end = time.monotonic() + seconds
    result = chosen.copy()
    excess = problem.totals(result) - problem.wish
    for group in random.permutation(len(problem.quotas)):
        places = np.flatnonzero(problem.groups == group)
        inside = random.permutation(np.repeat(places, result[places]))
        outside = random.permutation(np.repeat(places, problem.sizes[places] - result[places]))
        if len(inside) and len(outside):
            _swap(problem, excess, inside, outside, end)
            result[places] = np.bincount(inside, minlength=len(result))[places]
    return result


def _swap(problem: Problem, excess: Floats, inside: Places, outside: Places, end: float) -> None:
    """Swap within one group; changes ``excess``, ``inside`` and ``outside``."""
    taken, put = _Windows(len(inside)), _Windows(len(outside))
    idle, passes = 0, max(taken.count, put.count)
    while idle < passes and time.monotonic() < end:
        first, second = taken.next(), put.next()
        gain = 0.0
        while (swap := _best_swap(problem, excess, inside[first], outside[second])) is not None:
            gain, one, other = swap
            one, other = one + first.start, other + second.start
            excess[problem.rows[inside[one]]] -= 1.0
            excess[problem.rows[outside[other]]] += 1.0
            inside[one], outside[other] = outside[other], inside[one]
        idle = 0 if gain < 0 else idle + 1


class _Windows:
    """Slices over a list, round and round."""

    def __init__(self, length: int) -> None:
        self.count = -(-length // _WINDOW)
        self._length = length
        self._at = 0

    def next(self) -> slice:
        start = self._at
        self._at = 0 if start + _WINDOW >= self._length else start + _WINDOW
        return slice(start, min(start + _WINDOW, self._length))


def _best_swap(problem: Problem, excess: Floats, inside: Places, outside: Places) -> tuple[float, int, int] | None:
    """Return the change of value, and the places, of the best swap; ``None`` if none helps."""
    distance = np.abs(excess)
    out = problem.weights * (np.abs(excess - 1.0) - distance)
    into = problem.weights * (np.abs(excess + 1.0) - distance)
    first = _least(out[problem.rows[inside]].sum(axis=1))
    second = _least(into[problem.rows[outside]].sum(axis=1))
    old, new = problem.rows[inside[first]], problem.rows[outside[second]]
    change = out[old].sum(axis=1)[:, None] + into[new].sum(axis=1)
    # a video that leaves a bin for one that enters it changes nothing there
    same = old[:, None, :] == new[None, :, :]
    change -= (same * (out + into)[old][:, None, :]).sum(axis=2)
    best = int(change.argmin())
    one, other = divmod(best, len(second))
    gain = float(change[one, other])
    return (gain, int(first[one]), int(second[other])) if gain < -_LEAST_GAIN else None


def _least(values: Floats) -> Places:
    """Return the places of the few least values."""
    if len(values) <= _SHORT_LIST:
        return np.arange(len(values))
    return np.argpartition(values, _SHORT_LIST)[:_SHORT_LIST]
