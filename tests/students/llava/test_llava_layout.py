"""Where tokens stand, against layouts written out by hand."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import ConfigError
from w2svqa.students.llava.config import LlavaConfig, released_config
from w2svqa.students.llava.layout import motion_count, token_places, video_length

pytestmark = pytest.mark.llm

INTERLEAVED = LlavaConfig(layout="interleaved")
CONFIGS = st.sampled_from([LlavaConfig(), INTERLEAVED, released_config(), LlavaConfig(motion_most=2)])


def names(seconds: int, spatial: int) -> list[str]:
    """What each number stands for."""
    each = [[*(f"s{second}p{place}" for place in range(spatial)), f"m{second}"] for second in range(seconds)]
    return [*functools.reduce(operator.iadd, each, []), "newline"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlavaConfig(), "s0p0 s0p1 s1p0 s1p1 s2p0 s2p1 newline m0 m1 m2"),
        (INTERLEAVED, "s0p0 s0p1 m0 s1p0 s1p1 m1 s2p0 s2p1 m2 newline"),
        (released_config(), "s0p0 s0p1 s1p0 s1p1 s2p0 s2p1 newline m0 m1 m2 m2 m2 m2 m2 m2"),
        (LlavaConfig(motion_most=2), "s0p0 s0p1 s1p0 s1p1 s2p0 s2p1 newline m0 m1"),
    ],
)
def test_three_seconds_of_two_tokens(config: LlavaConfig, expected: str) -> None:
    known = names(3, 2)
    assert [known[place] for place in token_places(3, 2, config)] == expected.split()


def test_the_released_layout_at_full_size() -> None:
    """196 F + 1 newline + K motion, block-wise, on tensors that say what they are."""
    seconds, spatial = 12, 196
    frames = np.arange(seconds * spatial).reshape(seconds, spatial)
    motion = -1 - np.arange(seconds)
    table = np.concatenate([np.concatenate([frames, motion[:, None]], axis=1).ravel(), [10**6]])
    found = table[token_places(seconds, spatial, released_config())]
    assert np.array_equal(found, [*frames.ravel(), 10**6, *motion[:10]])


@given(st.integers(1, 40), st.integers(1, 9), CONFIGS)
def test_lengths_agree_and_frames_are_all_there_in_order(seconds: int, spatial: int, config: LlavaConfig) -> None:
    places = token_places(seconds, spatial, config)
    assert len(places) == video_length(seconds, spatial, config)
    newline = seconds * (spatial + 1)
    assert np.count_nonzero(places == newline) == 1
    is_motion = (places % (spatial + 1) == spatial) & (places != newline)
    assert np.count_nonzero(is_motion) == motion_count(seconds, config)
    frames = places[~is_motion & (places != newline)]
    assert len(frames) == seconds * spatial
    assert (np.diff(frames) > 0).all()


def test_a_video_of_no_seconds_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one second"):
        token_places(0, 4, LlavaConfig())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"frame_side": 0}, "frame_side is 0"),
        ({"context": 0}, "context is 0"),
        ({"motion_most": 3, "motion_least": 8}, "motion_most is 3"),
        ({"layout": "interleaved", "motion_least": 8}, "one motion token in every second"),
        ({"layout": "blocks"}, "layout"),
    ],
)
def test_impossible_configurations_are_refused(wrong: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        from_mapping(LlavaConfig, wrong)


def test_a_configuration_survives_the_card() -> None:
    assert from_mapping(LlavaConfig, to_mapping(released_config())) == released_config()
