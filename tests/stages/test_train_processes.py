"""Several processes: the same losses as one at the same batch, one voice, and the same end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from train_pool import KINDS, PLAIN, Pool
from train_workers import run_processes, train_together

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.stages import train_step
from w2svqa.stages.batches import Batch, BatchConfig, Batches
from w2svqa.stages.train import LOG, ModelConfig, TrainConfig, log_records
from w2svqa.stages.train_processes import Processes

GROUPS = BatchConfig(severity_groups=2, same_groups=1, cross_groups=2, details=1)
STEPS = 50
DROPPING = ModelConfig(widths=(4, 4, 8, 8), token=8, hidden=8, dropout=0.25)
TERMS = ("loss", "label", "confidence", "diagnosis", "lambda", "accuracy", "gradient_norm")
FIFTY = TrainConfig(**PLAIN | {"model": DROPPING, "log_steps": 1}, batch=GROUPS, steps=STEPS, checkpoint_steps=25)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("views"))


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
