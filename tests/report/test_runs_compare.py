"""Runs beside each other: differing settings, the better marked, what to keep in mind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_facts import CARD, QUALITY, finished
from test_runs import printed

from w2svqa.report.rows import to_json
from w2svqa.report.runs_compare import FigureRow, compare_runs, comparison_object, comparison_tables
from w2svqa.stages.run_folder import RunFacts


def with_figures(name: str, **figures: Any) -> RunFacts:  # noqa: ANN401 (figures of a card)
    return finished(name=name, card=CARD | {"figures": figures}, quality=())


def marks(*runs: RunFacts) -> dict[str, tuple[str, ...]]:
    return {row.name: row.marks for row in compare_runs(runs).figures}


def interval(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "interval": [low, high]}


def test_equal_runs_differ_in_nothing() -> None:
    found = compare_runs([finished(), finished(folder=Path("runs/again"))])
    assert found.settings == {}
    assert {mark for row in (*found.figures, *found.quality) for mark in row.marks} == {""}
    assert found.runs == ("runs/try", "runs/again")
    assert found.notes == ()


def test_settings_that_differ_are_shown_for_all() -> None:
    first = finished(name="a", config={"train": {"steps": 10, "rate": None}, "seed": 1})
    second = finished(name="b", config={"train": {"steps": 20}, "seed": 1})
    found = compare_runs([first, second])
    assert found.runs == ("a", "b")
    assert found.settings == {"train.steps": ("10", "20"), "train.rate": ("null", None)}
    text = printed(table for _, table in comparison_tables(found))
    assert "(absent)" in text
    assert "seed" not in text


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"srcc": 0.5}, {"srcc": 0.6}, ("", "best?")),
        ({"srcc": interval(0.5, 0.4, 0.55)}, {"srcc": interval(0.6, 0.58, 0.7)}, ("", "best")),
        ({"srcc": interval(0.5, 0.4, 0.65)}, {"srcc": interval(0.6, 0.58, 0.7)}, ("", "best?")),
        ({"srcc": interval(0.5, 0.4, 0.55)}, {"srcc": interval(0.6, 0.45, 0.7)}, ("", "best?")),
        ({"srcc": interval(0.5, 0.4, 0.55)}, {"srcc": 0.9}, ("", "best?")),
        ({"srcc": 0.5}, {"srcc": 0.5}, ("", "")),
        ({"srcc": 0.5}, {}, ("", "")),
        ({"srcc": 4}, {}, ("", "")),
    ],
)
def test_the_better_is_marked_and_surely_only_beyond_the_intervals(
    first: dict[str, Any], second: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert marks(with_figures("a", **first), with_figures("b", **second))["srcc"] == expected


def test_lower_is_better_for_errors_and_nothing_is_for_counts() -> None:
    found = marks(
        with_figures("a", calibration_error=0.1, versions=5),
        with_figures("b", calibration_error=0.2, versions=9),
        with_figures("c", calibration_error=0.1, versions=9),
    )
    assert found == {"calibration_error": ("best?", "", "best?"), "versions": ("", "", "")}


def test_label_qualities_are_compared_too() -> None:
    better = finished(name="b", quality=(replace(QUALITY, value=0.99, low=0.97, high=1.0),))
    (row,) = compare_runs([finished(name="a"), better]).quality
    assert row.name == "stage 1: ensemble, right order by severity"
    assert row.marks == ("", "best")


def test_what_to_keep_in_mind() -> None:
    other = finished(
        name="b",
        state="failed",
        problems=("no space",),
        card=CARD | {"data": {"clips": [{"sha256_16": "z", "split": "calibration"}]}},
    )
    found = compare_runs([finished(name="a"), other])
    assert found.notes[0] == "b is failed: no space"
    assert "calibrated on different clips" in found.notes[1]


def test_it_is_json_too() -> None:
    first = finished(name="a", config={"x": [1, 2]})
    found: dict[str, Any] = json.loads(to_json(comparison_object(compare_runs([first, finished(name="b", card=None)]))))
    assert found["settings"]["x"] == [[1, 2], None]
    assert found["figures"][0]["figures"][1] is None
    assert set(found) == {"runs", "settings", "figures", "quality", "notes"}


def test_runs_without_anything_have_an_empty_comparison() -> None:
    bare = finished(card=None, quality=(), config={}, starts=(), stages=(), state="foreign")
    found = compare_runs([bare, bare])
    assert (found.figures, found.quality, found.settings) == ((), (), {})
    assert [title for title, _ in comparison_tables(found, ascii_only=True)] == ["settings that differ"]
    assert FigureRow(name="x", figures=(), marks=()).marks == ()
