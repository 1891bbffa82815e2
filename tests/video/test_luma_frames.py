"""The luma of key frames and their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.records import Chunk, ClipSpec
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless
from w2svqa.video.whole import FramesVideo

Encode = Callable[..., Path]
THREE = ClipSpec(luma_frames=3)


def flat(level: int) -> np.ndarray:
    return np.full((32, 48, 3), level, np.uint8)


def read(path: Path, spec: ClipSpec = THREE) -> list[Chunk]:
    with open_clip(path, spec) as clip:
        return list(clip.chunks())


def levels(chunks: list[Chunk]) -> list[list[int]]:
    return [[int(each[0, 0]) for each in chunk.luma] for chunk in chunks]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, [[], [], []]),
        (1, [[0], [10], [20]]),
        (2, [[0, 1], [9, 10], [19, 20]]),
        (3, [[0, 1, 2], [8, 9, 10], [18, 19, 20]]),
    ],
)
def test_frames_lead_up_to_the_key_frame_and_follow_the_first(
    tmp_path: Path, count: int, expected: list[list[int]]
) -> None:
    path = tmp_path / "levels.mkv"
    frames = [flat(level) for level in range(25)]
    write_lossless(path, frames, fps=10)
    spec = ClipSpec(luma_frames=count)
    assert levels(read(path, spec)) == expected
    assert levels(list(FramesVideo(frames[:21], fps=10).chunks(spec))) == expected[:2]
    if count:
        assert [int(chunk.key_luma[0, 0]) for chunk in read(path, spec)] == [0, 10, 20]


def test_a_second_without_a_frame_has_the_key_frame_alone(encode: Encode) -> None:
    path = encode("slow.mkv", [flat(level) for level in (10, 20, 30)], [0, 400, 2500])
    chunks = read(path)
    # the first second holds two frames, the next none; the third begins with its own
    assert levels(chunks) == [[10, 20], [20], [10, 20, 30]]


def test_a_still_has_one() -> None:
    assert levels(list(FramesVideo([flat(9)]).chunks(THREE))) == [[9]]


def test_luma_is_as_stored(encode: Encode) -> None:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(3)]
    path = encode("noise.mkv", pictures)
    [chunk] = read(path)
    assert [each.shape for each in chunk.luma] == [(32, 48)] * 3
    expected = pictures[0] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(chunk.key_luma - expected).max() < 0.52
    assert chunk.key_luma.dtype == np.uint8
