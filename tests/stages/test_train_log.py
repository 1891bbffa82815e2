"""What a training leaves behind for people: the log, TensorBoard, and trackers by name."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from train_pool import SHORT, KilledError, Pool, stop_at

from w2svqa.core.errors import ConfigError
from w2svqa.stages.train import LOG, TrainConfig, log_records
from w2svqa.stages.train_log import TENSORBOARD, make_trackers

NAMES = {
    "loss/loss",
    "loss/label",
    "loss/confidence",
    "loss/diagnosis",
    "train/lambda",
    "train/temperature",
    "train/accuracy",
    "train/learning_rate",
    "train/gradient_norm",
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("views"))


@pytest.mark.slow
def test_tensorboard_shows_what_the_log_has_also_after_a_kill(pool: Pool, tmp_path: Path) -> None:
    config = replace(SHORT, log_steps=1, trackers=(TENSORBOARD,))
    with pytest.raises(KilledError):
        pool.train(tmp_path, config, stop_at(5))
    pool.train(tmp_path, config)
    shown = EventAccumulator(str(tmp_path / TENSORBOARD)).Reload()
    records = list(log_records(tmp_path))
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert set(shown.Tags()["scalars"]) == NAMES
    for name in NAMES:
        events = shown.Scalars(name)
        # steps 4 and 5 were logged twice, and the first time does not count
        assert [event.step for event in events] == [1, 2, 3, 4, 5, 6]
        values = [record[name.partition("/")[2]] for record in records]
        assert [event.value for event in events] == pytest.approx(values, rel=1e-6)


def test_tensorboard_is_on_by_default() -> None:
    assert TrainConfig().trackers == (TENSORBOARD,)


def test_progress_tells_the_terms_and_records_hold_them(pool: Pool, tmp_path: Path) -> None:
    texts: list[str] = []
    pool.train(tmp_path, replace(SHORT, log_steps=2), lambda *told: texts.append(told[2]))
    records = list(log_records(tmp_path))
    assert [record["step"] for record in records] == [2, 4, 6]
    assert all(math.isfinite(value) for record in records for value in record.values())
    last = records[-1]
    for text in (
        f"loss {last['loss']:.3f} = labels {last['label']:.3f}, confidence {last['confidence']:.3f}",
        f"(lambda {last['lambda']:.2f}), diagnosis {last['diagnosis']:.3f}",
        f"levels right {last['accuracy']:.0%}",
    ):
        assert text in texts[-1]
    weight = last["lambda"]
    pairs = (1 - weight) * last["label"] + weight * last["confidence"]
    assert last["loss"] == pytest.approx(pairs + SHORT.diagnosis_weight * last["diagnosis"])


def test_a_torn_last_line_is_no_record(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text('{"step": 1}\n{"step": 2', encoding="utf-8")
    assert list(log_records(tmp_path)) == [{"step": 1}]


def test_unknown_trackers_are_named_before_the_first_step(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown tracker 'tensorbord'.*wandb"):
        pool.train(tmp_path, replace(SHORT, trackers=("tensorbord",)))
    assert not (tmp_path / LOG).exists()


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    with pytest.raises(ConfigError, match=r"'wandb' is not installed.*pip install wandb"):
        make_trackers(["wandb"], tmp_path, start=0)
