"""pool -> scores: every teacher scores every video, side by side, and nothing is scored twice.

```
OUTPUT/
├── videos/         table of the videos, one per content              (VideoRow)
├── scores/         table of what each teacher said of each video      (TeacherScoreRow)
├── journals/       what each version of a teacher has said, as it came
└── files.jsonl     content hashes of files by path, size and time
```

Scores are kept under the teacher's name, its version, options that are not at their default, and the content's hash:
more videos or other teachers add work and repeat none, a changed file is scored again, and a file under two paths is
scored once. The tables hold what the last call asked for; the journals hold everything.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from w2svqa.core.config import config_hash, from_mapping, to_mapping
from w2svqa.core.errors import ConfigError, StoreError, StrPath, W2SVQAError, printable
from w2svqa.core.extras import require
from w2svqa.core.files import hold
from w2svqa.core.inputs import InputItem
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.store import fingerprint, is_complete, write_artifact
from w2svqa.stages.pool_manifest import PoolManifest
from w2svqa.stages.pool_teachers import (
    Item,
    PoolTeacher,
    Scored,
    TeacherFacts,
    executor_of,
    failure_of,
    joined_lines,
    missing_reference,
    score_item,
    survey,
)
from w2svqa.stages.pool_videos import FileHashes, PoolVideo, PoolVideos, read_pool

VIDEOS: Final = "videos"
"""Folder of the table of videos in the output, and the artifact's kind."""

SCORES: Final = "scores"
"""Folder of the table of scores in the output, and the artifact's kind."""

ARITHMETIC: Final = 1
"""Raised whenever the same teacher would be asked differently."""

Progress = Callable[[str, int, int, str], None]
"""Called as ``progress(stage, done, total, text)``; a stage is ``"files"`` or a teacher's name."""

