"""The whole loop with students that have a vision tower: made, scored with, resumed, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from pipeline_workplace import KilledError, files, forbid, stop_at
from w2svqa import Scorer, pipeline
from w2svqa.core.config import from_mapping
from w2svqa.core.errors import ConfigError, InputError
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.core.store import read_artifact
from w2svqa.pipeline import RunConfig, shared, student
from w2svqa.pipeline.config import without_folders
from w2svqa.stages import train
from w2svqa.stages.family_table import family_of
from w2svqa.stages.train_weights import changing
from w2svqa.students.bundle import load_bundle, read_card
from w2svqa.students.seconds import read_seconds
from w2svqa.video.decode import open_clip

pytestmark = pytest.mark.llm

MODELS: dict[str, dict[str, Any]] = {
    "tower": {"kind": "tower", "checkpoint": "random-tiny", "token": 16, "hidden": 16},
    "llava": {"kind": "llava", "checkpoint": "random-tiny", "network": {"frame_side": 56}},
}
FRAMES: dict[str, dict[str, Any]] = {
    "tower": {"slowfast": "random-tiny", "seconds": 2, "side": 32, "motion_side": 32},
    "llava": {"slowfast": "random-tiny", "seconds": 1, "side": 56},
}
STEPS = 30


def settings(kind: str) -> dict[str, Any]:
    return {
        "name": f"{kind}-tiny",
        "seed": 16,
        "ingest": {
            "scenes": 6,
            "scene_size": [64, 80],
            "scene_fps": 5,
            "anchor_share": 0.25,
            "calibration_share": 0.4,
        },
        "distort": {"kinds": ["blur"], "vmaf_frames": 0, "held_out_seconds": 2, "frames": FRAMES[kind]},
        "train": {
            "model": MODELS[kind],
            "batch": {"severity_groups": 1, "same_groups": 1, "peer_groups": 1, "pairs_per_group": 4},
            "steps": STEPS,
            "checkpoint_steps": 10,
            "learning_rate": 1e-3,
        },
        "export": {"calibrate": {"anchors": 3, "candidates": 12}},
        "later": {"stages": 1, "steps": 10},
    }


class Place:
    """A configuration and where its run goes."""

    def __init__(self, root: Path, kind: str) -> None:
        self.kind, self.config, self.output = kind, root / "config.yaml", root / "run"
        self.config.write_text(json.dumps(settings(kind)), encoding="utf-8")  # JSON is YAML

    @property
    def bundle(self) -> Path:
        return self.output / "bundle"

    def run(self, progress: Callable[[str, int, int, str], None] = lambda *_: None) -> Path:
        return pipeline.run(self.config, output=self.output, progress=progress)


@pytest.fixture(scope="module", params=list(MODELS))
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run of two stages, never interrupted."""
    place = Place(tmp_path_factory.mktemp(request.param), request.param)
    assert place.run() == place.bundle
    return place


@pytest.mark.slow
def test_the_bundle_scores_a_video_it_never_saw(finished: Place) -> None:
    scorer = Scorer.load(finished.bundle)
    result = scorer.score(finished.output / "clips" / "scenes" / "scene-000.mkv")
    assert result.status == "ok"
    assert result.low is not None
    assert result.value is not None
    assert result.high is not None
    assert 0 <= result.low <= result.value <= result.high <= 100
    assert result.reasons == ()  # it names no distortions


@pytest.mark.slow
def test_what_was_kept_is_what_scoring_sees(finished: Place) -> None:
    rows = read_artifact(finished.output / "versions", VersionRow, kind="versions").rows
    row = next(row for row in rows if row.kind == "none" and row.split == "anchor")
    found = load_bundle(finished.bundle)
    kept = read_seconds(finished.output / "versions" / row.views, row.row)
    clips = read_artifact(finished.output / "clips", ClipRow, kind="clips").rows
    path = next(clip.path for clip in clips if clip.clip_id == row.clip_id)
    with open_clip(path, found.student.clip_spec) as clip:
        seen = found.student.encode(clip.chunks())
    config = from_mapping(RunConfig, settings(finished.kind))
    family: Any = family_of(config.train.model)
    assert len(kept) == 2
    assert np.allclose(family.tokens(found.student, kept), seen[:2], atol=1e-5)


