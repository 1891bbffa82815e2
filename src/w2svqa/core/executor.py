"""Mapping a function over many items, here or in other processes, so that no item can bring the others down.

An item that fails is tried again unless the failure is one of :mod:`w2svqa.core.errors`, which another try would not
change. A worker process that dies takes at most its own item with it: that one is tried once more when all others are
done, alone (what killed it may have been a lack of memory), and if it kills its process again it comes out as an error.
One that takes longer than it may is stopped with its process and comes out as an error at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from w2svqa.core.attempts import attempt, died_twice, took_machines, took_too_long
from w2svqa.core.crews import Crew, Event
from w2svqa.core.errors import ConfigError, W2SVQAError

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)

Progress = Callable[[int], None]
"""Called with the number of items finished so far, failed ones included, before each outcome is handed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[ValueT_co]):
    """What became of one item.

    Attributes:
        index: position of the item in the input, from 0.
        key: its name.
        value: what the function returned; ``None`` on error.
        error: why there is no value; ``None`` if there is one.
    """

    index: int
    key: str
    value: ValueT_co | None = None
    error: W2SVQAError | None = None


class Executor(Protocol):
    """Runs a function over items; which machine or process does it is the executor's affair."""

    @property
    def workers(self) -> int:
        """How many items are worked on at a time."""
        ...

    def map(
        self,
        function: Callable[[ItemT], ValueT],
        items: Iterable[ItemT],
        *,
        key: Callable[[ItemT], str] = str,
        progress: Progress | None = None,
    ) -> Iterator[Outcome[ValueT]]:
        """Yield one outcome per item, as they finish.

        Items are taken from the input only when a worker is free, and a worker gets its next one only when the caller
        asks for the outcome after the one it was handed: so a caller that records each outcome at once loses, killed at
        any moment, at most one item per worker.

        Args:
            function: for processes: importable by its name, as are its items and values.
            items: may be endless.
            key: the name of an item.
            progress: called before each outcome is handed on.
        """
        ...


@dataclass(frozen=True, slots=True)
class Task(Generic[ItemT]):
    """An item with its place in the input and its name."""

    index: int
    key: str
    item: ItemT


class SerialExecutor:
    """One item after the other in this process.

    Args:
        initializer: called once before the first item, as in each worker of :class:`ProcessExecutor`.
        initargs: its arguments.
        retries: further tries of an item after a failure that is none of this package's errors.

    Example:
        >>> [outcome.value for outcome in SerialExecutor().map(abs, [-1, 2])]
        [1, 2]
    """

    def __init__(
        self, *, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = (), retries: int = 1
    ) -> None:
        self._initializer = initializer
        self._initargs = initargs
        self._retries = retries

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def map(
        self,
        function: Callable[[ItemT], ValueT],
        items: Iterable[ItemT],
        *,
        key: Callable[[ItemT], str] = str,
        progress: Progress | None = None,
    ) -> Iterator[Outcome[ValueT]]:
        """Yield one outcome per item, in their order; see :meth:`Executor.map`."""
        if self._initializer is not None:
            self._initializer(*self._initargs)
            self._initializer = None
        for index, item in enumerate(items):
            reply = attempt(function, item, self._retries)
            if progress is not None:
                progress(index + 1)
            yield Outcome(index=index, key=key(item), value=reply.value, error=reply.error)


