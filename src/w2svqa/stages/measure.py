"""clips -> metrics: the low-level metrics of every clip of a pool, each measured once.

```
OUTPUT/
├── metrics/          table of the clips that could be measured      (MetricTable)
├── problems/         table of those that could not, or only in part  (MetricProblemRow)
└── measured.jsonl    journal: what was measured, as it came, by content and version of the metric
```

A value is kept under its metric's name and version and the content's hash: more clips or other metrics add work and
repeat none. What another metric needs is measured alone, in one more pass over the video.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from w2svqa.core.config import config_hash, to_mapping
from w2svqa.core.errors import ConfigError, StrPath, printable
from w2svqa.core.executor import Executor, make_executor
from w2svqa.core.extras import require
from w2svqa.core.files import hold
from w2svqa.core.journal import Journal
from w2svqa.core.metric_table import MetricTable, write_metric_table
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.store import fingerprint, is_complete, write_artifact
from w2svqa.metrics import NAMES, Metric, load_metrics
from w2svqa.stages.measure_clip import ClipMetrics, Item, MeasurableClip, decoded, failure_of, measure_item, prepare
from w2svqa.stages.pool_teachers import cores

METRICS: Final = "metrics"
"""Folder of the table of metrics in the output, and the artifact's kind."""

PROBLEMS: Final = "problems"
"""Folder of the table of problems in the output; the artifact's kind is ``metric-problems``."""

ARITHMETIC: Final = 1
"""Raised whenever the same metric would be given other moments, or pooled differently."""

