from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from w2svqa.core.protocols import Clip
from w2svqa.core.records import Chunk, ClipSpec
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless, write_video
from w2svqa.video.probe import probe

Picture = NDArray[np.uint8]
Encode = Callable[..., Path]
LUMA = ClipSpec(motion_size=(8, 8))


def flat(value: int | tuple[int, int, int], height: int = 48, width: int = 64) -> Picture:
    return np.full((height, width, 3), value, np.uint8)


def quadrants(height: int = 48, width: int = 64) -> Picture:
    """Red, green, blue, white from top left to bottom right."""
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    picture[:top, :left, 0], picture[:top, left:, 1], picture[top:, :left, 2] = 255, 255, 255
    picture[top:, left:] = 255
    return picture


def noise(count: int, height: int = 96, width: int = 128) -> list[Picture]:
    random = np.random.default_rng(7)
    base = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [np.roll(base, index, axis=1) for index in range(count)]


def read(path: Path, spec: ClipSpec = LUMA) -> list[Chunk]:
    return list(open_clip(path, spec).chunks())


def greys(chunks: list[Chunk]) -> list[int]:
    return [int(chunk.key_frame[0, 0, 0]) for chunk in chunks]


def test_one_key_frame_per_second_and_every_frame_for_motion(tmp_path: Path) -> None:
    path = tmp_path / "ten.mkv"
    write_lossless(path, [flat(index) for index in range(35)], fps=10)
    clip = open_clip(path, LUMA)
    chunks = list(clip.chunks())
    assert isinstance(clip, Clip)
    assert greys(chunks) == [0, 10, 20, 30]
    assert [chunk.index for chunk in chunks] == [0, 1, 2, 3]
    assert [len(chunk.motion) for chunk in chunks] == [10, 10, 10, 5]
    assert chunks[1].motion.shape == (10, 8, 8)
    assert chunks[1].motion_times == pytest.approx(np.arange(10, 20) / 10)
    assert np.abs(chunks[1].motion[:, 0, 0].astype(int) - np.arange(10, 20)).max() <= 1
    assert (clip.problem, clip.notes) == (None, ())


@pytest.mark.parametrize(("frames", "count"), [(1, 1), (4, 1), (10, 1), (14, 1), (15, 2), (24, 2), (25, 3)])
def test_number_of_chunks(tmp_path: Path, frames: int, count: int) -> None:
    path = tmp_path / "clip.mkv"
    write_lossless(path, [flat(9)] * frames, fps=10)
    assert len(read(path)) == count


def test_time_stamps_rule_not_frame_numbers(encode: Encode) -> None:
    stamps = [0, 900, 950, 1000, 1600, 2100, 2200, 2900]
    chunks = read(encode("vfr.mkv", [flat(10 * index) for index in range(8)], stamps))
    assert greys(chunks) == [0, 30, 50]
    assert [chunk.motion_times.tolist() for chunk in chunks] == [
        pytest.approx(times) for times in ([0, 0.9, 0.95], [1, 1.6], [2.1, 2.2, 2.9])
    ]


def test_origin_does_not_matter(encode: Encode) -> None:
    stamps = [5000 + 100 * index for index in range(20)]
    chunks = read(encode("late.mkv", [flat(index) for index in range(20)], stamps))
    assert greys(chunks) == [0, 10]
    assert chunks[0].motion_times[0] == 0


def test_a_second_without_a_frame_repeats_the_one_on_display(encode: Encode) -> None:
    path = encode("gap.mkv", [flat(20), flat(40), flat(60), flat(80)], [0, 500, 3200, 3900])
    clip = open_clip(path, LUMA)
    chunks = list(clip.chunks())
    assert greys(chunks) == [20, 40, 40, 60]
    assert [len(chunk.motion) for chunk in chunks] == [2, 1, 1, 2]
    assert any("2 seconds without a frame" in note for note in clip.notes)


