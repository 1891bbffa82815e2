"""Jitter and stuttering: what moves, what stops, and how levels nest."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.core.errors import InputError
from w2svqa.core.random import generator
from w2svqa.distort import SIMULATORS, UNSEEN_CODECS, distort_frame, distort_frames, shown_indices
from w2svqa.distort.temporal import draw_shakes, jitter, stuttering
from w2svqa.video.scene import scene_frames

SEEDS = st.integers(0, 2**40)
NOT_CODECS = [kind for kind, chosen in SIMULATORS.items() if chosen.family != "streaming"]


@pytest.fixture(scope="module")
def clip() -> list[NDArray[np.uint8]]:
    return list(scene_frames(width=64, height=48, frames=12))


@given(st.integers(0, 400), SEEDS, st.integers(0, 10**6))
def test_stuttering_shows_the_past_and_levels_are_nested(count: int, seed: int, start: int) -> None:
    ladder = [shown_indices(count, "stuttering", level, seed=seed, start=start) for level in range(4)]
    assert (ladder[0] == np.arange(count)).all()
    for shown in ladder:
        assert shown.dtype == np.int64
        assert (np.diff(shown) >= 0).all()
        assert (shown[:1] == 0).all()
        assert (shown[shown] == shown).all()
    assert all((severe <= mild).all() for mild, severe in itertools.pairwise(ladder))


def test_the_share_of_repeated_frames_is_the_probability() -> None:
    for level in (1, 2, 3):
        shown = shown_indices(20_000, "stuttering", level, seed=4)
        share = float((shown != np.arange(20_000)).mean())
        assert share == pytest.approx(SIMULATORS["stuttering"].value(level), abs=0.015)


@given(SEEDS, st.integers(0, 60), st.integers(1, 60))
def test_each_frame_has_its_own_number(seed: int, start: int, count: int) -> None:
    whole = stuttering(0.4, start + count, seed, 0)
    assert (stuttering(0.4, count, seed, start)[1:] == whole[start + 1 :]).all()
    assert not stuttering(1.0, count, seed, 0)[0]
    assert stuttering(1.0, count, seed, 1)[0]


def test_stuttering_of_a_stream_shows_what_shown_indices_say(clip: list[NDArray[np.uint8]]) -> None:
    for level in (1, 2, 3):
        shown = shown_indices(len(clip), "stuttering", level, seed=9)
        stream = list(distort_frames(iter(clip), "stuttering", level, seed=9))
        assert all((frame == clip[place]).all() for frame, place in zip(stream, shown, strict=True))
    assert (shown != np.arange(len(clip))).any()


def test_a_moving_scene_strays_further_the_more_it_stutters(clip: list[NDArray[np.uint8]]) -> None:
    changes = [
        np.mean([np.abs(one.astype(float) - two).mean() for one, two in zip(clip, stream, strict=True)])
        for stream in (list(distort_frames(clip, "stuttering", level, seed=2)) for level in range(4))
    ]
    assert changes[0] == 0
    assert all(worse > better for better, worse in itertools.pairwise(changes))


@pytest.mark.parametrize("kind", [*SIMULATORS, *UNSEEN_CODECS])
def test_only_stuttering_changes_what_is_shown(kind: str) -> None:
    shown = shown_indices(50, kind, 3, seed=1)
    assert (shown == np.arange(50)).all() == (kind != "stuttering")


def test_shown_indices_refuse_what_is_unknown() -> None:
    with pytest.raises(InputError, match="no level 4"):
        shown_indices(5, "stuttering", 4)
    with pytest.raises(InputError, match="no level 9"):
        shown_indices(5, "blur", 9)
    with pytest.raises(InputError, match="unknown distortion"):
        shown_indices(5, "freeze", 1)
    with pytest.raises(ValueError, match="-1"):
        shown_indices(-1, "blur", 1)


@given(st.integers(16, 4000), st.integers(16, 4000), SEEDS, st.sampled_from([0.005, 0.01, 0.02]))
def test_shakes_stay_inside_the_picture_and_below_the_amount(height: int, width: int, seed: int, amount: float) -> None:
    for shake, side in zip(draw_shakes(amount, (height, width), generator(seed)), (height, width), strict=True):
        assert shake.margin == amount
        assert abs(shake.shift) <= amount
        assert abs(shake.shift) * side <= amount * min(height, width) * (1 + 1e-9)
        places = (np.arange(side) + 0.5) * (1 - 2 * amount) + side * (amount + shake.shift)
        assert places[0] > 0
        assert places[-1] < side


def test_more_jitter_goes_the_same_way_further() -> None:
    mild, severe = (draw_shakes(amount, (90, 160), generator(7, "jitter", 3)) for amount in (0.005, 0.02))
    assert [one.shift * 4 for one in mild] == pytest.approx([one.shift for one in severe])


def test_jitter_moves_a_ramp_by_its_shift() -> None:
    ramp = np.repeat(np.linspace(20, 230, 120)[None, :, None], 80, axis=0).repeat(3, axis=2)
    step = 210 / 119
    for index in range(4):
        moved = jitter(np.rint(ramp).astype(np.uint8), 0.02, generator(1, index)).astype(float)
        _, across = draw_shakes(0.02, (80, 120), generator(1, index))
        centre = (moved - ramp)[:, 50:70].mean() / step
        assert centre == pytest.approx(across.shift * 120, abs=0.1)


def test_the_first_frame_shifts_as_well(clip: list[NDArray[np.uint8]]) -> None:
    first = next(iter(distort_frames(clip, "jitter", 1, seed=3)))
    assert (first != clip[0]).any()


@pytest.mark.parametrize("kind", NOT_CODECS)
def test_a_stream_cut_in_two_is_the_same_stream(kind: str, clip: list[NDArray[np.uint8]]) -> None:
    whole = list(distort_frames(clip, kind, 2, seed=8))
    cut = next(place for place in range(5, 12) if shown_indices(12, kind, 2, seed=8)[place] == place)
    halves = [*distort_frames(clip[:cut], kind, 2, seed=8), *distort_frames(clip[cut:], kind, 2, seed=8, start=cut)]
    assert all((one == other).all() for one, other in zip(whole, halves, strict=True))


def test_streams_are_read_one_frame_at_a_time(clip: list[NDArray[np.uint8]]) -> None:
    taken: list[int] = []

    def source() -> Iterator[NDArray[np.uint8]]:
        for place, frame in enumerate(clip):
            taken.append(place)
            yield frame

    for kind in ("blur", "jitter", "stuttering"):
        taken.clear()
        stream = distort_frames(source(), kind, 3)
        assert taken == []
        next(stream)
        assert taken == [0]


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_level_zero_is_the_source(seed: int) -> None:
    frames = list(scene_frames(width=24, height=16, frames=3))
    for kind in NOT_CODECS:
        stream = distort_frames(frames, kind, 0, seed=seed)
        assert all((one == other).all() for one, other in zip(stream, frames, strict=True))


def test_spatial_streams_are_frames_distorted_one_by_one(clip: list[NDArray[np.uint8]]) -> None:
    stream = distort_frames(clip, "noise", 2, seed=5, start=30)
    expected = [distort_frame(frame, "noise", 2, seed=5, index=30 + place) for place, frame in enumerate(clip)]
    assert all((one == other).all() for one, other in zip(stream, expected, strict=True))


def test_codecs_are_refused_before_the_first_frame() -> None:
    with pytest.raises(InputError, match="distort_video"):
        distort_frames([], "h265", 1)
