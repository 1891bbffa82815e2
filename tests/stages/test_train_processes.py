"""Several processes: the same losses as one at the same batch, one voice, and the same end."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import DistributedType, PartialState
from train_pool import KINDS, PLAIN, Pool
from train_workers import run_processes, train_together

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.stages import train_processes, train_step
from w2svqa.stages.batches import BatchConfig, Batches
from w2svqa.stages.train import CHECKPOINT, ModelConfig, TrainConfig, log_records
from w2svqa.stages.train_processes import Precision, Processes

GROUPS = BatchConfig(severity_groups=2, same_groups=1, cross_groups=2, details=1)
STEPS = 50
DROPPING = ModelConfig(widths=(4, 4, 8, 8), token=8, hidden=8, dropout=0.25)
TERMS = ("loss", "label", "confidence", "diagnosis", "lambda", "accuracy")
# at higher rates two runs of one process drift apart as well if their first weights differ by 1e-7 (docs/training.md)
FIFTY = TrainConfig(
    **PLAIN | {"model": DROPPING, "log_steps": 1}, batch=GROUPS, steps=STEPS, checkpoint_steps=25, learning_rate=1e-5
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("views"), texture=True)


def curve(folder: Path, term: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([record[term] for record in log_records(folder)])


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_over_fifty_steps(pool: Pool, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    pool.train(alone, FIFTY)
    found = run_processes(2, train_together, pool, together, FIFTY)
    for term in TERMS:
        ours, theirs = curve(together, term), curve(alone, term)
        assert len(ours) == len(theirs) == STEPS
        assert np.abs(ours - theirs).max() < 1e-4, term
    assert curve(alone, "loss")[-1] < curve(alone, "loss")[0]
    first, second = (each["weights"] for each in found)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    # the main process alone writes and shows
    assert found[0]["told"] == STEPS
    assert found[1]["told"] == 0
    assert {path.name for path in together.iterdir()} == {path.name for path in alone.iterdir()}


def share_and_fail(pool: Pool, folder: Path) -> dict[str, Any]:
    """What the processes have in common, then a loss that is no number in the share of one of them."""
    processes = Processes("fp32")
    index = processes.index
    rows = torch.arange(2.0 + index).reshape(-1, 1) + 10 * index
    found: dict[str, Any] = {
        "sum": processes.sum(torch.tensor([1.0 + index])).tolist(),
        "gather": processes.gather(rows).flatten().tolist(),
        "largest": processes.largest(5 - index),
    }
    diagnosis, calls = train_step.diagnosis_loss, [0]

    def broken(
        logits: torch.Tensor, severities: torch.Tensor, kinds: torch.Tensor, wanted: torch.Tensor, *, across: Processes
    ) -> tuple[torch.Tensor, float]:
        calls[0] += 1
        if index == 1 and calls[0] == 2:
            logits = logits * torch.nan
        return diagnosis(logits, severities, kinds, wanted, across=across)

    train_step.diagnosis_loss = broken  # type: ignore[assignment]  # of this process alone
    try:
        pool.train(folder, FIFTY)
    except W2SVQAError as error:
        found["error"] = str(error)
    train_step.diagnosis_loss = diagnosis
    return found


@pytest.mark.slow
def test_what_two_processes_share_and_how_they_fail(pool: Pool, tmp_path: Path) -> None:
    first, second = run_processes(2, share_and_fail, pool, tmp_path)
    assert first == second  # the error as well, which all of them raise
    assert first["sum"] == [3]
    assert first["gather"] == [0, 1, 10, 11, 12]
    assert first["largest"] == 5
    assert "the loss of step 2 is nan" in first["error"]
    batches = Batches(pool.versions, pool.pairs, pool.folder, kinds=KINDS, config=GROUPS, seed=0)
    named = first["error"].partition("its batch held ")[2].partition(" (")[0].split(", ")
    assert set(named) == set(batches.at(1).names)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_shares_are_together_the_whole_batch(pool: Pool, count: int) -> None:
    options: dict[str, Any] = {"kinds": KINDS, "config": GROUPS, "seed": 3}
    whole = Batches(pool.versions, pool.pairs, pool.folder, **options)
    parts = [Batches(pool.versions, pool.pairs, pool.folder, **options, share=(index, count)) for index in range(count)]
    for step in (0, 4):
        pictures = {view.tobytes() for view in whole.at(step).views}
        found = [each.at(step) for each in parts]
        assert {view.tobytes() for batch in found for view in batch.views} == pictures
        assert sum(len(batch.names) for batch in found) == len(whole.at(step).names)
        assert sum(float(batch.weights.sum()) for batch in found) == pytest.approx(6)
        assert set(whole.names(step)) == set(whole.at(step).names)
        assert all(each.names(step) == whole.names(step) for each in parts)


def test_more_processes_than_groups_are_refused(pool: Pool) -> None:
    with pytest.raises(ConfigError, match="a step has 6 groups for 7 processes"):
        Batches(pool.versions, pool.pairs, pool.folder, kinds=KINDS, config=GROUPS, seed=0, share=(0, 7))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU cannot do")
@pytest.mark.parametrize(
    ("environment", "precision", "message"),
    [
        ({}, "fp16", "fp16 needs a GPU"),
        ({"ACCELERATE_USE_FSDP": "true"}, "fp32", "FSDP needs GPUs"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "fp32", "DeepSpeed needs GPUs"),
        ({"ACCELERATE_USE_FSDP": "true"}, "fp16", "fp16"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "2"}, "fp32", "gradients are not accumulated"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], precision: Precision, message: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message) as caught:
        Processes(precision)
    assert caught.value.remedy


def train_sharded(pool: Pool, folder: Path) -> dict[str, Any]:
    """Train by FSDP on CPUs, which Accelerate offers on GPUs only: told that there are GPUs, but to compute on CPUs."""
    os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "NO_WRAP"}
    os.environ |= {"FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT"}
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    train_processes._check = lambda *_, **__: None  # it would refuse
    torch.cuda.is_available = lambda: True  # so that no CPU is asked for
    return train_together(pool, folder, replace(FIFTY, steps=4, checkpoint_steps=2))


@pytest.mark.slow
def test_shared_out_weights_have_the_losses_of_one_process(pool: Pool, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    pool.train(alone, replace(FIFTY, steps=4, checkpoint_steps=2))
    first, second = (each["weights"] for each in run_processes(2, train_sharded, pool, together))
    assert np.abs(curve(together, "loss") - curve(alone, "loss")).max() < 1e-4
    assert all(np.array_equal(first[name], second[name]) for name in first)
    ours, theirs = (torch.load(folder / CHECKPOINT, weights_only=True)["model"] for folder in (together, alone))
    assert ours.keys() == theirs.keys()
