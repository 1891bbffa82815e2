from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from w2svqa.core.errors import InputError, MediaError, MissingInputError, StoreError
from w2svqa.distort import streaming
from w2svqa.distort.streaming import (
    AV1_LEAST_SIDE,
    H265_LEAST_SIDE,
    STREAMING_SUFFIXES,
    encode_av1,
    encode_h264,
    encode_h265,
    encode_vp9,
)
from w2svqa.video.encode import write_lossless, write_video
from w2svqa.video.frames import read_frames
from w2svqa.video.scene import scene_frames

Encode = Callable[..., None]

ENCODERS: dict[str, Encode] = {"h264": encode_h264, "h265": encode_h265, "vp9": encode_vp9, "av1": encode_av1}
NAMES_OF_CODECS = {"h264": "h264", "h265": "hevc", "vp9": "vp9", "av1": "av1"}
FRAMES = 12
each_encoder = pytest.mark.parametrize("kind", ENCODERS)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.mkv"
    write_lossless(path, scene_frames(width=128, height=96, frames=FRAMES), fps=12)
    return path


def write_clip(path: Path, width: int, height: int, frames: int = 4) -> Path:
    write_lossless(path, scene_frames(width=width, height=height, frames=frames), fps=4)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@each_encoder
def test_worse_settings_cost_fewer_bits_and_more_error(scene: Path, tmp_path: Path, kind: str) -> None:
    clean = np.stack(list(read_frames(scene))).astype(int)
    sizes, errors = [], []
    for crf in (24, 38, 50):
        path = tmp_path / f"{crf}.mkv"
        ENCODERS[kind](scene, path, crf)
        sizes.append(path.stat().st_size)
        errors.append(float(np.square(np.stack(list(read_frames(path))) - clean).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert errors[-1] > 1.5 * errors[0]


@each_encoder
def test_what_is_written(scene: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mp4"
    ENCODERS[kind](scene, path, 40)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name.startswith(NAMES_OF_CODECS[kind]) or kind == "av1"
        assert (stream.width, stream.height, stream.pix_fmt) == (128, 96, "yuv420p")
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


@each_encoder
def test_the_same_call_writes_the_same_bytes(scene: Path, tmp_path: Path, kind: str) -> None:
    for name in ("one.mkv", "two.mkv"):
        ENCODERS[kind](scene, tmp_path / name, 40)
    assert digest(tmp_path / "one.mkv") == digest(tmp_path / "two.mkv")


@each_encoder
def test_every_suffix_is_read_back(scene: Path, tmp_path: Path, kind: str) -> None:
    for suffix in STREAMING_SUFFIXES[kind]:
        path = tmp_path / f"a{suffix.upper()}"
        ENCODERS[kind](scene, path, 45, 0.5)
        assert sum(1 for _ in read_frames(path)) == FRAMES // 2


@each_encoder
def test_a_container_that_cannot_hold_it(scene: Path, tmp_path: Path, kind: str) -> None:
    for name in ("a.png", "a.txt", "a", "a.webm" if kind.startswith("h") else "a.mov"):
        with pytest.raises(InputError, match=f"cannot hold {kind} .choose one of "):
            ENCODERS[kind](scene, tmp_path / name, 40)
    assert list(tmp_path.iterdir()) == []


@each_encoder
@pytest.mark.parametrize("size", [(97, 73), (72, 75)])
def test_odd_sides_grow_to_even_ones(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    source, target = write_clip(tmp_path / "odd.mkv", *size), tmp_path / "a.mkv"
    ENCODERS[kind](source, target, 35)
    assert next(read_frames(target)).shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)


@each_encoder
def test_ten_bits_and_full_chroma_become_eight_and_420(tmp_path: Path, kind: str) -> None:
    source, target = tmp_path / "deep.mkv", tmp_path / "a.mkv"
    frames = scene_frames(width=96, height=96, frames=3)
    write_video(source, frames, fps=3, codec="ffv1", pixel_format="yuv444p10le", options={"level": "3"})
    ENCODERS[kind](source, target, 35)
    with av.open(str(target)) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("h265", (H265_LEAST_SIDE - 2, 96)),
        ("h265", (96, H265_LEAST_SIDE - 1)),
        ("av1", (AV1_LEAST_SIDE - 1, 96)),
        ("av1", (96, 16)),
    ],
)
def test_too_small_for_the_encoder(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    source = write_clip(tmp_path / "small.mkv", *size)
    least = {"h265": H265_LEAST_SIDE, "av1": AV1_LEAST_SIDE}[kind]
    with pytest.raises(MediaError) as caught:
        ENCODERS[kind](source, tmp_path / "a.mkv", 40)
    for part in ("small.mkv", f"{size[0]} x {size[1]}", f"at least {least} x {least}"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(("kind", "side"), [("h265", H265_LEAST_SIDE), ("av1", AV1_LEAST_SIDE), ("vp9", 16)])
def test_the_smallest_picture(tmp_path: Path, kind: str, side: int) -> None:
    source = write_clip(tmp_path / "small.mkv", side, side)
    ENCODERS[kind](source, tmp_path / "a.mkv", 30)
    assert next(read_frames(tmp_path / "a.mkv")).shape == (side, side, 3)


@each_encoder
@pytest.mark.parametrize("frames", [1, 2])
def test_very_short_videos(tmp_path: Path, kind: str, frames: int) -> None:
    source = write_clip(tmp_path / "short.mkv", 80, 80, frames=frames)
    for _ in range(8):  # x265 leaves a time stamp of theirs unset: now and then it cannot be written
        ENCODERS[kind](source, tmp_path / "a.mkv", 30)
        assert sum(1 for _ in read_frames(tmp_path / "a.mkv")) == frames


@each_encoder
def test_a_missing_source(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MissingInputError, match=r"none\.mp4"):
        ENCODERS[kind](tmp_path / "none.mp4", tmp_path / "a.mkv", 40)
    assert list(tmp_path.iterdir()) == []


@each_encoder
def test_an_encoder_that_refuses_leaves_nothing(
    scene: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(streaming._ENCODERS, kind, "no-such-encoder")
    with pytest.raises(StoreError, match=r"a\.mkv: cannot be written: .*no-such-encoder"):
        ENCODERS[kind](scene, tmp_path / "a.mkv", 40)
    assert list(tmp_path.iterdir()) == []


def test_presets_of_h265_trade_time_for_bits(scene: Path, tmp_path: Path) -> None:
    for preset in ("ultrafast", "slow"):
        encode_h265(scene, tmp_path / f"{preset}.mkv", 36, preset=preset)
    assert digest(tmp_path / "ultrafast.mkv") != digest(tmp_path / "slow.mkv")
    with pytest.raises(StoreError, match="cannot be written"):
        encode_h265(scene, tmp_path / "a.mkv", 36, preset="no-such-preset")
    assert not (tmp_path / "a.mkv").exists()


@each_encoder
def test_encoders_print_nothing(scene: Path, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    ENCODERS[kind](scene, tmp_path / "a.mkv", 40)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only where threads have a policy")
def test_an_encoder_leaves_the_priority_of_its_caller_as_it_was(scene: Path, tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    encode_av1(scene, tmp_path / "av1.mkv", 63)
    assert os.sched_getscheduler(0) == before
