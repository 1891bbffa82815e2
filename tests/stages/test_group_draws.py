"""Groups of a step: drawn from seed and step alone, divided among processes, of about one length where that matters."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2svqa.core.errors import ConfigError
from w2svqa.core.rows import PairRow
from w2svqa.stages.group_draws import GroupDraws, names_of

SIZE = 4


def pairs_of(groups: int) -> list[PairRow]:
    """Groups of four pairs; the names tell group and pair."""
    return [
        PairRow(first=f"{group}-{pair}", second=f"{group}-x", level=1, origin="severity", kind="blur", group=f"{group}")
        for group in range(groups)
        for pair in range(SIZE)
    ]


def length(pair: PairRow) -> int:
    """The length of a group is its number, but no pair tells it alone."""
    group, _, number = pair.first.partition("-")
    return int(group) if number == "2" else 0


def drawn(draws: GroupDraws, step: int) -> list[list[str]]:
    return [[pair.first for pair in group] for group, _ in draws.all(step)]


@given(groups=st.integers(1, 30), parts=st.integers(1, 9), step=st.integers(0, 99), count=st.integers(1, 3))
@settings(deadline=None)
def test_processes_together_draw_what_one_draws(groups: int, parts: int, step: int, count: int) -> None:
    pairs = pairs_of(groups)
    alone = GroupDraws(pairs, {"severity": 5}, seed=3, length=length, parts=parts, most=2)
    own: list[list[list[str]]] = []
    for index in range(count):
        each = GroupDraws(pairs, {"severity": 5}, seed=3, length=length, parts=parts, most=2, share=(index, count))
        own.append([[pair.first for pair in group] for group, _ in each.own(step)])
        assert drawn(each, step) == drawn(alone, step)
    assert [own[place % count][place // count] for place in range(5)] == drawn(alone, step)


@given(groups=st.integers(8, 40), step=st.integers(0, 200))
@settings(deadline=None)
def test_the_groups_of_a_step_are_of_about_one_length(groups: int, step: int) -> None:
    draws = GroupDraws(pairs_of(groups), {"severity": 6}, seed=0, length=length, parts=8)
    numbers = [int(names[0].partition("-")[0]) for names in drawn(draws, step)]
    assert max(numbers) - min(numbers) <= -(-groups // 8)


def test_every_group_is_drawn_about_equally_often() -> None:
    draws = GroupDraws(pairs_of(16), {"severity": 2}, seed=0, length=length, parts=4)
    found = Counter(names[0].partition("-")[0] for step in range(1600) for names in drawn(draws, step))
    assert len(found) == 16
    assert 140 < min(found.values()) <= max(found.values()) < 260  # 200 each, five deviations


def test_no_more_pairs_of_a_group_than_wanted_and_not_always_the_same() -> None:
    draws = GroupDraws(pairs_of(1), {"severity": 1}, seed=0, most=2)
    found = [tuple(drawn(draws, step)[0]) for step in range(40)]
    assert all(len(names) == 2 and list(names) == sorted(names) for names in found)
    assert len(set(found)) == 6  # two of four
    assert all(len(drawn(GroupDraws(pairs_of(1), {"severity": 1}, seed=0), step)[0]) == SIZE for step in range(3))


def test_each_version_is_named_once() -> None:
    draws = GroupDraws(pairs_of(1), {"severity": 2}, seed=0)
    assert names_of(draws.all(0)) == ("0-0", "0-x", "0-1", "0-2", "0-3")


def test_too_many_processes_and_no_pairs_are_refused() -> None:
    with pytest.raises(ConfigError, match="a step has 2 groups for 3 processes"):
        GroupDraws(pairs_of(1), {"severity": 2}, seed=0, share=(0, 3))
    with pytest.raises(ConfigError, match="none of the 4 pairs is of an origin"):
        GroupDraws(pairs_of(1), {"vmaf": 2}, seed=0)
