"""Students with a vision tower in several processes: the losses of one, shared-out weights, and what is saved."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import DistributedType, PartialState
from second_pool import LLAVA, SIDES, TOWER, SecondPool, with_model
from train_workers import run_processes, train_together

from w2svqa.core.errors import StoreError
from w2svqa.stages import train_processes
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.family_table import StudentConfig
from w2svqa.stages.second_batches import SecondBatch, SecondBatches
from w2svqa.stages.train import CHECKPOINT, TrainConfig, log_records
from w2svqa.students.llava.lora import LoraConfig

pytestmark = [pytest.mark.llm, pytest.mark.slow]

STEPS = 6
BATCH = BatchConfig(severity_groups=2, same_groups=1, cross_groups=1, peer_groups=0, pairs_per_group=3)
TERMS = ("loss", "label", "confidence", "lambda", "accuracy")


def config_of(model: StudentConfig) -> TrainConfig:
    # rates at which rounding does not grow (docs/training.md)
    return with_model(model, steps=STEPS, checkpoint_steps=3, log_steps=1, batch=BATCH, learning_rate=1e-5)


def curve(folder: Path, term: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([record[term] for record in log_records(folder)])


def assert_alike(together: Path, alone: Path) -> None:
    for term in TERMS:
        assert len(curve(together, term)) == len(curve(alone, term)) == STEPS
        assert np.abs(curve(together, term) - curve(alone, term)).max() < 1e-4, term
    ours, theirs = (torch.load(folder / CHECKPOINT, weights_only=True) for folder in (together, alone))
    assert ours["model"].keys() == theirs["model"].keys()
    for name, value in theirs["model"].items():
        assert torch.allclose(ours["model"][name], value, atol=1e-5), name


@pytest.mark.parametrize(("kind", "model"), [("tower", TOWER), ("llava", LLAVA)])
def test_two_processes_have_the_losses_of_one(tmp_path: Path, kind: str, model: StudentConfig) -> None:
    pool = SecondPool(tmp_path, SIDES[kind])
    pool.train(tmp_path / "alone", config_of(model))
    first, second = run_processes(2, train_together, pool, tmp_path / "together", config_of(model))
    assert_alike(tmp_path / "together", tmp_path / "alone")
    assert all(np.array_equal(first["weights"][name], value) for name, value in second["weights"].items())
    assert (first["told"], second["told"]) == (STEPS, 0)


def train_sharded(pool: SecondPool, folder: Path, config: TrainConfig, steps: int) -> dict[str, Any]:
    """Train by FSDP on CPUs, which Accelerate offers on GPUs only, until there are no more batches."""
    os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}
    os.environ |= {"FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}
    os.environ |= {"FSDP_TRANSFORMER_CLS_TO_WRAP": "SiglipEncoderLayer,Qwen2DecoderLayer"}
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    train_processes._check = lambda *_, **__: None  # it would refuse
    torch.cuda.is_available = lambda: True  # so that no CPU is asked for
    at = SecondBatches.at

    def ending(self: SecondBatches, step: int) -> SecondBatch:
        if step >= steps:
            raise StoreError("the disk is gone", remedy="plug it in")
        return at(self, step)

    SecondBatches.at = ending  # type: ignore[method-assign]  # of this process alone
    return train_together(pool, folder, config)


def test_shared_out_weights_have_the_losses_of_one_process_and_save_what_is_trained(tmp_path: Path) -> None:
    pool, model = SecondPool(tmp_path, SIDES["llava"]), replace(LLAVA, lora=LoraConfig(rank=2, dropout=0))
    config, folder = config_of(model), tmp_path / "together"
    pool.train(tmp_path / "alone", config)
    for error in run_processes(2, train_sharded, pool, folder, config, 4):
        assert isinstance(error, StoreError)
    assert torch.load(folder / CHECKPOINT, weights_only=True)["step"] == 3
    first, second = run_processes(2, train_sharded, pool, folder, config, STEPS)
    assert_alike(folder, tmp_path / "alone")
    assert all(np.array_equal(first["weights"][name], value) for name, value in second["weights"].items())
    assert first["told"] == STEPS - 3
