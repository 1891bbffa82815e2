"""Checkpoints: a killed training ends like one that was not, and a damaged checkpoint costs no more than its steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from train_pool import SHORT, KilledError, Pool, assert_same, stop_at

from w2svqa.core.errors import StoreError
from w2svqa.stages.train import CHECKPOINT, TrainConfig, log_records
from w2svqa.stages.train_average import WeightAverage
from w2svqa.stages.train_checkpoint import BEFORE, Checkpoints
from w2svqa.students.compact import CompactModel

LONGER = replace(SHORT, steps=8, checkpoint_steps=2, log_steps=1, ema=0.9)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def whole(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> tuple[CompactModel, Path]:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    return pool.train(folder, LONGER), folder


def flip(path: Path) -> None:
    """Change one byte in the middle, which lies in a weight: PyTorch alone would not see it."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_training_killed_again_and_again_ends_like_one_that_was_not(
    pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path, seed: int
) -> None:
    moments = np.random.default_rng(seed).choice(np.arange(1, 9), size=4, replace=False)
    for moment in sorted(moments.tolist()):
        with pytest.raises(KilledError):
            pool.train(tmp_path, LONGER, stop_at(moment))
    assert_same(pool.train(tmp_path, LONGER), whole[0])
    assert list(log_records(tmp_path)) == list(log_records(whole[1]))
    ours, theirs = (torch.load(folder / CHECKPOINT, weights_only=True) for folder in (tmp_path, whole[1]))
    assert flat(ours) == flat(theirs)


def flat(state: object) -> object:
    """The checkpoint as plain values that can be compared."""
    if isinstance(state, torch.Tensor):
        return state.tolist()
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    return [flat(each) for each in state] if isinstance(state, list | tuple) else state


@pytest.mark.parametrize("damage", [flip, truncate, lambda path: path.write_bytes(b""), Path.unlink])
def test_the_checkpoint_before_is_used_and_said_so(
    pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole[1], folder)
    damage(folder / CHECKPOINT)
    gone = not (folder / CHECKPOINT).exists()
    told: list[tuple[int, str]] = []
    model = pool.train(folder, LONGER, lambda step, _, text: told.append((step, text)))
    assert_same(model, whole[0])
    if not gone:
        assert told[0][0] == 0
        assert "checkpoint.pt cannot be read" in told[0][1]
        assert told[0][1].endswith("going on from the one before, step 6")
    assert [step for step, _ in told if step] == [7, 8]
    assert list(log_records(folder)) == list(log_records(whole[1]))
    assert torch.load(folder / CHECKPOINT, weights_only=True)["step"] == 8
    # the damaged one has not taken the place of the one before
    assert torch.load(folder / BEFORE, weights_only=True)["step"] == 6


def test_two_damaged_checkpoints_are_an_error(pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole[1], folder)
    flip(folder / CHECKPOINT)
    truncate(folder / BEFORE)
    with pytest.raises(StoreError, match="the checkpoint cannot be read") as caught:
        pool.train(folder, LONGER)
    assert caught.value.path == str(folder / CHECKPOINT)


def test_checkpoints_hold_nothing_but_tensors_and_plain_values(whole: tuple[CompactModel, Path]) -> None:
    state = torch.load(whole[1] / CHECKPOINT, weights_only=True)
    assert set(state) == {"step", "model", "average", "optimiser", "scaler"}


def test_a_disk_that_fails_leaves_the_checkpoints_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save({"step": step})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left"):
        checkpoints.save({"step": 3})
    told: list[str] = []
    assert Checkpoints(tmp_path).resume(lambda state: int(state["step"]), told.append) == 2
    assert told == []
    assert torch.load(tmp_path / BEFORE, weights_only=True) == {"step": 1}


def test_the_average_is_what_is_returned(whole: tuple[CompactModel, Path]) -> None:
    state: dict[str, Any] = torch.load(whole[1] / CHECKPOINT, weights_only=True)
    name = "comparator.quality.0.weight"
    assert torch.equal(whole[0].state_dict()[name], state["average"][name])
    assert not torch.equal(state["average"][name], state["model"][name])


def test_the_average_by_hand() -> None:
    layer = torch.nn.BatchNorm1d(1)  # a weight, a statistic, and a whole number
    average = WeightAverage(layer, 0.25)
    weights = []
    for steps in (1, 2, 30):
        with torch.no_grad():
            layer.weight.fill_(steps)
            layer.get_buffer("num_batches_tracked").fill_(steps)
        average.update(layer, steps)
        weights.append(float(average.state["weight"]))
    # decays 2/11, 3/12 and, in place of 31/40, 1/4, from a first weight of 1
    assert weights == pytest.approx([1, 0.25 * 1 + 0.75 * 2, 0.25 * 1.75 + 0.75 * 30])
    assert int(average.state["num_batches_tracked"]) == 30


@pytest.mark.parametrize(
    "wrong", [{"ema": 1.0}, {"ema": -0.1}, {"log_steps": 0}, {"checkpoint_steps": 0}, {"steps": -1}]
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        TrainConfig(**wrong)
