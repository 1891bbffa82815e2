from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame

from w2svqa.video.colour import FrameConverter, has_alpha, over_black

# Luma weights of red and blue by ITU-T H.273 MatrixCoefficients.
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
COLOURS = [(255, 255, 255), (0, 0, 0), (200, 30, 60), (20, 180, 90), (40, 60, 220), (128, 128, 128), (250, 240, 10)]
LIMITED, FULL = 1, 2
# swscale's fast 8-bit path; see the docstring of colour.py.
TOLERANCE = 3


def yuv(colour: tuple[int, int, int], matrix: int, colour_range: int, bits: int) -> list[int]:
    red_weight, blue_weight = WEIGHTS[matrix]
    red, green, blue = (channel / 255 for channel in colour)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    chroma = (blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)
    if colour_range == FULL:
        top = (1 << bits) - 1
        return [round(luma * top), *(round(value * top) + (1 << (bits - 1)) for value in chroma)]
    scale = 1 << (bits - 8)
    return [round((16 + 219 * luma) * scale), *(round((128 + 224 * value) * scale) for value in chroma)]


def flat_frame(pixel_format: str, values: list[int], bits: int, width: int = 64, height: int = 48) -> VideoFrame:
    frame = VideoFrame(width, height, pixel_format)
    for plane, value in zip(frame.planes, values, strict=True):
        item = np.dtype(np.uint8 if bits == 8 else "<u2")
        plane.update(np.full(plane.buffer_size // item.itemsize, value, item).tobytes())
    return frame


@pytest.mark.parametrize("colour_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
@pytest.mark.parametrize(
    ("pixel_format", "bits"),
    [
        ("yuv420p", 8),
        ("yuv422p", 8),
        ("yuv444p", 8),
        ("yuv420p10le", 10),
        ("yuv422p10le", 10),
        ("yuv444p12le", 12),
        ("yuvj420p", 8),
    ],
)
def test_colours_survive_every_matrix_range_and_depth(
    pixel_format: str, bits: int, matrix: int, colour_range: int
) -> None:
    if pixel_format.startswith("yuvj") and colour_range == LIMITED:
        pytest.skip("yuvj is full range by definition")
    converter = FrameConverter()
    for colour in COLOURS:
        values = yuv(colour, matrix, colour_range, bits)
        frame = flat_frame(pixel_format, values, bits)
        frame.colorspace, frame.color_range = matrix, colour_range
        picture = converter.rgb(frame, 64, 48)
        assert picture.shape == (48, 64, 3)
        assert np.abs(picture.astype(int) - colour).max() <= TOLERANCE, (colour, picture[0, 0])
        coded = values[0] / ((1 << bits) - 1) if colour_range == FULL else (values[0] / (1 << (bits - 8)) - 16) / 219
        assert np.abs(converter.luma(frame, 16, 8) - 255.0 * coded).max() <= 2


@pytest.mark.parametrize(("height", "matrix"), [(480, 6), (720, 1), (1080, 1)])
def test_an_unnamed_matrix_goes_by_the_height(height: int, matrix: int) -> None:
    colour = (200, 30, 60)
    frame = flat_frame("yuv420p", yuv(colour, matrix, LIMITED, 8), 8, 32, height)
    frame.colorspace, frame.color_range = 2, 0
    assert np.abs(FrameConverter().rgb(frame, 32, height).astype(int) - colour).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("pixel_format", "colour", "tolerance"),
    [
        ("gray", (100, 100, 100), 0),
        ("gray10le", (100, 100, 100), 1),
        ("gray16le", (100, 100, 100), 1),
        ("ya8", (100, 100, 100), 0),
        ("rgb24", (200, 30, 60), 0),
        ("bgr24", (200, 30, 60), 0),
        ("bgr0", (200, 30, 60), 0),
        ("gbrp", (200, 30, 60), 0),
        ("gbrp10le", (200, 30, 60), 1),
        ("rgb48le", (200, 30, 60), 1),
        ("rgba", (200, 30, 60), 0),
        ("gbrap", (200, 30, 60), 0),
    ],
)
def test_other_layouts(pixel_format: str, colour: tuple[int, int, int], tolerance: int) -> None:
    picture = np.full((6, 8, 3), colour, np.uint8)
    frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format, threads=1)
    result = FrameConverter().rgb(frame, 8, 6)
    assert np.abs(result.astype(int) - picture).max() <= tolerance


def test_alpha_is_composited_over_black() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, 51
    frame = VideoFrame.from_ndarray(rgba, format="rgba")
    assert has_alpha(frame)
    assert FrameConverter().rgb(frame, 4, 4)[0, 0].tolist() == [40, 0, 0]
    opaque = np.dstack([rgba[..., :3], np.full((4, 4), 255, np.uint8)])
    assert (over_black(opaque) == rgba[..., :3]).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (1, 2), (3, 3), (5, 7), (17, 1)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le", "rgb24", "gray"])
def test_tiny_frames_convert(pixel_format: str, width: int, height: int) -> None:
    picture = np.full((height, width, 3), 90, np.uint8)
    frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format, threads=1)
    converter = FrameConverter()
    assert converter.rgb(frame, width, height).shape == (height, width, 3)
    assert converter.luma(frame, 64, 64).shape == (64, 64)
