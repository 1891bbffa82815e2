"""Whole videos: frames by number, however often, from files and from memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, MediaError
from w2svqa.core.protocols import Video
from w2svqa.core.records import ClipSpec
from w2svqa.video.encode import write_lossless
from w2svqa.video.frames import read_frames
from w2svqa.video.whole import FramesVideo, VideoFile

Picture = NDArray[np.uint8]
Encode = Callable[..., Path]

COUNT = 23
MODES: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264.mp4": ("libx264", "yuv420p", {"bf": "3", "g": "9", "preset": "veryfast", "threads": "1"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "12"}),
    "ffv1.mkv": ("ffv1", "bgr0", {}),
}


def moving(count: int = COUNT, height: int = 48, width: int = 64) -> list[Picture]:
    """Pictures of which no two are alike: a bright bar moves to the right."""
    pictures = []
    for number in range(count):
        picture = np.full((height, width, 3), 60, np.uint8)
        picture[:, 2 * number : 2 * number + 8] = (200, 180, 90)
        pictures.append(picture)
    return pictures


@pytest.fixture(params=sorted(MODES))
def path(request: pytest.FixtureRequest, encode: Encode) -> Path:
    codec, pixel_format, options = MODES[request.param]
    return encode(request.param, moving(), codec=codec, pixel_format=pixel_format, options=options)


def test_the_count_is_that_of_the_frames_that_decode(path: Path) -> None:
    with av.open(str(path)) as container:
        decoded = sum(1 for _ in container.decode(video=0))
    video = VideoFile(path, threads=1)
    assert video.count() == decoded == COUNT
    assert video.count() == COUNT  # again, without another pass
    assert isinstance(video, Video)


def test_h264_has_frames_out_of_order(encode: Encode) -> None:
    """Or the test above would not say that B-frames are counted and ordered."""
    codec, pixel_format, options = MODES["h264.mp4"]
    path = encode("order.mp4", moving(), codec=codec, pixel_format=pixel_format, options=options)
    with av.open(str(path)) as container:
        stamps = [packet.pts or 0 for packet in container.demux(video=0) if packet.size]
    assert stamps != sorted(stamps)


def test_frames_by_number_are_the_frames_shown(path: Path) -> None:
    every = list(read_frames(path))
    video = VideoFile(path, threads=1)
    for indices in (range(COUNT), [0], [COUNT - 1], [3, 4, 11], [0, 0, 7, 7, 7, 22], []):
        found = list(video.frames_at(indices))
        assert len(found) == len(indices)
        for index, frame in zip(indices, found, strict=True):
            np.testing.assert_array_equal(frame, every[index])


def test_beyond_the_end_the_last_frame_comes_again(path: Path) -> None:
    last = list(read_frames(path))[-1]
    for frame in VideoFile(path, threads=1).frames_at([COUNT, COUNT, COUNT + 500]):
        np.testing.assert_array_equal(frame, last)


@pytest.mark.parametrize("indices", [[3, 2], [0, 5, 4], [-1, 0], [-1]])
def test_numbers_that_fall_or_are_negative_are_refused(encode: Encode, indices: list[int]) -> None:
    path = encode("short.mkv", moving(4))
    for video in (VideoFile(path), FramesVideo(moving(4))):
        with pytest.raises(ValueError, match="never fall"):
            list(video.frames_at(indices))


def test_a_still_is_one_frame(encode: Encode) -> None:
    picture = moving(1)
    path = encode("still.png", picture, codec="png", pixel_format="rgb24")
    video = VideoFile(path)
    assert (video.info.is_still, video.count(), len(list(video.chunks()))) == (True, 1, 1)
    first, second = video.frames_at([0, 9])
    np.testing.assert_array_equal(first, picture[0])
    np.testing.assert_array_equal(second, picture[0])


def test_a_truncated_file_repeats_the_last_frame_that_decodes(tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, 48, 64, 3), np.uint8)
    write_lossless(path, noise, fps=Fraction(10))
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    decoded = list(read_frames(path))
    assert 5 < len(decoded) < COUNT
    video = VideoFile(path, threads=1)
    assert len(decoded) <= video.count() <= len(decoded) + 1
    found = list(video.frames_at([len(decoded) - 1, COUNT - 1]))
    np.testing.assert_array_equal(found[0], decoded[-1])
    np.testing.assert_array_equal(found[1], decoded[-1])


def test_a_file_that_is_none_is_refused_and_one_that_changes_is_named(encode: Encode, tmp_path: Path) -> None:
    (tmp_path / "none.mkv").write_bytes(b"no video at all")
    with pytest.raises(InputError, match=r"none\.mkv"):
        VideoFile(tmp_path / "none.mkv")
    path = encode("gone.mkv", moving(3))
    video = VideoFile(path)
    path.write_bytes(b"no video any more")
    with pytest.raises(InputError, match=r"gone\.mkv"):
        list(video.frames_at([0]))


def test_passes_do_not_depend_on_each_other(path: Path) -> None:
    """One that was left half-way, one beside another, and chunks after frames."""
    video = VideoFile(path, threads=1)
    started = video.frames_at([0, 20])
    first = next(started)
    again = list(video.frames_at([0, 20]))
    np.testing.assert_array_equal(first, again[0])
    started.close()  # type: ignore[attr-defined]  # a generator, as the protocol need not say
    assert len(list(video.chunks())) == 2
    motion = ClipSpec(motion_size=(8, 8))
    assert sum(len(chunk.motion) for chunk in video.chunks(motion)) == 20  # of two whole seconds


@given(st.integers(1, 9), st.lists(st.integers(0, 12)).map(sorted), st.sampled_from([1.0, 2.5, 4.0]))
def test_frames_in_memory_are_a_video(count: int, indices: list[int], fps: float) -> None:
    frames = moving(count, height=4, width=40)
    video = FramesVideo(frames, fps=fps)
    assert isinstance(video, Video)
    assert video.count() == count
    assert [id(frame) for frame in video.frames_at(indices)] == [id(frames[min(i, count - 1)]) for i in indices]
    chunks = list(video.chunks())
    assert [chunk.index for chunk in chunks] == list(range(max(1, int(count / fps))))
    assert all(any(chunk.key_frame is frame for frame in frames) for chunk in chunks)


def test_frames_in_memory_have_facts_and_their_limits() -> None:
    video = FramesVideo(moving(6), fps=2.0)
    facts = video.info
    assert (facts.width, facts.height, facts.fps, facts.duration, facts.is_still) == (64, 48, 2.0, 3.0, False)
    assert FramesVideo(moving(1)).info.is_still
    with pytest.raises(MediaError, match="has no frames"):
        FramesVideo([])
    with pytest.raises(ValueError, match="no motion frames"):
        list(video.chunks(ClipSpec(motion_size=(8, 8))))
