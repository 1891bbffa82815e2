"""What a selection starts from: a metric table, or the folder that ingest wrote, whose clips are measured first.

A pool's metrics are kept in its own folder, so that whoever asks next finds them:

```
POOL/
├── clips/           table of the clips                   (ingest)
├── metrics/         table of their metrics               (measure)
├── problems/        what could not be measured, and why  (measure)
└── measured.jsonl   journal of measuring
```
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from w2svqa.core.errors import StoreError, StrPath
from w2svqa.core.files import sha256_file
from w2svqa.core.metric_table import ID, MetricTable, read_metric_table
from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import MANIFEST_NAME, TABLE_NAME, read_artifact, read_manifest
from w2svqa.stages.ingest_pool import CLIPS
from w2svqa.stages.measure import METRICS, MeasureConfig, MetricProblemRow, Progress, measure_pool
from w2svqa.stages.selection_bins import Target, read_target

FACTS: Final = (
    "source",
    "license",
    "category",
    "codec",
    "pixel_format",
    "width",
    "height",
    "fps",
    "duration",
    "bit_rate",
)
"""What a clip table adds to the metrics: to stratify by, to compare, to pick primaries by."""

_KIND: Final = f"pool-{CLIPS}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownPool:
    """A pool whose metrics are known.

    Attributes:
        metrics: what can be chosen by, with all labels that are known.
        wide: the same with further numbers: width, height, fps, duration and bit rate, as far as they are known.
        digest: SHA-256 of the table of metrics, hex.
        clips: folder of the table of clips that ingest wrote; ``None`` where there is none.
        problems: clips that could not be measured, or only in part; of this call's pool, empty for a metric table.
        computed: clips that this call measured.
    """

    metrics: MetricTable
    wide: MetricTable
    digest: str
    clips: Path | None = None
    problems: tuple[MetricProblemRow, ...] = ()
    computed: int = 0

    def rows_of(self, ids: Collection[str]) -> dict[str, PoolClipRow]:
        """Return what is known of the files of videos, by id; those of which no path is known are not in it.

        Raises:
            StoreError: the table of clips is damaged.
        """
        if self.clips is not None:
            rows = read_artifact(self.clips, PoolClipRow, kind=_KIND, keep=(ID, ids)).rows
            return {row.clip_id: row for row in rows}
        table = self.wide.rows(np.isin(self.wide.ids, np.array(sorted(ids), dtype=np.str_)))
        if "path" not in table.labels:
            return {}
        empty = [""] * len(table)
        columns = [table.labels.get(name, empty) for name in ("path", "source", "license", "category")]
        return {
            str(clip_id): PoolClipRow(
                clip_id=str(clip_id),
                path=str(path),
                name=Path(str(path)).name,
                source=str(source),
                license=str(license_),
                category=str(category),
            )
            for clip_id, path, source, license_, category in zip(table.ids, *columns, strict=True)
            if path
        }


def is_ingested(place: StrPath) -> bool:
    """Return whether a folder is one that ingest wrote."""
    return (Path(place) / CLIPS / MANIFEST_NAME).is_file()


def open_pool(
    place: StrPath,
    config: MeasureConfig | None = None,
    *,
    clips: StrPath | None = None,
    progress: Progress = lambda done, total, name: None,  # noqa: ARG005 (the names are the interface)
) -> KnownPool:
    """Return a pool's metrics; measure those that are not known yet, where it is a folder that ingest wrote.

    Scripts that call this need the usual ``if __name__ == "__main__":``, for the processes are started afresh.

    Args:
        place: a folder that ingest wrote; a metric table, or the folder that has it; a CSV or Parquet file.
        config: how an ingested pool is measured; ``None`` for the nine metrics by one process.
        clips: what else is known of a metric table's videos: a table with the column ``clip_id``, or a folder that
            ingest wrote. Ingested pools have theirs.
        progress: called as ``progress(done, total, name)`` as clips are measured.

    Raises:
        ConfigError: there is no clip.
        StoreError: a table is incomplete, damaged or of another kind, or another process works in the folder.
        InputError: a table has no column ``clip_id``, or an id twice.
        MissingExtraError: the extra ``train`` is not installed.
    """
    folder = Path(place)
    if is_ingested(folder):
        rows = read_artifact(folder / CLIPS, PoolClipRow, kind=_KIND).rows
        measured = measure_pool(rows, folder, config, progress=progress)
        facts, where = _facts(folder)
        return _joined(
            measured.table, facts, folder / METRICS, where, problems=measured.problems, computed=measured.computed
        )
    stored = folder / METRICS if (folder / METRICS).is_dir() else folder
    facts, where = _facts(clips)
    return _joined(read_metric_table(stored), facts, stored, where)


def _joined(
    table: MetricTable,
    facts: MetricTable | None,
    stored: Path,
    clips: Path | None,
    *,
    problems: tuple[MetricProblemRow, ...] = (),
    computed: int = 0,
) -> KnownPool:
    wide = table if facts is None else table.joined(facts)
    return KnownPool(
        metrics=MetricTable(wide.ids, table.names, wide.only(table.names).values, wide.labels),
        wide=wide,
        digest=sha256_file(stored / TABLE_NAME if stored.is_dir() else stored),
        clips=clips,
        problems=problems,
        computed=computed,
    )


def open_target(
    text: str,
    config: MeasureConfig | None = None,
    *,
    progress: Progress = lambda done, total, name: None,  # noqa: ARG005 (the names are the interface)
) -> Target:
    """Return the target that a command line names: a folder that ingest wrote, or what ``read_target`` takes.

    Args:
        text: as typed.
        config: how an ingested pool is measured.
        progress: called as its clips are measured.

    Raises:
        ConfigError: a stated distribution is none, or there is no clip.
        StoreError: a table cannot be read, or another process works in the folder.
        MissingExtraError: the extra ``train`` is not installed.
    """
    if text != "uniform" and is_ingested(text):
        return open_pool(text, config, progress=progress).metrics
    return read_target(text)


def _facts(clips: StrPath | None) -> tuple[MetricTable | None, Path | None]:
    """Return the table of what else is known, and its folder where ingest wrote it."""
    if clips is None:
        return None, None
    folder = Path(clips) / CLIPS if is_ingested(clips) else Path(clips)
    if folder.is_dir() and _kind(folder) == _KIND:
        return read_metric_table(folder, kind=_KIND, columns=FACTS), folder
    return read_metric_table(folder, kind=None), None


def _kind(folder: Path) -> str:
    try:
        return read_manifest(folder).kind
    except StoreError:
        return ""  # reading its table says what is wrong with it
