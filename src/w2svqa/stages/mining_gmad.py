"""Hard pairs from scores: arrays in, arrays out.

gMAD lets models attack each other. One model holds: the pool is cut into bins of equal quality by its scores. Another
is attacked: inside a bin, where the holder sees no difference, the pairs that it sees the largest difference in are
taken. One of the two must be wrong there, so these are the pairs to learn from. Every teacher holds against the
student, then the student holds against every teacher.

Scores are compared as *normal scores*: a score of rank r among N becomes the normal quantile of (r + 1/2) / N, ties at
their mean rank. So a difference of 1 is a standard deviation of quality in the pool for every model; no model's
outliers win by being far out, as those of an unbounded metric would if differences were divided by its deviation; and
what is mined does not depend on whether a scale is linear in quality. Each model is ranked among the videos it has
scored.

Source: K. Ma et al., "Group maximum differentiation competition: model comparison with few samples", TPAMI 42 (2020);
arXiv 2505.03631, section 4. Ours: the normal scores, the limit per video, and the random baseline with the same limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.levels import LEVELS, SIMILAR
from w2svqa.core.random import generator
from w2svqa.core.statistics import average_ranks
from w2svqa.preference.soft import level_log_probabilities, log_odds
from w2svqa.stages.mining_greedy import Group, Room, take_greedily
from w2svqa.stages.pool_pairs import candidate_pairs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STUDENT: Final = "student"
"""What the student is called among the models."""

BINS: Final = 10
MOST_PER_VIDEO: Final = 10
"""Pairs that a video may be in, unless told. The paper's stage 2 has 85 k pairs of 100 k videos, 1.7 per video."""

TAIL: Final = 0.01
"""Share of the pool beyond the first and the last border of the range that is cut into bins, for each end."""

_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MinedPairs:
    """Pairs that a model and the one that holds disagree about, by the size of the difference, largest first.

    Attributes:
        first: int64 ``(n,)``, places in the pool.
        second: int64 ``(n,)``, likewise, never the same video.
        gap: float64 ``(n,)``, the attacked model's normal score of the second minus that of the first; its absolute
            values never rise.
        by: ``n`` names: in whose bin the pair was found, a teacher's name or ``"student"``.
        attacked: ``n`` names: whose difference is the gap.
        skipped: why some models had no part, by name.
    """

    first: Ints
    second: Ints
    gap: Floats
    by: tuple[str, ...]
    attacked: tuple[str, ...]
    skipped: Mapping[str, str]


class Role(NamedTuple):
    """Who holds and who is attacked."""

    by: str
    attacked: str


def gmad_pairs(
    student: Floats,
    teachers: Mapping[str, Floats],
    *,
    count: int,
    bins: int = BINS,
    most_per_video: int | None = MOST_PER_VIDEO,
    most_per_role: int | None = None,
    seed: int = 0,
) -> MinedPairs:
    """Return the pairs of largest difference between videos of equal quality, over all bins and roles.

    They are what taking pairs greedily gives: all pairs of two videos in one bin of any role are gone through by
    falling difference, and a pair is taken unless its videos were joined already (in either order), or one of them, or
    the role, has reached its limit. A pair that the attacked model sees no difference in is never taken. Among equal
    differences earlier roles, lower bins and, in a bin, places that the seed settles come first. The order of first and
    second is by chance. Time grows as N log N with the pool, and with the pairs taken.

    Args:
        student: float64 ``(N,)``, higher is better; what is not finite counts as missing.
        teachers: likewise, by name. A pair needs scores of both its videos by the teacher and the student.
        count: pairs wanted, 0 or more; fewer come back where there are no more.
        bins: of equal width on the scale of normal scores, 1 or more; see :func:`quality_bins`.
        most_per_video: pairs that one video may be in, 1 or more; ``None`` for no limit.
        most_per_role: pairs of one role, 1 or more; ``None`` for no limit. Without one a teacher that has little to do
            with quality gives most pairs, for inside its bins the student differs most.
        seed: settles ties and which video is first.

    Raises:
        ValueError: the arrays differ in shape, a teacher is called ``"student"``, or a number is out of range.

    Example:
        >>> quality = np.arange(8.0)
        >>> mined = gmad_pairs(quality, {"blind": quality % 2}, count=1, bins=2)
        >>> sorted((int(mined.first[0]), int(mined.second[0]))), mined.by, mined.attacked
        ([0, 6], ('blind',), ('student',))
    """
    _check(student, teachers, (count, 0), (bins, 1), (most_per_video, 1), (most_per_role, 1))
    skipped, usable = _usable(student, teachers)
    scale = {STUDENT: normal_scores(student)} | {name: normal_scores(teachers[name]) for name in usable}
    roles = [Role(name, STUDENT) for name in usable] + [Role(STUDENT, name) for name in usable]
    ties = generator(seed, "gmad", "ties").permutation(len(student))
    groups = [group for number, role in enumerate(roles) for group in _groups(number, role, scale, bins, ties)]
    room = Room(len(student), most_per_video, len(roles), most_per_role)
    taken = take_greedily(groups, room, count)
    exchanged = generator(seed, "gmad", "order").random(len(taken)) < 0.5
    lower = np.array([pair.lower for pair in taken], dtype=np.int64)
    upper = np.array([pair.upper for pair in taken], dtype=np.int64)
    gap = np.array([pair.gap for pair in taken], dtype=np.float64)
    return MinedPairs(
        first=np.where(exchanged, upper, lower),
        second=np.where(exchanged, lower, upper),
        gap=np.where(exchanged, -gap, gap),
        by=tuple(roles[pair.role].by for pair in taken),
        attacked=tuple(roles[pair.role].attacked for pair in taken),
        skipped=skipped,
    )


