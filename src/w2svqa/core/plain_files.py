"""Small JSON files that hold one frozen dataclass each, written whole and read with an error that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import ConfigError, StoreError, StrPath
from w2svqa.core.files import atomic_write

PlainT = TypeVar("PlainT")


def write_plain(path: StrPath, value: object) -> None:
    """Write a dataclass of plain values, all or nothing; a file that says the same already is left as it is.

    Raises:
        StoreError: it cannot be written.
        ValueError: a number is not finite.
    """
    text = json.dumps(to_mapping(value), indent=1, allow_nan=False).encode("ascii") + b"\n"
    if Path(path).is_file() and Path(path).read_bytes() == text:
        return
    with atomic_write(path) as file:
        file.write(text)


def read_plain(path: StrPath, kind: type[PlainT], *, remedy: str, newest: int | None = None) -> PlainT | None:
    """Read what :func:`write_plain` wrote; ``None`` if there is no such file.

    Args:
        path: the file.
        kind: the dataclass.
        remedy: what to do where it is damaged.
        newest: a file whose ``"format"`` is above that is of a later version.

    Raises:
        StoreError: the file is damaged, cannot be read or is of a later version.
    """
    try:
        mapping = json.loads(Path(path).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", path=path, remedy="check its permissions") from None
    except (ValueError, RecursionError):
        raise StoreError("is damaged: no valid JSON", path=path, remedy=remedy) from None
    if not isinstance(mapping, dict):
        raise StoreError("is damaged: no mapping", path=path, remedy=remedy)
    found = mapping.get("format")
    if newest is not None and isinstance(found, int) and found > newest:
        raise StoreError(f"format {found} is of a later version", path=path, remedy="update w2svqa")
    try:
        return from_mapping(kind, mapping)
    except ConfigError as error:
        raise StoreError(f"is damaged: {error.problem}", path=path, remedy=remedy) from None
