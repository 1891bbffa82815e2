"""Kept seconds: what is written comes back bit for bit, one version at a time, and trouble is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2svqa.core.errors import StoreError
from w2svqa.students.seconds import Seconds, read_seconds, write_seconds


def drawn(seed: int, seconds: int, side: int) -> Seconds:
    """Noise, which no lossy coding would bring back."""
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (seconds, side, side, 3), dtype=np.uint8)
    return Seconds(frames=frames, motion=random.normal(size=(seconds, 256)).astype(np.float32))


def assert_same(one: Seconds, other: Seconds) -> None:
    for part in ("frames", "motion"):
        left, right = getattr(one, part), getattr(other, part)
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert (left == right).all()


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3), side=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_round_trip_is_exact(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], side: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("seconds") / "clip.npz"
    versions = [drawn(seed + row, length, side) for row, length in enumerate(lengths)]
    write_seconds(path, versions)
    for row, version in enumerate(versions):
        assert_same(read_seconds(path, row), version)


def test_some_seconds_are_a_video_of_their_own() -> None:
    video = drawn(0, 5, 4)
    assert_same(video[1::2], Seconds(frames=video.frames[1::2], motion=video.motion[1::2]))
    assert len(video[1::2]) == 2
    with pytest.raises(ValueError, match="0 key frames"):
        video[5:]


def test_a_second_needs_its_frame_and_its_motion() -> None:
    with pytest.raises(ValueError, match="2 key frames cannot go with 1 motion features"):
        Seconds(frames=np.zeros((2, 4, 4, 3), np.uint8), motion=np.zeros((1, 256), np.float32))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: np.savez(path, frames_0=np.zeros(9, np.uint8), motion_0=np.zeros((1, 256), np.float32)),
    ],
)
def test_damage_is_named_with_the_file(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "clip.npz"
    write_seconds(path, [drawn(0, 1, 16)])
    damage(path)
    with pytest.raises(StoreError, match="version 0 cannot be read") as caught:
        read_seconds(path, 0)
    assert caught.value.path == str(path)


def test_a_version_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_seconds(tmp_path / "clip.npz", [drawn(0, 1, 16)])
    with pytest.raises(StoreError, match="version 1 cannot be read"):
        read_seconds(tmp_path / "clip.npz", 1)