def test_a_bogus_time_stamp_makes_no_chunks(encode: Encode) -> None:
    stamps = [100 * index for index in range(12)] + [90_000_000 + 100 * index for index in range(8)]
    clip = open_clip(encode("jump.mkv", [flat(index) for index in range(20)], stamps), LUMA)
    chunks = list(clip.chunks())
    assert greys(chunks) == [0, 10]
    assert any("jump" in note for note in clip.notes)


def test_motion_at_a_rate_is_the_frame_on_display(tmp_path: Path) -> None:
    path = tmp_path / "rate.mkv"
    write_lossless(path, [flat(10 * index) for index in range(20)], fps=10)
    chunks = read(path, ClipSpec(motion_size=(4, 6), motion_rate=4))
    assert [chunk.motion.shape for chunk in chunks] == [(4, 4, 6)] * 2
    assert chunks[1].motion_times.tolist() == [1.0, 1.25, 1.5, 1.75]
    assert np.abs(chunks[1].motion[:, 0, 0].astype(int) - [100, 120, 150, 170]).max() <= 1


def test_motion_faster_than_the_video_repeats_frames(tmp_path: Path) -> None:
    path = tmp_path / "slow.mkv"
    write_lossless(path, [flat(100 * index) for index in range(2)], fps=2)
    (chunk,) = read(path, ClipSpec(motion_size=(4, 4), motion_rate=8))
    assert chunk.motion[:, 0, 0].tolist() == [0] * 4 + [100] * 4