_JOURNAL: Final = "measured.jsonl"
_SYNC_EVERY: Final = 5.0  # seconds of work that a power cut may cost: short clips take less than the disk's answer

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, name)`` after each clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureConfig:
    """What is measured, and how.

    Attributes:
        metrics: names, in the order of the columns.
        workers: processes; they share the cores.
        time_out: seconds that one video may take; ``None`` for no limit.
        retry_failed: try again what failed in an earlier call.

    Raises:
        ConfigError: there is no worker, no time, or no metric of such a name.
    """

    metrics: tuple[str, ...] = NAMES
    workers: int = 1
    time_out: float | None = 3600.0
    retry_failed: bool = False

    def __post_init__(self) -> None:
        """Reject what cannot be."""
        if self.workers < 1:
            raise ConfigError(f"{self.workers} workers", remedy="ask for 1 or more")
        if self.time_out is not None and not self.time_out > 0:
            raise ConfigError(f"a time-out of {self.time_out} s", remedy="give a number above 0")
        load_metrics(self.metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricProblemRow:
    """A clip of which something could not be measured.

    Attributes:
        clip_id: the clip.
        path: the file.
        measured: it has a row in the table of metrics, from what could be decoded, or without some metrics.
        message: why.
    """

    clip_id: str
    path: str
    measured: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPool:
    """A measured pool.

    Attributes:
        table: metrics of the clips that could be measured, in the order given; with the labels source and license.
        problems: of the others, and of those that were measured in part.
        computed: how many clips this call looked at; the rest was kept by earlier ones.
    """

    table: MetricTable
    problems: tuple[MetricProblemRow, ...]
    computed: int


def measure_pool(
    clips: Sequence[MeasurableClip],
    output: StrPath,
    config: MeasureConfig | None = None,
    *,
    progress: Progress = lambda done, total, name: None,  # noqa: ARG005 (the names are the interface)
    executor: Executor | None = None,
) -> MeasuredPool:
    """Measure the clips of a pool, or what is left of them, and write the tables ``metrics/`` and ``problems/``.

    Killed at any moment, the same call goes on where it stopped. A clip that fails (it cannot be decoded, its process
    crashes or takes too long) costs a row in the table of problems, and is kept too; ``retry_failed`` asks again.
    Scripts that call this need the usual ``if __name__ == "__main__":``, for the processes are started afresh.

    Args:
        clips: rows of :mod:`w2svqa.core.rows`.
        output: the folder of the tables.
        config: what is measured; ``None`` for the nine metrics.
        progress: called as clips get done.
        executor: what does the work; ``None`` for processes.

    Raises:
        ConfigError: there is no clip.
        StoreError: another process works in the folder, or something in it is damaged or cannot be written.
        MissingExtraError: the extra ``train`` is not installed.
    """
    config = config or MeasureConfig()
    for module in ("cv2", "pyarrow"):
        require(module, extra="train")
    if not clips:
        raise ConfigError("there is no clip to measure", remedy="name files or folders")
    folder, first = Path(output), dict[str, MeasurableClip]()
    for clip in clips:
        first.setdefault(clip.clip_id, clip)
    clips = list(first.values())
    keys = {metric.name: _key(metric) for metric in load_metrics(config.metrics)}
    with hold(folder):
        items = _items(clips, folder / _JOURNAL, config, keys)
        counter = _Counter(progress)
        made, failed = map_resumed(
            measure_item,
            list(items.values()),
            _kept(folder / _JOURNAL, config),
            progress=counter,
            executor=executor or _executor(config),
        )
        pool = _pool(clips, keys, made, failed, counter.count)
        _write(folder, pool, config, keys)
    return pool


def _key(metric: Metric) -> str:
    return f"{metric.name} {metric.version}"


def _kept(path: Path, config: MeasureConfig) -> Kept[Item, ClipMetrics]:
    return Kept(
        path=path,
        fingerprint=_fingerprint(),
        key=lambda item: item.sha256,
        name=lambda item: item.name,
        encode=to_mapping,
        decode=decoded,
        holds=lambda item, kept: not item.lacking and (kept.message is None or not config.retry_failed),
        failure=failure_of,
        sync_every=_SYNC_EVERY,
    )


def _fingerprint() -> str:
    return config_hash({"metrics": ARITHMETIC})


def _items(
    clips: Sequence[MeasurableClip], path: Path, config: MeasureConfig, keys: Mapping[str, str]
) -> dict[str, Item]:
    """Return what is to be measured of each content that could be read."""
    with Journal(path, fingerprint=_fingerprint()) as journal:
        known = {key: decoded(value) for key, value in journal.finished.items()}
    items: dict[str, Item] = {}
    for clip in clips:
        before = known.get(clip.sha256, ClipMetrics())
        lacking = {name: key for name, key in keys.items() if key not in before.values}
        if before.message is not None and not config.retry_failed:
            lacking = {}
        if clip.sha256:
            items.setdefault(
                clip.sha256,
                Item(
                    path=clip.path,
                    name=clip.name,
                    sha256=clip.sha256,
                    threads=_threads(config),
                    lacking=lacking,
                    known=before,
                ),
            )
    return items


def _executor(config: MeasureConfig) -> Executor:
    return make_executor(
        config.workers,
        initializer=prepare,
        initargs=(_threads(config),),
        retries=0,
        time_out=config.time_out,
        apart=True,
    )


def _threads(config: MeasureConfig) -> int:
    return max(1, cores() // config.workers)


class _Counter:
    """Counts what is computed on its way to the progress."""

    def __init__(self, progress: Progress) -> None:
        self.count = 0
        self._progress = progress

    def __call__(self, done: int, total: int, name: str) -> None:
        self.count += 1
        self._progress(done, total, name)


def _pool(
    clips: Sequence[MeasurableClip],
    keys: Mapping[str, str],
    made: Mapping[str, ClipMetrics],
    failed: Mapping[str, str],
    computed: int,
) -> MeasuredPool:
    measured: list[MeasurableClip] = []
    values: list[list[float]] = []
    problems: list[MetricProblemRow] = []
    for clip in clips:
        found = made.get(clip.sha256)
        has_row = found is not None and found.message is None
        if found is not None and has_row:
            measured.append(clip)
            values.append([_number(found.values[key]) for key in keys.values()])
        told = failed.get(clip.sha256, "the file could not be read").removeprefix(f"{printable(clip.path)}: ")
        reason = told if found is None else _reason(found, keys)
        if reason is not None:
            problems.append(MetricProblemRow(clip_id=clip.clip_id, path=clip.path, measured=has_row, message=reason))
    table = MetricTable(
        [clip.clip_id for clip in measured],
        tuple(keys),
        np.array(values, np.float64).reshape(len(measured), len(keys)),
        {"source": [clip.source for clip in measured], "license": [clip.license for clip in measured]},
    )
    return MeasuredPool(table=table, problems=tuple(problems), computed=computed)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _reason(found: ClipMetrics, keys: Mapping[str, str]) -> str | None:
    """Return why something is missing, in one line; ``None`` if nothing is."""
    if found.message is not None:
        return found.message
    lines = [found.problem] if found.problem else []
    lines += [f"{name}: {found.missing[key]}" for name, key in keys.items() if key in found.missing]
    return "; ".join(lines) or None


def _write(folder: Path, pool: MeasuredPool, config: MeasureConfig, keys: Mapping[str, str]) -> None:
    """Write the two tables, unless they are there."""
    settings = {"metrics": list(keys.values()), "arithmetic": ARITHMETIC}
    inputs = {"rows": _digest(pool.table)}
    if not is_complete(folder / METRICS, fingerprint(METRICS, settings, inputs)):
        facts = {metric.name: _facts(metric) for metric in load_metrics(config.metrics)}
        write_metric_table(folder / METRICS, pool.table, config=settings, inputs=inputs, extra={"metrics": facts})
    kind = "metric-problems"
    inputs = {"rows": config_hash({"rows": repr(pool.problems)})}
    if not is_complete(folder / PROBLEMS, fingerprint(kind, settings, inputs)):
        write_artifact(folder / PROBLEMS, pool.problems, MetricProblemRow, kind=kind, config=settings, inputs=inputs)


def _digest(table: MetricTable) -> str:
    total = hashlib.blake2b(digest_size=16)
    for column in (table.ids, table.values, *table.labels.values()):
        total.update(str(column.dtype).encode("ascii") + column.tobytes())
    return total.hexdigest()


def _facts(metric: Metric) -> dict[str, object]:
    """What the manifest says of a metric; a scale without an end has ``None`` there, for JSON has no infinity."""
    ends = [end if abs(end) < float("inf") else None for end in metric.range]
    return {
        "version": metric.version,
        "unit": metric.unit,
        "range": ends,
        "meaning": metric.meaning,
        "pooling": metric.pooling,
    }
