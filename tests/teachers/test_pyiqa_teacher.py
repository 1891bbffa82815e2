"""Metrics of pyiqa, with a stand-in for the package: it comes with a hundred others."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from teacher_fixtures import blurred, texture

from w2svqa.core.errors import ConfigError, InputError, MissingExtraError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers.pyiqa import scale_of
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.whole import FramesVideo

KNOWN = ["brightness", "distance", "draws", "fid", "fussy", "offline"]


class FakeMetric:
    """What pyiqa gives: a callable with its description."""

    def __init__(self, name: str, device: torch.device) -> None:
        assert isinstance(device, torch.device)
        self.name = name
        self.lower_better = name == "distance"
        self.metric_mode = "FR" if name == "distance" else "NR"
        self.score_range = "0, ~100" if name == "distance" else "0, 1"

    def __call__(self, *pictures: torch.Tensor) -> torch.Tensor:
        assert len(pictures) == (2 if self.metric_mode == "FR" else 1)
        for picture in pictures:
            assert picture.dtype == torch.float32
            assert picture.ndim == 4
            assert picture.shape[:2] == (1, 3)
            assert 0 <= picture.min() <= picture.max() <= 1
        if self.name == "fussy":
            assert min(pictures[0].shape[2:]) >= 224, "too small"
        if self.name == "draws":
            return torch.rand(1)
        if self.name == "distance":
            return (pictures[0] - pictures[1]).abs().mean()[None] * 100
        return pictures[0].mean()[None, None]


def create_metric(name: str, *, device: torch.device) -> FakeMetric:
    if name == "offline":
        raise OSError("no route to host")
    return FakeMetric(name, device)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    package = SimpleNamespace(__version__="9.9", create_metric=create_metric, list_models=lambda: KNOWN)
    monkeypatch.setitem(sys.modules, "pyiqa", package)


def flat(*levels: int, size: tuple[int, int] = (20, 30)) -> FramesVideo:
    return FramesVideo([np.full((*size, 3), level, np.uint8) for level in levels])


def test_a_video_has_the_mean_of_its_key_frames() -> None:
    teacher = load_teacher("pyiqa:brightness", None)
    assert isinstance(teacher, Teacher)
    assert teacher.score(flat(0, 51, 255)) == pytest.approx(0.4)
    assert (teacher.name, teacher.version) == ("pyiqa:brightness", "1+pyiqa-9.9")
    assert (teacher.higher_is_better, teacher.range, teacher.needs_reference) == (True, (0.0, 1.0), False)


def test_direction_range_and_reference_are_the_metrics_own() -> None:
    teacher = load_teacher("pyiqa:distance", None)
    assert (teacher.higher_is_better, teacher.range, teacher.needs_reference) == (False, (0.0, math.inf), True)
    assert teacher.score(flat(51, 102), flat(0, 0)) == pytest.approx(30)
    with pytest.raises(InputError, match="pyiqa:distance compares"):
        teacher.score(flat(1))
    with pytest.raises(InputError, match="a second more or less than its reference"):
        teacher.score(flat(1, 2), flat(1))


def test_frames_are_brought_to_the_size_of_the_reference() -> None:
    assert load_teacher("pyiqa:distance", None).score(flat(51, size=(10, 15)), flat(0)) == pytest.approx(20)


def test_random_draws_are_the_same_each_time_and_leave_the_generator_alone() -> None:
    teacher = load_teacher("pyiqa:draws", None)
    torch.manual_seed(5)
    expected = torch.rand(2).tolist()
    torch.manual_seed(5)
    first = teacher.score(flat(1))
    assert torch.rand(1).item() == expected[0]
    assert teacher.score(flat(1)) == first
    assert torch.rand(1).item() == expected[1]


def test_a_frame_that_it_refuses_is_an_error_of_that_video() -> None:
    teacher = load_teacher("pyiqa:fussy", None)
    with pytest.raises(InputError, match="pyiqa:fussy fails on a frame of 30x20: too small"):
        teacher.score(flat(1))
    assert teacher.score(flat(255, size=(224, 224))) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("brightnes", r"no metric 'brightnes' \(did you mean 'brightness'\?"),
        ("fid", "judges sets of pictures"),
        ("offline", "cannot make 'offline': no route to host"),
        ("", "needs an argument"),
    ],
)
def test_metrics_that_cannot_be_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_teacher(f"pyiqa:{name}", None)


def test_without_the_package_its_own_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    monkeypatch.setattr("w2svqa.core.extras.importlib.import_module", missing_pyiqa())
    with pytest.raises(MissingExtraError, match=r"'pyiqa', which is not installed \(pip install 'w2svqa\[pyiqa\]'\)"):
        load_teacher("pyiqa:brightness", None)


def missing_pyiqa() -> Callable[[str], object]:
    from importlib import import_module

    def find(name: str) -> object:
        if name == "pyiqa":
            raise ModuleNotFoundError(name=name)
        return import_module(name)

    return find


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0, 1", (0, 1)),
        ("-1, 1", (-1, 1)),
        ("~0, ~1", (-math.inf, math.inf)),
        ("0, ~20", (0, math.inf)),
        (None, (-math.inf, math.inf)),
        ("unknown", (-math.inf, math.inf)),
        ("5, 1", (-math.inf, math.inf)),
    ],
)
def test_ranges_as_pyiqa_writes_them(text: str | None, expected: tuple[float, float]) -> None:
    assert scale_of(text) == expected


def test_real_pictures_pass_as_they_are() -> None:
    frame = texture(40, 50)
    teacher = load_teacher("pyiqa:brightness", None)
    assert teacher.score(FramesVideo([frame])) == pytest.approx(frame.mean() / 255, rel=1e-5)
    assert load_teacher("pyiqa:distance", None).score(FramesVideo([blurred(frame, 2)]), FramesVideo([frame])) > 1
