"""Pairs by VMAF and by teachers: the rule of uncertain levels, groups that share versions, both sorts of content."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_versions import KINDS, UNTOUCHED, version

from w2svqa.core.levels import BETTER, INFERIOR, SIMILAR, SUPERIOR, WORSE, opposite
from w2svqa.core.rows import PairRow, Split, VersionRow
from w2svqa.stages.groups import Deck, Measured, groups_needed, ranked_groups, vmaf_groups
from w2svqa.stages.pair import VMAF_NEAR, PairConfig, make_pairs, uncertain_level
from w2svqa.teachers.calibration import PseudoLabel

NO_PAIRS = PairConfig(same_per_clip=0, cross_per_primary=0, peers_per_version=0, vmaf_per_version=0, teacher_per_clip=0)

seeds = st.integers(0, 5)


def pair_key(pair: PairRow) -> frozenset[str]:
    return frozenset((pair.first, pair.second))


# --- levels of uncertain qualities ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("difference", "level"),
    [
        (2.001, SUPERIOR),
        (2, BETTER),
        (1.001, BETTER),
        (1, SIMILAR),
        (0, SIMILAR),
        (-0.999, SIMILAR),
        (-1, WORSE),
        (-1.999, WORSE),
        (-2, INFERIOR),
    ],
)
def test_the_rule_at_its_borders(difference: float, level: int) -> None:
    assert uncertain_level(difference, 1.0) == level
    assert uncertain_level(8 * difference, 8.0) == level


@given(st.floats(-100, 100), st.floats(0.1, 50))
def test_exchanging_mirrors_uncertain_levels_off_the_borders(difference: float, deviation: float) -> None:
    level, mirrored = uncertain_level(difference, deviation), uncertain_level(-difference, deviation)
    if abs(difference) in (deviation, 2 * deviation):
        assert level + mirrored == 3  # the lower one on both sides
    else:
        assert mirrored == opposite(level)


@given(st.floats(-100, 100), st.floats(0, 20), st.floats(0.1, 50))
def test_more_difference_is_never_a_lower_level(difference: float, more: float, deviation: float) -> None:
    assert uncertain_level(difference + more, deviation) >= uncertain_level(difference, deviation)


@pytest.mark.parametrize(("difference", "deviation"), [(1, 0), (1, -1), (math.nan, 1), (1, math.nan), (math.inf, 1)])
def test_no_level_without_a_deviation(difference: float, deviation: float) -> None:
    with pytest.raises(ValueError, match="no level follows"):
        uncertain_level(difference, deviation)


# --- VMAF -------------------------------------------------------------------------------------------------------------

ONLY_VMAF = replace(NO_PAIRS, vmaf_per_version=9)


def measured_pool(clips: int, *, seed: int = 0, split: Split = "train") -> list[VersionRow]:
    random = np.random.default_rng(seed)
    rows: list[VersionRow] = []
    for number in range(clips):
        clip = f"c{number}"
        rows.append(version(clip, UNTOUCHED, 0, split=split, vmaf=100.0, is_still=number % 2 == 0))
        for kind, count in KINDS.items():
            falling = np.sort(random.uniform(-10, 100, count))[::-1].clip(0)
            rows += [
                version(clip, kind, level, split=split, vmaf=vmaf)
                for level, vmaf in enumerate(falling.tolist(), start=1)
            ]
    return rows


def made(rows: list[VersionRow], config: PairConfig, origin: str, seed: int = 0) -> list[PairRow]:
    return [pair for pair in make_pairs(rows, config, split="train", seed=seed) if pair.origin == origin]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(2, 6), seeds)
def test_vmaf_pairs_have_the_level_of_their_difference(clips: int, size: int, seed: int) -> None:
    rows = measured_pool(clips, seed=seed)
    by_name = {row.version_id: row for row in rows}
    for pair in made(rows, replace(ONLY_VMAF, group_size=size), "vmaf", seed):
        first, second = by_name[pair.first], by_name[pair.second]
        assert first.vmaf is not None
        assert second.vmaf is not None
        assert pair.level == uncertain_level(second.vmaf - first.vmaf, math.sqrt(50))
        assert pair.kind == (first if first.vmaf < second.vmaf else second).kind or first.vmaf == second.vmaf
        # what severity pairs say already, with more certainty
        assert first.clip_id != second.clip_id or first.kind != second.kind
        assert first.clip_id != second.clip_id or UNTOUCHED not in (first.kind, second.kind)
        # cut off at 0: only what is certain is said
        assert min(first.vmaf, second.vmaf) > 0 or pair.level in (INFERIOR, SUPERIOR)


def test_vmaf_pairs_are_as_many_as_asked_and_share_versions() -> None:
    rows = [row for row in measured_pool(30) if row.vmaf and row.vmaf > 1]  # none at the end, where pairs are dropped
    pairs = made(rows, ONLY_VMAF, "vmaf")
    assert 0.95 * 9 * len(rows) / 2 < len(pairs) <= 9 * len(rows) / 2 + 6
    groups: dict[str, list[PairRow]] = defaultdict(list)
    for pair in pairs:
        groups[pair.group].append(pair)
    whole = [group for group in groups.values() if len(group) == 6]
    assert len(whole) > 0.9 * len(groups)
    for group in groups.values():
        members = {name for pair in group for name in (pair.first, pair.second)}
        assert len(members) <= 4
        assert len({pair_key(pair) for pair in group}) == len(group) == math.comb(len(members), 2)


def test_vmaf_pairs_hold_close_calls_all_levels_all_kinds_and_both_sorts_of_content() -> None:
    rows = measured_pool(30)
    by_name = {row.version_id: row for row in rows}
    pairs = made(rows, ONLY_VMAF, "vmaf")
    near, same_content = 0, 0
    for pair in pairs:
        first, second = by_name[pair.first], by_name[pair.second]
        near += abs((first.vmaf or 0) - (second.vmaf or 0)) < VMAF_NEAR
        same_content += first.clip_id == second.clip_id
    assert near / len(pairs) > 0.5
    assert 0.05 < same_content / len(pairs) < 0.25
    levels = Counter(pair.level for pair in pairs)
    assert set(levels) == set(range(5))
    assert levels[SIMILAR] > 0.15 * len(pairs)
    taking_part = Counter(by_name[name].kind for pair in pairs for name in (pair.first, pair.second))
    assert set(taking_part) == {*KINDS, UNTOUCHED}
    assert min(taking_part.values()) > 0.4 * max(taking_part.values())


def test_versions_without_vmaf_or_of_other_clips_than_primaries_have_no_vmaf_pairs() -> None:
    rows = measured_pool(6)
    without = [replace(row, vmaf=None) if row.kind == "noise" else row for row in rows]
    assert all("noise" not in pair.first + pair.second for pair in made(without, ONLY_VMAF, "vmaf"))
    assert not made([replace(row, vmaf=None) for row in rows], ONLY_VMAF, "vmaf")
    assert not made([replace(row, primary=False) for row in rows], ONLY_VMAF, "vmaf")
    assert not made(rows, NO_PAIRS, "vmaf")


def test_vmaf_pairs_change_no_other_pairs() -> None:
    rows = measured_pool(4)
    sources = {"severity", "same", "cross"}
    with_, without = (
        [
            (pair_key(pair), pair.group)
            for pair in make_pairs(rows, PairConfig(vmaf_per_version=count), split="train", seed=0)
            if pair.origin in sources
        ]
        for count in (9, 0)
    )
    assert with_ == without


def test_peers_whose_vmaf_is_known_are_left_to_vmaf_pairs() -> None:
    rows = [replace(row, vmaf=None) if row.kind == "h264" else row for row in measured_pool(6)]
    assert {pair.kind for pair in made(rows, PairConfig(), "peer")} == {"h264"}
    assert {pair.kind for pair in made(rows, PairConfig(vmaf_per_version=0), "peer")} == {*KINDS, UNTOUCHED}


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), seeds)
def test_every_other_group_lies_within_the_window(clips: int, seed: int) -> None:
    items = [Measured(row=row, vmaf=row.vmaf) for row in measured_pool(clips, seed=seed) if row.vmaf is not None]
    random = np.random.default_rng(seed)
    groups = list(vmaf_groups(items, count=20, size=4, near=VMAF_NEAR, random=random))
    near = [max(each.vmaf for each in group) - min(each.vmaf for each in group) < VMAF_NEAR for group in groups]
    assert sum(near) >= 10 - (20 - len(groups))
    for group in groups:
        assert 2 <= len(group) <= 4
        assert len({each.row.version_id for each in group}) == len(group)


def test_no_versions_make_no_groups() -> None:
    assert list(vmaf_groups([], count=5, size=4, near=25, random=np.random.default_rng(0))) == []


# --- teachers ---------------------------------------------------------------------------------------------------------

ONLY_TEACHER = replace(NO_PAIRS, teacher_per_clip=12)


def label(mean: float, variance: float = 25.0) -> PseudoLabel:
    return PseudoLabel(mean=mean, variance=variance, teachers=2)


def untouched_pool(clips: int, stills: int = 0) -> tuple[list[VersionRow], dict[str, PseudoLabel]]:
    rows = [
        version(f"c{number}", UNTOUCHED, 0, primary=number % 3 == 0, is_still=number < stills)
        for number in range(clips)
    ]
    values = np.random.default_rng(0).uniform(0, 100, clips).tolist()
    return rows, {row.clip_id: label(value) for row, value in zip(rows, values, strict=True)}


def taught(
    rows: list[VersionRow], labels: dict[str, PseudoLabel], config: PairConfig = ONLY_TEACHER, seed: int = 0
) -> list[PairRow]:
    return make_pairs(rows, config, split="train", seed=seed, labels=labels)


def test_teacher_pairs_follow_the_rule_and_are_as_many_as_asked() -> None:
    rows, labels = untouched_pool(40, stills=10)
    pairs = taught(rows, labels)
    assert len(pairs) == 40 * 12 / 2
    assert {pair.origin for pair in pairs} == {"teacher"}
    for pair in pairs:
        one, other = (labels[name.split("-")[0]] for name in (pair.first, pair.second))
        assert pair.first != pair.second
        assert pair.level == uncertain_level(other.mean - one.mean, math.sqrt(50))
    taking_part = Counter(name for pair in pairs for name in (pair.first, pair.second))
    assert set(taking_part) == {row.version_id for row in rows}
    assert max(taking_part.values()) - min(taking_part.values()) <= 6
    assert set(Counter(pair.group for pair in pairs).values()) == {6}
    assert {pair.level for pair in pairs} == set(range(5))


def test_the_teachers_own_variances_decide() -> None:
    rows, labels = untouched_pool(12)
    unsure = {clip: replace(each, variance=1e6) for clip, each in labels.items()}
    assert taught(rows, unsure) == []
    certain = {clip: replace(each, variance=1e-6) for clip, each in labels.items()}
    assert {pair.level for pair in taught(rows, certain)} == {INFERIOR, SUPERIOR}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), seeds)
def test_photographs_are_never_among_themselves_where_there_are_videos(videos: int, stills: int, seed: int) -> None:
    rows, labels = untouched_pool(videos + stills, stills=stills)
    labels = {clip: replace(each, variance=1e-6) for clip, each in labels.items()}
    still = {row.version_id for row in rows if row.is_still}
    groups: dict[str, set[str]] = defaultdict(set)
    for pair in taught(rows, labels, seed=seed):
        groups[pair.group] |= {pair.first, pair.second}
    assert bool(groups) == (videos + stills > 1)
    for members in groups.values():
        assert len(members) == min(4, videos + stills)
        assert not videos or not members <= still


def test_a_group_in_which_nothing_is_told_apart_is_left_out() -> None:
    rows, labels = untouched_pool(40)
    unsure = {clip: replace(each, variance=700.0) for clip, each in labels.items()}
    groups: dict[str, set[int]] = defaultdict(set)
    for pair in taught(rows, unsure):
        groups[pair.group].add(pair.level)
    assert len(groups) == groups_needed(40, 12, 4)
    assert all(levels - {SIMILAR} for levels in groups.values())
    assert any(SIMILAR in levels for levels in groups.values())


def test_labels_of_nobody_or_of_clips_that_are_gone_make_no_pairs() -> None:
    rows, labels = untouched_pool(6)
    assert not taught(rows, {})
    assert not make_pairs(rows, ONLY_TEACHER, split="train", seed=0)
    assert not taught(rows, labels, NO_PAIRS)
    known = {name.split("-")[0] for pair in taught(rows[:3], labels) for name in (pair.first, pair.second)}
    assert known == {"c0", "c1", "c2"}


def test_labels_of_held_out_clips_are_left_out() -> None:
    rows, labels = untouched_pool(8)
    moved = [replace(row, split="anchor") if row.clip_id == "c1" else row for row in rows]
    assert all("c1-" not in pair.first + pair.second for pair in taught(moved, labels))


def test_distorted_versions_have_no_teacher_pairs() -> None:
    rows = [version(f"c{number}", kind, lvl) for number in range(5) for kind, lvl in ((UNTOUCHED, 0), ("blur", 2))]
    labels = {f"c{number}": label(20.0 * number) for number in range(5)}
    pairs = [pair for pair in taught(rows, labels) if pair.origin == "teacher"]
    assert pairs
    assert all(name.endswith("-none-0") for pair in pairs for name in (pair.first, pair.second))


def test_the_seed_fixes_vmaf_and_teacher_pairs_too() -> None:
    rows, labels = untouched_pool(10)
    pool = rows + measured_pool(6)[1:]
    config = PairConfig()
    assert taught(pool, labels, config) == taught(pool, labels, config)
    assert taught(pool, labels, config) != taught(pool, labels, config, seed=1)


@given(st.dictionaries(st.text("abcdef", min_size=1), st.floats(0, 100)), st.integers(2, 6))
def test_a_group_has_one_clip_of_each_part_of_the_range(ranks: dict[str, float], size: int) -> None:
    groups = list(ranked_groups(ranks, frozenset(), count=3, size=size, random=np.random.default_rng(0)))
    assert len(groups) == (3 if len(ranks) > 1 else 0)
    for group in groups:
        assert len(set(group)) == min(size, len(ranks))
        assert all(ranks[one] <= ranks[other] for one, other in combinations(group, 2))


def test_a_deck_deals_everything_before_anything_again() -> None:
    deck = Deck("abcde", np.random.default_rng(0))
    rounds = ["".join(deck.deal() for _ in range(5)) for _ in range(4)]
    assert {"".join(sorted(each)) for each in rounds} == {"abcde"}
    assert len(set(rounds)) > 1


@pytest.mark.parametrize(
    ("items", "per_item", "size", "groups"), [(0, 9, 4, 0), (8, 3, 4, 2), (8, 0, 4, 0), (9, 3, 4, 3)]
)
def test_groups_needed(items: int, per_item: float, size: int, groups: int) -> None:
    assert groups_needed(items, per_item, size) == groups


@pytest.mark.parametrize(
    "wrong", [{"vmaf_per_version": -1}, {"teacher_per_clip": math.inf}, {"group_size": 1}, {"same_per_clip": -1}]
)
def test_impossible_numbers_of_pairs_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        PairConfig(**wrong)  # type: ignore[arg-type]  # a count is whole, which is all the same to the check