_RowT = TypeVar("_RowT", VideoRow, TeacherScoreRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPoolConfig:
    """How a pool is labelled.

    Attributes:
        teachers: who scores it, in this order.
        manifest: what else is known of the videos.
        workers: processes of a teacher that computes on the CPU.
        devices: a teacher that uses a device has one process on each of these; ``("cpu",)`` gives it ``workers``.
        time_out: seconds that a teacher may take for one video; ``None`` for no limit.
        retry_failed: try again what failed in an earlier call.
        skip_unavailable: go on without teachers that cannot be loaded.
    """

    teachers: tuple[PoolTeacher, ...]
    manifest: PoolManifest | None = None
    workers: int = 1
    devices: tuple[str, ...] = ("cpu",)
    time_out: float | None = 3600.0
    retry_failed: bool = False
    skip_unavailable: bool = False

    def __post_init__(self) -> None:
        """Reject what cannot be.

        Raises:
            ConfigError: there is no teacher, one is named twice, or there is no worker, device or time.
        """
        names = [teacher.name for teacher in self.teachers]
        if not names:
            raise ConfigError("no teacher is named", remedy="name one or more")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"a teacher is named twice: {', '.join(twice)}", remedy="name it once")
        if self.workers < 1 or not self.devices:
            raise ConfigError(
                f"{self.workers} workers and {len(self.devices)} devices", remedy="ask for 1 or more of each"
            )
        if self.time_out is not None and not (math.isfinite(self.time_out) and self.time_out > 0):
            raise ConfigError(f"a time-out of {self.time_out} s", remedy="give a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherLabels:
    """What one teacher said of a pool.

    Attributes:
        facts: about the teacher.
        rows: one per video, in the order of the pool.
        computed: how many of them this call computed; the rest was kept by earlier ones.
        notes: how scores that were made elsewhere fit the videos.
    """

    facts: TeacherFacts
    rows: tuple[TeacherScoreRow, ...]
    computed: int
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[TeacherScoreRow, ...]:
        """The rows without a value."""
        return tuple(row for row in self.rows if row.value is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPool:
    """A labelled pool.

    Attributes:
        pool: its videos.
        labels: what each teacher said, in the order of the configuration.
        unavailable: why others could not be loaded, by name.
    """

    pool: PoolVideos
    labels: tuple[TeacherLabels, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def videos(self) -> tuple[VideoRow, ...]:
        """The rows of the table of videos."""
        return tuple(video.row for video in self.pool.videos)

    @property
    def scores(self) -> tuple[TeacherScoreRow, ...]:
        """The rows of the table of scores: teacher after teacher, each in the order of the videos."""
        return tuple(row for labels in self.labels for row in labels.rows)

    @property
    def failed(self) -> int:
        """How many scores are missing."""
        return sum(len(labels.failed) for labels in self.labels)


def label_pool(
    items: Sequence[InputItem],
    output: StrPath,
    config: LabelPoolConfig,
    *,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> LabelledPool:
    """Let teachers score a pool, or what is left of it, and write the tables ``videos/`` and ``scores/``.

    Killed at any moment, the same call goes on where it stopped: at most one video per process is scored again. What
    fails for one video (it cannot be read, the teacher raises, crashes, hangs or gives no number) is a row without a
    value, with the reason, and is kept too; ``retry_failed`` asks again. Scripts that call this need the usual
    ``if __name__ == "__main__":``, for the processes are started afresh.

    Args:
        items: the videos, from :func:`w2svqa.core.inputs.expand_inputs`.
        output: the folder of the tables.
        config: who labels, and how.
        progress: called as things get done.

    Raises:
        ConfigError: there is no video, the manifest cannot be used, or a teacher cannot run and ``skip_unavailable`` is
            not set; told before anything is scored, unless it takes loading to find out (see
            :func:`w2svqa.stages.pool_teachers.survey`).
        StoreError: another process works in the folder, or something in it is damaged or cannot be written.
        W2SVQAError: a process could not be started.
        MissingExtraError: the extra ``train`` is not installed.
    """
    require("pyarrow", extra="train")
    folder = Path(output)
    if not items:
        raise ConfigError("there is no video to label", remedy="name files or folders")
    with hold(folder):
        facts, unavailable = survey(config.teachers, config.devices)
        _check_available(facts, unavailable, skip=config.skip_unavailable)
        readers = max(config.workers, len(config.devices))
        with FileHashes(folder / "files.jsonl") as hashes:
            pool = read_pool(items, hashes, config.manifest, workers=readers, progress=partial(progress, "files"))
        labels = []
        for teacher in (each for each in config.teachers if each.name in facts):
            try:
                labels.append(_label(teacher, facts[teacher.name], pool, folder / "journals", config, progress))
            except StoreError:
                raise
            except W2SVQAError as error:  # it could not be loaded after all
                unavailable[teacher.name] = str(error)
                _check_available(set(facts) - set(unavailable), unavailable, skip=config.skip_unavailable)
        labelled = LabelledPool(pool=pool, labels=tuple(labels), unavailable=unavailable)
        _write(folder, labelled)
    return labelled


def _check_available(available: Collection[str], unavailable: Mapping[str, str], *, skip: bool) -> None:
    if unavailable and not (skip and available):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in unavailable.items())
        remedy = "leave them out" if available else "install or name what they need"
        raise ConfigError(f"{len(unavailable)} of the teachers cannot run: {reasons}", remedy=remedy)


def _label(
    teacher: PoolTeacher,
    facts: TeacherFacts,
    pool: PoolVideos,
    folder: Path,
    config: LabelPoolConfig,
    progress: Progress,
) -> TeacherLabels:
    """Let one teacher score what its journal does not have."""
    items = {video.row.clip_id: _item(video, facts) for video in pool.videos}
    asked = {item.key: item for item in items.values() if isinstance(item, Item)}
    computed = _Counter(partial(progress, facts.name))
    made, failed = map_resumed(
        score_item,
        list(asked.values()),
        _kept(facts, folder, retry_failed=config.retry_failed),
        progress=computed,
        executor=executor_of(teacher, facts, workers=config.workers, devices=config.devices, time_out=config.time_out),
    )
    rows = []
    for clip_id, item in items.items():
        if isinstance(item, Item):
            problem = failed.get(item.key, "").removeprefix(f"{printable(item.video.path)}: ")
            scored = made.get(item.key, Scored(value=None, message=problem))
        else:
            scored = Scored(value=None, message=item)
        message = None if scored.message is None else printable(scored.message)
        rows.append(
            TeacherScoreRow(
                clip_id=clip_id, teacher=facts.name, version=facts.version, value=scored.value, message=message
            )
        )
    notes = joined_lines(teacher, [video.row.path for video in pool.videos]) if facts.by_name else ()
    labels = TeacherLabels(facts=facts, rows=tuple(rows), computed=computed.count, notes=notes)
    text = f"{len(rows) - len(labels.failed)} scored, {len(labels.failed)} failed (version {facts.version})"
    progress(facts.name, len(rows), len(rows), text)
    return labels


def _kept(facts: TeacherFacts, folder: Path, *, retry_failed: bool) -> Kept[Item, Scored]:
    return Kept(
        path=folder / _journal_name(facts),
        fingerprint=config_hash({"teacher": facts.name, "version": facts.version, "arithmetic": ARITHMETIC}),
        key=lambda item: item.key,
        name=lambda item: item.name,
        encode=to_mapping,
        decode=partial(_scored, facts.name),
        holds=lambda _, scored: scored.message is None or not retry_failed,
        failure=failure_of,
    )


class _Counter:
    """Counts what is computed on its way to the progress."""

    def __init__(self, progress: Callable[[int, int, str], None]) -> None:
        self.count = 0
        self._progress = progress

    def __call__(self, done: int, total: int, text: str) -> None:
        self.count += 1
        self._progress(done, total, text)


def _item(video: PoolVideo, facts: TeacherFacts) -> Item | str:
    """Return what the teacher is to score, or why it need not be asked."""
    if video.file is None:
        return video.problem or "cannot be read"
    if facts.needs_reference and video.reference is None:
        if video.row.reference is None:
            return missing_reference(facts.name)
        return f"its reference {video.row.reference}: {video.reference_problem}"
    reference = video.reference if facts.needs_reference else None
    parts = [video.file.sha256]
    if reference is not None:
        parts.append(reference.sha256)
    if facts.by_name:
        parts.append(os.path.normpath(Path(video.file.path).absolute()))
    return Item(key=" ".join(parts), name=video.row.name, video=video.file, reference=reference)


def _journal_name(facts: TeacherFacts) -> str:
    """Return a file name that people can read and that no other version of a teacher has."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", facts.name).strip("-")[:40]
    return f"{readable}-{config_hash({'teacher': facts.name, 'version': facts.version})[:12]}.jsonl"


def _scored(teacher: str, value: object) -> Scored:
    if not isinstance(value, dict):
        raise StoreError(f"the journal of {teacher} holds {value!r}, no score", remedy="delete that journal")
    return from_mapping(Scored, value)


def _write(folder: Path, labelled: LabelledPool) -> None:
    """Write the two tables, unless they are there."""
    names = [labels.facts.name for labels in labelled.labels]
    videos = {"rows": _digest(labelled.videos)}
    pool = labelled.pool
    _write_table(
        folder / VIDEOS,
        labelled.videos,
        VideoRow,
        config={},
        inputs=videos,
        extra={
            "repeated": dict(pool.repeated),
            "unreadable": {video.row.path: video.problem for video in pool.videos if video.file is None},
            "unlisted": len(pool.unlisted),
        },
    )
    _write_table(
        folder / SCORES,
        labelled.scores,
        TeacherScoreRow,
        config={"teachers": names},
        inputs={"videos": videos["rows"], "rows": _digest(labelled.scores)},
        extra={
            "teachers": {labels.facts.name: _facts(labels) for labels in labelled.labels},
            "unavailable": dict(labelled.unavailable),
        },
    )


def _write_table(
    folder: Path,
    rows: Sequence[_RowT],
    row_type: type[_RowT],
    *,
    config: Mapping[str, object],
    inputs: Mapping[str, str],
    extra: Mapping[str, object],
) -> None:
    kind = folder.name
    if not is_complete(folder, fingerprint(kind, config, inputs)):
        write_artifact(folder, rows, row_type, kind=kind, config=config, inputs=inputs, extra=extra)


def _facts(labels: TeacherLabels) -> dict[str, object]:
    """What the manifest says of a teacher; a scale without an end has ``None`` there, for JSON has no infinity."""
    facts = labels.facts
    return {
        "version": facts.version,
        "higher_is_better": facts.higher_is_better,
        "range": [end if math.isfinite(end) else None for end in facts.range],
        "ok": len(labels.rows) - len(labels.failed),
        "failed": len(labels.failed),
    }


def _digest(rows: Sequence[object]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for row in rows:
        total.update(repr(row).encode("utf-8", "surrogateescape"))
    return total.hexdigest()
