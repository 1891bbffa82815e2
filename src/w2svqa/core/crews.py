"""What an executor asks of its workers, whether they are processes here or actors of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeVar

from w2svqa.core.attempts import Reply

TaskT = TypeVar("TaskT")
ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Event(Generic[TaskT, ValueT]):
    """What became of a task: a reply, or a worker that died or took too long over it, or too many lost machines.

    Attributes:
        task: as it was given to :meth:`Crew.start`.
        reply: of the worker, if it lived to give one.
        end: how the worker ended if it did not.
    """

    task: TaskT
    reply: Reply[ValueT] | None = None
    end: Literal["died", "hung", "lost"] | None = None


class Crew(Protocol[TaskT, ItemT_contra, ValueT]):
    """The workers of one map, from their start to their end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def busy(self) -> bool:
        """Whether tasks are under way."""
        ...

    def start(self, task: TaskT, item: ItemT_contra) -> None:
        """Take an item to work on; ``task`` is what :meth:`events` calls it. There is never more than one per worker.

        Raises:
            Exception: the item cannot be pickled.
        """
        ...

    def events(self) -> Sequence[Event[TaskT, ValueT]]:
        """Wait until something becomes of at least one task; now and then empty.

        Raises:
            W2SVQAError: a worker could not be started, or was not made ready.
            pickle.PicklingError: a value cannot be pickled.
        """
        ...
