"""Pictures for pages: small, upright, of the right frame, and clips that a browser plays."""

from __future__ import annotations

import base64
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from w2svqa.core.errors import InputError, MediaError
from w2svqa.report.pictures import playable, thumbnail
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless
from w2svqa.video.image import write_image
from w2svqa.video.probe import probe


def flat(value: int, height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), value, np.uint8)


def content(address: str, kind: str) -> bytes:
    head, _, data = address.partition(";base64,")
    assert head == f"data:{kind}"
    return base64.b64decode(data)


def shown(address: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(content(address, "image/jpeg"))) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture.convert("RGB"))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two and a half seconds: black, then grey, then white."""
    frames = [flat(value, 60, 100) for value in (0, 128, 255) for _ in range(4)][:10]
    write_lossless(tmp_path / "a.mkv", frames, fps=Fraction(4))
    return tmp_path / "a.mkv"


def test_a_thumbnail_is_of_the_second_second_in_its_shape(video: Path) -> None:
    picture = shown(thumbnail(video, side=50))
    assert picture.shape == (30, 50, 3)
    assert np.abs(picture.astype(int) - 128).max() <= 3
    assert thumbnail(video) == thumbnail(video)
    assert shown(thumbnail(video)).shape == (60, 100, 3)  # never enlarged


def test_a_thumbnail_of_a_shorter_video_or_a_still_is_of_its_first_frame(tmp_path: Path) -> None:
    write_lossless(tmp_path / "b.mkv", [flat(200, 16, 400)] * 2, fps=Fraction(4))
    write_image(tmp_path / "c.png", flat(200, 400, 1))
    assert shown(thumbnail(tmp_path / "b.mkv", side=100)).shape == (4, 100, 3)
    assert shown(thumbnail(tmp_path / "c.png", side=100)).shape == (100, 1, 3)


def test_what_is_no_video_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "d.mp4").write_bytes(b"no video")
    for path in (tmp_path / "d.mp4", tmp_path / "nowhere.mp4"):
        with pytest.raises(InputError):
            thumbnail(path)


def test_a_clip_is_h264_of_the_wished_length_and_size(video: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mp4"
    made.write_bytes(content(playable(video, seconds=2, side=50), "video/mp4"))
    info = probe(made)
    assert (info.codec, info.pixel_format, info.width, info.height, info.fps) == ("h264", "yuv420p", 50, 30, 4.0)
    with open_clip(made) as clip:
        levels = [float(chunk.key_frame.mean()) for chunk in clip.chunks()]
    assert levels == pytest.approx([0, 128], abs=3)
    assert playable(video) == playable(video)


def test_a_still_cannot_be_played(tmp_path: Path) -> None:
    write_image(tmp_path / "c.png", flat(200, 40, 40))
    with pytest.raises(MediaError, match="still image"):
        playable(tmp_path / "c.png")
