"""The stage ``label`` in the loop: teachers of another package, tested, heard or not, and kept across kills."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_workplace import (
    CONTRAST,
    SCENES,
    Workplace,
    forbid,
    install_teachers,
    record_distorted,
    record_labelled,
)
from w2svqa.core.errors import ConfigError
from w2svqa.core.rows import PairRow, ScoreRow
from w2svqa.core.store import read_artifact, read_manifest
from w2svqa.distort import distort_video
from w2svqa.pipeline import pairs, shared, student
from w2svqa.stages import label

TEST = {"test_primaries": 8, "seconds": 1, "admission": {"least_contents": 2, "resamples": 20}}
DISTORT = {"kinds": ["resizing", "blur"], "first_seconds": 1, "held_out_seconds": 2, "codec_details": 1}
TRAINED = ("one.mkv", "scene-001.mkv", "scene-003.mkv")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, str]]:
    return install_teachers(monkeypatch, tmp_path)


@pytest.fixture
def workplace(tmp_path: Path, package: list[dict[str, str]]) -> Workplace:
    """A run with teachers but without VMAF, on whose scale they could be brought."""
    return Workplace(tmp_path, {"label": TEST | {"teachers": package}, "distort": DISTORT | {"vmaf_frames": 0}})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A whole run with teachers and VMAF; the package with the teachers stays installed."""
    root = tmp_path_factory.mktemp("labelled")
    with pytest.MonkeyPatch.context() as monkeypatch:
        teachers = install_teachers(monkeypatch, root)
        settings = {"label": TEST | {"teachers": teachers}, "distort": DISTORT | {"vmaf_frames": 1}}
        place = Workplace(root, settings)
        place.add("two.mkv", seed=101)  # for teachers to be fitted there must be 30 versions
        distort_video(place.clips / "two.mkv", place.clips / "soft.mkv", "blur", 4)
        place.describe("soft.mkv", primary=False)  # a clip that teachers can tell from the others
        place.run()
        yield place


@pytest.mark.slow
def test_teachers_of_another_package_are_tested_and_who_orders_nothing_is_not_heard(finished: Workplace) -> None:
    facts = read_manifest(finished.output / "labels").extra
    admissions, calibration = facts["admissions"], facts["calibration"]
    assert isinstance(admissions, list)
    assert [(record["teacher"], record["admitted"]) for record in admissions] == [("sharp", True), ("dull", False)]
    assert isinstance(calibration, dict)
    assert [fit["teacher"] for fit in calibration["fits"]] == ["sharp"]
    assert facts["labelled_clips"] == len(TRAINED) + 2
    assert facts["failed"] == {}


@pytest.mark.slow
def test_every_training_clip_and_no_other_is_scored_by_every_teacher(finished: Workplace) -> None:
    rows = read_artifact(finished.output / "labels", ScoreRow, kind="labels").rows
    untouched = Counter(row.teacher for row in rows if row.version_id.endswith("-none-0"))
    assert untouched == {"sharp": len(TRAINED) + 2, "dull": len(TRAINED) + 2}
    assert len({(row.version_id, row.teacher) for row in rows}) == len(rows)


@pytest.mark.slow
def test_pairs_and_card_hold_what_vmaf_and_teachers_say(finished: Workplace) -> None:
    origins = Counter(row.origin for row in read_artifact(finished.output / "stage-1" / "pairs", PairRow).rows)
    assert min(origins[origin] for origin in ("severity", "vmaf", "teacher")) > 0
    card = json.loads((finished.output / "bundle" / "card.json").read_text(encoding="utf-8"))
    assert card["pairs"] == origins
    assert [record["teacher"] for record in card["teachers"]["admissions"]] == ["sharp", "dull"]
    # which folder, but not where on this machine
    assert [teacher["parameters"] for teacher in card["config"]["label"]["teachers"]] == ["parameters", None]
    assert str(finished.root) not in json.dumps(card)


