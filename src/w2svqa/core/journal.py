"""The journal of a long map: one line per finished item, so that a killed stage goes on where it stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO

from w2svqa.core.errors import StoreError, StrPath

_HEADER = b'{"journal": 1, '


class Journal:
    """An append-only file of finished items. Use it as a context manager, in one process at a time.

    Every item is on the disk before :meth:`add` returns, unless ``sync_every`` says less. What a kill or a power cut
    tore off at the end is dropped when the journal is opened again.

    Args:
        path: the file; made with its folder if it is not there.
        fingerprint: what the values depend on besides their key (configuration, versions). Not the list of items: a
            pool that grew goes on with what is there.
        sync_every: seconds of work that a power cut may cost: waiting for the disk takes milliseconds per item, which
            is much where items are small. A kill costs nothing all the same.

    Raises:
        StoreError: on entering, if the file was made with another fingerprint, or is damaged before its last line.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with Journal(Path(folder.name) / "scores.jsonl", fingerprint="niqe-1") as journal:
        ...     journal.add("a.mp4", 41.5)
        >>> with Journal(Path(folder.name) / "scores.jsonl", fingerprint="niqe-1") as journal:
        ...     dict(journal.finished)
        {'a.mp4': 41.5}
        >>> folder.cleanup()
    """

    def __init__(self, path: StrPath, *, fingerprint: str, sync_every: float = 0.0) -> None:
        self._path = Path(path)
        self._fingerprint = fingerprint
        self._sync_every = sync_every
        self._synced = 0.0
        self._finished: dict[str, object] = {}
        self._file: BinaryIO | None = None

    @property
    def finished(self) -> Mapping[str, object]:
        """The value of every finished item by its key, in the order they finished."""
        return MappingProxyType(self._finished)

    def __enter__(self) -> Journal:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            self._load(self._file)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing is lost if this never happens."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, key: str, value: object) -> None:
        """Record that the item ``key`` is finished; ``value`` is anything JSON can hold. A key again replaces.

        Raises:
            StoreError: the disk is full or fails; what was recorded before stays.
            ValueError: the journal is not open, or ``value`` is a number that is not finite.
            TypeError: ``value`` is nothing JSON can hold.
        """
        self._append({"key": key, "value": value})
        self._finished[key] = value

    def _append(self, entry: Mapping[str, object]) -> None:
        if self._file is None:
            raise ValueError("the journal is not open")
        line = json.dumps(entry, allow_nan=False).encode("ascii") + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            while written < len(line):
                written += self._file.write(line[written:])
            if time.monotonic() - self._synced >= self._sync_every:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            self._file.truncate(end)
            raise self._unwritable(error) from None

    def _load(self, file: BinaryIO) -> None:
        file.seek(0)
        lines = file.read().splitlines(keepends=True)
        good = 0
        for number, line in enumerate(lines, start=1):
            entry = _entry(line)
            if entry is None:
                if number == 1 and not _HEADER.startswith(line[: len(_HEADER)]):
                    raise self._foreign()
                if number < len(lines):
                    raise StoreError(
                        f"line {number} is damaged", path=self._path, remedy="remove that line to repeat its item"
                    )
                break
            self._accept(number, entry)
            good += len(line)
        file.truncate(good)
        if good == 0:
            self._append({"journal": 1, "fingerprint": self._fingerprint})

    def _accept(self, number: int, entry: dict[str, object]) -> None:
        if number > 1:
            self._finished[str(entry.get("key"))] = entry.get("value")
        elif entry.get("journal") != 1:
            raise self._foreign()
        elif entry.get("fingerprint") != self._fingerprint:
            raise StoreError(
                f"was made with another configuration ({entry.get('fingerprint')}, now {self._fingerprint})",
                path=self._path,
                remedy="use the configuration of that run, or another folder",
            )

    def _foreign(self) -> StoreError:
        return StoreError("is no journal of this package", path=self._path, remedy="choose another folder")

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot be written: {error.strerror}", path=self._path, remedy="free some space or choose another folder"
        )


def _entry(line: bytes) -> dict[str, object] | None:
    """Return the object a whole line holds, or ``None`` for a torn or damaged one."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
