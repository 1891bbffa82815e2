"""The scores of a labelled pool as mining takes them: one array per model, higher is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError
from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.store import read_artifact
from w2svqa.stages.pool_labels import PoolLabelConfig, directions
from w2svqa.stages.pool_scores import SCORES, VIDEOS

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MiningPool:
    """A labelled pool.

    Attributes:
        videos: all of it.
        clips: clip ids of the videos that are nobody's distorted version.
        student: its scores of ``clips``, float64 ``(N,)``, higher is better, NaN where missing.
        teachers: theirs, by name.
        rows: what the student and these teachers said of all videos, as stored.
        higher_is_better: direction of each on its own scale.
        inputs: hashes of the tables.
    """

    videos: list[VideoRow]
    clips: list[str]
    student: Floats
    teachers: Mapping[str, Floats]
    rows: list[TeacherScoreRow]
    higher_is_better: Mapping[str, bool]
    inputs: Mapping[str, str]


def read_mining_pool(folder: Path, student: str, teachers: Sequence[str], told: PoolLabelConfig) -> MiningPool:
    """Read what ``w2svqa label`` wrote.

    Args:
        folder: of the pool.
        student: its name among those who scored it.
        teachers: who takes part; empty for all others.
        told: directions that nothing else tells.

    Raises:
        ConfigError: the student or a teacher has not scored the pool, there is no teacher, or a direction is not known.
        StoreError: an artifact is missing or damaged.
        MissingExtraError: pyarrow is not installed.
    """
    videos, scores = read_artifact(folder / VIDEOS, VideoRow), read_artifact(folder / SCORES, TeacherScoreRow)
    scored = sorted({row.teacher for row in scores.rows})
    weak = tuple(teachers) or tuple(name for name in scored if name != student)
    if unknown := [name for name in (student, *weak) if name not in scored]:
        raise ConfigError(
            f"{folder}: {', '.join(unknown)} did not score the pool, but {', '.join(scored) or 'nobody'} did",
            remedy="label the pool with --teachers NAME,...",
        )
    if not weak:
        raise ConfigError(f"{folder}: only {student} scored the pool", remedy="label it with a teacher as well")
    rows = [row for row in scores.rows if row.teacher in (student, *weak)]
    better = directions(sorted({student, *weak}), scores.manifest, told)
    clips = _untouched(videos.rows)
    oriented = _oriented(rows, clips, better)
    return MiningPool(
        videos=videos.rows,
        clips=clips,
        student=oriented[student],
        teachers={name: oriented[name] for name in weak},
        rows=rows,
        higher_is_better=better,
        inputs={VIDEOS: videos.manifest.table_sha256, SCORES: scores.manifest.table_sha256},
    )


def _untouched(videos: Sequence[VideoRow]) -> list[str]:
    """The videos that are nobody's distorted version, once each; a version that changes nothing is its source too."""
    versions = {row.clip_id for row in videos if row.kind} - {row.clip_id for row in videos if not row.kind}
    return [clip for clip in dict.fromkeys(row.clip_id for row in videos) if clip not in versions]


def _oriented(rows: Sequence[TeacherScoreRow], clips: Sequence[str], better: Mapping[str, bool]) -> dict[str, Floats]:
    places = {clip: place for place, clip in enumerate(clips)}
    scores = {name: np.full(len(clips), np.nan) for name in better}
    for row in rows:
        if row.value is not None and row.clip_id in places:
            scores[row.teacher][places[row.clip_id]] = row.value if better[row.teacher] else -row.value
    return scores
