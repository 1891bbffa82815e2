"""A map whose results are kept as they come: a rerun makes only what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from w2svqa.core.errors import UnwritableError
from w2svqa.core.executor import make_executor
from w2svqa.core.journal import Journal

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[ItemT, ResultT]):
    """How the results of a map are kept.

    Attributes:
        path: the journal.
        fingerprint: of all that results depend on; a journal of another one is refused.
        key: what an item is called in the journal.
        name: what it is called to the user.
        encode: result -> plain value.
        decode: plain value -> result.
        holds: whether a kept result still answers this item.
    """

    path: Path
    fingerprint: str
    key: Callable[[ItemT], str]
    name: Callable[[ItemT], str]
    encode: Callable[[ResultT], object]
    decode: Callable[[object], ResultT]
    holds: Callable[[ItemT, ResultT], bool] = lambda item, result: True  # noqa: ARG005 (the names are the interface)


def map_resumed(
    work: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    kept: Kept[ItemT, ResultT],
    *,
    workers: int,
    progress: Callable[[int, int, str], None],
) -> tuple[dict[str, ResultT], dict[str, str]]:
    """Return all results, those of earlier calls among them, and the error of each item that failed, by key.

    Failed items are tried again by the next call; until then they have no result, not even an older one that no longer
    holds. Where nothing can be written any more no item is at fault, and the map ends.

    Args:
        work: picklable if there are several workers; never returns ``None``.
        items: with different keys.
        kept: where results are kept.
        workers: processes.
        progress: called as ``progress(done, total, name)`` after each item.

    Raises:
        StoreError: the journal cannot be read or written, or ``work`` has no room for what it makes.
    """
    failed: dict[str, str] = {}
    with Journal(kept.path, fingerprint=kept.fingerprint) as journal:
        made = {key: kept.decode(value) for key, value in journal.finished.items()}
        missing = [item for item in items if kept.key(item) not in made or not kept.holds(item, made[kept.key(item)])]
        outcomes = make_executor(workers).map(work, missing, key=kept.name)
        for done, outcome in enumerate(outcomes, start=len(items) - len(missing) + 1):
            item = missing[outcome.index]
            if isinstance(outcome.error, UnwritableError):
                raise outcome.error
            if outcome.value is None:
                made.pop(kept.key(item), None)
                failed[kept.key(item)] = str(outcome.error)
            else:
                made[kept.key(item)] = outcome.value
                journal.add(kept.key(item), kept.encode(outcome.value))
            progress(done, len(items), kept.name(item))
    return made, failed
