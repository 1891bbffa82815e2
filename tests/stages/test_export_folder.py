"""Students copied out of runs: whole, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from w2svqa.core.errors import BundleError, MissingInputError, StoreError
from w2svqa.stages.export_folder import export_student
from w2svqa.students.bundle import bundle_folder, load_bundle


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two stages that is not finished: the shipped student stands for that of the first."""
    folder = tmp_path / "run"
    (folder / "stage-2").mkdir(parents=True)
    (folder / "run.json").write_text("{}", encoding="utf-8")
    shutil.copytree(bundle_folder(), folder / "stage-1" / "bundle")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_student_of_a_stage_is_copied_whole(run: Path, tmp_path: Path) -> None:
    (run / "stage-1" / "bundle" / "left over").touch()
    name = export_student(run, tmp_path / "mine", stage=1)
    assert load_bundle(tmp_path / "mine").student.name == name == load_bundle().student.name
    assert names(tmp_path / "mine") == names(bundle_folder())


def test_the_student_at_the_end_is_taken_unless_a_stage_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no student at its end; there are those of stage-1"):
        export_student(run, tmp_path / "mine")
    shutil.copytree(bundle_folder(), run / "bundle")
    export_student(run, tmp_path / "mine")
    assert names(tmp_path / "mine") == names(bundle_folder())


def test_what_is_not_there_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no student of stage 2; there are those of stage-1"):
        export_student(run, tmp_path / "mine", stage=2)
    shutil.rmtree(run / "stage-1")
    with pytest.raises(MissingInputError, match="no stage has one yet"):
        export_student(run, tmp_path / "mine", stage=1)
    with pytest.raises(MissingInputError, match="is no folder of a run"):
        export_student(tmp_path, tmp_path / "mine")


def test_a_damaged_student_is_not_copied(run: Path, tmp_path: Path) -> None:
    (run / "stage-1" / "bundle" / "encoder.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="hash differs"):
        export_student(run, tmp_path / "mine", stage=1)
    assert names(tmp_path) == {"run"}


def test_nothing_is_written_over(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    export_student(run, tmp_path / "mine", stage=1)
    before = names(tmp_path / "mine")
    with pytest.raises(StoreError, match="no empty folder"):
        export_student(run, tmp_path / "mine", stage=1)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="no empty folder"):
        export_student(run, tmp_path / "file", stage=1)
    assert names(tmp_path / "mine") == before
    assert names(tmp_path) == {"run", "mine", "file"}
