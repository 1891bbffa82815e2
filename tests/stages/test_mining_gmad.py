"""Mining from scores: equal to going through all pairs, within its limits, and unmoved by what must not matter."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import combinations
from statistics import NormalDist
from typing import TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.stages.mining_gmad import (
    MinedPairs,
    gmad_pairs,
    misclassified,
    normal_scores,
    quality_bins,
    random_pairs,
    share_disordered,
)

Floats = NDArray[np.float64]
Pool = tuple[Floats, dict[str, Floats]]


class Options(TypedDict):
    """How it is mined."""

    count: int
    bins: int
    most_per_video: int | None
    most_per_role: int | None
    seed: int


# few values, so that ties abound, and values that count as missing
SCORES = st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, math.nan, math.inf, -math.inf]) | st.floats(-9, 9)
LIMITS = st.builds(
    Options,
    count=st.integers(0, 30),
    bins=st.integers(1, 4),
    most_per_video=st.none() | st.integers(1, 4),
    most_per_role=st.none() | st.integers(1, 6),
    seed=st.integers(0, 3),
)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    videos = draw(st.integers(0, 9))
    student, *teachers = (draw(arrays(np.float64, videos, elements=SCORES)) for _ in range(draw(st.integers(1, 4))))
    return student, {f"t{number}": scores for number, scores in enumerate(teachers)}


def in_words(pairs: MinedPairs) -> list[tuple[frozenset[int], float, str, str]]:
    columns = (pairs.first.tolist(), pairs.second.tolist(), np.abs(pairs.gap).tolist(), pairs.by, pairs.attacked)
    return [
        (frozenset((one, other)), gap, by, attacked) for one, other, gap, by, attacked in zip(*columns, strict=True)
    ]


def brute_force(
    student: Floats, teachers: Mapping[str, Floats], options: Options
) -> list[tuple[frozenset[int], float, str, str]]:
    """List all pairs of all bins and roles, sort them, and go through them."""
    models = {"student": normal_scores(student)} | {name: normal_scores(scores) for name, scores in teachers.items()}
    useful = [name for name in teachers if told_apart(student, teachers[name]) and told_apart(student, student)]
    roles = [(name, "student") for name in useful] + [("student", name) for name in useful]
    place = generator(options["seed"], "gmad", "ties").permutation(len(student))
    listed = []
    for number, (by, attacked) in enumerate(roles):
        bins = quality_bins(models[by], options["bins"])
        for bin_ in range(options["bins"]):
            members = [each for each in np.flatnonzero(bins == bin_).tolist() if np.isfinite(models[attacked][each])]
            members = [members[each] for each in np.lexsort((place[members], models[attacked][members]))]
            for (low, one), (high, other) in combinations(enumerate(members), 2):
                gap = float(models[attacked][other] - models[attacked][one])
                if gap > 0:
                    listed.append((-gap, number, bin_, low, -high, frozenset((one, other)), by, attacked))
    taken: list[tuple[frozenset[int], float, str, str]] = []
    per_video: Counter[int] = Counter()
    per_role: Counter[tuple[str, str]] = Counter()
    for fall, *_, pair, by, attacked in sorted(listed, key=lambda each: each[:5]):
        full = per_role[by, attacked] == options["most_per_role"]
        full |= any(per_video[each] == options["most_per_video"] for each in pair)
        if len(taken) < options["count"] and not full and pair not in [each[0] for each in taken]:
            taken.append((pair, -fall, by, attacked))
            per_video.update(pair)
            per_role[by, attacked] += 1
    return taken


def told_apart(student: Floats, scores: Floats) -> bool:
    return len(set(scores[np.isfinite(scores) & np.isfinite(student)].tolist())) > 1


@settings(max_examples=300, deadline=None)
@given(pools(), LIMITS)
def test_it_is_what_going_through_all_pairs_gives(pool: Pool, options: Options) -> None:
    assert in_words(gmad_pairs(*pool, **options)) == brute_force(*pool, options)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.none() | st.integers(1, 5), st.integers(1, 6))
def test_it_is_so_on_a_pool_of_sixty(seed: int, most_per_video: int | None, bins: int) -> None:
    random = np.random.default_rng(seed)
    quality = random.normal(size=60)
    student, one, other = (quality + 0.7 * random.normal(size=60) for _ in range(3))
    other[::2] = np.nan
    options: Options = {
        "count": 80,
        "bins": bins,
        "most_per_video": most_per_video,
        "most_per_role": None,
        "seed": seed,
    }
    pool = (student, {"one": one, "half": other})
    assert in_words(gmad_pairs(*pool, **options)) == brute_force(*pool, options)


@settings(max_examples=200, deadline=None)
@given(pools(), LIMITS)
def test_laws(pool: Pool, options: Options) -> None:
    student, teachers = pool
    mined = gmad_pairs(student, teachers, **options)
    models = {"student": student, **teachers}
    scale = {name: normal_scores(scores) for name, scores in models.items()}
    pairs = [pair for pair, *_ in in_words(mined)]
    assert len(pairs) == len(set(pairs)) <= options["count"]
    assert all(len(pair) == 2 for pair in pairs)
    assert (np.diff(np.abs(mined.gap)) <= 0).all()
    most = Counter(each for pair in pairs for each in pair)
    assert max(most.values(), default=0) <= (options["most_per_video"] or math.inf)
    roles = Counter(zip(mined.by, mined.attacked, strict=True))
    assert max(roles.values(), default=0) <= (options["most_per_role"] or math.inf)
    for one, other, gap, by, attacked in zip(
        mined.first, mined.second, mined.gap, mined.by, mined.attacked, strict=True
    ):
        bins = quality_bins(scale[by], options["bins"])
        assert bins[one] == bins[other] >= 0
        assert gap == scale[attacked][other] - scale[attacked][one] != 0
        assert (by == "student") != (attacked == "student")
        assert all(np.isfinite(models[name][[one, other]]).all() for name in (by, attacked))
    assert mined.skipped.keys().isdisjoint({*mined.by, *mined.attacked})


@settings(max_examples=100, deadline=None)
@given(pools(), LIMITS)
def test_only_the_order_of_a_models_scores_matters(pool: Pool, options: Options) -> None:
    student, teachers = pool
    # a strictly rising curve; where rounding makes two scores one it is none
    bent = {name: np.sinh(scores / 8) + 7 for name, scores in teachers.items()}
    kept = all(len(np.unique(bent[name])) == len(np.unique(teachers[name])) for name in bent)
    before, after = gmad_pairs(student, teachers, **options), gmad_pairs(student, bent, **options)
    assert not kept or (in_words(before) == in_words(after) and before.first.tolist() == after.first.tolist())


def test_the_seed_decides_which_video_is_first_and_nothing_else_without_ties() -> None:
    random = np.random.default_rng(0)
    student, teacher = random.normal(size=(2, 200))
    one, other = (gmad_pairs(student, {"t": teacher}, count=100, seed=seed) for seed in (0, 1))
    assert {pair for pair, *_ in in_words(one)} == {pair for pair, *_ in in_words(other)}
    assert one.first.tolist() != other.first.tolist()
    assert 25 < (one.gap > 0).sum() < 75
    assert gmad_pairs(student, {"t": teacher}, count=100, seed=0).first.tolist() == one.first.tolist()


def test_a_pool_that_is_too_small_gives_what_it_has() -> None:
    student = np.array([0.0, 1.0, 2.0])
    mined = gmad_pairs(student, {"t": student[::-1].copy()}, count=99, bins=1, most_per_video=None)
    assert len(mined.first) == 3
    assert len(gmad_pairs(student, {"t": student}, count=99, bins=50).first) == 0  # each video alone in its bin
    assert len(gmad_pairs(np.empty(0), {"t": np.empty(0)}, count=9).first) == 0
    assert len(gmad_pairs(student, {}, count=9).first) == 0


def test_a_teacher_that_covers_half_the_pool_gives_pairs_of_that_half() -> None:
    random = np.random.default_rng(1)
    student, teacher = random.normal(size=(2, 400))
    teacher[200:] = np.nan
    mined = gmad_pairs(student, {"half": teacher}, count=300, bins=5)
    assert len(mined.first) == 300
    assert max(mined.first.max(), mined.second.max()) < 200


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([math.nan] * 4, "scored 0 of the videos"),
        ([math.inf, -math.inf, 1.0, math.nan], "scored 1 of the videos"),
        ([3.0, 3.0, 3.0, math.inf], "all of its 3 videos the same score"),
    ],
)
def test_who_tells_nothing_is_left_out_and_said(scores: list[float], reason: str) -> None:
    good, bad = np.array([1.0, 2.0, 3.0, 4.0]), np.array(scores)
    mined = gmad_pairs(good, {"good": good[::-1].copy(), "bad": bad}, count=9, bins=1)
    assert set(mined.skipped) == {"bad"}
    assert reason in mined.skipped["bad"]
    assert {*mined.by, *mined.attacked} == {"student", "good"}
    alone = gmad_pairs(bad, {"good": good}, count=9, bins=1)
    assert reason in alone.skipped["student"]
    assert len(alone.first) == 0


def test_the_hidden_fault_of_a_student_is_found() -> None:
    """A student that takes every tenth video for far better than it is: mined pairs hold one of those."""
    random = np.random.default_rng(2)
    quality = random.normal(size=2000)
    student = quality + 0.1 * random.normal(size=2000)
    student[::10] += 2
    teachers = {name: quality + 0.3 * random.normal(size=2000) for name in ("a", "b")}
    mined = gmad_pairs(student, teachers, count=200, most_per_video=None)
    faulty = (mined.first % 10 == 0) | (mined.second % 10 == 0)
    first, second = random_pairs(2000, 200, seed=0)
    assert faulty.mean() > 0.95
    assert ((first % 10 == 0) | (second % 10 == 0)).mean() < 0.3


@pytest.mark.parametrize("option", [{"count": -1}, {"bins": 0}, {"most_per_video": 0}, {"most_per_role": 0}])
def test_numbers_that_cannot_be_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is below"):
        partial(gmad_pairs, np.zeros(2), {}, count=1)(**option)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="t has scores of shape"):
        gmad_pairs(np.zeros(2), {"t": np.zeros(3)}, count=1)
    with pytest.raises(ValueError, match="a teacher is called 'student'"):
        gmad_pairs(np.zeros(2), {"student": np.zeros(2)}, count=1)


# --- scale and bins ---------------------------------------------------------------------------------------------------


@given(arrays(np.float64, st.integers(0, 30), elements=SCORES))
def test_normal_scores_keep_order_and_ties(scores: Floats) -> None:
    scale = normal_scores(scores)
    there = np.isfinite(scores)
    assert (np.isfinite(scale) == there).all()
    assert (
        np.sign(np.subtract.outer(scale[there], scale[there]))
        == np.sign(np.subtract.outer(scores[there], scores[there]))
    ).all()


def test_normal_scores_are_those_of_a_normal_sample() -> None:
    scale = normal_scores(np.random.default_rng(0).exponential(size=1000))
    assert sorted(scale.tolist()) == [NormalDist().inv_cdf((place + 0.5) / 1000) for place in range(1000)]
    assert scale.std() == pytest.approx(1, abs=0.01)


def test_bins_are_equally_wide_and_outliers_do_not_move_them() -> None:
    scale = np.linspace(-2.32, 2.32, 10_001)
    bins = quality_bins(scale, 10)
    widths = [float(np.ptp(scale[bins == number])) for number in range(10)]
    assert max(widths) - min(widths) < 0.01
    assert quality_bins(np.append(scale, [-99, 99]), 10)[:-2].tolist() == bins.tolist()


# --- the control ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 80), st.none() | st.integers(1, 5), st.integers(0, 5))
def test_random_pairs_keep_the_limits(videos: int, count: int, most: int | None, seed: int) -> None:
    first, second = random_pairs(videos, count, most_per_video=most, seed=seed)
    pairs = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(pairs) == len(first)
    assert all(len(pair) == 2 and max(pair) < videos for pair in pairs)
    if most is None:
        assert len(pairs) == min(count, math.comb(videos, 2))
    else:
        assert max(Counter([*first.tolist(), *second.tolist()]).values(), default=0) <= most
        # none could be added: of the videos with room all are joined
        room = [each for each in range(videos) if (np.append(first, second) == each).sum() < most]
        assert len(pairs) == count or all(frozenset(pair) in pairs for pair in combinations(room, 2))


def test_random_pairs_are_spread_over_the_pool() -> None:
    first, second = random_pairs(10_000, 5000, seed=0)
    assert abs(np.append(first, second).mean() - 5000) < 150
    assert random_pairs(10_000, 5000, seed=1)[0].tolist() != first.tolist()


# --- misclassified pairs ----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 20), st.none() | st.integers(0, 20))
def test_the_wrong_ones_come_worst_first(seed: int, pairs: int, count: int | None) -> None:
    random = np.random.default_rng(seed)
    levels, logits = random.integers(0, 5, pairs), random.normal(size=(pairs, 5)).round(1)
    probable = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = probable[np.arange(pairs), levels]
    wrong = logits.max(axis=1, initial=-9) > logits[np.arange(pairs), levels]
    found = misclassified(levels, logits, count, seed=seed)
    assert len(found) == min(wrong.sum(), pairs if count is None else count)
    assert wrong[found].all()
    assert (np.diff(true[found]) >= -1e-12).all()
    assert len(found) == 0 or true[found].max() <= np.delete(np.where(wrong, true, 1), found).min(initial=1) + 1e-12


def test_an_order_is_wrong_on_the_other_side_only() -> None:
    leaning = np.array([[0, 0, 0, 0, 3.0], [0, 0, 0, 3.0, 0], [0, 0, 5.0, 0, 0], [3.0, 0, 0, 0, 0]])
    by_order = partial(misclassified, logits=leaning, rule="order")
    assert by_order(np.array([3, 4, 4, 4])).tolist() == [3, 2]
    assert by_order(np.array([1, 0, 0, 0])).tolist() == [0, 1, 2]
    assert by_order(np.array([2, 2, 2, 2])).tolist() == []
    worst, *others = misclassified(np.array([3, 4, 4, 4]), leaning).tolist()  # the level, of all four
    assert (worst, sorted(others)) == (2, [0, 1, 3])


def test_levels_that_do_not_fit_are_refused() -> None:
    for levels in ([5], [-1], [1, 1]):
        with pytest.raises(ValueError, match="levels of shape"):
            misclassified(np.array(levels), np.zeros((1, 5)))
    with pytest.raises(ValueError, match="-1 pairs are wanted"):
        misclassified(np.array([1]), np.zeros((1, 5)), -1)


def test_disordered_pairs_are_shared_out_over_those_that_count() -> None:
    one, other = np.array([1.0, 2, 3, 3, math.nan]), np.array([5.0, 4, 6, 9, 1])
    first, second = np.array([0, 0, 2, 0]), np.array([1, 2, 3, 4])
    assert share_disordered(first, second, one, other) == 0.5
    assert math.isnan(share_disordered(first[2:], second[2:], one, other))
