"""Worker processes: how they start, what they do with an item, and how they end with their caller."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from w2svqa.core.attempts import Reply, attempt, readiness
from w2svqa.core.errors import W2SVQAError

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
TaskT = TypeVar("TaskT")


class Pool(Generic[TaskT, ItemT, ValueT]):
    """A process pool on a leash: a pipe that every worker watches, and that ends with the caller or at its word.

    The standard pool leaves its workers behind when the caller is killed, and has no way to stop them at once.

    Args:
        workers: number of processes.
        function: what they do with an item.
        retries: see :func:`w2svqa.core.attempts.attempt`.
        initializer: called once in each of them.
        initargs: its arguments.

    Attributes:
        suspects: what was under way when a process died.

    Raises:
        W2SVQAError: on entering, if a worker cannot be started or ``initializer`` fails in it.
    """

    def __init__(
        self,
        workers: int,
        function: Callable[[ItemT], ValueT],
        retries: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self.suspects: list[TaskT] = []
        self._function = function
        self._retries = retries
        self._running: dict[Future[Reply[ValueT]], TaskT] = {}
        context = get_context("spawn")
        self._watched, self._leash = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(workers, context, _start, (self._watched, initializer, initargs))

    def __enter__(self) -> Self:
        try:
            with _interrupts_held_back():
                ready = self._pool.submit(attempt, _nothing, None, 0)  # this starts the first process
            reply = ready.result()
            if reply.error is not None:
                raise reply.error
        except BrokenProcessPool:
            self._stop()
            raise W2SVQAError("a worker process died while starting", remedy="use one worker to see why") from None
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._pool.shutdown()  # lets them leave by the door
        self._stop()

    def start(self, task: TaskT, item: ItemT) -> None:
        """Hand an item to the next free worker; ``task`` is what :meth:`finished` returns for it."""
        # Pickled here, so that what cannot be pickled is an error here; in the pool's own thread it comes too late.
        work = pickle.dumps((self._function, item, self._retries))
        try:
            with _interrupts_held_back():  # the pool starts its processes one by one, as items come
                future = self._pool.submit(_attempt_pickled, work)
            self._running[future] = task
        except BrokenProcessPool:  # a process has died, but no item has shown it yet
            self.suspects.append(task)

    def finished(self) -> list[tuple[TaskT, Reply[ValueT]]]:
        """Wait for at least one of the items under way and take out those that are done.

        Once a process has died, what was under way moves to ``suspects`` instead.
        """
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        replies = []
        for future in done:
            task = self._running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                self.suspects.append(task)
            else:
                replies.append((task, future.result()))
        return replies

    @property
    def busy(self) -> bool:
        """Whether items are under way."""
        return bool(self._running)

    def _stop(self) -> None:
        self._leash.close()
        self._pool.shutdown(cancel_futures=True)
        self._watched.close()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Keep Ctrl-C pending for the time of the block; processes started in it never see one.

    Without this, an interpreter that is just starting answers Ctrl-C with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing's helper unblocks the signal when it starts: let it be before
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(watched: Connection, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_caller, args=(watched,), daemon=True).start()
    if initializer is not None:
        readiness.failure = attempt(lambda arguments: initializer(*arguments), initargs, 0).error


def _leave_with_caller(watched: Connection) -> None:
    try:
        watched.recv_bytes()  # nothing is ever sent: this returns when the other end is closed, or its process gone
    except (EOFError, OSError):
        os._exit(1)


def _attempt_pickled(work: bytes) -> Reply[Any]:
    function, item, retries = pickle.loads(work)
    return attempt(function, item, retries)


def _nothing(_item: None) -> None:
    return None
