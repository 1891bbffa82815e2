"""The whole loop on a few tiny scenes: made, resumed, skipped, refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_workplace import SCENES, SEED, STEPS, KilledError, Workplace, files, forbid, record_distorted, stop_at
from w2svqa import Scorer, pipeline
from w2svqa.core.errors import ConfigError, StoreError, W2SVQAError
from w2svqa.pipeline import pairs, shared, student
from w2svqa.stages import family_compact, train
from w2svqa.students.bundle import read_card
from w2svqa.students.looks import Looks
from w2svqa.video.scene import write_scene


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A whole run, never interrupted."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    assert place.run() == place.output / "bundle"
    return place


@pytest.fixture
def distorted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return record_distorted(monkeypatch)


@pytest.mark.slow
def test_the_bundle_scores_a_scene(finished: Workplace, tmp_path: Path) -> None:
    write_scene(tmp_path / "new.mkv", seed=77, height=64, width=80, seconds=2, fps=5)
    scorer = Scorer.load(finished.output / "bundle")
    result = scorer.score(tmp_path / "new.mkv")
    assert result.status == "ok"
    assert result.value is not None
    assert result.low is not None
    assert result.high is not None
    assert 0 <= result.low <= result.value <= result.high <= 100
    assert len(result.seconds) == 2
    assert scorer.name == "tiny"


@pytest.mark.slow
def test_the_run_leaves_what_its_figure_shows_and_nothing_half_made(finished: Workplace) -> None:
    names = {path.name for path in finished.output.iterdir()}
    assert names == {".lock", "run.json", "provenance.json", "clips", "versions", "stage-1", "quality", "bundle"}
    assert not [path for path in finished.output.rglob(".*") if path.name != ".lock"]
    assert len({path.stat().st_mode for path in (finished.output / "bundle").iterdir()}) == 1
    assert (finished.output / "bundle").stat().st_mode == (finished.output / "stage-1" / "train").stat().st_mode


@pytest.mark.slow
def test_the_card_tells_where_the_student_comes_from_but_not_from_which_machine(finished: Workplace) -> None:
    folder = finished.output / "bundle"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert card["data"]["licenses"] == {"CC0": 1, "generated": SCENES}
    assert card["data"]["splits"] == {"anchor": 1, "calibration": 2, "train": 3}
    assert card["config"]["ingest"]["sources"][0]["manifest"] == "list.csv"
    assert card["config"]["train"]["steps"] == STEPS
    assert set(card["pairs"]) >= {"severity", "same", "cross"}
    assert card["figures"]["contents"] == 1
    assert card["coverage"]["count"] > 0
    for path in folder.iterdir():
        for place in (finished.root, Path(__file__).parents[1]):
            assert str(place).encode() not in path.read_bytes(), path.name


@pytest.mark.slow
def test_a_second_run_does_nothing_again(finished: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(finished.output)
    forbid(monkeypatch, shared, "ingest", "distort_clip")
    forbid(monkeypatch, pairs, "make_pairs")
    forbid(monkeypatch, student, "export")
    forbid(monkeypatch, train, "step_loss")
    stages: list[str] = []
    assert finished.run(lambda stage, *_: stages.append(stage)) == finished.output / "bundle"
    assert files(finished.output) == before
    assert stages == ["ingest", "distort", "pair", "export"]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["encoder.onnx", "card.json"])
def test_a_damaged_bundle_of_a_stage_is_exported_again(
    finished: Workplace, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = finished.output / "stage-1" / "bundle" / damage
    content = path.read_bytes()
    forbid(monkeypatch, train, "step_loss")
    forbid(monkeypatch, shared, "distort_clip")

    def exported(*arguments: object, **_: object) -> None:
        raise KilledError(f"exports {arguments[4]}")

    monkeypatch.setattr(student, "export", exported)
    path.write_bytes(content[:-10])
    try:
        with pytest.raises(KilledError, match=r"stage-1.bundle"):
            finished.run()
    finally:
        path.write_bytes(content)


@pytest.mark.slow
def test_a_damaged_bundle_of_the_run_is_copied_again(finished: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, train, "step_loss")
    forbid(monkeypatch, student, "export")
    path = finished.output / "bundle" / "encoder.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    finished.run()
    assert path.read_bytes() == content


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(
    finished: Workplace, workplace: Workplace, distorted: list[str]
) -> None:
    workplace.run_to("distort", 2)
    assert len(distorted) == 2
    workplace.run_to("train", 15)
    assert len(distorted) == len(set(distorted)) == SCENES + 1
    half = workplace.output / "stage-1" / ".bundle.part"
    half.mkdir()  # as if killed during the export, too
    (half / "half.onnx").write_bytes(b"half")
    steps: list[int] = []
    workplace.run(lambda stage, done, *_: steps.append(done) if stage == "train" else None)
    assert steps == list(range(11, STEPS + 1))
    assert len(distorted) == SCENES + 1
    ours, theirs = (read_card(place.output / "bundle") for place in (workplace, finished))
    assert ours["files"] == theirs["files"]
    assert ours["scale"] == theirs["scale"]
    assert not half.exists()


class Undecided:
    """A student to whom all videos are equal."""

    antisymmetric = True

    def __init__(self, folder: Path, *, name: str, kinds: Sequence[str], motion: bool) -> None:
        self.folder, self.name, self.kinds, self.motion = folder, name, kinds, motion

    def encode_looks(self, looks: Looks) -> NDArray[np.float32]:
        return np.zeros((len(looks), 1), np.float32)

    def judge(self, first: Sequence[object], second: Sequence[object]) -> NDArray[np.float64]:
        assert len(first) == len(second)
        return np.zeros((len(first), 5))


@pytest.mark.slow
def test_a_student_that_has_learned_nothing_is_an_error_with_a_remedy(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.run_to("train", STEPS)
    monkeypatch.setattr(family_compact, "export_onnx", lambda *_: None)
    monkeypatch.setattr(family_compact, "check_parity", lambda *_: 0.0)
    monkeypatch.setattr(family_compact, "CompactStudent", Undecided)
    with pytest.raises(W2SVQAError, match="the student cannot be calibrated") as caught:
        workplace.run()
    assert caught.value.remedy is not None
    assert "train.steps" in caught.value.remedy
    assert {path.name for path in workplace.output.iterdir()}.isdisjoint({"bundle", ".bundle.part"})


def test_another_configuration_in_the_same_folder_is_refused_with_the_difference(workplace: Workplace) -> None:
    workplace.run_to("ingest")
    before = (workplace.output / "run.json").read_bytes()
    other = workplace.write("other.yaml", seed=SEED + 1, distort={"kinds": ["blur"]})
    with pytest.raises(ConfigError, match="another configuration") as caught:
        workplace.run(config=other)
    assert caught.value.path == str(workplace.output)
    assert f"seed: {SEED} -> {SEED + 1}" in str(caught.value)
    assert 'distort.kinds: ["blur", "noise"] -> ["blur"]' in str(caught.value)
    assert (workplace.output / "run.json").read_bytes() == before
    workplace.run_to("ingest")  # the lock was given back


def test_a_folder_that_another_process_holds_is_refused(workplace: Workplace) -> None:
    program = """
