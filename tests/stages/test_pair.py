"""The laws of pairs: the gap gives the level, nothing crosses a split, exchanging mirrors, the seed fixes all."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_versions import KINDS, UNTOUCHED, version

from w2svqa.core.levels import BETTER, INFERIOR, SIMILAR, SUPERIOR, WORSE, opposite
from w2svqa.core.rows import PairRow, Split, VersionRow
from w2svqa.stages.pair import PairConfig, make_pairs, severity_level

SPLITS: tuple[Split, ...] = ("train", "anchor", "calibration")


def clip_versions(
    clip: str, levels: dict[str, list[int]], *, primary: bool = True, split: Split = "train"
) -> list[VersionRow]:
    untouched = version(clip, UNTOUCHED, 0, primary=primary, split=split)
    return [
        untouched,
        *(version(clip, kind, level, primary=primary, split=split) for kind, each in levels.items() for level in each),
    ]


@st.composite
def pools(draw: st.DrawFn) -> list[VersionRow]:
    """Up to four clips of any split, some of whose levels were dropped."""
    rows: list[VersionRow] = []
    for number in range(draw(st.integers(1, 4))):
        levels = {
            kind: sorted(draw(st.sets(st.integers(1, count)))) for kind, count in KINDS.items() if draw(st.booleans())
        }
        primary, split = draw(st.booleans()), draw(st.sampled_from(SPLITS))
        rows += clip_versions(f"clip{number}", levels, primary=primary, split=split)
    return rows


configs = st.builds(
    PairConfig,
    same_per_clip=st.integers(0, 5),
    cross_per_primary=st.integers(0, 5),
    cross_severity=st.floats(0.1, 1),
    peers_per_version=st.integers(0, 3),
    cross_group=st.integers(1, 4),
)
splits = st.sampled_from(SPLITS)
seeds = st.integers(0, 5)

ONLY_SEVERITY = PairConfig(
    same_per_clip=0, cross_per_primary=0, peers_per_version=0, vmaf_per_version=0, teacher_per_clip=0
)


def ladders(rows: list[VersionRow], split: Split) -> dict[tuple[str, str], list[str]]:
    """The versions of a clip and kind that count, mild to severe."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    clean = {row.clip_id: row.version_id for row in rows if row.kind == UNTOUCHED and row.primary}
    for row in sorted(rows, key=lambda row: row.level):
        if row.kind != UNTOUCHED and row.split == split:
            key = (row.clip_id, row.kind)
            if key not in found and row.clip_id in clean:
                found[key].append(clean[row.clip_id])
            found[key].append(row.version_id)
    return found


def expected_level(gap: int) -> int:
    """The table of the paper, written out: a positive gap makes the second the more distorted one."""
    return {1: WORSE, -1: BETTER}.get(gap, INFERIOR if gap > 1 else SUPERIOR)


