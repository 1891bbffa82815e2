"""A run to report on, as the folder's reader returns it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from w2svqa.core.provenance import Machine, Start
from w2svqa.core.rows import LabelQualityRow
from w2svqa.stages.run_folder import Part, RunFacts, Stage
from w2svqa.stages.stopping import Gain, should_stop

START = Start(
    started="2026-11-29T10:00:00+00:00",
    ended="2026-11-29T11:02:03+00:00",
    outcome="finished",
    command="w2svqa run a.yaml",
    user="ann",
    pid=7,
    seed=3,
    config="c0ffee",
    inputs={"manifest": "abc"},
    versions={"w2svqa": "0.1.0", "python": "3.11.7"},
    source="0123",
    commit=None,
    machine=Machine(host="lab", system="Linux 6", processor="EPYC", processors=2, memory_bytes=2**34, gpus=()),
)
QUALITY = LabelQualityRow(
    stage=1,
    source="ensemble",
    against="severity",
    kind="",
    measure="accuracy",
    value=0.9,
    low=0.8,
    high=0.95,
    n=40,
    contents=4,
)
LOG = tuple(
    {"step": float(step), "loss": 3 - step / 10, "lambda": step / 100, "accuracy": step / 20} for step in range(1, 11)
)
CARD: dict[str, Any] = {
    "figures": {
        "pair_accuracy": 0.9,
        "within": {"blur": 0.9, "noise": 0.7},
        "diagnosis": {"calibration_error": 0.1},
        "ladder": {"manifest": "final", "within_mean": {"value": 0.8, "interval": [0.7, 0.85], "n": 40}},
        "versions": 500,
        "at_limit": False,
    },
    "data": {"clips": [{"sha256_16": "a", "split": "calibration"}, {"sha256_16": "b", "split": "train"}]},
}


def part(name: str, **changes: Any) -> Part:  # noqa: ANN401 (fields of a part)
    plain: dict[str, Any] = {"name": name, "state": "complete", "rows": 5, "facts": {}}
    return Part(**(plain | changes))


def stages() -> tuple[Stage, ...]:
    gain = Gain(value=0.01, low=-0.01, high=0.03, level=0.9, contents=6)
    train = part("train", state="begun", rows=None)
    return (
        Stage(number=1, parts=(part("pairs", facts={"severity": 3, "vmaf": 2}), train), log=LOG, decision=None),
        Stage(number=2, parts=(part("mined"), train), log=LOG[:4], decision=should_stop(gain)),
    )


def finished(**changes: Any) -> RunFacts:  # noqa: ANN401 (fields of the facts)
    facts = RunFacts(
        folder=Path("runs/try"),
        name="try",
        state="finished",
        holder=None,
        problems=(),
        config={"name": "try", "train": {"steps": 10, "widths": [4, 8]}},
        starts=(START,),
        stages=stages(),
        quality=(QUALITY, replace(QUALITY, kind="blur", value=None, low=None, high=None, n=0)),
        card=CARD,
    )
    return replace(facts, **changes)
