"""A table of scores on disk (``--output``) that survives an interrupt and is continued by the next run.

Every row is on disk as soon as its file is scored: a line of CSV, or an element of a JSON array, one per line. At the
end the table is put into input order. A row also holds the size and the time of its file, so that a rerun keeps it
only while file and student are the same.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from w2svqa.cli.interrupts import held
from w2svqa.core.errors import InputError, StoreError, StrPath
from w2svqa.core.files import atomic_write
from w2svqa.core.records import Score
from w2svqa.report.rows import (
    CSV_COLUMNS,
    csv_line,
    score_from_cells,
    score_from_dict,
    score_to_cells,
    score_to_dict,
    to_json,
)

_STAMPS: Final = ("size", "modified")
_LONGEST_CELL: Final = 2**31 - 1  # the largest C long of every platform


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells a file from a later version of it.

    Attributes:
        size: bytes.
        modified: time of the last change, nanoseconds since 1970.
    """

    size: int
    modified: int

    @classmethod
    def of(cls, path: StrPath) -> FileStamp:
        """Return the stamp of a file as it is now."""
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            return UNREACHABLE
        return cls(status.st_size, status.st_mtime_ns)


UNREACHABLE: Final = FileStamp(-1, -1)
"""Stamp of a path that leads to no file."""


@dataclass(frozen=True, slots=True)
class StampedScore:
    """A row of a table on disk."""

    score: Score
    stamp: FileStamp


class TableFile(ABC):
    """One table on disk.

    Args:
        path: the file.

    Raises:
        InputError: it exists and holds something else.
        StoreError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = self._read()
        self._file: BinaryIO | None = None

    def kept(self, path: str, student: str) -> Score | None:
        """Return the score of ``path`` from an earlier run, if file and student are the same and it was scored."""
        row = self._rows.get(path)
        if row is None or row.score.status == "error" or row.score.student != student:
            return None
        return row.score if row.stamp == FileStamp.of(path) else None

    def start(self) -> None:
        """Write the rows of earlier runs back, without a torn last line, ready to append to.

        Raises:
            StoreError: the table cannot be written.
        """
        self._write_all(self._rows.values())
        with _said_for(self.path):
            self._file = self.path.open("r+b", buffering=0)

    def add(self, score: Score, stamp: FileStamp) -> None:
        """Append a row; it is with the system when this returns.

        Raises:
            StoreError: the disk is full, say.
        """
        row = StampedScore(score, stamp)
        if self._file is None:
            raise ValueError("the table was not started")
        with held(), _said_for(self.path):
            self._append(self._file, row, is_first=not self._rows)
        self._rows.pop(score.path, None)
        self._rows[score.path] = row

    def finish(self, order: Sequence[str]) -> None:
        """Put the rows of ``order`` (paths) into that order, after those of files that were not named this time.

        Raises:
            StoreError: the table cannot be written.
        """
        self.close()
        named = dict.fromkeys(order)
        others = [row for path, row in self._rows.items() if path not in named]
        self._write_all(others + [self._rows[path] for path in named if path in self._rows])

    def close(self) -> None:
        """Let go of the file; its rows stay."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write_all(self, rows: Iterable[StampedScore]) -> None:
        with held(), atomic_write(self.path) as file:
            file.write(self._whole(list(rows)))

    def _read(self) -> dict[str, StampedScore]:
        try:
            if self.path.exists() and not self.path.is_file():
                # before it is read: some devices have no end
                raise InputError("is no regular file", path=self.path, remedy="choose another --output")
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(
                f"the table cannot be read: {error.strerror}", path=self.path, remedy="choose another --output"
            ) from error
        rows = {row.score.path: row for row in self._parse(content)}
        if content.strip() and not rows and not self._is_empty_table(content):
            raise InputError(
                "exists and is no table of scores", path=self.path, remedy="choose another --output, or move it away"
            )
        return rows

    @abstractmethod
    def _whole(self, rows: list[StampedScore]) -> bytes:
        """Return the content of a finished table."""

    @abstractmethod
    def _append(self, file: BinaryIO, row: StampedScore, *, is_first: bool) -> None:
        """Write one row at the end."""

    @abstractmethod
    def _parse(self, content: bytes) -> Iterator[StampedScore]:
        """Yield the rows that can be read; a torn last one is left out."""

    @abstractmethod
    def _is_empty_table(self, content: bytes) -> bool:
        """Whether this is a table that has no rows yet."""


