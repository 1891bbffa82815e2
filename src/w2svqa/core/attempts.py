"""One item, one attempt: what a worker does with it, what it sends back, and how a failure is told."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from w2svqa.core.errors import W2SVQAError

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[ValueT_co]):
    """What a worker sends back for an item.

    Attributes:
        value: what the function returned; ``None`` on error.
        error: why there is no value.
    """

    value: ValueT_co | None = None
    error: W2SVQAError | None = None


def attempt(function: Callable[[ItemT], ValueT], item: ItemT, retries: int) -> Reply[ValueT]:
    """Call ``function`` on ``item`` and return what came of it; never raises an ``Exception``.

    Args:
        function: what to call.
        item: its argument.
        retries: further tries after a failure that is none of this package's errors, which would only come again.

    Example:
        >>> attempt(int, "12", 1).value
        12
        >>> attempt(int, "one", 1).error.problem.partition(" (")[0]
        "ValueError: invalid literal for int() with base 10: 'one'"
    """
    try:
        return Reply(value=function(item))
    except W2SVQAError as error:
        return Reply(error=error)
    except Exception as error:  # noqa: BLE001 - one item of many: whatever it raises becomes its row, with the place
        failure = _foreign(error)
    return attempt(function, item, retries - 1) if retries > 0 else Reply(error=failure)


def _foreign(error: Exception) -> W2SVQAError:
    """Put a stranger's exception into our tree; its own class may not survive the way between processes."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return W2SVQAError(
        f"{type(error).__name__}: {error} (at {Path(frame.filename).name}:{frame.lineno})",
        remedy="this is a fault of the program: please report it",
    )


@dataclass(frozen=True, slots=True)
class Untold:
    """What a worker says in place of a reply that cannot be sent."""

    problem: str


def answer(function: Callable[[ItemT], object], work: bytes, retries: int) -> bytes:
    """Make one attempt at a pickled item and return the pickled :class:`Reply`, or :class:`Untold`; never raises."""
    try:
        return pickle.dumps(attempt(function, pickle.loads(work), retries))
    except Exception as error:  # noqa: BLE001 - pickling raises what it likes; it is told and raised in the caller
        return untold(error)


def untold(error: Exception) -> bytes:
    """Return what a worker sends when it cannot send a reply."""
    return pickle.dumps(Untold(f"cannot be pickled: {type(error).__name__}: {error}"))


def heard(sent: bytes) -> Reply[Any]:
    """Return the reply that a worker sent.

    Raises:
        pickle.PicklingError: it could not send one.
        W2SVQAError: it sent something else.
    """
    reply = pickle.loads(sent)
    if isinstance(reply, Untold):
        raise pickle.PicklingError(reply.problem)
    if not isinstance(reply, Reply):
        raise W2SVQAError(f"a worker process answered {reply!r}")
    return reply


def died_while_starting() -> W2SVQAError:
    """Return the error of a map whose workers cannot be started."""
    return W2SVQAError("a worker process died while starting", remedy="use one worker to see why")


def died_twice(key: str) -> W2SVQAError:
    """Return the error of an item that took two worker processes with it."""
    return W2SVQAError(
        "the worker process died twice while it was at this item",
        path=key,
        remedy="out of memory, or a crash in a codec: leave it out, or give the process more memory",
    )


def took_machines(key: str) -> W2SVQAError:
    """Return the error of an item that was under way on too many machines when they were lost."""
    return W2SVQAError(
        "one machine after the other was lost while it was at this item",
        path=key,
        remedy="out of memory, if no other cause is known: leave it out, or have fewer workers per machine",
    )


def took_too_long(key: str, time_out: float) -> W2SVQAError:
    """Return the error of an item whose process was stopped after ``time_out`` seconds."""
    return W2SVQAError(
        f"no answer within {time_out:g} s: its process was stopped",
        path=key,
        remedy="allow more time, or leave it out",
    )