@pytest.mark.slow
def test_the_bundle_holds_what_was_trained_and_nothing_that_was_not(finished: Place) -> None:
    config = from_mapping(RunConfig, settings(finished.kind))
    model = family_of(config.train.model).build((), seed=config.seed, precision="fp32")
    held = set[str]()
    for path in finished.bundle.glob("weights*.safetensors"):
        with safe_open(path, "pt") as file:
            held |= set(file.keys())
    trained = {name.removeprefix("backbone.") for name in changing(model) if not name.startswith("motion_projector.")}
    assert held == trained
    card = read_card(finished.bundle)
    assert card["student"] == finished.kind
    assert "diagnosis" not in card
    assert "diagnosis" not in card["figures"]
    assert not list(finished.output.rglob(".tokens-*"))


@pytest.mark.slow
def test_a_second_run_does_nothing_again(finished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(finished.output)
    forbid(monkeypatch, shared, "ingest", "distort_clip")
    forbid(monkeypatch, student, "export")
    forbid(monkeypatch, train, "step_loss")
    assert finished.run() == finished.bundle
    assert files(finished.output) == before


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(finished: Place, tmp_path: Path) -> None:
    place = Place(tmp_path, finished.kind)
    for stage, done in (("distort", 2), ("train", 15), ("export", 3), ("score 2", 1), ("train 2", 3)):
        with pytest.raises(KilledError):
            place.run(stop_at(stage, done))
    place.run()
    ours, theirs = (read_card(each.bundle) for each in (place, finished))
    assert ours["files"] == theirs["files"]
    assert ours["scale"] == theirs["scale"]


def _changed(kind: str, part: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 (plain values)
    found = settings(kind)
    return found | {part: found[part] | changes}


@pytest.mark.parametrize(
    ("wrong", "problem", "remedy"),
    [
        (_changed("tower", "distort", frames=None), "a tower student needs distort.frames", "slowfast"),
        (
            _changed("llava", "train", model={}),
            "distort.frames is for students with a vision tower",
            "train.model.kind",
        ),
        (_changed("llava", "distort", frames={"slowfast": "x"}), "distort.frames.side is 384, and the student", "56"),
        (_changed("llava", "train", model={"kind": "lava"}), r"train\.model\.kind must be one of", "'llava'"),
        (_changed("llava", "train", model={"kind": "llava"}), "missing key 'checkpoint' in train.model", ""),
        (
            _changed("llava", "train", model={"checkpoint": "x"}),
            "unknown key 'checkpoint' in train.model",
            "known keys",
        ),
    ],
)
def test_a_student_that_cannot_see_what_is_kept_is_refused(wrong: dict[str, Any], problem: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        from_mapping(RunConfig, wrong)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("part", "name"), [("train", "nowhere/at-all/vision"), ("distort", "nowhere/at-all/SLOWFAST_8x8_R50.pyth")]
)
@pytest.mark.parametrize("kind", list(MODELS))
def test_what_the_student_starts_from_is_looked_for_before_anything_is_made(
    tmp_path: Path, kind: str, part: str, name: str
) -> None:
    place = Place(tmp_path, kind)
    found = settings(kind)
    entry = found["train"]["model"] if part == "train" else found["distort"]["frames"]
    found[part] = found[part] | (
        {"model": entry | {"checkpoint": name}} if part == "train" else {"frames": entry | {"slowfast": name}}
    )
    place.config.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises((ConfigError, InputError)) as caught:
        place.run()
    assert name in str(caught.value)
    assert not (place.output / "clips").exists()


def test_a_card_says_what_a_student_started_from_but_not_where_it_was(tmp_path: Path) -> None:
    base, weights = tmp_path / "base", tmp_path / "SLOWFAST.pyth"
    base.mkdir()
    weights.touch()
    model = MODELS["llava"] | {"checkpoint": str(base)}
    found = _changed("llava", "train", model=model)
    found["distort"] = found["distort"] | {"frames": FRAMES["llava"] | {"slowfast": str(weights)}}
    told = json.dumps(without_folders(from_mapping(RunConfig, found)))
    assert '"checkpoint": "base"' in told
    assert '"slowfast": "SLOWFAST.pyth"' in told
    assert str(tmp_path) not in told
    assert "google/siglip" in json.dumps(
        without_folders(from_mapping(RunConfig, _changed("tower", "train", model=_named("google/siglip-base"))))
    )


def _named(checkpoint: str) -> dict[str, Any]:
    return MODELS["tower"] | {"checkpoint": checkpoint}
