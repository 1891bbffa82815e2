"""What a student is measured on: every version of the clips of a frozen manifest, made once and kept.

```
folder/
├── journal.jsonl      one line per finished clip; a killed build goes on there
├── looks/             what a student sees of every version, a few files per clip
├── items/             the table of versions (LadderRow) with its manifest
└── scores/            the table of teachers' scores of the same versions (ScoreRow)
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from w2svqa.core.config import from_mapping
from w2svqa.core.errors import InputError, StoreError, UnwritableError
from w2svqa.core.executor import Executor, make_executor
from w2svqa.core.files import hold
from w2svqa.core.journal import Journal
from w2svqa.core.protocols import Teacher
from w2svqa.core.rows import ScoreRow
from w2svqa.core.store import fingerprint, read_artifact, write_artifact
from w2svqa.distort import SIMULATORS, UNSEEN_CODECS, simulator
from w2svqa.stages.ladder_manifest import SEED, LadderClip
from w2svqa.stages.versions import Source, Version, make_versions
from w2svqa.students.looks import Looks, load_looks, look_at, save_looks
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.whole import FramesVideo

ARITHMETIC: Final = 2
"""Raised whenever the same clip would give other items."""

KINDS: Final = (*SIMULATORS, *UNSEEN_CODECS)
"""All distortions of the evaluation, those that no student learns among them."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderConfig:
    """How items are made; other values give other figures.

    Attributes:
        kinds: names of simulators.
        seconds: how many seconds of a clip, from its start.
        vmaf_frames: frames of the first second of a primary that VMAF compares.
        seed: of the simulators.
    """

    kinds: tuple[str, ...] = KINDS
    seconds: int = 3
    vmaf_frames: int = 12
    seed: int = SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderRow:
    """A version of a clip.

    Attributes:
        version_id: ``clip_id-kind-level``.
        clip_id: the clip.
        source: of the clip.
        kind: the distortion; ``"none"`` for the untouched clip.
        level: 1 (mild) upwards; 0 for the untouched clip.
        levels: how many the kind has.
        primary: the clip is visually clean.
        vmaf: 0-100 against the untouched clip; ``None`` where it was not measured.
        views: stem of the files with its looks, relative to the folder.
        row: which of the versions in these files.
        seconds: how many seconds they hold.
    """

    version_id: str
    clip_id: str
    source: str
    kind: str
    level: int
    levels: int
    primary: bool
    vmaf: float | None
    views: str
    row: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderItems:
    """Built items of a manifest.

    Attributes:
        folder: where they are.
        rows: the versions, clip by clip.
        scores: per teacher, per version id: its score, turned so that higher is better.
        problems: what could not be made: clip name and reason.
        clips: how many clips the manifest has.
    """

    folder: Path
    rows: tuple[LadderRow, ...]
    scores: Mapping[str, Mapping[str, float]]
    problems: tuple[tuple[str, str], ...]
    clips: int

    def looks(self, row: LadderRow) -> Looks:
        """Return what a student sees of a version, seconds first."""
        return load_looks(self.folder / row.views)[row.row]


