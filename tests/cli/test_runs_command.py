"""``w2svqa runs``: list, show, compare, on folders in any state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Run

from w2svqa.core.files import hold
from w2svqa.core.provenance import recorded
from w2svqa.students.bundle import write_card


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two finished runs, one that is damaged, and a folder that is none."""
    for name, accuracy in (("first", 0.8), ("second", 0.9)):
        folder = tmp_path / "runs" / name
        config = {"name": name, "train": {"steps": 10}}
        with recorded(folder, config=config):
            (folder / "run.json").write_text(json.dumps(config), encoding="utf-8")
            (folder / "bundle").mkdir()
            write_card(folder / "bundle", {"student": "compact", "figures": {"pair_accuracy": accuracy}})
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{", encoding="ascii")
    (tmp_path / "runs" / "photos").mkdir()
    return tmp_path / "runs"


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("arguments", [[], ["runs"], ["list", "runs"], ["./runs"]])
def test_runs_are_listed_where_no_command_is_named(run: Run, arguments: list[str]) -> None:
    done = run("runs", *arguments)
    assert (done.code, done.err) == (0, "")
    head, _, *rows = [line for line in done.out.splitlines() if line.strip()]
    assert head.split()[:3] == ["run", "state", "at"]
    assert [row.split()[:2] for row in rows] == [
        ["broken", "damaged"],
        ["first", "finished"],
        ["photos", "foreign"],
        ["second", "finished"],
    ]
    assert "run.json: cannot be read" in rows[0]
    assert "0.800" in rows[1]


def test_the_list_as_json(run: Run, runs: Path) -> None:
    with hold(runs / "first"):
        done = run("runs", "--json")
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert (done.code, done.err) == (0, "")
    assert {name: row["state"] for name, row in rows.items()} == {
        "broken": "damaged",
        "first": "running",
        "photos": "foreign",
        "second": "finished",
    }
    assert rows["second"]["figures"]["pair_accuracy"] == 0.9
    assert rows["second"]["folder"] == "runs/second"


def test_an_empty_folder_and_a_missing_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("runs", "empty")
    assert (done.code, done.out) == (0, "")
    assert "no runs yet" in done.err
    assert run("runs", "empty", "--json").out == "[]\n"
    done = run("runs")
    assert done.code == 1
    assert "runs: cannot be read: No such file or directory (name a folder of runs" in done.err


@pytest.mark.usefixtures("runs")
def test_one_run_in_full(run: Run) -> None:
    done = run("runs", "show", "runs/first")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("first: finished, 1 stage\n")
    for words in ("\nconfiguration\n", "train.steps", "\nprovenance (1 starts)\n", "pair_accuracy", "0.800"):
        assert words in done.out
    found = json.loads(run("runs", "show", "runs/first", "--json").out)
    assert found["config"]["train"]["steps"] == 10
    assert found["provenance"][0]["outcome"] == "finished"
    assert "cannot be read" in run("runs", "show", "runs/broken").out
    missing = run("runs", "show", "nowhere")
    assert missing.code == 1
    assert "nowhere: no such folder" in missing.err


@pytest.mark.usefixtures("runs")
def test_runs_beside_each_other(run: Run) -> None:
    done = run("runs", "compare", "runs/first", "runs/second")
    assert (done.code, done.err) == (0, "")
    assert "train.steps" not in done.out
    assert "0.900 (*)" in done.out
    found = json.loads(run("runs", "compare", "runs/second", "runs/first", "--json").out)
    assert found["settings"] == {"name": ["second", "first"]}
    assert found["figures"][0]["marks"] == ["best?", ""]
    with_broken = run("runs", "compare", "runs/first", "runs/broken", "runs/photos")
    assert with_broken.code == 0
    assert "broken is damaged" in with_broken.out


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["compare", "runs/first"], "give two runs or more"), (["show"], "RUN"), (["--nonsense"], "--nonsense")],
)
def test_wrong_usage(run: Run, arguments: list[str], words: str) -> None:
    done = run("runs", *arguments)
    assert done.code == 2
    assert words in done.err


def test_help_names_the_commands(run: Run) -> None:
    done = run("runs", "-h")
    assert done.code == 0
    assert all(f"  {name} " in done.out for name in ("list", "show", "compare"))
    assert "runs " in run("--help").out
