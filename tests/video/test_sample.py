from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.video.sample import LONGEST_GAP, MotionGrid, Timeline, chunk_count, chunk_of

seconds = st.floats(0, 10_000, allow_nan=False)
stamps = st.lists(st.none() | st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=60)


@given(seconds, st.integers(0, 1000))
def test_whole_seconds_shift_the_chunk(time: float, shift: int) -> None:
    assert chunk_of(float(int(time)) + 0.25 + shift) == chunk_of(float(int(time)) + 0.25) + shift


@given(seconds)
def test_count_covers_all_but_less_than_half_a_second(duration: float) -> None:
    count = chunk_count(duration)
    assert count >= 1
    assert duration - count < 0.5
    assert count - duration <= 0.5 + 0.002 or count == 1


@given(seconds, seconds)
def test_count_grows_with_duration(first: float, second: float) -> None:
    assert (chunk_count(first) <= chunk_count(second)) == (first <= second) or chunk_count(first) == chunk_count(second)


@given(stamps, st.floats(0.001, 1))
def test_time_starts_at_zero_grows_and_never_jumps(raw: list[float | None], frame_duration: float) -> None:
    timeline = Timeline(frame_duration)
    times = [timeline.place(stamp) for stamp in raw]
    assert times[0] == 0
    assert all(0 < later - earlier <= LONGEST_GAP + 1e-6 for earlier, later in itertools.pairwise(times))


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=50), st.integers(-(10**6), 10**6))
def test_good_time_stamps_are_kept(steps: list[int], origin: int) -> None:
    timeline, stamp = Timeline(0.04), origin / 1000
    first = stamp
    assert timeline.place(stamp) == 0
    for step in steps:
        stamp = round(stamp + step / 1000, 3)
        assert timeline.place(stamp) == pytest.approx(stamp - first, abs=1e-6)
    assert (timeline.gaps, timeline.repaired) == (0, 0)


def test_a_bogus_time_stamp_costs_one_frame_not_a_million_chunks() -> None:
    timeline = Timeline(0.1)
    assert [timeline.place(stamp) for stamp in (0.0, 0.1, 4e6, 4e6 + 0.1)] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert timeline.gaps == 1


def test_a_slip_back_is_bridged_and_a_reset_clock_goes_on() -> None:
    timeline = Timeline(0.1)
    assert [timeline.place(stamp) for stamp in (0.0, 0.4, 0.3, 0.6)] == pytest.approx([0, 0.4, 0.5, 0.6])
    timeline = Timeline(0.1)
    assert [timeline.place(stamp) for stamp in (0.0, 5.0, 0.0, 0.25)] == pytest.approx([0, 5.0, 5.1, 5.35])


@given(st.integers(1, 60), st.lists(st.floats(0.001, 2), min_size=1, max_size=40))
def test_grid_gives_the_same_instants_however_time_advances(rate: int, steps: list[float]) -> None:
    stepwise, at_once, end = MotionGrid(rate), MotionGrid(rate), 0.0
    taken: list[float] = []
    for step in steps:
        end += step
        taken += stepwise.due(end)
    assert taken == at_once.due(end)
    assert all(instant < end for instant in taken)


@given(st.integers(1, 60), st.integers(1, 30))
def test_grid_has_as_many_instants_in_each_second(rate: int, last: int) -> None:
    grid = MotionGrid(rate)
    assert [len(grid.due(float(second))) for second in range(1, last + 1)] == [rate] * last
