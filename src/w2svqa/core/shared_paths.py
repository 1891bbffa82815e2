"""Files and folders that a piece of work names: every machine that is to do the work must see them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path


def named_paths(*work: object) -> tuple[str, ...]:
    """Return what exists here among the texts and paths inside ``work``.

    Looks into data classes, sequences, mappings and partial functions. A text that happens to name something in the
    current folder does no harm: that folder must be shared as well.

    Example:
        >>> named_paths({"clip": os.devnull}, "no such file", 3)
        ('/dev/null',)
    """
    return tuple(text for text in dict.fromkeys(_texts(work)) if _is_here(text))


def first_unseen(paths: Iterable[str]) -> str | None:
    """Return the first path that is not to be seen here; ``None`` if all are."""
    return next((path for path in paths if not _is_here(path)), None)


def _is_here(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long for a name, or with a null character: no path
        return False


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from [value] if value else []
    elif isinstance(value, os.PathLike):
        yield os.fsdecode(value)
    elif isinstance(value, partial):
        yield from _texts([value.args, value.keywords])
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _texts([getattr(value, each.name) for each in fields(value)])
    elif isinstance(value, Mapping):
        yield from _texts([*value.values()])
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for each in value:
            yield from _texts(each)
