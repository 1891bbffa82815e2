"""The benchmark of the strong student: formulas agree with what is counted, and what needs a GPU runs without one."""

from __future__ import annotations

import json

import pytest
import torch

import llava_work
from _llava_arithmetic import Shapes, works

pytestmark = pytest.mark.llm

TINY = Shapes(
    hidden=256, layers=1, inner=64, key_values=128, vocabulary=4096, seen_hidden=72, seen_layers=1, seen_inner=64
)


def test_the_formulas_meet_the_stated_figures() -> None:
    released, ours, *_ = works(Shapes())
    assert released.tokens == 5 * 4020
    assert ours.tokens / released.tokens <= 0.55
    assert (released.encodings, ours.encodings) == (10, 1)
    assert released.operations / ours.operations == pytest.approx(2.4, abs=0.1)
    assert Shapes().prefix() == pytest.approx(0.6e9, rel=0.1)
    assert Shapes().weights == pytest.approx(6.5e9, rel=0.01)


def test_what_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    figures = llava_work.by_counting(1)
    assert figures["encodings_counted"] == 1
    assert figures["encodings_counted_released"] == 10
    assert float(str(figures["tokens_ratio_counted"])) < 0.55
    assert float(str(figures["max_difference"])) < 1e-4
    assert capsys.readouterr().out


def test_what_a_gpu_would_time_runs_on_a_small_model() -> None:
    figures = llava_work.on_device(TINY, torch.device("cpu"), torch.float32, seconds=1)
    assert float(str(figures["max_difference_on_device"])) < 1e-3
    assert float(str(figures["videos_per_s"])) > 0
    assert float(str(figures["step_seconds"])) > 0


def test_the_formula_is_printed_as_json_can_hold_it() -> None:
    assert {"tokens_ratio", "encodings", "bound"} <= set(json.loads(json.dumps(llava_work.by_formula())))
