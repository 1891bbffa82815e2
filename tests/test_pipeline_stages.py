"""Stages after the first: hard pairs from the student before, a stopping rule, and the same after any kill."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_workplace import Workplace, forbid, install_teachers
from w2svqa.core.rows import LabelQualityRow, PairRow
from w2svqa.core.stage_rows import HeldBackRow, MinedRow
from w2svqa.core.store import read_artifact, read_manifest
from w2svqa.distort import distort_video
from w2svqa.pipeline import pairs, shared, student
from w2svqa.stages import train
from w2svqa.students.bundle import check_files, load_bundle, read_card

SETTINGS = {
    "label": {"test_primaries": 8, "seconds": 1, "admission": {"least_contents": 2, "resamples": 20}},
    "distort": {
        "kinds": ["resizing", "blur"],
        "first_seconds": 1,
        "held_out_seconds": 2,
        "codec_details": 1,
        "vmaf_frames": 1,
    },
    "later": {
        "stages": 2,
        "steps": 12,
        "pairs": {"gmad_share": 0.5, "misclassified_share": 0.2, "bins": 2},
        "stop": {"enabled": False, "resamples": 50},
    },
}


def workplace(root: Path, monkeypatch: pytest.MonkeyPatch, **later: object) -> Workplace:
    teachers = install_teachers(monkeypatch, root)
    settings = {
        **SETTINGS,
        "label": {**SETTINGS["label"], "teachers": teachers},
        "later": {**SETTINGS["later"], **later},
    }
    place = Workplace(root, settings)
    place.add("two.mkv", seed=101)
    distort_video(place.clips / "two.mkv", place.clips / "soft.mkv", "blur", 4)
    place.describe("soft.mkv", primary=False)
    return place


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A whole run of three stages, never interrupted."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        place = workplace(tmp_path_factory.mktemp("stages"), monkeypatch)
        place.run()
        yield place


@pytest.mark.slow
def test_a_stage_learns_from_the_pairs_before_and_from_what_it_finds_hard(finished: Workplace) -> None:
    rows = [
        read_artifact(finished.output / f"stage-{number}" / "pairs", PairRow, kind="pairs").rows for number in (1, 2, 3)
    ]
    assert rows[1][: len(rows[0])] == rows[0]
    assert rows[2][: len(rows[1])] == rows[1]
    added = Counter(row.origin for row in rows[1][len(rows[0]) :])
    mined = read_artifact(finished.output / "stage-2" / "mined", MinedRow, kind="mined").rows
    assert added == Counter(row.origin for row in mined)
    assert added["gmad"] > 0
    assert added["misclassified"] > 0


@pytest.mark.slow
def test_hard_pairs_are_of_training_clips_alone(finished: Workplace) -> None:
    held = {row.clip_id for row in read_artifact(finished.output / "stage-1" / "held_back", HeldBackRow).rows}
    mined = read_artifact(finished.output / "stage-3" / "mined", MinedRow, kind="mined").rows
    assert {name.partition("-")[0] for row in mined for name in (row.first, row.second)}.isdisjoint(held)


@pytest.mark.slow
def test_each_stage_is_measured_and_the_best_is_the_students_of_the_run(finished: Workplace) -> None:
    decisions = [
        json.loads((finished.output / f"stage-{number}" / "stopping.json").read_text(encoding="utf-8"))
        for number in (2, 3)
    ]
    better = [not decision["stop"] for decision in decisions]
    best = 3 if better[1] else 2 if better[0] else 1
    card = read_card(finished.output / "bundle")
    check_files(finished.output / "bundle", card)
    assert card["stage"] == best
    assert card == read_card(finished.output / f"stage-{best}" / "bundle")


@pytest.mark.slow
def test_label_quality_has_teachers_and_every_student(finished: Workplace) -> None:
    rows = read_artifact(finished.output / "quality", LabelQualityRow, kind="quality").rows
    assert {row.source for row in rows} == {"sharp", "student-1", "student-2", "student-3"}
    assert {row.stage for row in rows if row.source == "student-2"} == {3}
    assert {row.against for row in rows} >= {"severity", "vmaf", "before"}
    assert all(row.value is None or -1 <= row.value <= 1 for row in rows)
    assert not [row for row in rows if row.source == "student-1" and row.against == "before"]


@pytest.mark.slow
def test_a_second_run_makes_nothing_again(finished: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, shared, "distort_clip", "label_clip")
    forbid(monkeypatch, pairs, "make_pairs", "mine_pairs", "encode_clip")
    forbid(monkeypatch, student, "export")
    forbid(monkeypatch, train, "step_loss")
    assert finished.run() == finished.output / "bundle"


@pytest.mark.slow
def test_killed_in_every_part_of_a_later_stage_it_ends_as_if_nothing_had_happened(
    finished: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = workplace(tmp_path, monkeypatch, stages=1)  # the first two are the same, however many follow
    for stage, done in (("score 2", 2), ("pair 2", 1), ("train 2", 11), ("export 2", 1)):
        place.run_to(stage, done)
    place.run()
    for number in (1, 2):
        ours, theirs = (each.output / f"stage-{number}" for each in (place, finished))
        assert read_card(ours / "bundle")["files"] == read_card(theirs / "bundle")["files"]
        for table in ("pairs", "held_back"):
            hashes = [read_manifest(folder / table).table_sha256 for folder in (ours, theirs)]
            assert hashes[0] == hashes[1], (number, table)


@pytest.mark.slow
def test_a_later_stage_goes_on_from_the_student_before_or_anew(finished: Workplace) -> None:
    before, after = (load_bundle(finished.output / f"stage-{number}" / "bundle") for number in (1, 2))
    assert before.card["files"]["weights.safetensors"] != after.card["files"]["weights.safetensors"]
    log = (finished.output / "stage-2" / "train" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1])["step"] == 12


@pytest.mark.slow
def test_a_gain_within_its_interval_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"stop": {"enabled": True, "minimum": 1.0, "resamples": 50}, "steps": 1}  # which no gain can pass
    place = workplace(tmp_path, monkeypatch, **rule)
    said: list[str] = []
    place.run(lambda stage, *facts: said.append(f"{stage}: {facts[-1]}"))
    assert not (place.output / "stage-3").exists()
    assert any(text.startswith("gain 2: ") and "no further stage" in text for text in said)
    assert (place.output / "bundle").is_dir()
