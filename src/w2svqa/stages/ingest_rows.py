"""The rows of a pool while they come about: what counts of what was offered, and why the rest does not."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from w2svqa.core.errors import printable
from w2svqa.core.rows import PoolClipRow, PoolStatus
from w2svqa.core.store import fingerprint, is_complete, write_artifact
from w2svqa.stages.check_files import Content
from w2svqa.stages.ingest_files import ReadFile
from w2svqa.stages.near_duplicates import Looks, kept_instead
from w2svqa.stages.objects import is_address
from w2svqa.stages.pool_manifest import ManifestLine
from w2svqa.stages.pool_videos import ID_DIGITS, KnownFile
from w2svqa.stages.split import Cut, Segment

_FACTS: Final = ("width", "height", "fps", "duration", "codec", "pixel_format", "bit_rate", "rotation", "is_still")


class PoolRows:
    """The rows of what was offered; one file stands for each content.

    Args:
        read: what was offered.
        matched: what the manifest says, by path or address.
        allowed: licences that may go in; empty for any.
    """

    def __init__(
        self, read: Sequence[ReadFile], matched: Mapping[str, ManifestLine], allowed: Sequence[str] = ()
    ) -> None:
        self._read = read
        self._rows = [_row(each, matched.get(each.place), allowed) for each in read]
        # of files of one content the first that the manifest speaks of, or else the first; the sort is stable
        order = sorted(self._positions("ok"), key=lambda position: read[position].place not in matched)
        self._owners: dict[str, int] = {}
        for position in order:
            self._owners.setdefault(self._rows[position].sha256, position)
        self._hashes: dict[int, tuple[str | None, ...]] = {}
        self._segments: dict[int, list[PoolClipRow]] = {}

    def wanted(self) -> list[KnownFile]:
        """Return the file that stands for each content that may go in."""
        return [file for position in sorted(self._owners.values()) if (file := self._read[position].file) is not None]

    def take_contents(self, contents: Mapping[str, Content], failed: Mapping[str, str]) -> None:
        """Fill in what is known of contents, and why nothing is, by SHA-256; then name the copies."""
        for sha256, position in self._owners.items():
            row = self._rows[position]
            if sha256 in failed:
                self._rows[position] = replace(row, status="unreadable", message=printable(failed[sha256]))
                continue
            content = contents[sha256]
            self._rows[position] = _with_content(row, content)
            if content.hashes is not None:
                self._hashes[position] = content.hashes
        for position in self._positions("ok"):
            owner = self._owners[self._rows[position].sha256]
            if owner != position:
                self._rows[position] = _copy_of(self._rows[position], self._rows[owner])

    def mark_near_duplicates(self) -> None:
        """Keep the best of the clips that show the same."""
        best = sorted((each for each in self._positions("ok") if each in self._hashes), key=self._rank)
        if not best:
            return
        looks = Looks.of(
            [self._hashes[each] for each in best], [_comparable_duration(self._rows[each]) for each in best]
        )
        owners = kept_instead(looks)
        for index in np.flatnonzero(owners != np.arange(len(best))).tolist():
            position, kept = best[index], self._rows[best[owners[index]]]
            self._rows[position] = replace(
                self._rows[position],
                status="near duplicate",
                message=f"shows the same as {printable(kept.url or kept.path)}",
                near_duplicate_of=kept.clip_id,
            )

    def videos(self) -> list[KnownFile]:
        """Return the videos that are clips so far."""
        positions = [each for each in self._positions("ok") if not self._rows[each].is_still]
        return [file for position in positions if (file := self._read[position].file) is not None]

    def take_cuts(self, cuts: Mapping[str, Cut], failed: Mapping[str, str], folder: Path) -> None:
        """Put what was cut in the place of what it was cut from.

        Args:
            cuts: what became of videos, by SHA-256.
            failed: why nothing did.
            folder: of the segments.
        """
        known: dict[str, PoolClipRow] = {}
        for position in [each for each in self._positions("ok") if not self._rows[each].is_still]:
            row = self._rows[position]
            cut = cuts.get(row.sha256, Cut())
            if row.sha256 not in failed and cut.whole:
                continue
            status: PoolStatus = "split" if cut.segments and row.sha256 not in failed else "unsplit"
            message = printable(failed.get(row.sha256, cut.message))
            self._rows[position] = replace(row, status=status, message=message)
            if status == "split":
                segments = [_segment_row(row, segment, folder) for segment in cut.segments]
                self._segments[position] = [_unless_known(each, known) for each in segments]

    def rows(self) -> Iterator[PoolClipRow]:
        """Yield all rows, in the order given, with what was cut from each behind it."""
        for position, row in enumerate(self._rows):
            yield row
            yield from self._segments.get(position, ())

    def _positions(self, status: PoolStatus) -> list[int]:
        return [position for position, row in enumerate(self._rows) if row.status == status]

    def _rank(self, position: int) -> tuple[float, float, str]:
        """Return what the best clip has least of."""
        row = self._rows[position]
        return -(row.width or 0) * (row.height or 0), -row.size / (row.duration or 1.0), row.sha256


def write_pool_rows(folder: Path, rows: Sequence[PoolClipRow]) -> None:
    """Write a table of rows, unless just that is there; its kind is ``pool-`` and the folder's name.

    Raises:
        StoreError: the disk is full or fails, or the folder may not be written to.
    """
    kind = f"pool-{folder.name}"
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogateescape"))
    inputs = {"rows": digest.hexdigest()}
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    if not is_complete(folder, fingerprint(kind, {}, inputs)):
        write_artifact(folder, rows, PoolClipRow, kind=kind, config={}, inputs=inputs, extra={"status": counts})


def _row(read: ReadFile, line: ManifestLine | None, allowed: Sequence[str]) -> PoolClipRow:
    digest = hashlib.sha256(os.fsencode(read.place)).hexdigest() if read.file is None else read.file.sha256
    status, message = _admission(read, line, allowed)
    return PoolClipRow(
        clip_id=digest[:ID_DIGITS],
        path=_absolute(read.path or read.place),
        url="" if read.path == read.place else read.place,
        name=(PurePosixPath(read.place).name or read.place) if line is None else line.name,
        sha256="" if read.file is None else read.file.sha256,
        size=0 if read.file is None else read.file.size,
        source="" if line is None else line.source,
        license="" if line is None else line.license,
        category="" if line is None else line.category,
        status=status,
        message=message,
    )


def _absolute(place: str) -> str:
    """Return a path that holds from wherever the pool is used next; addresses stay as they are."""
    return place if is_address(place) else str(Path(place).absolute())


def _admission(read: ReadFile, line: ManifestLine | None, allowed: Sequence[str]) -> tuple[PoolStatus, str | None]:
    if read.file is None:
        return "unreadable", printable(read.problem or "cannot be read")
    stated = "" if line is None else line.license
    if not allowed or stated in allowed:
        return "ok", None
    return "license", f"its licence is {printable(stated)}" if stated else "its licence is not stated"


def _with_content(row: PoolClipRow, content: Content) -> PoolClipRow:
    if content.problem is not None:
        return replace(row, status="unreadable", message=printable(content.problem))
    facts = {name: getattr(content, name) for name in _FACTS}
    if content.damage is not None:
        return replace(row, **facts, status="damaged", message=printable(content.damage))
    return replace(row, **facts)


def _copy_of(row: PoolClipRow, owner: PoolClipRow) -> PoolClipRow:
    facts = {name: getattr(owner, name) for name in _FACTS}
    if owner.status != "ok":
        return replace(row, **facts, status=owner.status, message=owner.message)
    place = owner.url or owner.path
    message = f"the same content as {printable(place)}"
    return replace(row, **facts, status="duplicate", message=message, duplicate_of=place)


def _comparable_duration(row: PoolClipRow) -> float:
    if row.is_still:
        return -1.0
    return math.nan if row.duration is None else row.duration


def _segment_row(parent: PoolClipRow, segment: Segment, folder: Path) -> PoolClipRow:
    return PoolClipRow(
        clip_id=segment.sha256[:ID_DIGITS],
        path=_absolute(str(folder / segment.name)),
        name=segment.name,
        sha256=segment.sha256,
        size=segment.size,
        source=parent.source,
        license=parent.license,
        category=parent.category,
        parent=parent.clip_id,
        start=segment.start,
        **{name: getattr(segment.content, name) for name in _FACTS},
    )


def _unless_known(row: PoolClipRow, known: dict[str, PoolClipRow]) -> PoolClipRow:
    first = known.setdefault(row.sha256, row)
    return row if first is row else _copy_of(row, first)
