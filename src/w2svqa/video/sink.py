"""The file that FFmpeg writes into."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Sink(io.FileIO):
    """A new file whose writing fails once: what FFmpeg writes after a failure, to put things in order, goes nowhere.

    PyAV prints a traceback when a second error comes before it could raise the first.

    Args:
        path: where to write; there must be nothing.

    Attributes:
        error: why writing failed; ``None`` while it has not.

    Raises:
        OSError: from the constructor and from the first :meth:`write` that fails.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "xb")
        self.error: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        """Write all of ``data``, or raise; after a failure, do nothing."""
        rest = memoryview(data)
        size = rest.nbytes
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
            raise
        return size
