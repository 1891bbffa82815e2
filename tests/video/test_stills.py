from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from w2svqa.core.records import ClipSpec
from w2svqa.video.decode import open_clip

GRADIENT = np.add.outer(np.arange(60), np.arange(80)).astype(np.uint8)
PICTURE = np.dstack([GRADIENT, GRADIENT[::-1], GRADIENT[:, ::-1]])


def only(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    clip = open_clip(path, ClipSpec(motion_size=(8, 8)))
    (chunk,) = clip.chunks()
    assert clip.info.is_still
    assert (clip.info.duration, clip.info.fps, clip.problem) == (None, None, None)
    assert chunk.motion.shape == (0, 8, 8)
    return chunk.key_frame


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_lossless_images_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(PICTURE).save(path)
    assert (only(path) == PICTURE).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_images_come_back_nearly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(PICTURE).save(path, quality=95)
    assert np.abs(only(path).astype(int) - PICTURE).mean() < 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "I;16", "1"])
def test_png_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.png"
    if mode == "I;16":
        Image.fromarray(GRADIENT.astype(np.uint16) * 257).save(path)
        expected = np.dstack([GRADIENT] * 3)
    else:
        image = Image.fromarray(PICTURE).convert(mode)
        image.save(path)
        expected = np.asarray(image.convert("RGB"))
    assert np.abs(only(path).astype(int) - expected).max() <= 1


def test_grey_and_cmyk_jpeg(tmp_path: Path) -> None:
    for mode in ("L", "CMYK"):
        path = tmp_path / f"{mode}.jpg"
        Image.fromarray(PICTURE).convert(mode).save(path, quality=95)
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(only(path) - expected).mean() < 3


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientation(tmp_path: Path, value: int) -> None:
    path = tmp_path / "turned.jpg"
    image = Image.fromarray(PICTURE)
    exif = image.getexif()
    exif[0x0112] = value
    image.save(path, exif=exif, quality=95, subsampling=0)
    with Image.open(path) as again:
        expected = np.asarray(ImageOps.exif_transpose(again)).astype(int)
    result = only(path)
    assert result.shape == expected.shape
    assert np.abs(result - expected).mean() < 2


def test_animations_are_videos_and_single_pictures_are_not(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(PICTURE, index, axis=1)) for index in range(15)]
    for suffix in ("gif", "png"):
        path = tmp_path / f"moving.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
        clip = open_clip(path, ClipSpec(motion_size=(8, 8)))
        assert not clip.info.is_still
        assert [len(chunk.motion) for chunk in clip.chunks()] == [10, 5]
    path = tmp_path / "single.gif"
    frames[0].save(path)
    assert only(path).shape == PICTURE.shape


def test_a_jpeg_that_was_cut_off_is_partial(tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    random = np.random.default_rng(3).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(random).save(path)
    path.write_bytes(path.read_bytes()[:15_000])
    clip = open_clip(path)
    assert len(list(clip.chunks())) == 1
    assert clip.problem == "cut off: the image has no end"


def test_an_animation_whose_container_breaks_is_partial_or_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(PICTURE, index, axis=1)) for index in range(12)]
    whole, path = tmp_path / "whole.png", tmp_path / "broken.png"
    frames[0].save(whole, save_all=True, append_images=frames[1:], duration=100)
    data = bytearray(whole.read_bytes())
    # the length of the chunk that opens the sixth picture
    position = [index for index in range(len(data)) if data[index : index + 4] == b"fcTL"][5]
    data[position - 4 : position] = b"\x7f\xff\xff\xff"
    path.write_bytes(data)
    clip = open_clip(path)
    assert len(list(clip.chunks())) == 1
    assert clip.problem is not None