def random_pairs(videos: int, count: int, *, most_per_video: int | None = None, seed: int = 0) -> tuple[Ints, Ints]:
    """Return pairs of different videos by chance, none twice in either order: what mining is measured against.

    Args:
        videos: in the pool, 0 or more.
        count: pairs wanted; fewer come back where there are no more, or where draws no longer find any.
        most_per_video: pairs that one video may be in, 1 or more; ``None`` for no limit.
        seed: fixes the choice.

    Returns:
        Places of the first and of the second videos, int64 ``(n,)`` each.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> first, second = random_pairs(3, 5)
        >>> sorted(map(sorted, zip(first.tolist(), second.tolist())))
        [[0, 1], [0, 2], [1, 2]]
    """
    _check_numbers((videos, 0), (count, 0), (most_per_video, 1))
    wanted = min(count, math.comb(videos, 2))
    room = Room(videos, most_per_video)
    taken: list[tuple[int, int]] = []
    for first, second in candidate_pairs(videos, wanted, generator(seed, "mining", "random")):
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            if len(taken) == wanted:
                break
            if room.take(one, other):
                taken.append((one, other))
        if len(taken) == wanted:
            break
    both = np.array(taken, dtype=np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def normal_scores(scores: Floats) -> Floats:
    """Return the normal scores of a model.

    Args:
        scores: float64 ``(N,)``; what is not finite counts as missing.

    Returns:
        float64 ``(N,)``, NaN where missing; rising with the score, equal for equal scores.

    Source: B. L. van der Waerden, Indagationes Mathematicae 14 (1952), for tests by normal scores; the
    places (r + 1/2) / N are Hazen's.

    Example:
        >>> normal_scores(np.array([7.0, 1.0, np.inf, 5.0])).round(2)
        array([ 0.97, -0.97,   nan,  0.  ])
    """
    there = np.isfinite(scores)
    places = (average_ranks(scores[there]) + 0.5) / max(1, int(there.sum()))
    result = np.full(len(scores), np.nan)
    result[there] = np.fromiter(map(_NORMAL.inv_cdf, places.tolist()), np.float64, len(places))
    return result


def quality_bins(scale: Floats, bins: int) -> Ints:
    """Return the bin of each video.

    The range between the normal quantiles of :data:`TAIL` and 1 - TAIL (-2.33 to 2.33) is cut into bins of equal width;
    the first and the last take in what lies beyond, so that a pool's extremes do not stretch the range.

    Args:
        scale: normal scores, float64 ``(N,)``; NaN where missing.
        bins: 1 or more.

    Returns:
        int64 ``(N,)``: 0, the worst, to ``bins - 1``; -1 where missing.

    Example:
        >>> quality_bins(np.array([-9.0, -0.1, 0.1, np.nan, 9.0]), 10)
        array([ 0,  4,  5, -1,  9])
    """
    end = _NORMAL.inv_cdf(1 - TAIL)
    inner = np.linspace(-end, end, bins + 1)[1:-1]
    places: Ints = np.searchsorted(inner, scale, side="right").astype(np.int64)
    places[np.isnan(scale)] = -1
    return places


def misclassified(
    levels: Ints, logits: Floats, count: int | None = None, *, rule: Literal["level", "order"] = "level", seed: int = 0
) -> Ints:
    """Return the pairs of known level that a student gets wrong, the worst first.

    Args:
        levels: the truth, int64 ``(n,)``, 0 (inferior) to 4 (superior).
        logits: the student's, float64 ``(n, 5)``, of the second video relative to the first.
        count: the most that come back; ``None`` for all.
        rule: ``"level"``: another level is more probable than the true one; worst is where the true one is least
            probable. ``"order"``: the preference does not lean to the better video; worst is where it leans farthest
            the other way; similar pairs have no better video and are never wrong.
        seed: settles ties.

    Returns:
        int64, at most ``count`` places.

    Raises:
        ValueError: levels and logits do not fit each other, or a level or the count is out of range.

    Source: arXiv 2505.03631, section 4 (difficult pairs); the order of badness is ours.

    Example:
        >>> logits = np.array([[0, 0, 0, 0, 9.0], [0, 0, 0, 2.0, 0], [9.0, 0, 0, 0, 0]])
        >>> misclassified(np.array([4, 4, 4]), logits).tolist()
        [2, 1]
        >>> misclassified(np.array([4, 4, 4]), logits, rule="order").tolist()
        [2]
    """
    truth = np.asarray(levels)
    probable = level_log_probabilities(logits)
    if truth.shape != probable.shape[:1] or not np.isin(truth, range(len(LEVELS))).all():
        raise ValueError(f"levels of shape {truth.shape}, not {probable.shape[:1]}, or not all 0 to {len(LEVELS) - 1}")
    if count is not None and count < 0:
        raise ValueError(f"{count} pairs are wanted")
    if rule == "level":
        badness = -probable[np.arange(len(truth)), truth]
        wrong = probable.max(axis=1, initial=-np.inf) > -badness
    else:
        side = np.sign(truth - SIMILAR)
        badness = -side * log_odds(probable)
        wrong = (badness >= 0) & (side != 0)
    ties = generator(seed, "mining", "misclassified").permutation(len(truth))
    order = np.lexsort((ties, -badness))
    chosen: Ints = order[wrong[order]][:count].astype(np.int64)
    return chosen


def share_disordered(first: Ints, second: Ints, one: Floats, other: Floats) -> float:
    """Return the share of pairs that two models put in opposite order, of those where both see a difference.

    Args:
        first: places of the first videos, int64 ``(n,)``.
        second: of the second.
        one: scores of a model, float64 ``(N,)``; pairs of a missing score do not count.
        other: of another.

    Returns:
        0 to 1; NaN where no pair counts.

    Example:
        >>> share_disordered(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 2, 3]), np.array([1.0, 2, 0]))
        0.5
    """
    # the signs alone, for differences of infinite scores are no numbers
    signs = [
        (scores[second] > scores[first]).astype(np.int64) - (scores[second] < scores[first]) for scores in (one, other)
    ]
    there = np.all([np.isfinite(scores[places]) for scores in (one, other) for places in (first, second)], axis=0)
    product = (signs[0] * signs[1])[there]
    return float((product < 0).sum() / (product != 0).sum()) if product.any() else math.nan


def _check(student: Floats, teachers: Mapping[str, Floats], *numbers: tuple[int | None, int]) -> None:
    if STUDENT in teachers:
        raise ValueError(f"a teacher is called {STUDENT!r}")
    for name, scores in teachers.items():
        if np.ndim(student) != 1 or np.shape(scores) != np.shape(student):
            raise ValueError(f"{name} has scores of shape {np.shape(scores)}, the student {np.shape(student)}")
    _check_numbers(*numbers)


def _check_numbers(*numbers: tuple[int | None, int]) -> None:
    for number, least in numbers:
        if number is not None and number < least:
            raise ValueError(f"{number} is below {least}")


def _usable(student: Floats, teachers: Mapping[str, Floats]) -> tuple[dict[str, str], list[str]]:
    """Why models are left out, and the teachers that are not."""
    if problem := _useless(student[np.isfinite(student)]):
        return {STUDENT: problem}, []
    found = {name: _useless(scores[np.isfinite(scores) & np.isfinite(student)]) for name, scores in teachers.items()}
    skipped = {name: problem for name, problem in found.items() if problem}
    return skipped, [name for name in teachers if name not in skipped]


def _useless(scores: Floats) -> str:
    if len(scores) < 2:
        return f"it has scored {len(scores)} of the videos, and a pair takes two"
    return f"it gives all of its {len(scores)} videos the same score" if scores.min() == scores.max() else ""


def _groups(number: int, role: Role, scale: Mapping[str, Floats], bins: int, ties: Ints) -> Iterator[Group]:
    """The bins of a role that hold a pair, from the worst."""
    scores = scale[role.attacked]
    # ranked among all videos of its own; only those that both have scored can be in a pair
    places = np.where(np.isnan(scores), -1, quality_bins(scale[role.by], bins))
    order = np.lexsort((ties, scores, places))
    borders = np.searchsorted(places[order], np.arange(bins + 1))
    for start, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        if end - start > 1:
            videos = order[start:end]
            yield Group(number, videos, scores[videos])