import sys
from w2svqa.core.files import hold
with hold(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(workplace.output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match=f"held by process {holder.pid}"):
            workplace.run()
        holder.communicate()
    assert not (workplace.output / "run.json").exists()
    workplace.run_to("ingest")


def test_a_damaged_configuration_of_the_run_is_named(workplace: Workplace) -> None:
    workplace.run_to("ingest")
    (workplace.output / "run.json").write_bytes(b"{")
    with pytest.raises(StoreError, match=r"run\.json: is damaged"):
        workplace.run()


def test_a_file_cannot_be_the_folder_of_a_run(workplace: Workplace) -> None:
    workplace.output.write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        workplace.run()


def test_without_an_output_the_run_is_named_by_its_configuration(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace.root)
    with pytest.raises(KilledError):
        pipeline.run(workplace.config, progress=stop_at("ingest"))
    assert (workplace.root / "runs" / "tiny" / "run.json").is_file()


def test_a_pool_without_training_clips_is_refused(workplace: Workplace) -> None:
    ingest = {"scenes": 2, "scene_size": [64, 80], "scene_seconds": 0.2, "calibration_share": 1}
    config = workplace.write("none.yaml", ingest=ingest)
    with pytest.raises(ConfigError, match="nothing to train on"):
        workplace.run(config=config)


@pytest.mark.slow
def test_a_training_begun_on_other_pairs_is_refused(finished: Workplace) -> None:
    path = finished.output / "stage-1" / "train" / "pairs.sha"
    bound = path.read_text(encoding="ascii")
    path.write_text("0" * len(bound), encoding="ascii")
    with pytest.raises(StoreError, match="other pairs"):
        finished.run()
    path.write_text(bound, encoding="ascii")
