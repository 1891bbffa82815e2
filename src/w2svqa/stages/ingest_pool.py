"""folders -> clips: from whatever is offered to a table of checked clips, each of which shows something else.

```
OUTPUT/
├── clips/           table of the clips of the pool                  (PoolClipRow, status ok)
├── files/           table of everything offered and cut             (PoolClipRow)
├── segments-5-10/   clips cut out of longer videos
├── copies/          local copies of objects
└── *.jsonl          journals: content by path, size and time; what checking and cutting found, by content
```

Nothing is read or decoded twice, also over several calls: a file is known by path, size and time, its content by its
SHA-256. In this order a file is ``unreadable``, of a ``license`` that is not allowed, ``damaged``, a ``duplicate``, a
``near duplicate``, or ``split`` into clips that count instead (``unsplit`` if there are none); or else ``ok``.

Of files of one content the first counts that the manifest speaks of, or else the first. Of near duplicates the one with
the most pixels per frame counts; then that with the most bytes per second, then the smaller hash, so that neither the
order nor the names of the files matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.executor import Executor, make_executor
from w2svqa.core.extras import require
from w2svqa.core.files import hold
from w2svqa.core.rows import PoolClipRow
from w2svqa.stages.check_files import check_files
from w2svqa.stages.ingest_files import OfferedFile, offered_files, read_files
from w2svqa.stages.ingest_rows import PoolRows, write_pool_rows
from w2svqa.stages.pool_manifest import ManifestLine, PoolManifest, match_lines, named_files, read_pool_manifest
from w2svqa.stages.split import segments_folder, split_files
from w2svqa.video.check import CheckMode

CLIPS: Final = "clips"
"""Folder of the table of clips in the output; the artifact's kind is ``pool-clips``."""

FILES: Final = "files"
"""Folder of the table of everything offered; the artifact's kind is ``pool-files``."""

