"""Frame numbers and fragments against the reference implementation, and laws of what is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import dover_cases as shared
import fast_vqa_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2svqa.teachers.fragments import (
    FragmentGrid,
    Frame,
    collect,
    corners,
    cut,
    draw_shares,
    each_once,
    enlarged,
    normalised,
    spread_clips,
    temporal_fragments,
)
from w2svqa.video.whole import FramesVideo

GOLDEN = np.load(Path(__file__).parent / "goldens" / "fast_vqa.npz")


class CountingVideo(FramesVideo):
    """Remembers which frames were asked for."""

    def frames_at(self, indices: Sequence[int]) -> Iterator[Frame]:
        self.asked = list(indices)
        return super().frames_at(indices)


@pytest.mark.parametrize("count", cases.COUNTS)
@pytest.mark.parametrize("name", cases.CLIP_KINDS)
def test_clips_start_where_those_of_the_reference_do(name: str, count: int) -> None:
    length, clips = cases.CLIP_KINDS[name]
    ours = spread_clips(count, clips=clips, length=length, interval=cases.INTERVAL)
    assert ours.ravel().tolist() == GOLDEN[f"frames/{name}/{count}"].tolist()


@pytest.mark.parametrize("count", cases.COUNTS)
def test_runs_start_where_those_of_the_reference_do(count: int) -> None:
    ours = temporal_fragments(
        count,
        fragments=cases.RUNS,
        length=cases.RUN_LENGTH,
        interval=cases.INTERVAL,
        random=cases.prepared(cases.starts(count)),
    )
    assert ours.ravel().tolist() == GOLDEN[f"frames/faster-vqa/{count}"].tolist()


@pytest.mark.parametrize("number", range(len(cases.VIDEOS)))
def test_fragments_are_those_of_the_reference(number: int) -> None:
    length, height, width, cells, aligned = cases.VIDEOS[number]
    grid = FragmentGrid(rows=cells, columns=cells, aligned=aligned)
    video = FramesVideo([cases.frame(k, height, width) for k in range(length)])
    ours = collect(video, range(length), grid, cases.prepared(cases.shares(length // aligned, cells)))
    planes = np.ascontiguousarray(ours.transpose(3, 0, 1, 2))
    assert np.array_equal(shared.sample_of(planes, 4000), GOLDEN[f"fragments/{number}/pictures"])
    assert ours.sum(dtype=np.float64) == GOLDEN[f"fragments/{number}/sum"]
    theirs = GOLDEN[f"fragments/{number}/normalised"]
    assert np.allclose(shared.sample_of(normalised(ours), 500), theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), cases.SMALL)
def test_small_frames_are_enlarged_as_by_the_reference(height: int, width: int) -> None:
    larger = enlarged(cases.frame(0, height, width), FragmentGrid())
    assert min(larger.shape[0] - 224, larger.shape[1] - 224) == 0
    # The reference lays its cells out for the size before: so its fragments come from the upper left.
    theirs = np.zeros((224, 224, 3), np.uint8)
    for row in range(7):
        for column in range(7):
            top, left = min(height // 7 * row, height - 32), min(width // 7 * column, width - 32)
            place = np.s_[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            theirs[place] = larger[top : top + 32, left : left + 32]
    sample = shared.sample_of(np.ascontiguousarray(theirs.transpose(2, 0, 1)[:, None]), 4000)
    assert np.array_equal(sample, GOLDEN[f"small/{height}x{width}"])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 20), (3, 50), (144, 176), (223, 225)])
def test_fragments_of_small_frames_cover_all_of_the_enlarged_frame(height: int, width: int) -> None:
    grid = FragmentGrid()
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    larger = enlarged(frame, grid)
    assert larger.shape[0] >= 224
    assert larger.shape[1] >= 224
    places = corners(larger.shape[0], larger.shape[1], grid, np.full((7, 7, 2), 0.999))
    assert places[0, 0].max() <= larger.shape[1] // 7
    assert places[6, 6, 0] + 32 > larger.shape[0] - larger.shape[0] // 7
    assert places[6, 6, 1] + 32 > larger.shape[1] - larger.shape[1] // 7
    assert cut(frame, grid, np.zeros((7, 7, 2))).shape == (224, 224, 3)


def test_flat_frame_stays_flat_when_enlarged() -> None:
    assert set(np.unique(enlarged(np.full((30, 40, 3), 200, np.uint8), FragmentGrid()))) <= {199, 200}


sides = st.integers(128, 700)


@settings(max_examples=80, deadline=None)
@given(sides, sides, st.integers(1, 4), st.integers(1, 4), st.integers(0, 10))
def test_every_fragment_lies_in_its_cell(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    grid = FragmentGrid(rows=rows, columns=columns)
    places = corners(height, width, grid, np.random.default_rng(seed).random((rows, columns, 2)))
    for row in range(rows):
        for column in range(columns):
            top, left = places[row, column]
            assert row * (height // rows) <= top <= (row + 1) * (height // rows) - 32
            assert column * (width // columns) <= left <= (column + 1) * (width // columns) - 32


@pytest.mark.parametrize(
    ("side", "expected"), [(224, {0}), (7 * 32 + 6, {0}), (7 * 33, {0}), (7 * 37, {0, 1, 2, 3, 4})]
)
def test_places_are_the_set_that_the_reference_draws_from(side: int, expected: set[int]) -> None:
    shares = draw_shares(FragmentGrid(aligned=1), 40, np.random.default_rng(0))
    offsets = corners(side, side, FragmentGrid(), shares[0]) - corners(side, side, FragmentGrid(), np.zeros((7, 7, 2)))
    seen = [corners(side, side, FragmentGrid(), share)[0, 0].tolist() for share in shares]
    assert {place for both in seen for place in both} == expected
    assert offsets.max() <= max(expected)


@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_runs_lie_in_their_part(count: int, parts: int, length: int, interval: int, seed: int) -> None:
    numbers = temporal_fragments(
        count, fragments=parts, length=length, interval=interval, random=np.random.default_rng(seed)
    )
    assert numbers.shape == (parts, length)
    assert numbers.min() >= 0
    assert numbers.max() < count
    if count // parts > length * interval:
        steps = np.diff(numbers, axis=1)
        assert (steps == interval).all()
        assert (numbers // (count // parts) == np.arange(parts)[:, None]).all()


@given(st.integers(1, 400), st.integers(1, 6), st.integers(1, 9), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_clips_stay_in_the_video_and_spread_evenly(count: int, clips: int, length: int, interval: int) -> None:
    numbers = spread_clips(count, clips=clips, length=length, interval=interval)
    assert numbers.shape == (clips, length)
    assert numbers.min() >= 0
    assert numbers.max() < count
    if count >= length * interval:
        gaps = np.diff(numbers[:, 0])
        assert clips == 1 or gaps.max() - gaps.min() <= 1
        before, after = numbers[0, 0], count - 1 - numbers[-1, -1]
        assert abs(before - (after - (interval - 1))) <= 1


def test_frames_are_decoded_once_in_order_and_put_where_they_belong() -> None:
    frames = [np.full((64, 64, 3), value, np.uint8) for value in range(6)]
    video = CountingVideo(frames)
    grid = FragmentGrid(rows=2, columns=2, aligned=2)
    ours = collect(video, [4, 5, 0, 1, 4, 2], grid, np.random.default_rng(0))
    assert ours[:, 0, 0, 0].tolist() == [4, 5, 0, 1, 4, 2]
    assert video.asked == [0, 1, 2, 4, 5]
    assert [places for _, places in each_once(video, [3, 1, 3])] == [[1], [0, 2]]


def test_aligned_frames_share_places() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    grid = FragmentGrid(rows=2, columns=2, aligned=4)
    ours = collect(FramesVideo([frame]), [0] * 8, grid, np.random.default_rng(1))
    assert all(np.array_equal(ours[0], ours[k]) for k in range(4))
    assert not np.array_equal(ours[3], ours[4])
    assert np.array_equal(ours[4], ours[7])
