"""Clips, rows, a student and a teacher for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from brightness_student import BrightnessStudent
from numpy.typing import NDArray

from w2svqa.core.errors import InputError
from w2svqa.core.files import sha256_file
from w2svqa.core.protocols import Video
from w2svqa.core.records import Tokens
from w2svqa.stages.ladder_items import LadderRow
from w2svqa.stages.ladder_manifest import COLUMNS, LadderClip
from w2svqa.students.looks import Looks
from w2svqa.students.runtime import DiagnosisScale
from w2svqa.video.scene import write_scene


def row(
    kind: str,
    level: int,
    *,
    clip: str = "clip",
    source: str = "someone/videos",
    levels: int = 5,
    primary: bool = True,
    vmaf: float | None = None,
    seconds: int = 3,
) -> LadderRow:
    return LadderRow(
        version_id=f"{clip}-{kind}-{level}",
        clip_id=clip,
        source=source,
        kind=kind,
        level=level,
        levels=levels,
        primary=primary,
        vmaf=vmaf,
        views="looks/none",
        row=0,
        seconds=seconds,
    )


def ladder(
    kind: str, steps: Sequence[int], *, levels: int = 5, primary: bool = True, seconds: int = 3
) -> list[LadderRow]:
    """The untouched clip and some levels of one kind."""
    clean = row("none", 0, primary=primary, seconds=seconds)
    return [clean, *(row(kind, level, levels=levels, primary=primary, seconds=seconds) for level in steps)]


class BrightnessTeacher:
    """Scores darkness, so lower is better; refuses what is nearly black."""

    name = "darkness"
    version = "1"
    higher_is_better = False
    range = (0.0, 1.0)
    needs_reference = False
    needs_motion = False

    def score(self, video: Video, reference: Video | None = None) -> float:
        del reference
        dark = float(np.mean([1 - chunk.key_frame.mean() / 255 for chunk in video.chunks()]))
        if dark > 0.95:
            raise InputError("too dark to judge")
        return dark


class LadderBrightnessStudent(BrightnessStudent):
    """Judges the brightness of the whole picture; names darkening where that is below a half."""

    diagnosis_scale = DiagnosisScale()

    def encode_looks(self, looks: Looks) -> Tokens:
        bright = np.asarray(looks.views[:, -1], dtype=np.float32).mean(axis=(1, 2, 3)) / 255
        return np.asarray(bright[:, None], dtype=np.float32)

    def diagnosis(self, videos: Sequence[Tokens]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        bright = np.array([float(video.mean()) for video in videos])
        return np.stack([20 * (bright - 0.4), np.zeros(len(bright))], axis=1), 1 - bright[:, None]


def write_clip(path: Path, *, seed: int, primary: bool = True, source: str = "someone/videos") -> LadderClip:
    """Write a small lossless scene and return its line of a manifest."""
    write_scene(path, seed=seed, width=96, height=64, seconds=3, fps=5)
    return LadderClip(
        name=path.name,
        sha256=sha256_file(path),
        source=source,
        license="unknown",
        primary=primary,
        width=96,
        height=64,
        is_still=False,
    )


def write_manifest(path: Path, clips: Iterable[LadderClip]) -> None:
    """Write a manifest as benchmarks/make_manifests.py does."""
    lines = [",".join(COLUMNS)]
    for clip in clips:
        facts = (clip.name, clip.clip_id, clip.sha256, clip.source, clip.license)
        lines.append(",".join([*facts, str(int(clip.primary)), str(clip.width), str(clip.height), "0"]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
