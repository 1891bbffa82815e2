"""Tokens of many videos in one file that is mapped into memory: a strong student's are megabytes a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from w2svqa.core.errors import StoreError, UnwritableError
from w2svqa.core.records import Tokens
from w2svqa.core.rows import VersionRow

Encode = Callable[[VersionRow], Tokens]


class TokenFile:
    """Rows of tokens on disk, one per second; the file is made when the first ones are written.

    Args:
        path: a ``.npy`` file. One that is there is gone on with.
        rows: how many there will be.

    Raises:
        StoreError: the file is damaged, or has another number of rows.
    """

    def __init__(self, path: Path, rows: int) -> None:
        self._path, self._rows = path, rows
        self._tokens: np.memmap[tuple[int, ...], np.dtype[np.float32]] | None = None
        if path.exists():
            self._tokens = self._opened()

    def write(self, start: int, tokens: Tokens) -> None:
        """Write rows from ``start`` on; they are on disk when this returns.

        Raises:
            UnwritableError: the disk is full or fails.
            ValueError: tokens of another shape than those before, or beyond the end.
        """
        if self._tokens is None:
            self._tokens = self._made(tokens.shape[1:])
        self._tokens[start : start + len(tokens)] = tokens
        self._tokens.flush()

    def read(self, start: int, stop: int) -> Tokens:
        """Return rows that were written, read from disk where they are used."""
        if self._tokens is None:
            raise ValueError(f"nothing was written into {self._path}")
        return self._tokens[start:stop]

    def _opened(self) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
        remedy = "delete the folder"
        try:
            found = np.lib.format.open_memmap(self._path, mode="r+")
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"cannot be read: {error}", path=self._path, remedy=remedy) from None
        if found.dtype != np.float32 or len(found) != self._rows:
            raise StoreError(f"has {found.dtype} {found.shape}, not {self._rows} rows", path=self._path, remedy=remedy)
        return found

    def _made(self, shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return np.lib.format.open_memmap(self._path, mode="w+", dtype=np.float32, shape=(self._rows, *shape))
        except OSError as error:
            size = 4 * self._rows * math.prod(shape)
            raise UnwritableError(
                f"has no room for {size / 1e9:.1f} GB of tokens: {error.strerror}",
                path=self._path,
                remedy="free some space and start again",
            ) from None


@contextmanager
def on_disk(encode: Encode, versions: Sequence[VersionRow], folder: Path) -> Iterator[Encode]:
    """Make ``encode`` put what it returns into a file, which is gone after the block.

    Args:
        encode: makes the tokens of a version, one row per second.
        versions: those that it will be asked for, each once.
        folder: where there is room.
    """
    with TemporaryDirectory(dir=folder, prefix=".tokens-", ignore_cleanup_errors=True) as scratch:
        file, starts = TokenFile(Path(scratch) / "tokens.npy", sum(row.seconds for row in versions)), [0]

        def encoded(row: VersionRow) -> Tokens:
            start, tokens = starts[-1], encode(row)
            file.write(start, tokens)
            starts.append(start + len(tokens))
            return file.read(start, starts[-1])

        yield encoded
