"""A run's folder in every state: new, at work, stopped, failed, finished, damaged, and somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from w2svqa.core.errors import InputError, MissingInputError
from w2svqa.core.files import hold
from w2svqa.core.provenance import PROVENANCE, record_start, recorded
from w2svqa.core.rows import LabelQualityRow, PoolPairRow
from w2svqa.core.store import TABLE_NAME, write_artifact
from w2svqa.stages.label_quality import QUALITY
from w2svqa.stages.run_folder import find_runs, read_run
from w2svqa.stages.stopping import STOPPING, Gain, should_stop, write_decision
from w2svqa.students.bundle import write_card

CONFIG = {"name": "try", "seed": 3}
ROW = LabelQualityRow(
    stage=1, source="niqe", against="severity", kind="", measure="srcc", value=0.9, low=0.8, high=1, n=9, contents=3
)
PAIR = PoolPairRow(first="a", second="b", level=3, source="ensemble", uncertainty=1.0, stage=1)
STOPPED = should_stop(Gain(value=0.0, low=-0.1, high=0.1, level=0.9, contents=5))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return folder


def add_bundle(root: Path) -> None:
    (root / "bundle").mkdir()
    write_card(root / "bundle", {"name": "try", "student": "compact", "figures": {"pair_accuracy": 0.9}})


def add_pairs(folder: Path) -> None:
    write_artifact(folder, [PAIR], PoolPairRow, kind="pairs", config={}, extra={"ensemble": 1})


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def states(root: Path, stage: int = 0) -> dict[str, str]:
    return {part.name: part.state for part in read_run(root).stages[stage].parts}


def test_a_new_run_has_nothing_yet(root: Path) -> None:
    facts = read_run(root)
    assert (facts.name, facts.state, facts.config, facts.problems) == ("try", "stopped", CONFIG, ())
    assert (facts.holder, facts.starts, facts.quality, facts.card) == (None, (), (), None)
    assert set(states(root).values()) == {"absent"}


def test_a_finished_run_of_two_stages(root: Path) -> None:
    with recorded(root, config=CONFIG):
        add_pairs(root / "stage-1" / "pairs")
        (root / "versions").mkdir()
        add_pairs(root / "stage-2" / "pairs")
        (root / "stage-2" / "train").mkdir()
        (root / "stage-2" / "train" / "log.jsonl").write_text('{"step": 5, "loss": 1}\n', encoding="ascii")
        write_decision(root / "stage-2", STOPPED)
        write_artifact(root / QUALITY, [ROW], LabelQualityRow, kind=QUALITY, config={})
        add_bundle(root)
    facts = read_run(root)
    assert (facts.state, facts.problems) == ("finished", ())
    assert states(root) == {"clips": "absent", "versions": "begun", "labels": "absent"} | {
        "pairs": "complete",
        "train": "absent",
    }
    first, second = facts.stages
    assert (first.number, second.number) == (1, 2)
    assert [(part.rows, part.facts) for part in first.parts if part.name == "pairs"] == [(1, {"ensemble": 1})]
    assert states(root, 1) == {"mined": "absent", "pairs": "complete", "train": "begun"}
    assert second.log == ({"step": 5.0, "loss": 1.0},)
    assert (first.decision, second.decision) == (None, STOPPED)
    assert facts.quality == (ROW,)
    assert facts.card is not None
    assert facts.card["figures"] == {"pair_accuracy": 0.9}


def test_a_bundle_without_a_record_of_starts_is_a_finished_run_of_an_older_version(root: Path) -> None:
    add_bundle(root)
    assert read_run(root).state == "finished"
    record_start(root, config=CONFIG)
    assert read_run(root).state == "stopped"


def test_a_run_at_work_names_its_process_and_is_left_alone(root: Path) -> None:
    with hold(root):
        record_start(root, config=CONFIG)
        before = snapshot(root)
        facts = read_run(root)
        assert facts.state == "running"
        assert facts.holder is not None
        assert facts.holder.pid == os.getpid()
        assert snapshot(root) == before
    assert read_run(root).state == "stopped"


def test_a_killed_run_is_stopped_though_its_lock_has_a_name(root: Path) -> None:
    program = "import os, sys\nfrom w2svqa.core.files import hold\nwith hold(sys.argv[1]):\n    os._exit(9)"
    subprocess.run([sys.executable, "-c", program, root], check=False)
    assert (root / ".lock").read_bytes()
    facts = read_run(root)
    assert (facts.state, facts.holder) == ("stopped", None)


def test_a_run_on_another_machine_is_taken_to_be_at_work(root: Path) -> None:
    (root / ".lock").write_text('{"pid": 1, "host": "a machine elsewhere"}', encoding="ascii")
    assert read_run(root).state == "running"


def fail(root: Path) -> None:
    with recorded(root, config=CONFIG):
        raise InputError("is no video", path="a.mp4")


def test_a_failed_run_says_why_until_it_goes_on(root: Path) -> None:
    with pytest.raises(InputError):
        fail(root)
    facts = read_run(root)
    assert (facts.state, facts.problems) == ("failed", ("a.mp4: is no video",))
    with recorded(root, config=CONFIG):
        assert read_run(root).state == "stopped"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("run.json", b"{", "run.json: cannot be read"),
        ("run.json", b"[]", "run.json: is damaged: no mapping"),
        (PROVENANCE, b"{", "provenance.json: is damaged"),
        ("bundle/card.json", b"{", "card.json: is damaged"),
    ],
)
def test_damage_is_a_state_with_a_reason(root: Path, name: str, text: bytes, problem: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(text)
    facts = read_run(root)
    assert facts.state == "damaged"
    assert problem in facts.problems[0]


def test_damaged_parts_do_not_hide_the_others(root: Path) -> None:
    for name in ("clips", "versions", "stage-1/pairs"):
        add_pairs(root / name)
    (root / "clips" / "manifest.json").write_text("{", encoding="ascii")
    (root / "versions" / TABLE_NAME).write_bytes(b"short")
    assert states(root) == {"clips": "damaged", "versions": "damaged", "labels": "absent"} | {
        "pairs": "complete",
        "train": "absent",
    }
    problems = {part.name: part.problem for part in read_run(root).stages[0].parts}
    assert "the manifest is damaged" in problems["clips"]
    assert "has 5 bytes, not" in problems["versions"]


def test_a_damaged_table_of_quality_is_a_problem_of_its_own(root: Path) -> None:
    write_artifact(root / QUALITY, [ROW], LabelQualityRow, kind=QUALITY, config={})
    (root / QUALITY / TABLE_NAME).write_bytes(b"x")
    facts = read_run(root)
    assert (facts.state, facts.quality) == ("stopped", ())
    assert "the table is damaged" in facts.problems[0]
    assert read_run(root, tables=False).problems == ()


def test_a_damaged_decision_is_a_problem_of_its_stage(root: Path) -> None:
    (root / "stage-2").mkdir()
    (root / "stage-2" / STOPPING).write_text("{", encoding="ascii")
    assert "is damaged" in read_run(root).stages[1].problem


def test_a_training_is_complete_when_its_student_was_exported(root: Path) -> None:
    for number in (1, 2):
        train = root / f"stage-{number}" / "train"
        train.mkdir(parents=True)
        (train / "log.jsonl").write_text('{"step": 1}\n', encoding="ascii")
    (root / "stage-3").mkdir()
    assert [states(root, stage)["train"] for stage in (0, 1, 2)] == ["begun", "begun", "absent"]
    (root / "stage-1" / "bundle").mkdir()
    (root / "stage-1" / "bundle" / "card.json").write_text("{}", encoding="ascii")
    assert [states(root, stage)["train"] for stage in (0, 1, 2)] == ["complete", "begun", "absent"]


def test_only_stages_are_stages(root: Path) -> None:
    for name in ("stage-3", "stage-10", "stage-02", "stage-1", "stage-x", "stage-2.old"):
        (root / name).mkdir()
    assert [stage.number for stage in read_run(root).stages] == [1, 3, 10]


def test_a_folder_of_runs_lists_what_is_in_it(root: Path) -> None:
    runs = root.parent
    (runs / "photos").mkdir()
    (runs / ".hidden").mkdir()
    (runs / "notes.txt").write_text("no run", encoding="ascii")
    (runs / "broken").mkdir()
    (runs / "broken" / "run.json").write_text("", encoding="ascii")
    found = find_runs(runs)
    assert [(facts.name, facts.state) for facts in found] == [
        ("broken", "damaged"),
        ("try", "stopped"),
        ("photos", "foreign"),
    ]
    assert found[2].stages == ()
    assert [facts.folder for facts in find_runs(root)] == [root]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MissingInputError):
        find_runs(tmp_path / name)
    with pytest.raises(MissingInputError, match="no such folder"):
        read_run(tmp_path / name)
