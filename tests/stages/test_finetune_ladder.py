"""The order of severities before and after: shares by brute force, the larger fall, and contents that are drawn."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rated_pictures import rated_videos

from w2svqa.stages.finetune_ladder import ladder_change, ladder_places, share_in_order
from w2svqa.stages.finetune_seen import LadderVersions

STEPS = tuple((kind, level) for kind in ("blur", "noise") for level in (1, 2, 3))
LADDER = LadderVersions(
    kinds=tuple(kind for kind, _ in STEPS),
    levels=tuple(level for _, level in STEPS),
    seen=np.zeros((len(STEPS), 2), np.float32),
)
FALLING, RISING = (3.0, 2.0, 1.0) * 2, (1.0, 2.0, 3.0) * 2


@given(st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_a_share_is_that_of_all_pairs(raw: list[int]) -> None:
    said = [
        1.0 if raw[one] > raw[other] else 0.5 if raw[one] == raw[other] else 0.0
        for one, other in combinations(range(6), 2)
        if STEPS[one][0] == STEPS[other][0]
    ]
    assert share_in_order(LADDER, [float(value) for value in raw]) == pytest.approx(np.mean(said))


def test_one_best_video_of_each_drawn_content() -> None:
    rated = rated_videos([1.0, 5.0, 2.0, 3.0, 3.0], ["a", "a", "b", "c", "c"])
    assert ladder_places(rated, 9, 0) == [1, 2, 3]
    assert len(ladder_places(rated, 2, 0)) == 2
    assert ladder_places(rated, 0, 0) == []
    assert ladder_places(rated, 2, 0) == ladder_places(rated, 2, 0)


def test_the_larger_fall_counts() -> None:
    ladders = {0: LADDER, 4: LADDER}
    good, bad = {0: FALLING, 4: FALLING}, {0: FALLING, 4: RISING}
    held_out = ladder_change(ladders, good, bad, good, seed=0)
    assert (held_out.before, held_out.after, held_out.final, held_out.fall) == (1.0, 0.5, 1.0, 0.5)
    assert (held_out.low, held_out.high) == (-1.0, 0.0)  # one content of two: draws of none and of both
    assert (held_out.pairs, held_out.contents) == (12, 2)
    assert ladder_change(ladders, good, good, bad, seed=0).fall == 0.5
    assert ladder_change(ladders, bad, good, good, seed=0).fall == -0.5


def test_nothing_falls_without_a_ladder() -> None:
    single = LadderVersions(kinds=("blur",), levels=(1,), seen=np.zeros((1, 2), np.float32))
    for ladders in ({}, {0: single}):
        found = ladder_change(ladders, {0: (1.0,)}, {0: (1.0,)}, {0: (1.0,)}, seed=0)
        assert (found.contents, found.fall) == (0, 0.0)
        assert math.isnan(found.before)