def build_items(
    clips: Sequence[LadderClip],
    folder: Path,
    *,
    media: Path,
    teachers: Mapping[str, Path | None],
    config: LadderConfig | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> LadderItems:
    """Make the versions of all clips, their VMAF and the teachers' scores; what is there already is kept.

    A clip or kind that fails is left out and named in ``problems``. Failures that another try could mend (not those of
    the media) are tried again by the next call.

    Args:
        clips: from :func:`w2svqa.stages.ladder_manifest.read_clips`.
        folder: where to; one per configuration.
        media: folder of the files.
        teachers: names and their parameters' folders.
        config: which kinds, how many seconds.
        executor: how many clips at a time; ``None`` for one.
        progress: called as ``progress(done, total, name)``.

    Raises:
        StoreError: the folder was made with another configuration, is in use, or cannot be written.
        ConfigError: a teacher cannot be loaded.
    """
    config = config or LadderConfig()
    facts = _facts(config, teachers)
    tasks = [
        _Task(
            clip=clip, path=str(media / clip.name), folder=str(folder), config=config, teachers=tuple(teachers.items())
        )
        for clip in clips
    ]
    with hold(folder), Journal(folder / "journal.jsonl", fingerprint=fingerprint("ladder", facts)) as journal:
        broken = _make_missing(tasks, journal, executor or make_executor(1), progress)
        made = {
            clip.name: _Made.read(journal.finished[clip.clip_id]) for clip in clips if clip.clip_id in journal.finished
        }
        rows = [row for each in made.values() for row in each.rows]
        scores = [score for each in made.values() for score in each.scores]
        write_artifact(folder / "items", rows, LadderRow, kind="ladder items", config=facts)
        write_artifact(folder / "scores", scores, ScoreRow, kind="ladder scores", config=facts)
    problems = [(name, problem) for name, each in made.items() for problem in each.problems]
    return _items(folder, rows, scores, (*problems, *broken), len(clips), teachers)


def load_items(folder: Path, clips: Sequence[LadderClip], teachers: Mapping[str, Path | None]) -> LadderItems:
    """Return the items that :func:`build_items` left in ``folder``, without making any.

    Clips that are missing are named in ``problems``.

    Raises:
        StoreError: there are none, or they are damaged.
    """
    rows = read_artifact(folder / "items", LadderRow, kind="ladder items").rows
    scores = read_artifact(folder / "scores", ScoreRow, kind="ladder scores").rows
    there, wanted = {row.clip_id for row in rows}, {clip.clip_id for clip in clips}
    missing = [(clip.name, "has no items") for clip in clips if clip.clip_id not in there]
    rows = [row for row in rows if row.clip_id in wanted]
    return _items(folder, rows, [row for row in scores if row.clip_id in wanted], missing, len(clips), teachers)


def _items(
    folder: Path,
    rows: Sequence[LadderRow],
    scores: Sequence[ScoreRow],
    problems: Sequence[tuple[str, str]],
    clips: int,
    teachers: Mapping[str, Path | None],
) -> LadderItems:
    sides = {name: 1.0 if _teacher(name, path).higher_is_better else -1.0 for name, path in teachers.items()}
    by_teacher: dict[str, dict[str, float]] = {name: {} for name in sides}
    for score in scores:
        by_teacher[score.teacher][score.version_id] = sides[score.teacher] * score.value
    return LadderItems(folder=folder, rows=tuple(rows), scores=by_teacher, problems=tuple(problems), clips=clips)


def _facts(config: LadderConfig, teachers: Mapping[str, Path | None]) -> dict[str, object]:
    """Everything that the items of a clip depend on."""
    return {
        **asdict(config),
        "levels": {kind: list(simulator(kind).levels) for kind in config.kinds},
        "teachers": {name: _teacher(name, path).version for name, path in teachers.items()},
        "arithmetic": ARITHMETIC,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    clip: LadderClip
    path: str
    folder: str
    config: LadderConfig
    teachers: tuple[tuple[str, Path | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What became of a clip; a line of the journal."""

    rows: tuple[LadderRow, ...] = ()
    scores: tuple[ScoreRow, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, value: object) -> _Made:
        if not isinstance(value, dict):
            raise StoreError("the journal of the ladder is damaged", remedy="delete its folder")
        return from_mapping(cls, value)


def _make_missing(
    tasks: Sequence[_Task], journal: Journal, executor: Executor, progress: Progress | None
) -> list[tuple[str, str]]:
    missing = [task for task in tasks if task.clip.clip_id not in journal.finished]
    broken = []
    for done, outcome in enumerate(executor.map(_make, missing, key=_path_of), start=len(tasks) - len(missing) + 1):
        clip = missing[outcome.index].clip
        if isinstance(outcome.error, UnwritableError):
            raise outcome.error
        if isinstance(outcome.error, InputError):
            journal.add(clip.clip_id, asdict(_Made(problems=(outcome.error.without_path,))))
        elif outcome.value is not None:
            journal.add(clip.clip_id, asdict(outcome.value))
        else:
            broken.append((clip.name, "failed" if outcome.error is None else outcome.error.without_path))
        if progress is not None:
            progress(done, len(tasks), clip.name)
    return broken


def _path_of(task: _Task) -> str:
    return task.path


def _make(task: _Task) -> _Made:
    kept: list[_Kept] = []
    problems: list[tuple[str, str]] = []
    for version in _versions(task, problems):
        kept.append(_keep(version, task))
    count = min(len(each.looks) for each in kept)
    stem = f"looks/{task.clip.clip_id}"
    (Path(task.folder) / "looks").mkdir(parents=True, exist_ok=True)
    save_looks(Path(task.folder) / stem, [each.looks[:count] for each in kept])
    return _Made(
        rows=tuple(_row(task.clip, each, stem, row, count) for row, each in enumerate(kept)),
        scores=tuple(score for each in kept for score in each.scores),
        problems=(
            *(f"{kind}: {why}" for kind, why in problems),
            *(problem for each in kept for problem in each.problems),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A version without its pictures."""

    kind: str
    level: int
    levels: int
    vmaf: float | None
    looks: Looks
    scores: tuple[ScoreRow, ...]
    problems: tuple[str, ...]


def _versions(task: _Task, problems: list[tuple[str, str]]) -> Iterator[Version]:
    clip, config = task.clip, task.config
    frames = config.vmaf_frames if clip.primary else 0
    source = Source(path=task.path, is_still=clip.is_still, seconds=config.seconds, vmaf_frames=frames)
    kinds = [simulator(kind) for kind in config.kinds]
    return make_versions(source, kinds, seed=config.seed, problems=problems)


def _keep(version: Version, task: _Task) -> _Kept:
    clip_id = task.clip.clip_id
    scores, problems = [], []
    for name, parameters in task.teachers:
        try:
            value = _teacher(name, parameters).score(FramesVideo(version.key_frames))
            version_id = f"{clip_id}-{version.kind}-{version.level}"
            scores.append(ScoreRow(version_id=version_id, clip_id=clip_id, teacher=name, value=value))
        except InputError as error:
            problems.append(f"{name} on {version.kind} {version.level}: {error.without_path}")
    return _Kept(
        kind=version.kind,
        level=version.level,
        levels=version.levels,
        vmaf=version.vmaf,
        looks=look_at(version.key_frames, version.motion),
        scores=tuple(scores),
        problems=tuple(problems),
    )


@lru_cache(maxsize=8)
def _teacher(name: str, parameters: Path | None) -> Teacher:
    return load_teacher(name, parameters)


def _row(clip: LadderClip, kept: _Kept, stem: str, row: int, seconds: int) -> LadderRow:
    return LadderRow(
        version_id=f"{clip.clip_id}-{kept.kind}-{kept.level}",
        clip_id=clip.clip_id,
        source=clip.source,
        kind=kept.kind,
        level=kept.level,
        levels=kept.levels,
        primary=clip.primary,
        vmaf=kept.vmaf,
        views=stem,
        row=row,
        seconds=seconds,
    )
