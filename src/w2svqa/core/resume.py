"""A map whose results are kept as they come: a rerun makes only what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from w2svqa.core.errors import UnwritableError, W2SVQAError
from w2svqa.core.executor import Executor, make_executor
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
        failure: the result that stands for an error and is kept like any other; ``None`` for an error after which the
            item is tried again by the next call.
        sync_every: seconds of work that a power cut may cost, see :class:`w2svqa.core.journal.Journal`.
    """

    path: Path
    fingerprint: str
    key: Callable[[ItemT], str]
    name: Callable[[ItemT], str]
    encode: Callable[[ResultT], object]
    decode: Callable[[object], ResultT]
    holds: Callable[[ItemT, ResultT], bool] = lambda item, result: True  # noqa: ARG005 (the names are the interface)
    failure: Callable[[W2SVQAError], ResultT | None] = lambda error: None  # noqa: ARG005 (as above)
    sync_every: float = 0.0


def map_resumed(
    work: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    kept: Kept[ItemT, ResultT],
    *,
    workers: int = 1,
    progress: Callable[[int, int, str], None],
    executor: Executor | None = None,
) -> tuple[dict[str, ResultT], dict[str, str]]:
    """Return all results, those of earlier calls among them, and the error of each item that failed, by key.

    Failed items are tried again by the next call, unless ``kept.failure`` has a result for the error; until then they
    have no result, not even an older one that no longer holds. Where nothing can be written any more no item is at
    fault, and the map ends.

    Args:
        work: picklable if there are several workers; never returns ``None``.
        items: with different keys.
        kept: where results are kept.
        workers: processes, where there is no ``executor``.
        progress: called as ``progress(done, total, name)`` after each item.
        executor: what does the work.

    Raises:
        StoreError: the journal cannot be read or written, or ``work`` has no room for what it makes.
    """
    failed: dict[str, str] = {}
    with Journal(kept.path, fingerprint=kept.fingerprint, sync_every=kept.sync_every) as journal:
        made = {key: kept.decode(value) for key, value in journal.finished.items()}
        missing = [item for item in items if kept.key(item) not in made or not kept.holds(item, made[kept.key(item)])]
        outcomes = (executor or make_executor(workers)).map(work, missing, key=kept.name)
        for done, outcome in enumerate(outcomes, start=len(items) - len(missing) + 1):
            item = missing[outcome.index]
            if isinstance(outcome.error, UnwritableError):
                raise outcome.error
            value = outcome.value if outcome.error is None else kept.failure(outcome.error)
            if value is None:
                made.pop(kept.key(item), None)
                failed[kept.key(item)] = str(outcome.error)
            else:
                made[kept.key(item)] = value
                journal.add(kept.key(item), kept.encode(value))
            progress(done, len(items), kept.name(item))
    return made, failed