class CsvTableFile(TableFile):
    """A table as CSV."""

    _columns = (*CSV_COLUMNS, *_STAMPS)

    def _whole(self, rows: list[StampedScore]) -> bytes:
        return csv_line(self._columns) + b"".join(map(self._line, rows))

    def _line(self, row: StampedScore) -> bytes:
        return csv_line([*score_to_cells(row.score), str(row.stamp.size), str(row.stamp.modified)])

    def _append(self, file: BinaryIO, row: StampedScore, *, is_first: bool) -> None:
        del is_first
        file.seek(0, os.SEEK_END)
        _write(file, self._line(row))

    def _parse(self, content: bytes) -> Iterator[StampedScore]:
        if not self._is_table(content):
            return
        whole_lines = content[: content.rfind(b"\n") + 1].decode("utf-8", sys.getfilesystemencodeerrors())
        with _long_cells():
            lines = list(csv.reader(io.StringIO(whole_lines, newline="")))
        for line in lines[1:]:
            if len(line) != len(self._columns):
                continue  # torn: its file is scored again
            cells = dict(zip(self._columns, line, strict=True))
            with suppress(ValueError):
                yield StampedScore(score_from_cells(cells), FileStamp(int(cells["size"]), int(cells["modified"])))

    def _is_table(self, content: bytes) -> bool:
        return content.startswith(csv_line(self._columns))

    def _is_empty_table(self, content: bytes) -> bool:
        return self._is_table(content)


class JsonTableFile(TableFile):
    """A table as a JSON array with one object per line; valid after every row."""

    _END: Final = b"\n]\n"

    def _whole(self, rows: list[StampedScore]) -> bytes:
        return b"[\n" + b",\n".join(map(self._line, rows)) + self._END

    def _line(self, row: StampedScore) -> bytes:
        stamps = {"size": row.stamp.size, "modified": row.stamp.modified}
        return to_json(score_to_dict(row.score) | stamps).encode("ascii")

    def _append(self, file: BinaryIO, row: StampedScore, *, is_first: bool) -> None:
        # over the closing bracket, in one write that closes the array again
        file.seek(-len(self._END), os.SEEK_END)
        _write(file, (b"" if is_first else b",\n") + self._line(row) + self._END)

    def _parse(self, content: bytes) -> Iterator[StampedScore]:
        for row in _json_rows(content):
            if not isinstance(row, dict):
                continue
            size, modified = row.get("size"), row.get("modified")
            if isinstance(size, int) and isinstance(modified, int):
                with suppress(ValueError):
                    yield StampedScore(score_from_dict(row), FileStamp(size, modified))

    def _is_empty_table(self, content: bytes) -> bool:
        return content.split() == [b"[", b"]"] or content.strip() == b"[]"


TABLE_FILES: Final = {".csv": CsvTableFile, ".json": JsonTableFile}


def open_table(path: Path) -> TableFile:
    """Open, or prepare to create, the table at ``path``; its suffix says the format.

    Raises:
        InputError: another suffix, or the file holds something else.
        StoreError: it cannot be read.
    """
    kind = TABLE_FILES.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"the table format {path.suffix!r} is unknown", path=path, remedy="use .csv or .json")
    return kind(path)


def _json_rows(content: bytes) -> Iterator[Any]:
    """Yield the elements of an array, or of what an interrupt left of one, line by line."""
    try:
        whole = json.loads(content)
    except ValueError:
        for line in content.splitlines():
            with suppress(ValueError):  # a bracket, or a torn row: its file is scored again
                yield json.loads(line.rstrip(b","))
    else:
        yield from whole if isinstance(whole, list) else []


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lift the limit of 128 KB per CSV cell, which the seconds of a two-hour video exceed."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@contextmanager
def _said_for(path: Path) -> Iterator[None]:
    """Turn a failed write into one line that names the table."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the table cannot be written: {error.strerror or error}",
            path=path,
            remedy="free some space or choose another --output; a rerun keeps the finished rows",
        ) from None


def _write(file: BinaryIO, content: bytes) -> None:
    """Write all of it to an unbuffered file, which may take less than it is given."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]
