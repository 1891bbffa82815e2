from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.errors import MediaError, MissingInputError, StoreError
from w2svqa.core.records import ClipSpec
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import LOSSLESS_SUFFIXES, transcode, write_lossless, write_video
from w2svqa.video.frames import read_frames
from w2svqa.video.image import write_image
from w2svqa.video.probe import probe
from w2svqa.video.scene import scene_frames

Picture = NDArray[np.uint8]
COLOUR = (200, 30, 60)


def flat(value: int | tuple[int, int, int], height: int = 48, width: int = 64) -> Picture:
    return np.full((height, width, 3), value, np.uint8)


def noise(count: int, height: int = 48, width: int = 64) -> list[Picture]:
    random = np.random.default_rng(7)
    return [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def key_frames(path: Path) -> list[Picture]:
    return [chunk.key_frame for chunk in open_clip(path).chunks()]


@pytest.mark.parametrize("height", [48, 720])
def test_colours_survive_and_are_tagged(tmp_path: Path, height: int) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, [flat(COLOUR, height)] * 5, fps=5, options={"qp": "1"})
    assert np.abs(key_frames(path)[0].astype(int) - COLOUR).max() <= 4
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1 if height == 720 else 6, 1)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx265"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")]
)
def test_containers_and_codecs(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    options = {"libx265": {"x265-params": "log-level=none"}, "libvpx-vp9": {"cpu-used": "8"}}.get(codec)
    write_video(path, [flat(120)] * 12, fps=Fraction(24000, 1001), codec=codec, options=options)
    info = probe(path)
    assert info.fps == pytest.approx(23.976, abs=0.01)
    assert np.abs(key_frames(path)[0].astype(int) - 120).max() <= 4


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (5, 7)])
def test_lossless_comes_back_bit_for_bit(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "exact.mkv"
    pictures = noise(3, *size)
    write_lossless(path, pictures, fps=1)
    assert all((read == picture).all() for read, picture in zip(key_frames(path), pictures, strict=True))


def test_odd_sizes_grow_by_one_in_420(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    write_video(path, [flat(80, 47, 63)] * 2, fps=2)
    assert key_frames(path)[0].shape == (48, 64, 3)


def test_bad_frames(tmp_path: Path) -> None:
    path = tmp_path / "bad.mp4"
    with pytest.raises(ValueError, match="no frames"):
        write_video(path, [], fps=10)
    with pytest.raises(ValueError, match="uint8"):
        write_video(path, [np.zeros((4, 4), np.uint8)], fps=10)
    with pytest.raises(ValueError, match="frame 1 is 32 x 48, not 64 x 48"):
        write_video(path, [flat(1), flat(1, 48, 32)], fps=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [("a.mp4", "no-such-codec", "yuv420p"), ("a.none", "libx264", "yuv420p"), ("a.mp4", "libx264", "no-such-format")],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_video(tmp_path / name, [flat(1)], fps=10, codec=codec, pixel_format=pixel_format)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        write_video(tmp_path / "none" / "a.mp4", [flat(1)], fps=10)


def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")

    def broken() -> Iterator[Picture]:
        yield flat(1)
        raise KeyError("the source failed")

    with pytest.raises(KeyError):
        write_video(path, broken(), fps=10)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "big.mkv"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StoreError) as caught:
            write_lossless(path, noise(30), fps=10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a:b.mp4", "img%03d.mp4", "-x.mp4", "new\nline.mp4", os.fsdecode(b"\xff.mp4")])
def test_any_name_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(name, [flat(1)] * 2, fps=2)
    assert [entry.name for entry in Path().iterdir()] == [name]


def test_transcode_keeps_timing_size_and_colours(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "target.mp4"
    write_video(source, [flat((10 * index, 100, 50)) for index in range(20)], fps=10, options={"qp": "1"})
    transcode(source, target, codec="libx264", options={"crf": "20"})
    one, other = (list(open_clip(path, ClipSpec(motion_size=(8, 8))).chunks()) for path in (source, target))
    for before, after in zip(one, other, strict=True):
        assert after.motion_times == pytest.approx(before.motion_times, abs=2e-3)
        assert np.abs(after.key_frame.astype(int) - before.key_frame).max() <= 6
    assert probe(target).pixel_format == "yuv420p"


@pytest.mark.parametrize("height", [48, 720])
def test_transcode_of_rgb_keeps_colours(tmp_path: Path, height: int) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "target.mp4"
    write_lossless(source, [flat(COLOUR, height)] * 5, fps=5)
    transcode(source, target, codec="libx264", options={"qp": "1"})
    assert probe(target).pixel_format == "yuv420p"
    assert np.abs(key_frames(target)[0].astype(int) - COLOUR).max() <= 4


def test_transcode_keeps_full_range(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "target.webm"
    write_video(source, [flat(COLOUR)] * 5, fps=5, codec="mjpeg", pixel_format="yuvj420p", options={"qscale": "1"})
    transcode(source, target, codec="libvpx-vp9", options={"crf": "10", "b": "0", "cpu-used": "8"})
    for path in (source, target):
        assert np.abs(key_frames(path)[0].astype(int) - COLOUR).max() <= 8


def test_transcode_makes_it_worse(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "target.mp4"
    write_video(source, noise(10), fps=10, options={"qp": "10"})
    transcode(source, target, codec="libx264", options={"crf": "51"})
    assert target.stat().st_size < source.stat().st_size / 5


def test_transcode_takes_a_part(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "target.mkv"
    write_lossless(source, [flat(5 * index) for index in range(40)], fps=10)
    transcode(source, target, codec="ffv1", options={}, start=1.0, max_seconds=2.0)
    chunks = list(open_clip(target, ClipSpec(motion_size=(8, 8))).chunks())
    assert [int(chunk.key_frame[0, 0, 0]) for chunk in chunks] == [50, 100]
    assert [len(chunk.motion) for chunk in chunks] == [10, 10]


def test_transcode_keeps_variable_timing_and_rotation(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / "target.mp4"
    stamps = [0, 100, 700, 1000, 1900]
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.set_display_rotation(-90)
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(flat(40 * index), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    transcode(source, target, codec="libx264", options={"bf": "0"})
    clip = open_clip(target, ClipSpec(motion_size=(8, 8)))
    times = np.concatenate([chunk.motion_times for chunk in clip.chunks()])
    assert times == pytest.approx(np.array(stamps) / 1000, abs=2e-3)
    assert (clip.info.rotation, clip.info.width) == (90, 48)


def test_transcode_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        transcode(tmp_path / "none.mp4", tmp_path / "a.mp4", codec="libx264", options={})
    source = tmp_path / "short.mkv"
    write_lossless(source, [flat(1)] * 5, fps=5)
    with pytest.raises(Exception, match="no frame from second 9"):
        transcode(source, tmp_path / "a.mp4", codec="libx264", options={}, start=9)
    assert list(tmp_path.iterdir()) == [source]


def test_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    frames = [np.full((32, 48, 3), value, np.uint8) for value in (0, 90, 255)]
    for name in ("one.mkv", "two.mkv"):
        write_lossless(tmp_path / name, frames, fps=5)
    assert (tmp_path / "one.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()


def test_time_stamps_that_run_backwards_are_encoded(tmp_path: Path) -> None:
    source, target = tmp_path / "scene.avi", tmp_path / "copy.mp4"
    # AVI keeps no presentation times, so with B-frames FFmpeg gives frames the times of others
    write_video(source, scene_frames(width=64, height=48, frames=40), fps=30, options={"bf": "3", "threads": "1"})
    transcode(source, target, codec="libx264", options={"crf": "24", "threads": "1"})
    assert sum(1 for _ in read_frames(target)) == sum(1 for _ in read_frames(source)) == 40


@pytest.mark.parametrize("suffix", LOSSLESS_SUFFIXES)
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (5, 7), (1, 1)])
def test_every_lossless_container_comes_back_bit_for_bit(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    pictures = noise(3, *size)
    paths = [tmp_path / f"one{suffix}", tmp_path / f"TWO{suffix.upper()}"]
    for path in paths:
        write_lossless(path, pictures, fps=Fraction(30_000, 1001))
        assert all((read == picture).all() for read, picture in zip(read_frames(path), pictures, strict=True))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert probe(paths[0]).fps == pytest.approx(29.97, abs=0.01)


@pytest.mark.parametrize("name", ["a.txt", "a", "a.flv", "a.png"])
def test_no_lossless_coding_for_a_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match=r"no lossless coding .*choose one of \.mkv"):
        write_lossless(tmp_path / name, [flat(1)], fps=10)
    assert list(tmp_path.iterdir()) == []


def test_transcode_into_a_given_format(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "target.mkv"
    write_video(source, [flat(COLOUR)] * 3, fps=3, pixel_format="yuv444p", options={"qp": "1"})
    transcode(source, target, codec="libx264", options={"qp": "1"})
    assert probe(target).pixel_format == "yuv444p"
    transcode(source, target, codec="libx264", options={"qp": "1"}, pixel_format="yuv420p")
    assert probe(target).pixel_format == "yuv420p"
    assert np.abs(key_frames(target)[0].astype(int) - COLOUR).max() <= 4


def test_transcode_refuses_what_is_too_small_for_an_encoder(tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    write_lossless(source, [flat(1)] * 3, fps=3)
    with pytest.raises(MediaError, match=r"source\.mkv: the picture has 64 x 48 pixels.*at least 49 x 49"):
        transcode(source, tmp_path / "a.mkv", codec="libx264", options={}, least_side=49)
    transcode(source, tmp_path / "a.mkv", codec="libx264", options={}, least_side=48)


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1)])
def test_an_image_comes_back_bit_for_bit(tmp_path: Path, size: tuple[int, int]) -> None:
    path, picture = tmp_path / "a.png", noise(1, *size)[0]
    write_image(path, picture)
    assert (key_frames(path)[0] == picture).all()
    assert probe(path).is_still
    with pytest.raises(ValueError, match="a picture must be uint8"):
        write_image(path, picture[..., 0])
    assert list(tmp_path.iterdir()) == [path]
