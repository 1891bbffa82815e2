"""What a file or its decoder knows of damage is said, always in the same words; what is intact is left alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.video.checksums import SliceCheck, damaged_clusters
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless, write_video

Picture = NDArray[np.uint8]


def pictures(count: int) -> list[Picture]:
    noise = np.random.default_rng(7).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    return [np.roll(noise, index, axis=1) for index in range(count)]


def outcome(path: Path, threads: int | None = None) -> tuple[str | None, bytes]:
    """Return the problem and the pictures."""
    clip = open_clip(path, threads=threads)
    shown = b"".join(chunk.key_frame.tobytes() for chunk in clip.chunks())
    return clip.problem, shown


def flip(path: Path, *places: int) -> None:
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0xFF
    path.write_bytes(data)


def every(path: Path, step: int = 977) -> None:
    flip(path, *range(2000, path.stat().st_size, step))


def one(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [every, one])
@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_lossless_video_with_flipped_bytes_is_partial(
    tmp_path: Path, suffix: str, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path, pictures(30), fps=10, codec="ffv1", pixel_format="yuv420p", options={"level": "3"})
    assert outcome(path)[0] is None
    if suffix == ".avi" and damage is every:
        return  # not one packet agrees: whether there are checksums is not known
    damage(path)
    found = [outcome(path, threads) for threads in (None, 1, 2, None)]
    assert found[0][0] is not None
    assert all(other == found[0] for other in found)


def test_frame_that_differs_from_its_checksum_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_lossless(path, [np.full((32, 48, 3), 10 * index, np.uint8) for index in range(6)], fps=2)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place = path.read_bytes().index(bytes(packets[2])) + packets[2].size // 2
    flip(path, place)
    clip = open_clip(path)
    assert [int(chunk.key_frame[0, 0, 0]) for chunk in clip.chunks()] == [0, 30, 40]
    assert clip.problem is not None
    assert clip.problem.startswith("1 damaged packet left out")


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mkv"), ("libvpx-vp9", ".mkv"), ("mpeg4", ".mkv")])
def test_checksums_of_clusters_tell_what_no_decoder_does(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path, pictures(20), fps=10, codec=codec, options={"g": "10"})
    assert outcome(path)[0] is None
    flip(path, path.stat().st_size // 2)
    assert outcome(path)[0] is not None
    assert outcome(path) == outcome(path, 1)


def count_of(data: bytes, tmp_path: Path) -> int:
    path = tmp_path / "part"
    path.write_bytes(data)
    with io.FileIO(path) as file:
        file.seek(5)
        try:
            return damaged_clusters(file)
        finally:
            assert file.tell() == 5


def test_clusters_of_whole_cut_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_video(path, pictures(20), fps=10)
    data = path.read_bytes()
    assert count_of(data, tmp_path) == 0
    for part in (0.2, 0.5, 0.9):
        assert count_of(data[: int(part * len(data))], tmp_path) == 0
    assert count_of(b"", tmp_path) == 0
    assert count_of(b"no matroska", tmp_path) == 0
    assert count_of(bytes(1000), tmp_path) == 0


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_to_the_structure_ends(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "clip.webm"
    write_video(path, pictures(10), fps=10, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    data, random = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for place in random.integers(0, len(data), 40):
        data[place] = random.integers(0, 256)
    assert count_of(bytes(data), tmp_path) >= 0


def test_streams_without_checksums_are_taken_as_they_are() -> None:
    check = SliceCheck()
    assert not any(check.is_damaged(bytes([value]) * 40) for value in range(50))
    assert not check.has_checksums


def test_damaged_h264_is_seen_on_every_run(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    # no frame is held back for reordering: decoder threads are still at work on what is handed out
    write_video(path, pictures(40), fps=10, options={"preset": "ultrafast", "g": "20", "tune": "zerolatency"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = np.random.default_rng(1).bytes(500)
    path.write_bytes(data)
    first = outcome(path, 1)
    assert first[0] is not None
    assert all(outcome(path, threads) == first for threads in (2, 4, 8) for _ in range(5))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_damaged_image_is_partial_or_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    codec, pixel_format = ("mjpeg", "yuvj420p") if name == "a.jpg" else ("png", "rgb24")
    write_video(path, pictures(1), fps=1, codec=codec, pixel_format=pixel_format)
    whole = outcome(path)
    assert whole[0] is None
    if codec == "png":  # a colour profile or a comment with a wrong checksum takes nothing from the picture
        data = path.read_bytes()
        path.write_bytes(data[:33] + b"\0\0\0\x03tEXtk\0vbad!" + data[33:])
    else:
        every(path, 97)
    problem, shown = outcome(path)
    assert problem == "damaged: the image is shown as well as it decodes"
    assert (shown == whole[1]) == (codec == "png")


def test_recording_that_begins_late_has_not_ended_early(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "gray"
        stream.codec_context.time_base = Fraction(1, 10)
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32), index, np.uint8), format="gray")
            frame.pts, frame.time_base = 1000 + index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert outcome(path)[0] is None


def test_header_without_a_time_scale_makes_no_hours(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, pictures(8), fps=10)
    data = bytearray(path.read_bytes())
    place = data.index(b"mdhd") + 4 + 12
    data[place : place + 4] = bytes(4)
    path.write_bytes(data)
    assert len(list(open_clip(path).chunks())) <= 8 * 60


def test_long_motion_jpeg_is_not_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mjpeg"
    write_video(path, pictures(3), fps=10, codec="mjpeg", pixel_format="yuvj420p")
    monkeypatch.setattr("w2svqa.video.source._LARGEST_JPEG", path.stat().st_size - 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read at once"))
    assert outcome(path)[0] is None
