"""A pool that changes between two runs: clips added, gone, back again, listed otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline_workplace import SOURCE_OF_ANCHORS, Workplace, record_distorted
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.core.store import read_artifact, read_manifest
from w2svqa.pipeline import shared
from w2svqa.stages.distort import DistortConfig, Distorted, distort_clip


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture
def distorted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return record_distorted(monkeypatch)


def failed(workplace: Workplace) -> dict[str, object]:
    noted = read_manifest(workplace.output / "versions").extra["failed"]
    assert isinstance(noted, dict)
    return noted


def versions(workplace: Workplace, clip: str) -> list[VersionRow]:
    rows = read_artifact(workplace.output / "versions", VersionRow).rows
    return [row for row in rows if row.clip_id == clip]


def first_id(workplace: Workplace) -> str:
    """The clip id of ``one.mkv``, which comes before the scenes."""
    return read_artifact(workplace.output / "versions", VersionRow).rows[0].clip_id


def test_a_clip_that_was_added_is_the_only_one_made(workplace: Workplace, distorted: list[str]) -> None:
    workplace.run_to("pair")
    distorted.clear()
    workplace.add("two.mkv", seed=101)
    workplace.run_to("pair")
    assert distorted == ["two.mkv"]


def test_a_clip_that_is_gone_is_left_out_and_noted_with_its_reason(workplace: Workplace) -> None:
    workplace.run_to("ingest")
    path = workplace.clips / "one.mkv"
    path.unlink()
    said = workplace.run_to("pair")
    noted = failed(workplace)
    assert list(noted) == [str(path)]
    assert "no such file" in str(noted[str(path)]).lower()
    assert any(text.startswith(f"left out {path}: ") for text in said)


def test_a_kind_that_could_not_be_made_of_a_clip_is_noted(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_blur(clip: ClipRow, config: DistortConfig, folder: Path, *, seed: int) -> Distorted:
        made = distort_clip(clip, config, folder, seed=seed)
        return replace(made, problems=(("blur", "too small"),)) if clip.name == "one.mkv" else made

    monkeypatch.setattr(shared, "distort_clip", without_blur)
    said = workplace.run_to("pair")
    path = workplace.clips / "one.mkv"
    assert failed(workplace) == {f"blur of {path}": "too small"}
    assert f"left out blur of {path}: too small" in said
    assert versions(workplace, first_id(workplace))


def test_a_clip_that_failed_is_tried_again_when_the_stage_goes_on(workplace: Workplace, distorted: list[str]) -> None:
    workplace.run_to("ingest")
    (workplace.clips / "one.mkv").rename(workplace.root / "elsewhere.mkv")
    workplace.run_to("distort", 2)
    assert distorted == ["one.mkv", "scene-000.mkv"]
    (workplace.root / "elsewhere.mkv").rename(workplace.clips / "one.mkv")
    distorted.clear()
    workplace.run_to("pair")
    assert sorted(distorted) == ["one.mkv", *(f"scene-00{number}.mkv" for number in range(1, 5))]
    assert failed(workplace) == {}


def test_a_clip_that_is_clean_no_longer_is_made_anew_and_no_other(workplace: Workplace, distorted: list[str]) -> None:
    workplace.run_to("pair")
    clip = first_id(workplace)
    assert {row.primary for row in versions(workplace, clip)} == {True}
    distorted.clear()
    workplace.describe("one.mkv", primary=False)
    workplace.run_to("pair")
    assert distorted == ["one.mkv"]
    assert {row.primary for row in versions(workplace, clip)} == {False}


def test_a_clip_that_moved_to_another_split_is_made_anew_for_it(workplace: Workplace, distorted: list[str]) -> None:
    workplace.run_to("pair")
    clip = first_id(workplace)
    assert {(row.split, row.seconds) for row in versions(workplace, clip)} == {("train", 1)}
    distorted.clear()
    workplace.describe("one.mkv", source=SOURCE_OF_ANCHORS)
    workplace.run_to("pair")
    assert distorted == ["one.mkv"]
    assert {(row.split, row.seconds, row.stored) for row in versions(workplace, clip)} == {("anchor", 2, True)}


def test_files_that_are_left_out_are_said_with_their_reason(workplace: Workplace) -> None:
    workplace.describe("missing.mkv")
    said = workplace.run_to("distort")
    assert any("left out" in text and "missing.mkv" in text for text in said)
    refused = read_manifest(workplace.output / "clips").extra["refused"]
    assert isinstance(refused, dict)
    assert list(refused) == [str(workplace.clips / "missing.mkv")]
