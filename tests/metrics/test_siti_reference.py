"""SI and TI against FFmpeg's filter ``siti``, which follows the same recommendation.

They agree to the filter's two decimals on full range. Limited range it stretches to 0-255 as we do, but cuts levels to
whole numbers where we round: with its cut they agree as well, without it to a thousandth. It looks at every frame and
leaves pooling to its reader; ours takes the greatest of one frame a second.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph
from av.video.frame import VideoFrame
from metric_pictures import Grey, rounded, texture

from w2svqa.metrics import measure
from w2svqa.metrics.si import si
from w2svqa.metrics.ti import ti
from w2svqa.video.encode import write_video

pytestmark = pytest.mark.skipif("siti" not in av.filter.filters_available, reason="this FFmpeg has no filter siti")

FULL, LIMITED = "yuvj420p", "yuv420p"
SIZES = [(96, 128), (97, 131), (200, 320)]
DECIMALS = 0.0051


def filtered(frames: list[VideoFrame]) -> list[tuple[float, float]]:
    """SI and TI of each frame by FFmpeg."""
    graph = Graph()
    first = frames[0]
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=Fraction(1, 25))
    siti, sink = graph.add("siti"), graph.add("buffersink")
    source.link_to(siti)
    siti.link_to(sink)
    graph.configure()
    values = []
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, Fraction(1, 25)
        graph.push(frame)
        told = graph.pull().metadata
        values.append((float(told["lavfi.siti.si"]), float(told["lavfi.siti.ti"])))
    return values


def yuv(luma: Grey, pixel_format: str) -> VideoFrame:
    height, width = luma.shape
    frame = VideoFrame(width, height, pixel_format)
    plane = frame.planes[0]
    rows = np.zeros((height, plane.line_size), np.uint8)
    rows[:, :width] = luma
    plane.update(rows.tobytes())
    for chroma in frame.planes[1:]:
        chroma.update(bytes([128]) * chroma.buffer_size)
    return frame


def ours(pictures: list[Grey]) -> list[tuple[float, float]]:
    before = [pictures[0], *pictures[:-1]]
    return [(si(now), ti(*pair)) for now, *pair in zip(pictures, before, pictures, strict=True)]


@pytest.mark.parametrize("size", SIZES)
def test_full_range_agrees(size: tuple[int, int]) -> None:
    pictures = [texture(*size, seed) for seed in range(3)]
    found = filtered([yuv(each, FULL) for each in pictures])
    assert ours(pictures) == [pytest.approx(each, abs=DECIMALS) for each in found]


@pytest.mark.parametrize("size", SIZES)
def test_limited_range_differs_by_rounding_alone(size: tuple[int, int]) -> None:
    coded = [rounded(16 + texture(*size, seed) * 219 / 255) for seed in range(3)]
    found = filtered([yuv(each, LIMITED) for each in coded])
    cut = [((each.astype(int) - 16) * 255 // 219).astype(np.uint8) for each in coded]
    stretched = [rounded((each - 16.0) * 255 / 219) for each in coded]
    assert ours(cut) == [pytest.approx(each, abs=DECIMALS) for each in found]
    assert ours(stretched) == [pytest.approx(each, rel=2e-3, abs=DECIMALS) for each in found]


def test_a_file_has_the_greatest_of_its_seconds_by_the_filter(tmp_path: Path) -> None:
    path = tmp_path / "coded.mp4"
    wide = np.repeat(texture(96, 400)[..., None], 3, axis=2)
    speeds = np.cumsum([0, *[1] * 9, *[3] * 10, *[7] * 5])  # pixels to the right, at 10 frames per second
    write_video(path, [wide[:, left : left + 160] for left in speeds], fps=10)
    with av.open(str(path)) as container:
        all_frames = filtered(list(container.decode(video=0)))
    keys = [all_frames[index] for index in (0, 10, 20)]
    pairs = [all_frames[index] for index in (1, 10, 20)]  # the first second has no frame before
    values = measure(path).values
    assert values["si"] == pytest.approx(max(each[0] for each in keys), rel=3e-3)
    assert values["ti"] == pytest.approx(max(each[1] for each in pairs), rel=3e-3)
    assert pairs[2][1] > 1.5 * pairs[0][1]
