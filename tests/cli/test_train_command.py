"""``w2svqa train``: one stage, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from w2svqa import pipeline
from w2svqa.cli.app import main
from w2svqa.core.errors import StoreError
from w2svqa.stages import launch

Show = Callable[[int, int, str], None]


def command(*arguments: str | Path) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, arguments)])
    return ended.value.code


def test_a_stage_is_trained_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[tuple[Path, int]] = []

    def train_stage(folder: Path, stage: int, progress: Show) -> None:
        called.append((folder, stage))
        progress(1, 1, "loss 0.5")

    monkeypatch.setattr(pipeline, "train_stage", train_stage, raising=False)
    assert command(tmp_path, "--stage", "3") == 0
    assert called == [(tmp_path, 3)]
    shown = capsys.readouterr().err
    assert "w2svqa: train 1/1 loss 0.5" in shown
    assert "stage 3 is trained" in shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--processes", "2"), {"processes": 2, "launcher": None, "accelerate_config": None}),
        (("--launcher", "srun torchrun"), {"processes": 1, "launcher": "srun torchrun", "accelerate_config": None}),
    ],
)
def test_several_processes_are_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], expected: dict[str, object]
) -> None:
    called: list[dict[str, Any]] = []
    monkeypatch.setattr(launch, "launch_training", lambda *places, **others: called.append({"at": places, **others}))
    assert command(tmp_path, *options) == 0
    assert called[0].pop("at") == (tmp_path, 1)
    assert called[0].pop("progress")
    assert called == [expected]


def test_the_other_processes_say_nothing_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(pipeline, "train_stage", lambda *_: None, raising=False)
    assert command(tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_trouble_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train_stage(folder: Path, stage: int, progress: Show) -> None:
        raise StoreError(f"stage {stage} has no pairs", path=folder, remedy=f"{progress.__name__}")

    monkeypatch.setattr(pipeline, "train_stage", train_stage, raising=False)
    assert command(tmp_path) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert command(tmp_path / "nowhere") == 2
    assert command(tmp_path, "--processes", "0") == 2


@pytest.mark.slow
def test_torchrun_starts_the_processes_and_their_error_comes_back(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="code 1") as caught:
        launch.launch_training(tmp_path / "nowhere", 1, processes=2, progress=lambda *_: None)
    assert "nowhere" in str(caught.value)
