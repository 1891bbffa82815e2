"""One item, one attempt: what a worker does with it, and how a failure is told."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

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
