"""What models say of rated videos: teachers and students score files, tables of scores are joined by name."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, InputError, StrPath, printable
from w2svqa.core.files import hold
from w2svqa.core.inputs import InputItem, expand_inputs
from w2svqa.stages.name_join import Join, join_names
from w2svqa.stages.pool_scores import LabelledPool, LabelPoolConfig, label_pool
from w2svqa.stages.pool_teachers import PoolTeacher
from w2svqa.stages.pool_videos import ID_DIGITS, FileHashes
from w2svqa.stages.ratings import Ratings
from w2svqa.stages.student_teacher import PREFIX
from w2svqa.students.bundle import CARD, bundle_folder
from w2svqa.teachers.scores import named_scores

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int, str], None]

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """A model whose scores were made elsewhere.

    Attributes:
        name: of the model.
        paths: of its tables: CSV, Parquet or JSON; a benchmark is given the one that fits most of its videos.
        name_column: which column names the videos; found by its name if empty.
        score_column: which column holds the scores; likewise.
        higher_is_better: direction of the scores.
    """

    name: str
    paths: tuple[str, ...]
    name_column: str = ""
    score_column: str = ""
    higher_is_better: bool = True


Model = PoolTeacher | ScoreTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatedSet:
    """A benchmark's ratings, and the files of its videos as far as there are any.

    Attributes:
        ratings: of the videos.
        files: of videos by their names in the ratings.
        notes: what did not fit.
    """

    ratings: Ratings
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelScores:
    """What one model says of one benchmark's videos.

    Attributes:
        model: its name.
        higher_is_better: direction of its scale.
        values: on its own scale, NaN where there is none, ``(N,)`` in the order of the ratings.
        messages: why there is none, or ``None``, ``N`` of them.
        version: of the model, or the hash of its table.
        notes: what did not fit.
    """

    model: str
    higher_is_better: bool
    values: Floats
    messages: tuple[str | None, ...]
    version: str
    notes: tuple[str, ...] = ()

    @property
    def oriented(self) -> Floats:
        """The values, turned so that higher is better."""
        return self.values if self.higher_is_better else -self.values


def rated_set(ratings: Ratings, videos: StrPath | Sequence[StrPath] | None) -> RatedSet:
    """Join ratings with the videos of a folder, or of several places.

    Args:
        ratings: of a benchmark.
        videos: a folder, searched with all that is below it, or several files, folders or patterns; ``None`` where no
            file is to be scored.

    Raises:
        InputError: there is no such folder, or none of the videos is in it.
    """
    if videos is None:
        return RatedSet(ratings=ratings, notes=ratings.notes)
    places = [videos] if isinstance(videos, str | os.PathLike) else list(videos)
    items = expand_inputs([os.fspath(place) for place in places])
    paths = [item.path for item in items if item.error is None]
    if not paths and items[0].error is not None:
        raise items[0].error
    join = join_names(ratings.names, paths, dropped=ratings.benchmark.dropped)
    if not join.pairs:
        raise InputError(
            f"none of the {len(ratings.rows)} videos of {ratings.benchmark.shown} is here, such as {ratings.names[0]}",
            path=places[0],
            remedy="check the folder, or the names in the table of ratings",
        )
    notes = (*ratings.notes, *join.lines("ratings", "videos"), *_shared(join))
    return RatedSet(ratings=ratings, files=join.pairs, notes=notes)


def _shared(join: Join) -> list[str]:
    return [] if join.missing or join.extra or join.ambiguous else [f"all {len(join.pairs)} ratings have their video"]


def teacher_scores(
    sets: Sequence[RatedSet], config: LabelPoolConfig, output: StrPath, *, progress: Progress
) -> list[list[ModelScores]]:
    """Let teachers and students score the files of all sets; what the folder has already is not decoded again.

    Args:
        sets: benchmarks with files.
        config: of the labelling.
        output: see :func:`w2svqa.stages.pool_scores.label_pool`.
        progress: likewise.

    Returns:
        per set, the scores of each teacher.

    Raises:
        ConfigError: no set has files, or a student was trained on one of them.
        W2SVQAError: as :func:`w2svqa.stages.pool_scores.label_pool`.
    """
    paths = sorted({path for each in sets for path in each.files.values()})
    if not paths:
        raise ConfigError("there are no videos to score", remedy="name their folder with --videos")
    _refuse_trained(paths, config.teachers, Path(output))
    labelled = label_pool([InputItem(path=path) for path in paths], output, config, progress=progress)
    clips = {video.path: video.clip_id for video in labelled.videos}
    clips |= {path: clips[first] for path, first in labelled.pool.repeated.items() if first in clips}
    return [_of_set(each, labelled, clips) for each in sets]


def _of_set(rated: RatedSet, labelled: LabelledPool, clips: Mapping[str, str]) -> list[ModelScores]:
    found = []
    for labels in labelled.labels:
        rows = {row.clip_id: row for row in labels.rows}
        values, messages = [], []
        for name in rated.ratings.names:
            row = rows.get(clips.get(rated.files.get(name, ""), ""))
            value = math.nan if row is None or row.value is None else row.value
            values.append(value)
            messages.append(None if math.isfinite(value) else (row.message if row is not None else "no video"))
        found.append(
            ModelScores(
                model=labels.facts.name,
                higher_is_better=labels.facts.higher_is_better,
                values=np.array(values, np.float64),
                messages=tuple(messages),
                version=labels.facts.version,
                notes=tuple(_failures(rated, messages)),
            )
        )
    return found


def _failures(rated: RatedSet, messages: Sequence[str | None]) -> Iterator[str]:
    """Yield which files could not be scored; those that are not there are told with the ratings."""
    failed = [
        f"{name}: {message}"
        for name, message in zip(rated.ratings.names, messages, strict=True)
        if message is not None and name in rated.files
    ]
    if failed:
        more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        yield f"{len(failed)} videos could not be scored: {'; '.join(failed[:_SHOWN])}{more}"


def table_scores(rated: RatedSet, table: ScoreTable) -> ModelScores | None:
    """Join a model's tables of scores with the ratings of a benchmark; ``None`` where no name fits.

    Raises:
        InputError: a table is damaged, a score is no number, or a name comes twice.
        ConfigError: its columns cannot be told.
    """
    ratings = rated.ratings
    joins = []
    for path in table.paths:
        scores, sha256 = named_scores(path, table.name_column, table.score_column)
        joins.append((join_names(ratings.names, list(scores), dropped=ratings.benchmark.dropped), scores, sha256))
    join, scores, sha256 = max(joins, key=lambda each: len(each[0].pairs))
    if not join.pairs:
        return None
    values = np.array([scores.get(join.pairs.get(name, ""), math.nan) for name in ratings.names], np.float64)
    values[~np.isfinite(values)] = math.nan
    messages = tuple(_why_not(name, value, join) for name, value in zip(ratings.names, values.tolist(), strict=True))
    return ModelScores(
        model=table.name,
        higher_is_better=table.higher_is_better,
        values=values,
        messages=messages,
        version=sha256[:16],
        notes=tuple(join.lines("ratings", "scores")),
    )


def _why_not(name: str, value: float, join: Join) -> str | None:
    if math.isfinite(value):
        return None
    if name in join.ambiguous:
        return f"its name fits {' and '.join(join.ambiguous[name][:_SHOWN])}"
    return "the table has no number for it" if name in join.pairs else "the table has no row for it"


def _refuse_trained(paths: Sequence[str], teachers: Sequence[PoolTeacher], folder: Path) -> None:
    """Refuse videos that a student was trained on, by their content, before anything is decoded."""
    trained = {
        teacher.name: trained_on(teacher.name.removeprefix(PREFIX) or teacher.parameters)
        for teacher in teachers
        if teacher.name.startswith(PREFIX)
    }
    if not any(trained.values()):
        return
    with hold(folder), FileHashes(folder / "files.jsonl") as hashes:
        clips = {path: hashes.of(path).sha256[:ID_DIGITS] for path in paths if Path(path).is_file()}
    for name, seen in trained.items():
        if found := [path for path, clip in clips.items() if clip in seen]:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise ConfigError(
                f"{name} was trained on {len(found)} of the videos: {', '.join(map(printable, found[:_SHOWN]))}{more}",
                remedy="take these videos out of the ratings",
            )


def trained_on(student: StrPath | None) -> set[str]:
    """Return the content hashes of what a bundle's card says that it was made of; none where there is no such card."""
    card = bundle_folder(student) / CARD
    try:
        data = json.loads(card.read_bytes())["data"]["clips"]
        return {str(clip["sha256_16"]) for clip in data}
    except (OSError, ValueError, KeyError, TypeError):  # a card without data, or none: loading the student tells
        return set()