def test_motion_in_colour_and_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "colour.mkv"
    write_lossless(path, [quadrants()] * 10, fps=10)
    (chunk,) = read(path, ClipSpec(motion_size=(2 * 4, 2 * 4), motion_format="rgb"))
    assert chunk.motion.shape == (10, 8, 8, 3)
    assert chunk.motion[0, 0, 7].tolist() == [0, 255, 0]
    (chunk,) = read(path, ClipSpec())
    assert len(chunk.motion) == len(chunk.motion_times) == 0


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_metadata_turns_the_picture_upright(encode: Encode, degrees: int) -> None:
    # Stored so that a clockwise turn by `degrees` restores the quadrants.
    stored = np.ascontiguousarray(np.rot90(quadrants(), k=degrees // 90))
    path = encode(
        "turned.mp4",
        [stored] * 10,
        codec="libx264rgb",
        pixel_format="rgb24",
        options={"qp": "0"},
        prepare=lambda stream: stream.set_display_rotation(-degrees),
    )
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (64, 48, degrees)
    (chunk,) = read(path, ClipSpec(motion_size=(6, 8)))
    assert (chunk.key_frame == quadrants()).all()
    assert chunk.motion.shape[1:] == (6, 8)
    assert chunk.motion[0, 5, 7] >= 254


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(4, 3), (48, 85)), (Fraction(1, 2), (96, 64))])
def test_pixels_are_made_square(encode: Encode, aspect: Fraction, size: tuple[int, int]) -> None:
    def prepare(stream: VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    path = encode("wide.mp4", [quadrants()] * 10, codec="libx264", pixel_format="yuv444p", prepare=prepare)
    (chunk,) = read(path)
    info = probe(path)
    assert chunk.key_frame.shape[:2] == size == (info.height, info.width)
    assert info.pixel_aspect == aspect


def test_pixels_within_a_percent_of_square_are_left_alone(encode: Encode) -> None:
    def prepare(stream: VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(640, 639)

    path = encode("near.mp4", [quadrants()] * 10, codec="libx264", pixel_format="yuv444p", prepare=prepare)
    assert read(path)[0].key_frame.shape == (48, 64, 3)


def test_interlaced_is_noted(encode: Encode) -> None:
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1:interlaced=1"}
    path = encode("fields.mp4", [flat(90)] * 10, codec="libx264", pixel_format="yuv420p", options=options)
    clip = open_clip(path)
    list(clip.chunks())
    assert clip.info.interlaced
    assert any("interlaced" in note for note in clip.notes)


@pytest.mark.parametrize(("number", "transfer"), [(16, "pq"), (18, "hlg")])
def test_hdr_is_tone_mapped_and_noted(encode: Encode, number: int, transfer: str) -> None:
    def prepare(stream: VideoStream) -> None:
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = number, 9, 9, 1

    path = encode("hdr.mkv", [flat(148)] * 10, codec="ffv1", pixel_format="yuv420p10le", prepare=prepare)
    clip = open_clip(path)
    (chunk,) = clip.chunks()
    assert clip.info.transfer == transfer
    assert any(f"HDR ({transfer.upper()}) tone-mapped to SDR" in note for note in clip.notes)
    # 148 of 255 is 0.58: 202 cd/m2 in PQ, rolled off to 78 % of SDR white; 76 cd/m2 in HLG, below the knee.
    expected = {"pq": 230, "hlg": 169}[transfer]
    assert np.abs(chunk.key_frame.astype(int) - expected).max() <= 4


def test_changing_sizes_keep_their_own(tmp_path: Path) -> None:
    path = tmp_path / "sizes.ts"
    with path.open("wb") as file:
        for height in (48, 96):
            part = tmp_path / f"{height}.h264"
            write_video(part, [flat(80, height)] * 10, fps=10, options={"bf": "0"})
            file.write(part.read_bytes())
    clip = open_clip(path.rename(tmp_path / "sizes.h264"), LUMA)
    shapes = {chunk.key_frame.shape[:2] for chunk in clip.chunks()}
    assert any("size changes" in note for note in clip.notes)
    assert (48, 64) in shapes


def test_leading_b_frames_and_edit_lists_start_at_the_first_frame_shown(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    pictures = [flat(10 * index) for index in range(20)]
    write_video(path, pictures, fps=10, options={"bf": "3", "qp": "1", "b_strategy": "0"})
    chunks = read(path)
    assert np.abs(np.array(greys(chunks)) - [0, 100]).max() <= 3
    assert [len(chunk.motion) for chunk in chunks] == [10, 10]


def test_raw_stream_without_time_stamps(tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"
    write_video(path, [flat(80)] * 50, fps=25, options={"bf": "0"})
    clip = open_clip(path, LUMA)
    assert [len(chunk.motion) for chunk in clip.chunks()] == [25, 25]


def test_same_chunks_on_every_run_thread_count_and_in_parallel(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    write_video(path, noise(30), fps=10)

    def digest(threads: int | None) -> list[bytes]:
        clip = open_clip(path, LUMA, threads=threads)
        return [chunk.key_frame.tobytes() + chunk.motion.tobytes() for chunk in clip.chunks()]

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(digest, [None, 1, 2, None]))
    assert all(result == results[0] for result in results)
    clip = open_clip(path, LUMA)
    first = [chunk.key_frame.tobytes() for chunk in clip.chunks()]
    assert first == [chunk.key_frame.tobytes() for chunk in clip.chunks()]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """However long the video, no more than a few decoded frames are alive at a time."""
    path = tmp_path / "long.mp4"
    write_video(path, [flat(index % 200) for index in range(400)], fps=20)
    gc.collect()
    gc.disable()
    try:
        most = 0
        for _ in open_clip(path, LUMA, threads=1).chunks():
            most = max(most, sum(issubclass(type(thing), VideoFrame) for thing in gc.get_objects()))
    finally:
        gc.enable()
    assert most <= 6


def test_an_unused_clip_lets_go_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_lossless(path, [flat(9)] * 10, fps=10)
    clip = open_clip(path)
    del clip  # a ResourceWarning would fail this test
    gc.collect()
    with open_clip(path) as again:
        assert again.info.codec == "ffv1"
    assert len(list(again.chunks())) == 1


def test_large_pictures(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    write_video(path, [flat(77, 16, 16384)] * 2, fps=2, codec="mjpeg", pixel_format="yuvj420p")
    assert np.abs(read(path)[0].key_frame.astype(int) - 77).max() <= 2


def test_sound_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        sound = container.add_stream("aac", rate=8000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for index in range(10):
            frame = VideoFrame.from_ndarray(flat(50), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 40_000), np.float32), format="fltp", layout="stereo")
        silence.sample_rate, silence.pts = 8000, 0
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    clip = open_clip(path)
    assert len(list(clip.chunks())) == 1
    assert clip.problem is None
