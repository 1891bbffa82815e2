"""Runs in a terminal and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from run_facts import CARD, LOG, START, finished, part, stages

from w2svqa.core.holder import Holder
from w2svqa.report.rows import to_json
from w2svqa.report.run_figures import direction, figures_of
from w2svqa.report.runs import duration, progress_of, run_object, run_row, run_tables, runs_table, seconds_of


def printed(tables: Iterable[Table]) -> str:
    console = Console(file=io.StringIO(), width=400)
    for table in tables:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_says_what_a_list_shows() -> None:
    row = run_row(finished())
    assert (row["state"], row["at"], row["starts"], row["seconds"]) == ("finished", "2 stages", 1, 3723.0)
    assert row["figures"] == {"pair_accuracy": 0.9, "within_mean": pytest.approx(0.8), "across_mean": None}
    assert json.loads(to_json(row))["started"] == START.started


def test_everything_known_is_json() -> None:
    facts = finished(holder=Holder(pid=1, host="lab"), state="running")
    found: dict[str, Any] = json.loads(to_json(run_object(facts)))
    assert found["provenance"][0]["machine"]["processor"] == "EPYC"
    assert found["stages"][0]["log"][-1] == LOG[-1]
    assert found["stages"][1]["stopping"]["stop"] is True
    assert found["quality"][1]["value"] is None
    assert found["figures"]["ladder/within_mean"] == {"value": 0.8, "low": 0.7, "high": 0.85, "n": 40}
    assert found["holder"]["host"] == "lab"
    assert found["config"]["train"]["widths"] == [4, 8]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "foreign", "stages": ()}, "no run"),
        ({"stages": ()}, "nothing yet"),
        ({"stages": stages()[:1]}, "stage 1: train, step 10 of 10"),
        ({}, "stage 2: train, step 4 of 10"),
        ({"config": {"train": {"steps": 10}, "later": {"steps": 7}}}, "stage 2: train, step 4 of 7"),
        ({"config": {}}, "stage 2: train, step 4"),
        ({"stages": (replace(stages()[0], log=()),)}, "stage 1: train begun"),
        ({"stages": (replace(stages()[0], parts=(part("clips"), part("versions", state="begun"))),)}, "versions begun"),
        ({"stages": (replace(stages()[0], parts=(part("clips"), part("versions", state="absent"))),)}, "1: clips"),
    ],
)
def test_how_far_a_run_is(changes: dict[str, Any], words: str) -> None:
    assert progress_of(finished(**({"state": "stopped"} | changes))).endswith(words)


def test_a_table_of_runs_has_a_line_for_each_whatever_its_state() -> None:
    runs = [
        finished(),
        finished(name="bad\nname", state="damaged", problems=("run.json: is damaged",), card=None, starts=()),
        finished(state="running", holder=Holder(pid=12, host="lab", user="ann"), card=None),
        finished(state="stopped", card=None),
    ]
    _, *lines = [line for line in printed([runs_table(runs, ascii_only=True)]).splitlines() if line.startswith("| ")]
    assert "finished" in lines[0]
    assert "0.900" in lines[0]
    assert "1 h 02 min" in lines[0]
    assert "no further stage" in lines[0]
    assert "bad\\nname" in lines[1]
    assert "run.json: is damaged" in lines[1]
    assert "held by process 12 on lab of ann" in lines[2]
    assert "start it again to go on" in lines[3]


def test_a_run_in_full() -> None:
    tables = dict(run_tables(finished()))
    text = printed(tables.values())
    assert list(tables) == [
        "configuration",
        "provenance (1 starts)",
        "stages",
        "training",
        "label quality [95 %]",
        "figures of the student",
    ]
    for words in (
        "train.steps",
        "w2svqa run a.yaml",
        "2 x EPYC, 16.0 GiB, Linux 6",
        "3 severity, 2 vmaf",
        "▁",
        "stage 1: ensemble, right order by severity ",
        "0.900 [0.800, 0.950]",
        "ladder/within_mean",
        "0.800 [0.700, 0.850]",
    ):
        assert words in text


def test_a_run_that_has_nothing_shows_its_configuration() -> None:
    bare = finished(starts=(), stages=(), quality=(), card=None)
    assert [title for title, _ in run_tables(bare, ascii_only=True)] == ["configuration"]


def test_constant_curves_and_single_records_are_drawn() -> None:
    (only,) = (replace(stages()[0], log=({"step": 1.0, "loss": 2.0},)),)
    assert "▄" in printed([dict(run_tables(finished(stages=(only,))))["training"]])


def test_time_worked_is_that_of_all_starts_but_killed_ones() -> None:
    killed = replace(START, ended=None, outcome=None)
    assert seconds_of(finished(starts=(START, killed, START))) == 2 * 3723
    assert seconds_of(finished(starts=())) is None
    assert seconds_of(finished(starts=(replace(START, started="yesterday"),))) == 0
    running = seconds_of(finished(starts=(START, killed), state="running"))
    assert running is not None
    assert running >= 3723


def test_durations_in_words() -> None:
    assert [duration(each) for each in (None, 0, 61, 3600)] == ["", "0 s", "1 min 01 s", "1 h 00 min"]


def test_figures_are_flat_finite_and_have_a_direction() -> None:
    figures = figures_of(CARD)
    assert {name: direction(name) for name in figures} == {
        "within_mean": 1,
        "pair_accuracy": 1,
        "within/blur": 1,
        "within/noise": 1,
        "diagnosis/calibration_error": -1,
        "ladder/within_mean": 1,
        "versions": 0,
    }
    assert figures_of(None) == figures_of({"figures": [1]}) == figures_of({"figures": {"a": float("nan")}}) == {}
