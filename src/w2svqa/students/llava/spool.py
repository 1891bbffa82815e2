"""Tokens of a video as they come: in memory while it is short, in a file without a name once it is long."""

from __future__ import annotations

import tempfile
from typing import IO, Final, Self

import numpy as np

from w2svqa.core.records import Tokens

MOST_IN_MEMORY: Final = 256
"""Seconds of a video whose tokens are held in memory: 0.7 GB at full size, 2.8 MB a second."""


class TokenSpool:
    """Gathers the tokens of one video; to be used in a ``with`` block.

    Args:
        most: seconds that are held in memory. Beyond them all are in a temporary file, read from where they are used,
            that goes with the array.
    """

    def __init__(self, most: int = MOST_IN_MEMORY) -> None:
        self._most = most
        self._parts: list[Tokens] = []
        self._seconds = 0
        self._shape: tuple[int, ...] = ()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()  # an array goes on reading what it has mapped

    def add(self, tokens: Tokens) -> None:
        """Take the next seconds, float32 ``(seconds, ...)``.

        Raises:
            OSError: the disk is full, say.
        """
        self._seconds += len(tokens)
        self._shape = tokens.shape[1:]
        self._parts.append(tokens)
        if self._seconds > self._most:
            self._file = self._file or tempfile.TemporaryFile(prefix="w2svqa-tokens-")  # noqa: SIM115
            for part in self._parts:
                self._file.write(np.ascontiguousarray(part, np.float32).data)
            self._parts.clear()

    def tokens(self) -> Tokens:
        """Return all, float32 ``(seconds, ...)``.

        Raises:
            ValueError: there are none.
        """
        if not self._seconds:
            raise ValueError("a video needs at least one second to be encoded")
        if self._file is None:
            return np.concatenate(self._parts)
        self._file.flush()
        shape = (self._seconds, *self._shape)
        # read-only in the file: a caller's changes stay in memory
        return np.memmap(self._file, np.float32, mode="c", shape=shape)