Progress = Callable[[str, int, int, str], None]
"""Called as ``progress(stage, done, total, text)``; a stage is ``copies``, ``files``, ``checks`` or ``cuts``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestPoolConfig:
    """What goes into a pool.

    Attributes:
        manifest: what else is known of the files: source, licence, category.
        license_allow: licences that may go in, as the manifest writes them; empty for any, also none.
        check: how much of each file is decoded.
        near_duplicates: keep one of those that show the same; not with the check ``"none"``, which sees too little.
        split: seconds that a clip must and may have; videos are cut accordingly. ``None`` leaves them whole.
        workers: processes.
        time_out: seconds that one file may take; ``None`` for no limit.
    """

    manifest: PoolManifest | None = None
    license_allow: tuple[str, ...] = ()
    check: CheckMode = "sampled"
    near_duplicates: bool = True
    split: tuple[float, float] | None = None
    workers: int = 1
    time_out: float | None = 3600.0

    def __post_init__(self) -> None:
        """Reject what cannot be.

        Raises:
            ConfigError: bounds, workers or time make no sense, or near duplicates are to be found without a check.
        """
        if self.split is not None and not 0 < self.split[0] < self.split[1] < math.inf:
            raise ConfigError(f"clips of {self.split[0]:g} to {self.split[1]:g} s", remedy="give two rising numbers")
        if self.workers < 1:
            raise ConfigError(f"{self.workers} workers", remedy="ask for 1 or more")
        if self.time_out is not None and not (math.isfinite(self.time_out) and self.time_out > 0):
            raise ConfigError(f"a time-out of {self.time_out} s", remedy="give a number above 0")
        if self.near_duplicates and self.check == "none":
            raise ConfigError("near duplicates cannot be found without a check", remedy="leave one of them out")
        if self.license_allow and self.manifest is None:
            raise ConfigError("no licence is known without a manifest", remedy="name one")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestedPool:
    """What became of what was offered.

    Attributes:
        rows: files in the order given, with what was cut from each behind it.
        unused: names in the manifest that no file has.
        unlisted: how many files the manifest does not speak of; 0 without one.
    """

    rows: tuple[PoolClipRow, ...]
    unused: tuple[str, ...] = ()
    unlisted: int = 0

    @property
    def clips(self) -> tuple[PoolClipRow, ...]:
        """The clips of the pool."""
        return tuple(row for row in self.rows if row.status == "ok")


def ingest_pool(
    places: Sequence[str],
    output: StrPath,
    config: IngestPoolConfig,
    *,
    stdin: TextIO | BinaryIO | None = None,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
    executor: Executor | None = None,
) -> IngestedPool:
    """Make what is offered, or what is left of it, into the tables ``clips/`` and ``files/``.

    Killed at any moment, the same call goes on where it stopped. Files are decoded in processes of their own, so one
    that crashes or hangs a decoder is a row like others; scripts need the usual ``if __name__ == "__main__":``.

    Args:
        places: files, folders, patterns, ``-`` for a list on ``stdin``, addresses of objects; none takes what the
            manifest names, relative to its folder.
        output: the folder of the tables; what lies in it is not offered.
        config: what goes in.
        stdin: where ``-`` reads from.
        progress: called as things get done.
        executor: what decodes; ``None`` for ``config.workers`` processes.

    Raises:
        ConfigError: nothing is offered, or the manifest cannot be used; told before anything is read.
        StoreError: another process works in the folder, the disk is full, or something in it is damaged.
        MissingExtraError: pyarrow, imagehash, or what an address needs is not installed.
    """
    require("pyarrow", extra="train")
    if config.near_duplicates:
        require("imagehash", extra="curate")
    folder = Path(output)
    lines = () if config.manifest is None else read_pool_manifest(config.manifest)
    with hold(folder):
        offered = offered_files(places or named_files(lines, config.manifest), leave_out=folder, stdin=stdin)
        if not offered:
            raise ConfigError("nothing is offered", remedy="name files, folders or addresses")
        run = _Run(folder, config, progress, executor)
        matched = {} if config.manifest is None else match_lines(lines, _places(offered), config.manifest)
        rows = run.rows(offered, matched)
        write_pool_rows(folder / FILES, rows)
        write_pool_rows(folder / CLIPS, [row for row in rows if row.status == "ok"])
    used = {line.number for line in matched.values()}
    return IngestedPool(
        rows=tuple(rows),
        unused=tuple(line.name for line in lines if line.number not in used),
        unlisted=0 if config.manifest is None else sum(each.place not in matched for each in offered),
    )


def _places(offered: Sequence[OfferedFile]) -> list[str]:
    return [each.place for each in offered]


@dataclass(frozen=True, slots=True)
class _Run:
    """One call: reads, checks and cuts, each for what the step before let through."""

    folder: Path
    config: IngestPoolConfig
    progress: Progress
    executor: Executor | None

    def rows(self, offered: Sequence[OfferedFile], matched: dict[str, ManifestLine]) -> list[PoolClipRow]:
        read = read_files(
            offered,
            self.folder,
            copies=self.folder / "copies",
            workers=self.config.workers,
            progress={stage: partial(self.progress, stage) for stage in ("copies", "files")},
        )
        pool = PoolRows(read, matched, self.config.license_allow)
        self._check(pool)
        if self.config.near_duplicates:
            pool.mark_near_duplicates()
        if self.config.split is not None:
            self._split(pool, self.config.split)
        return list(pool.rows())

    def _check(self, pool: PoolRows) -> None:
        contents, failed = check_files(
            pool.wanted(),
            self.folder,
            mode=self.config.check,
            hashed=self.config.near_duplicates,
            threads=self._threads,
            executor=self._executor(),
            progress=partial(self.progress, "checks"),
        )
        pool.take_contents(contents, failed)

    def _split(self, pool: PoolRows, bounds: tuple[float, float]) -> None:
        cuts, failed = split_files(
            pool.videos(),
            self.folder,
            bounds=bounds,
            threads=self._threads,
            executor=self._executor(),
            progress=partial(self.progress, "cuts"),
        )
        pool.take_cuts(cuts, failed, segments_folder(self.folder, bounds))

    @property
    def _threads(self) -> int | None:
        return None if self.config.workers == 1 else 1

    def _executor(self) -> Executor:
        return self.executor or make_executor(self.config.workers, time_out=self.config.time_out, apart=True)