class PoolExecutor(ABC):
    """Several workers that run beside this process; how they are started is the affair of those that inherit.

    Args:
        workers: how many.
        initializer: called once in each of them, to load a model for example; importable by its name.
        initargs: its arguments.
        retries: further tries of an item after a failure that is none of this package's errors.
        time_out: seconds after which a worker that is still at one item is stopped; ``None`` for never.
        places: further arguments of ``initializer``, one tuple per worker: the device it is to use, say.

    Raises:
        ValueError: there are not as many places as workers.
    """

    def __init__(
        self,
        workers: int,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        retries: int = 1,
        time_out: float | None = None,
        places: Sequence[tuple[Any, ...]] | None = None,
    ) -> None:
        places = [()] * workers if places is None else places
        if len(places) != workers:
            raise ValueError(f"{len(places)} places for {workers} workers")
        self._initializer = initializer
        self._arguments = [(*initargs, *place) for place in places]
        self._retries = retries
        self._time_out = time_out

    @property
    def workers(self) -> int:
        """How many items are worked on at a time."""
        return len(self._arguments)

    @abstractmethod
    def _open(self, function: Callable[[ItemT], ValueT], first: Sequence[ItemT]) -> Crew[Task[ItemT], ItemT, ValueT]:
        """Return as many workers as there are first items, to be entered and left."""

    def map(
        self,
        function: Callable[[ItemT], ValueT],
        items: Iterable[ItemT],
        *,
        key: Callable[[ItemT], str] = str,
        progress: Progress | None = None,
    ) -> Iterator[Outcome[ValueT]]:
        """Yield one outcome per item, as they finish; see :meth:`Executor.map`.

        Raises:
            W2SVQAError: a worker could not be started, or ``initializer`` failed in it.
        """
        tasks = (Task(index, key(item), item) for index, item in enumerate(items))
        outcomes = self._outcomes(function, tasks)
        try:
            for finished, outcome in enumerate(outcomes, start=1):
                if progress is not None:
                    progress(finished)
                yield outcome
        finally:
            outcomes.close()

    def _outcomes(
        self, function: Callable[[ItemT], ValueT], tasks: Iterator[Task[ItemT]]
    ) -> Generator[Outcome[ValueT], None, None]:
        suspects = yield from self._work(function, tasks, self.workers)
        for suspect in suspects:
            if (yield from self._work(function, iter([suspect]), 1)):
                yield Outcome(index=suspect.index, key=suspect.key, error=died_twice(suspect.key))

    def _work(
        self, function: Callable[[ItemT], ValueT], tasks: Iterator[Task[ItemT]], workers: int
    ) -> Generator[Outcome[ValueT], None, list[Task[ItemT]]]:
        """Work until nothing is left; return the items whose process died."""
        first = list(islice(tasks, workers))
        suspects: list[Task[ItemT]] = []
        if not first:
            return suspects
        with self._open(function, [task.item for task in first]) as pool:
            for task in first:
                pool.start(task, task.item)
            while pool.busy:
                for event in pool.events():
                    if event.end == "died":
                        suspects.append(event.task)
                    else:
                        yield self._outcome(event)
                    for following in islice(tasks, 1):
                        pool.start(following, following.item)
        return suspects

    def _outcome(self, event: Event[Task[ItemT], ValueT]) -> Outcome[ValueT]:
        task, reply = event.task, event.reply
        if reply is not None:
            return Outcome(index=task.index, key=task.key, value=reply.value, error=reply.error)
        lost = event.end == "lost"
        error = took_machines(task.key) if lost else took_too_long(task.key, self._time_out or 0.0)
        return Outcome(index=task.index, key=task.key, error=error)


class ProcessExecutor(PoolExecutor):
    """Several processes on this machine, each started afresh (spawned), so that it shares no state with this one.

    The processes ignore Ctrl-C: it interrupts the caller, who stops them. They end with the caller, however it ends.
    Its arguments are those of :class:`PoolExecutor`.
    """

    def _open(self, function: Callable[[ItemT], ValueT], first: Sequence[ItemT]) -> Crew[Task[ItemT], ItemT, ValueT]:
        from w2svqa.core.workers import Pool  # here, because multiprocessing is slow to import and often not needed

        arguments = self._arguments[: len(first)]
        pool: Pool[Task[ItemT], ItemT, ValueT] = Pool(
            function, self._retries, self._initializer, arguments, self._time_out
        )
        return pool


class Engine(Protocol):
    """Where the workers of a command run, if not on this machine alone."""

    def executor(
        self,
        workers: int,
        *,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        retries: int,
        time_out: float | None,
        places: Sequence[tuple[Any, ...]] | None,
    ) -> Executor:
        """Return an executor with so many workers; the arguments are those of :class:`PoolExecutor`."""
        ...


_engine: ContextVar[Engine | None] = ContextVar("engine", default=None)


@contextmanager
def use_engine(engine: Engine) -> Iterator[None]:
    """Let every executor that :func:`make_executor` makes inside the block come from ``engine``."""
    token = _engine.set(engine)
    try:
        yield
    finally:
        _engine.reset(token)


def works_here(workers: int) -> bool:
    """Whether so many workers need neither other processes nor another machine."""
    return workers == 1 and _engine.get() is None


def make_executor(
    workers: int,
    *,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    retries: int = 1,
    time_out: float | None = None,
    places: Sequence[tuple[Any, ...]] | None = None,
    apart: bool = False,
) -> Executor:
    """Return the executor of the engine in use; without one, a serial executor for one worker, processes for more.

    Args:
        workers: how many items are worked on at a time.
        initializer: called once per worker.
        initargs: its arguments.
        retries: further tries of an item after a failure that is none of this package's errors.
        time_out: seconds that a worker may be at one item; needs ``apart``.
        places: further arguments of ``initializer``, one tuple per worker.
        apart: one worker is a process of its own too: an item that crashes or hangs costs no more than itself.

    Raises:
        ConfigError: ``workers`` is less than one, or the engine cannot be used.
        ValueError: there are not as many places as workers, or a time limit without ``apart``.
    """
    if workers < 1:
        raise ConfigError(f"{workers} workers", remedy="ask for 1 or more")
    if time_out is not None and not apart:
        raise ValueError("a time limit needs apart=True")
    make = ProcessExecutor if (engine := _engine.get()) is None else engine.executor
    if works_here(workers) and not apart:
        arguments = initargs if places is None else (*initargs, *places[0])
        return SerialExecutor(initializer=initializer, initargs=arguments, retries=retries)
    return make(workers, initializer=initializer, initargs=initargs, retries=retries, time_out=time_out, places=places)
