"""A tiny run: its configuration, its clips, ways to interrupt it, and teachers of another package."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2svqa import pipeline
from w2svqa.core.errors import InputError
from w2svqa.core.files import sha256_file
from w2svqa.core.protocols import Video
from w2svqa.core.rows import ClipRow
from w2svqa.pipeline import shared
from w2svqa.stages.distort import DistortConfig, Distorted, distort_clip
from w2svqa.stages.label import Labelled, label_clip
from w2svqa.video.scene import write_scene

# With this seed two of the five scenes are for training, one for anchors and two for calibration; the source of the
# user's own clips is for training too.
SEED = 16
SCENES = 5
SCENE_SIZE = (64, 80)
STEPS = 30
SOURCE = "garden"
SOURCE_OF_ANCHORS = "lake"
CONTRAST = "contrast.txt"  # the parameter file of a teacher


class KilledError(Exception):
    """Stands for a kill."""


Progress = Callable[[str, int, int, str], None]


def stop_at(stage: str, done: int = 1) -> Progress:
    def progress(name: str, number: int, total: int, text: str) -> None:
        if name == stage and number >= done:
            raise KilledError(f"{name} {number}/{total} {text}")

    return progress


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the manifest says of a clip."""

    source: str = SOURCE
    primary: bool = True


@dataclass
class Workplace:
    """A configuration with a folder of clips, and where its run goes."""

    root: Path
    changes: dict[str, Any] = field(default_factory=dict)
    listed: dict[str, Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clips = self.root / "clips"
        self.clips.mkdir()
        self.add("one.mkv", seed=100)
        self.config = self.write("config.yaml", **self.changes)
        self.output = self.root / "run"

    def add(self, name: str, *, seed: int) -> None:
        height, width = SCENE_SIZE
        write_scene(self.clips / name, seed=seed, height=height, width=width, seconds=2, fps=5)
        self.describe(name)

    def describe(self, name: str, **facts: Any) -> None:  # noqa: ANN401 (fields of a line)
        """Put the clip on the manifest, or say something else of it."""
        self.listed[name] = replace(self.listed.get(name, Line()), **facts)
        lines = [f"{name},{line.source},CC0,{int(line.primary)}" for name, line in self.listed.items()]
        (self.clips / "list.csv").write_text("\n".join(["clip,source,license,primary", *lines]), encoding="utf-8")

    def write(self, name: str, **changes: Any) -> Path:  # noqa: ANN401 (plain values)
        settings = {
            "name": "tiny",
            "seed": SEED,
            "ingest": {
                "sources": [{"folder": str(self.clips), "manifest": str(self.clips / "list.csv")}],
                "license_allow": ["CC0"],
                "scenes": SCENES,
                "scene_size": list(SCENE_SIZE),
                "scene_seconds": 2,
                "anchor_share": 0.25,
                "calibration_share": 0.4,
            },
            "distort": {
                "kinds": ["blur", "noise"],
                "first_seconds": 1,
                "codec_details": 1,
                "vmaf_frames": 0,
                "held_out_seconds": 2,
            },
            "train": {
                "model": {"widths": [4, 4, 8, 8], "token": 8, "hidden": 8},
                "batch": {"severity_groups": 1, "same_groups": 0, "peer_groups": 0, "vmaf_groups": 1, "details": 1},
                "steps": STEPS,
                "checkpoint_steps": 10,
                "learning_rate": 0.01,
            },
            "export": {"calibrate": {"anchors": 3}, "description": "for tests"},
        }
        path = self.root / name
        path.write_text(json.dumps(settings | changes), encoding="utf-8")  # JSON is YAML
        return path

    def run(self, progress: Progress = lambda *_: None, *, config: Path | None = None) -> Path:
        return pipeline.run(config or self.config, output=self.output, progress=progress)

    def run_to(self, stage: str, done: int = 1) -> list[str]:
        """Run until a stage has done so much, and return what was said up to there."""
        said: list[str] = []

        def listen(name: str, number: int, total: int, text: str) -> None:
            said.append(text)
            stop_at(stage, done)(name, number, total, text)

        with pytest.raises(KilledError):
            self.run(listen)
        return said


def record_distorted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the clips that the distort stage works on, as it goes."""
    names: list[str] = []

    def recorded(clip: ClipRow, config: DistortConfig, folder: Path, *, seed: int) -> Distorted:
        names.append(clip.name)
        return distort_clip(clip, config, folder, seed=seed)

    monkeypatch.setattr(shared, "distort_clip", recorded)
    return names


def record_labelled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the clips that the label stage works on, as it goes."""
    names: list[str] = []

    def recorded(clip: ClipRow, **options: Any) -> Labelled:  # noqa: ANN401 (passed on)
        names.append(clip.name)
        return label_clip(clip, **options)

    monkeypatch.setattr(shared, "label_clip", recorded)
    return names


def forbid(monkeypatch: pytest.MonkeyPatch, owner: object, *names: str) -> None:
    for name in names:

        def fail(*_: object, called: str = name, **__: object) -> None:
            pytest.fail(f"{called} was called")

        monkeypatch.setattr(owner, name, fail)


def files(folder: Path) -> dict[str, tuple[int, str]]:
    """Time and hash of every file but the lock, the configuration and the record of starts."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, sha256_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "run.json", "provenance.json")
    }


@dataclass(frozen=True, kw_only=True)
class ByPixels:
    """A teacher who reads its score off the pixels; the teachers below are of this kind."""

    name: str
    version: str
    contrast: float
    higher_is_better: bool = True
    range: tuple[float, float] = (0, 255)
    needs_reference: bool = False
    needs_motion: bool = False

    def score(self, video: Video, reference: Video | None = None) -> float:
        del reference
        frames = [chunk.key_frame.astype(np.float64) for chunk in video.chunks()]
        if not frames:
            raise InputError("no key frames", remedy="give some")
        return float(np.mean([np.abs(np.diff(frame, axis=1)).mean() for frame in frames])) * self.contrast


class Sharp:
    """Orders every severity of blur and resizing; its parameter says by how much contrast is multiplied."""

    needs_parameters = True

    @staticmethod
    def load(folder: Path) -> ByPixels:
        contrast = (folder / CONTRAST).read_text(encoding="ascii")
        return ByPixels(name="sharp", version=f"1+{contrast}", contrast=float(contrast))


class Dull:
    """Gives everything the same score."""

    @staticmethod
    def load(folder: Path | None) -> ByPixels:
        assert folder is None
        return ByPixels(name="dull", version="1", contrast=0)


def install_teachers(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[dict[str, str]]:
    """Install a package with both teachers, as pip would; return how a configuration names them."""
    facts = root / "packages" / "teachers_of_tests-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: teachers-of-tests\nVersion: 1.0\n", encoding="utf-8")
    points = [f"{kind.__name__.lower()} = {__name__}:{kind.__name__}" for kind in (Sharp, Dull)]
    (facts / "entry_points.txt").write_text("\n".join(["[w2svqa.teachers]", *points]), encoding="utf-8")
    monkeypatch.syspath_prepend(facts.parent)
    parameters = root / "parameters"
    parameters.mkdir()
    (parameters / CONTRAST).write_text("0.5", encoding="ascii")
    return [{"name": "sharp", "parameters": str(parameters)}, {"name": "dull"}]