@pytest.mark.slow
def test_a_second_run_says_what_is_known_of_the_teachers_and_labels_nothing(
    finished: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, shared, "distort_clip", "label_clip")
    forbid(monkeypatch, pairs, "make_pairs")
    forbid(monkeypatch, student, "export")
    said: list[tuple[str, str]] = []
    finished.run(lambda stage, *facts: said.append((stage, str(facts[-1]))))
    assert list(dict.fromkeys(stage for stage, _ in said)) == ["ingest", "distort", "label", "pair", "export"]
    assert any(stage == "label" and text.startswith("dull: refused") for stage, text in said)


def test_killed_while_it_labels_a_run_goes_on_with_the_clips_that_are_left(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    distorted, labelled = record_distorted(monkeypatch), record_labelled(monkeypatch)
    workplace.run_to("label", 2)
    assert labelled == list(TRAINED[:2])
    workplace.run_to("pair")
    assert labelled == list(TRAINED)
    assert len(distorted) == SCENES + 1
    assert len({row.clip_id for row in read_artifact(workplace.output / "labels", ScoreRow).rows}) == len(TRAINED)


def test_without_vmaf_no_teacher_is_brought_to_a_scale_and_the_run_goes_on(workplace: Workplace) -> None:
    said = workplace.run_to("pair")
    assert any(text.startswith("sharp: not used: ") and "VMAF" in text for text in said)
    assert read_manifest(workplace.output / "labels").extra["labelled_clips"] == 0
    assert {row.origin for row in read_artifact(workplace.output / "stage-1" / "pairs", PairRow).rows} & {
        "vmaf",
        "teacher",
    } == set()


def test_a_clip_that_cannot_be_labelled_is_noted_and_tried_again(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled = record_labelled(monkeypatch)
    here, away = workplace.clips / "one.mkv", workplace.root / "elsewhere.mkv"
    workplace.run_to("distort", SCENES + 1)
    here.rename(away)
    workplace.run_to("label", 2)
    away.rename(here)
    labelled.clear()
    workplace.run_to("label", 3)
    assert sorted(labelled) == ["one.mkv", "scene-003.mkv"]
    here.rename(away)  # what has been kept does not need its clip
    workplace.run_to("pair")
    assert read_manifest(workplace.output / "labels").extra["failed"] == {}


def test_a_clip_that_is_gone_when_the_teachers_come_has_no_label(workplace: Workplace) -> None:
    workplace.run_to("distort", SCENES + 1)
    (workplace.clips / "one.mkv").unlink()
    said = workplace.run_to("pair")
    noted = read_manifest(workplace.output / "labels").extra["failed"]
    assert isinstance(noted, dict)
    assert list(noted) == [str(workplace.clips / "one.mkv")]
    assert any(text.startswith(f"left out {workplace.clips / 'one.mkv'}: ") for text in said)


def test_a_clip_that_was_added_is_the_only_one_labelled(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    workplace.run_to("pair")
    labelled = record_labelled(monkeypatch)
    workplace.add("two.mkv", seed=101)
    workplace.run_to("pair")
    assert labelled == ["two.mkv"]
    assert len({row.clip_id for row in read_artifact(workplace.output / "labels", ScoreRow).rows}) == len(TRAINED) + 1


def test_a_teacher_with_other_parameters_makes_all_labels_anew(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.run_to("pair")
    labelled = record_labelled(monkeypatch)
    (workplace.root / "parameters" / CONTRAST).write_text("0.25", encoding="ascii")
    label._load.cache_clear()  # as in a new process
    workplace.run_to("pair")
    assert labelled == list(TRAINED)


def test_a_teacher_without_its_parameters_stops_the_run_before_it_distorts(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, shared, "distort_clip", "label_clip")
    config = workplace.write("other.yaml", **workplace.changes | {"label": TEST | {"teachers": [{"name": "sharp"}]}})
    with pytest.raises(ConfigError, match="'sharp' has no parameters"):
        workplace.run(config=config)
