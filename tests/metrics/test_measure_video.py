"""Measuring whole videos: which frames count, what has no value, and metrics of other packages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from metric_pictures import Frame, random_rgb, rgb, texture

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.core.records import Chunk, ClipSpec, MediaInfo
from w2svqa.metrics import METRICS, NAMES, Metric, Moment, load_metrics, measure
from w2svqa.metrics.flickering import flickering
from w2svqa.metrics.ti import ti
from w2svqa.video.encode import write_lossless
from w2svqa.video.whole import FramesVideo, VideoFile

BRIGHTNESS = Metric(
    name="brightness", unit="levels", range=(0.0, 255.0), meaning="higher is brighter", value=lambda it: it.grey.mean()
)


def grey_levels(*levels: int) -> list[Frame]:
    return [np.full((80, 96, 3), level, np.uint8) for level in levels]


def pan(frames: int, height: int = 80, width: int = 96) -> list[Frame]:
    wide = texture(height, width + 3 * frames, 4)
    return [rgb(wide[:, 3 * index : 3 * index + width]) for index in range(frames)]


def test_the_nine_are_there_in_the_papers_order_with_their_facts() -> None:
    metrics = load_metrics()
    assert tuple(metric.name for metric in metrics) == NAMES
    assert set(NAMES) <= set(METRICS)
    assert {metric.name for metric in metrics if metric.pooling == "max"} == {"si", "ti"}
    assert {metric.name for metric in metrics if metric.needs_neighbours} == {"ti", "flickering"}
    assert all(metric.unit and metric.meaning and metric.version for metric in metrics)


@pytest.mark.parametrize("seed", range(3))
def test_values_are_within_the_stated_range(seed: int) -> None:
    extremes = [random_rgb((70, 81), seed) // 128 * np.uint8(255) for _ in range(3)]
    measured = measure(FramesVideo(extremes, fps=3))
    for metric in load_metrics():
        value = measured.values[metric.name]
        assert value is not None
        assert metric.range[0] <= value <= metric.range[1]


def test_a_file_and_its_frames_are_measured_alike(tmp_path: Path) -> None:
    path = tmp_path / "pan.mkv"
    frames = pan(20)
    write_lossless(path, frames, fps=10)
    from_path = measure(path)
    assert from_path.values == measure(VideoFile(path)).values == measure(FramesVideo(frames, fps=10)).values
    assert from_path == measure(str(path), threads=1)
    assert from_path.missing == {}
    assert from_path.problem is None
    assert {len(column) for column in from_path.seconds.values()} == {2}


def test_means_and_maxima_are_over_the_seconds_first_frames(tmp_path: Path) -> None:
    path = tmp_path / "levels.mkv"
    write_lossless(path, grey_levels(*range(10, 40)), fps=10)
    measured = measure(path, ["luminance", "si", "ti"])
    assert measured.seconds["luminance"] == (30.0, 60.0, 90.0)
    assert measured.values == {"luminance": 60.0, "si": 0.0, "ti": 0.0}


def test_motion_is_that_up_to_the_key_frame_and_in_the_first_second_from_it(tmp_path: Path) -> None:
    path = tmp_path / "pan.mkv"
    frames = [random_rgb((40, 50), index) // (1 + index % 3) for index in range(14)]
    write_lossless(path, frames, fps=5)
    luma = [chunk.luma[0] for chunk in FramesVideo(frames, fps=1.0).chunks(ClipSpec(luma_frames=1))]
    measured = measure(path, ["ti", "flickering"])
    pairs, triples = [(0, 1), (4, 5), (9, 10)], [(0, 1, 2), (3, 4, 5), (8, 9, 10)]
    assert measured.seconds["ti"] == tuple(ti(*(luma[index] for index in pair)) for pair in pairs)
    assert measured.seconds["flickering"] == tuple(flickering(*(luma[index] for index in three)) for three in triples)


def test_stills_have_no_motion_and_all_else() -> None:
    measured = measure(FramesVideo(pan(1)))
    assert {name for name, value in measured.values.items() if value is None} == {"ti", "flickering"}
    assert measured.missing == {
        "ti": "it needs 2 consecutive frames",
        "flickering": "it needs 3 consecutive frames",
    }
    assert measured.values["si"] > 0  # type: ignore[operator]  # not None, as said above


@pytest.mark.parametrize(
    ("height", "width", "without"),
    [
        (1, 1, {"blockiness", "blur", "noise", "si"}),
        (8, 300, {"blockiness", "blur"}),
        (63, 64, {"blur"}),
        (65, 67, set()),
    ],
)
def test_small_pictures_lack_what_needs_more_pixels(height: int, width: int, without: set[str]) -> None:
    measured = measure(FramesVideo(pan(3, height, width), fps=3))
    assert set(measured.missing) == without
    assert all("too small" in reason for reason in measured.missing.values())


def test_flat_seconds_are_left_out_of_blur() -> None:
    frames = [*grey_levels(0), rgb(texture(80, 96))]
    measured = measure(FramesVideo(frames, fps=1.0), ["blur", "blockiness"])
    assert measured.seconds["blur"][0] is None
    assert measured.values["blur"] == measured.seconds["blur"][1]
    assert measured.seconds["blockiness"][0] == 1.0
    flat = measure(FramesVideo(grey_levels(7, 7)), ["blur"])
    assert flat.missing == {"blur": "there is nothing to judge in any of its key frames"}


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        measure(tmp_path / "nowhere.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    with pytest.raises(InputError):
        measure(broken)


def test_what_only_part_decoded_of_is_said(tmp_path: Path) -> None:
    path, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    write_lossless(path, [random_rgb((48, 64), index) for index in range(30)], fps=10)
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    measured = measure(cut, ["luminance"])
    assert measured.problem
    assert 1 <= len(measured.seconds["luminance"]) <= 2


class LumaLess:
    """A video of a third party that does not know about luma."""

    info: MediaInfo

    def count(self) -> int:
        return 1

    def frames_at(self, indices: object) -> Iterator[Frame]:
        raise NotImplementedError

    def chunks(self, spec: ClipSpec | None = None) -> Iterator[Chunk]:
        del spec
        yield from FramesVideo(grey_levels(5)).chunks()


def test_a_video_without_luma_is_told_so() -> None:
    with pytest.raises(InputError, match="comes without luma"):
        measure(LumaLess(), ["noise"])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another package on the path, that brings metrics by entry points."""
    facts = tmp_path / "fine_metrics-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: fine-metrics\nVersion: 1\n", encoding="utf-8")
    points = ["brightness = test_measure_video:BRIGHTNESS", "other = test_measure_video:BRIGHTNESS", "lost = nowhere:X"]
    (facts / "entry_points.txt").write_text("\n".join(["[w2svqa.metrics]", *points, ""]), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "brightness"


def test_another_package_adds_a_metric(package: str) -> None:
    measured = measure(FramesVideo(grey_levels(10, 30), fps=1.0), [package, "luminance"])
    assert measured.values == {"brightness": 20.0, "luminance": 60.0}
    assert package in METRICS


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["other"], "leads to"),
        (["lost"], "cannot be loaded"),
        (["noize"], "did you mean 'noise'"),
        (["si", "si"], "each once"),
        ([], "one or more"),
    ],
)
def test_metrics_that_cannot_be_had(names: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        measure(FramesVideo(grey_levels(1)), names)


@pytest.mark.parametrize("facts", [{"range": (1.0, 1.0)}, {"pooling": "median"}, {"frames": 0}, {"name": "Two Words"}])
def test_facts_that_cannot_be(facts: dict[str, object]) -> None:
    good: dict[str, object] = {"name": "x", "unit": "", "range": (0.0, math.inf), "meaning": "", "value": len}
    with pytest.raises(ConfigError):
        Metric(**{**good, **facts})  # type: ignore[arg-type]  # wrong on purpose


def test_a_moment_makes_its_grey_once() -> None:
    [chunk] = FramesVideo(grey_levels(40)).chunks(ClipSpec(luma_frames=1))
    moment = Moment(chunk)
    assert moment.grey is moment.grey
    assert moment.grey[0, 0] == 40
