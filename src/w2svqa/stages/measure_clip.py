"""Measuring one clip of a pool, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from w2svqa.core.config import from_mapping
from w2svqa.core.errors import ConfigError, MissingExtraError, MissingInputError, StoreError, W2SVQAError
from w2svqa.core.extras import require
from w2svqa.core.files import sha256_file
from w2svqa.core.memory import return_large_buffers
from w2svqa.metrics import measure


class MeasurableClip(Protocol):
    """What must be known of a clip: a :class:`~w2svqa.core.rows.PoolClipRow` or :class:`~w2svqa.core.rows.VideoRow`."""

    @property
    def clip_id(self) -> str:
        """Its id; of several clips with one id the first is measured."""
        ...

    @property
    def path(self) -> str:
        """The file."""
        ...

    @property
    def name(self) -> str:
        """What it is called to the user."""
        ...

    @property
    def sha256(self) -> str:
        """Of the file, hex; empty where it could not be read."""
        ...

    @property
    def source(self) -> str:
        """Where it comes from; empty if unknown."""
        ...

    @property
    def license(self) -> str:
        """Empty if unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMetrics:
    """What is kept of a content.

    Attributes:
        values: by metric and version; ``None`` where there is none.
        missing: why not, by metric and version.
        problem: why only a part was measured.
        message: why nothing was.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A content to measure.

    Attributes:
        path: a file that has it.
        name: what it is called to the user.
        sha256: the content, hex.
        threads: for decoding.
        lacking: metrics to measure: what they are kept under, by name.
        known: what was measured before.
    """

    path: str
    name: str
    sha256: str
    threads: int
    lacking: Mapping[str, str]
    known: ClipMetrics


def decoded(value: object) -> ClipMetrics:
    """Return what a journal kept of a content.

    Raises:
        StoreError: it is nothing of this kind.
    """
    if not isinstance(value, dict):
        raise StoreError(f"the journal of metrics holds {value!r}", remedy="delete that journal")
    return from_mapping(ClipMetrics, value)


def failure_of(error: W2SVQAError) -> ClipMetrics | None:
    """Return what is kept of an error; ``None`` for one that says nothing about the content: it is tried again."""
    if isinstance(error, MissingInputError | MissingExtraError | ConfigError):
        return None
    return ClipMetrics(message=error.without_path)


def prepare(threads: int) -> None:
    """Make a worker process ready: its share of the cores."""
    return_large_buffers()
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    require("cv2", extra="train").setNumThreads(threads)


def measure_item(item: Item) -> ClipMetrics:
    """Measure what is lacking of a clip.

    Raises:
        MissingInputError: the file is gone or has another content.
        InputError: it cannot be decoded.
    """
    stamp = _checked(item)
    found = measure(item.path, tuple(item.lacking), threads=item.threads)
    if _stamp(item) != stamp:  # or the values of another content would be kept under this one
        raise MissingInputError("was changed while it was measured", path=item.path, remedy="ingest it again")
    values = {key: found.values[name] for name, key in item.lacking.items()}
    missing = {key: found.missing[name] for name, key in item.lacking.items() if name in found.missing}
    return ClipMetrics(
        values={**item.known.values, **values},
        missing={**item.known.missing, **missing},
        problem=found.problem or item.known.problem,
    )


def _checked(item: Item) -> tuple[int, int]:
    """Return size and time of the file, after making sure that it has the content."""
    stamp = _stamp(item)
    try:
        digest = sha256_file(item.path)
    except OSError as error:
        raise _unreadable(item, error) from None
    if digest != item.sha256:
        raise MissingInputError("was changed since its content was noted", path=item.path, remedy="ingest it again")
    return stamp


def _stamp(item: Item) -> tuple[int, int]:
    try:
        status = Path(item.path).stat()
    except OSError as error:
        raise _unreadable(item, error) from None
    return status.st_size, status.st_mtime_ns


def _unreadable(item: Item, error: OSError) -> MissingInputError:
    return MissingInputError(f"cannot be read: {error.strerror}", path=item.path, remedy="check path and permissions")
