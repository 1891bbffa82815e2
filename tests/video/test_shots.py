"""Where shots change, and which parts are cut out."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.video.encode import write_video
from w2svqa.video.scene import scene_frames
from w2svqa.video.shots import SIDE, ShotFinder, find_cuts, plan_segments


def test_cuts_are_found_to_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "three.mp4"
    shots = [(5, 30), (8, 45), (11, 25)]
    frames = (frame for seed, count in shots for frame in scene_frames(seed=seed, width=96, height=64, frames=count))
    write_video(path, frames, fps=25, options={"preset": "veryfast", "threads": "1"})
    assert find_cuts(path) == pytest.approx((30 / 25, 75 / 25))


def test_a_shot_that_moves_or_fades_has_no_cut() -> None:
    finder = ShotFinder()
    picture = next(scene_frames(seed=2, width=4 * SIDE, height=SIDE, frames=1)).mean(axis=2)
    for index in range(60):
        brightness = 1.0 - 0.8 * index / 60
        finder.push_luma((picture[:, index : index + SIDE] * brightness).astype(np.uint8), index / 30)
    assert finder.cuts() == ()


def test_shots_of_the_same_brightness_are_told_apart() -> None:
    finder = ShotFinder()
    first = np.zeros((SIDE, SIDE), np.uint8)
    first[:, ::2] = 200
    for index in range(40):
        finder.push_luma(first if index < 20 else 200 - first, index / 20)
    assert finder.cuts() == (1.0,)


BOUNDS = st.tuples(st.floats(1, 4), st.floats(4.5, 9))
TIMES = st.lists(st.integers(1, 59), max_size=12, unique=True).map(lambda times: sorted(each / 2 for each in times))


@given(TIMES, TIMES, BOUNDS)
def test_parts_keep_the_rules(keys: list[float], cuts: list[float], bounds: tuple[float, float]) -> None:
    parts = plan_segments([0.0, *keys], 30.0, cuts, shortest=bounds[0], longest=bounds[1])
    assert all(begin in {0.0, *keys} and end in {*keys, 30.0} for begin, end in parts)
    assert all(bounds[0] - 0.05 <= end - begin <= bounds[1] + 0.05 for begin, end in parts)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(parts))
    assert not any(begin < cut < end for begin, end in parts for cut in cuts)


@given(st.lists(st.integers(1, 19), max_size=5, unique=True), st.lists(st.integers(1, 19), max_size=2), BOUNDS)
def test_no_plan_covers_more(keys: list[int], cuts: list[int], bounds: tuple[float, float]) -> None:
    stops = sorted({0, *keys, 20})
    cuts = sorted(set(cuts))

    def is_good(begin: int, end: int) -> bool:
        fits = bounds[0] - 0.05 <= end - begin <= bounds[1] + 0.05
        return fits and not any(begin < cut < end for cut in cuts)

    spans = [span for span in combinations(stops, 2) if is_good(*span)]
    plans = [plan for size in range(len(stops)) for plan in combinations(spans, size)]
    apart = [plan for plan in plans if all(a[1] <= b[0] for a, b in pairwise(sorted(plan)))]
    most = max(sum(end - begin for begin, end in plan) for plan in apart)
    parts = plan_segments([float(each) for each in stops[:-1]], 20.0, cuts, shortest=bounds[0], longest=bounds[1])
    # a part more costs 0.05 s, so less than one second is ever given up for fewer parts
    assert sum(end - begin for begin, end in parts) == pytest.approx(most)