@settings(deadline=None)
@given(pools(), configs, splits, seeds)
def test_severity_pairs_are_all_pairs_of_a_ladder_and_the_gap_gives_the_level(
    rows: list[VersionRow], config: PairConfig, split: Split, seed: int
) -> None:
    pairs = [pair for pair in make_pairs(rows, config, split=split, seed=seed) if pair.origin == "severity"]
    wanted = ladders(rows, split)
    steps = {key: {name: step for step, name in enumerate(ladder)} for key, ladder in wanted.items()}
    by_name = {row.version_id: row for row in rows}
    seen = set()
    for pair in pairs:
        clip = by_name[pair.first].clip_id
        ladder = steps[clip, pair.kind]
        assert pair.level == expected_level(ladder[pair.second] - ladder[pair.first])
        assert pair.level != SIMILAR
        assert pair.group == f"{clip}-{pair.kind}"
        seen.add((pair.kind, frozenset((pair.first, pair.second))))
    assert len(seen) == len(pairs) == sum(len(each) * (len(each) - 1) // 2 for each in wanted.values())


@settings(deadline=None)
@given(pools(), configs, splits, seeds)
def test_no_pair_leaves_its_split(rows: list[VersionRow], config: PairConfig, split: Split, seed: int) -> None:
    inside = {row.version_id for row in rows if row.split == split}
    for pair in make_pairs(rows, config, split=split, seed=seed):
        assert {pair.first, pair.second} <= inside


@settings(deadline=None)
@given(pools(), configs, splits, seeds)
def test_the_seed_fixes_pairs_and_other_splits_do_not_change_them(
    rows: list[VersionRow], config: PairConfig, split: Split, seed: int
) -> None:
    pairs = make_pairs(rows, config, split=split, seed=seed)
    assert make_pairs(rows, config, split=split, seed=seed) == pairs
    assert make_pairs([row for row in rows if row.split == split], config, split=split, seed=seed) == pairs


@settings(deadline=None)
@given(pools(), configs, splits, seeds)
def test_the_untouched_version_of_a_clip_that_is_no_primary_is_only_compared_with_itself(
    rows: list[VersionRow], config: PairConfig, split: Split, seed: int
) -> None:
    doubtful = {row.version_id for row in rows if row.kind == UNTOUCHED and not row.primary}
    for pair in make_pairs(rows, config, split=split, seed=seed):
        if pair.origin not in ("same", "teacher"):
            assert not {pair.first, pair.second} & doubtful


@settings(deadline=None)
@given(pools(), configs, splits, seeds)
def test_same_pairs_are_similar_and_as_many_as_asked(
    rows: list[VersionRow], config: PairConfig, split: Split, seed: int
) -> None:
    pairs = [pair for pair in make_pairs(rows, config, split=split, seed=seed) if pair.origin == "same"]
    by_name = {row.version_id: row for row in rows}
    counts: dict[str, int] = defaultdict(int)
    for pair in pairs:
        assert pair.first == pair.second
        assert pair.level == SIMILAR
        counts[by_name[pair.first].clip_id] += 1
    sizes: dict[str, int] = defaultdict(int)
    for row in rows:
        sizes[row.clip_id] += row.split == split
    assert counts == {clip: min(size, config.same_per_clip) for clip, size in sizes.items() if size} or not any(
        counts.values()
    )
    assert len({pair.first for pair in pairs}) == len(pairs)


@settings(deadline=None)
@given(pools(), configs, splits, seeds)
def test_cross_pairs_set_a_clean_primary_above_a_heavy_version_of_another_clip(
    rows: list[VersionRow], config: PairConfig, split: Split, seed: int
) -> None:
    by_name = {row.version_id: row for row in rows}
    pairs = [pair for pair in make_pairs(rows, config, split=split, seed=seed) if pair.origin == "cross"]
    groups: dict[str, int] = defaultdict(int)
    for pair in pairs:
        first, second = by_name[pair.first], by_name[pair.second]
        assert first.clip_id != second.clip_id
        clean, heavy = (second, first) if pair.level == SUPERIOR else (first, second)
        assert pair.level in (INFERIOR, SUPERIOR)
        assert clean.kind == UNTOUCHED
        assert clean.primary
        assert heavy.severity >= config.cross_severity
        assert pair.kind == heavy.kind
        groups[pair.group] += 1
    assert all(count <= config.cross_group for count in groups.values())
    primaries = sum(row.kind == UNTOUCHED and row.primary and row.split == split for row in rows)
    assert len(pairs) <= config.cross_per_primary * primaries


@settings(deadline=None)
@given(pools(), configs, splits, seeds)
def test_peers_are_similar_versions_of_two_primaries_at_the_same_step(
    rows: list[VersionRow], config: PairConfig, split: Split, seed: int
) -> None:
    by_name = {row.version_id: row for row in rows}
    pairs = [pair for pair in make_pairs(rows, config, split=split, seed=seed) if pair.origin == "peer"]
    groups: dict[str, int] = defaultdict(int)
    for pair in pairs:
        first, second = by_name[pair.first], by_name[pair.second]
        assert first.clip_id != second.clip_id
        assert first.primary
        assert second.primary
        assert (first.kind, first.level) == (second.kind, second.level)
        assert pair.level == SIMILAR
        assert pair.kind == first.kind
        groups[pair.group] += 1
    assert all(count <= config.cross_group for count in groups.values())
    versions = sum(row.primary and row.split == split for row in rows)
    assert len(pairs) <= config.peers_per_version * versions


def test_one_clip_alone_has_no_peers() -> None:
    rows = clip_versions("a", {"blur": [1, 5]}) + clip_versions("b", {"blur": [1, 5]}, primary=False)
    assert all(pair.origin != "peer" for pair in make_pairs(rows, PairConfig(), split="train", seed=0))


def test_without_heavy_versions_there_are_no_cross_pairs() -> None:
    rows = clip_versions("a", {"blur": [1, 2, 3]}) + clip_versions("b", {"blur": [1, 2, 3]})
    assert all(pair.origin != "cross" for pair in make_pairs(rows, PairConfig(), split="train", seed=0))


def test_one_clip_alone_has_no_cross_pairs() -> None:
    rows = clip_versions("a", {"blur": [1, 5]})
    assert all(pair.origin != "cross" for pair in make_pairs(rows, PairConfig(), split="train", seed=0))


def test_every_cross_pair_is_made_where_nothing_stands_in_the_way() -> None:
    rows = clip_versions("clean", {}) + clip_versions("found", {"blur": [5]}, primary=False)
    pairs = [
        pair
        for pair in make_pairs(rows, PairConfig(cross_per_primary=6), split="train", seed=0)
        if pair.origin == "cross"
    ]
    assert len(pairs) == 6
    assert {frozenset((pair.first, pair.second)) for pair in pairs} == {frozenset(("clean-none-0", "found-blur-5"))}
    assert [len([pair for pair in pairs if pair.group == group]) for group in ("cross-0", "cross-1")] == [4, 2]


def test_a_dropped_level_makes_its_neighbours_adjacent() -> None:
    rows = clip_versions("a", {"blur": [2, 3, 5]})
    found = {pair_key(pair): pair for pair in make_pairs(rows, ONLY_SEVERITY, split="train", seed=0)}
    near = [("a-none-0", "a-blur-2"), ("a-blur-2", "a-blur-3"), ("a-blur-3", "a-blur-5")]
    far = [("a-none-0", "a-blur-3"), ("a-none-0", "a-blur-5"), ("a-blur-2", "a-blur-5")]
    assert {key: level_from(found[frozenset(key)], key[0]) for key in near} == dict.fromkeys(near, WORSE)
    assert {key: level_from(found[frozenset(key)], key[0]) for key in far} == dict.fromkeys(far, INFERIOR)


def pair_key(pair: PairRow) -> frozenset[str]:
    return frozenset((pair.first, pair.second))


def level_from(pair: PairRow, first: str) -> int:
    return pair.level if pair.first == first else opposite(pair.level)


def test_both_orders_occur_and_exchanging_mirrors_the_level() -> None:
    rows = [row for number in range(8) for row in clip_versions(f"c{number}", {"blur": [1, 2, 3, 4, 5]})]
    pairs = make_pairs(rows, ONLY_SEVERITY, split="train", seed=0)
    rank = {row.version_id: row.level for row in rows}
    falling = [pair for pair in pairs if rank[pair.first] < rank[pair.second]]
    assert 0.3 < len(falling) / len(pairs) < 0.7
    assert all(pair.level in (INFERIOR, WORSE) for pair in falling)
    assert all(pair.level in (SUPERIOR, BETTER) for pair in pairs if pair not in falling)


def test_another_seed_gives_other_orders_of_the_same_severity_pairs() -> None:
    rows = clip_versions("a", {"blur": [1, 2, 3, 4, 5], "noise": [1, 2, 3]})
    one, two = (make_pairs(rows, ONLY_SEVERITY, split="train", seed=seed) for seed in (0, 1))
    assert one != two
    assert {pair_key(pair) for pair in one} == {pair_key(pair) for pair in two}
    assert [level_from(pair, min(pair_key(pair))) for pair in one] == [
        level_from(pair, min(pair_key(pair))) for pair in two
    ]


@given(st.integers(0, 9), st.integers(0, 9))
def test_levels_of_a_gap(first: int, second: int) -> None:
    if first == second:
        with pytest.raises(ValueError, match="two severities"):
            severity_level(first, second)
        return
    level = severity_level(first, second)
    assert level == expected_level(second - first)
    assert severity_level(second, first) == opposite(level)
