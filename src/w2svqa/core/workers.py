"""Worker processes: how they start, what they do with an item, and how they end with their caller.

Each has a pipe of its own to the caller, so that it is known which item a process was at when it died or hung, and only
that process is replaced.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from w2svqa.core.attempts import Reply, answer, attempt, died_while_starting, heard, untold
from w2svqa.core.crews import Event

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
TaskT = TypeVar("TaskT")

_LOOK_AGAIN: Final = 1.0
"""Seconds after which silent processes are looked at: a child of a dead one may hold its pipe open."""

_LEAVE: Final = 10.0
"""Seconds that a process has to leave by itself when nothing is left to do."""


class Pool(Generic[TaskT, ItemT, ValueT]):
    """Processes on a leash: a pipe that every one of them watches, and that ends with the caller or at its word.

    They start when they are needed, and a new one takes the place of one that died or was stopped.

    Args:
        function: what they do with an item.
        retries: see :func:`w2svqa.core.attempts.attempt`.
        initializer: called once in each process.
        arguments: those of ``initializer``, once per process: there are as many processes.
        time_out: seconds after which a process that is at one item is stopped; ``None`` for never. The time that
            ``initializer`` takes does not count.

    Raises:
        Exception: the function cannot be pickled.
    """

    def __init__(
        self,
        function: Callable[[ItemT], ValueT],
        retries: int,
        initializer: Callable[..., object] | None,
        arguments: Sequence[tuple[Any, ...]],
        time_out: float | None = None,
    ) -> None:
        # Pickled here, as items are in `start`, so that what cannot be pickled is an error here.
        program = pickle.dumps((function, retries))
        self._time_out = time_out
        self._watched, self._leash = get_context("spawn").Pipe(duplex=False)
        self._seats: list[_Seat[TaskT]] = [_Seat(self._watched, program, initializer, each) for each in arguments]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for seat in self._seats:
            seat.dismiss()
        for seat in self._seats:
            seat.clear(_LEAVE if kind is None else 0)
        self._leash.close()
        self._watched.close()

    @property
    def free(self) -> int:
        """How many processes have nothing to do."""
        return sum(seat.task is None for seat in self._seats)

    @property
    def busy(self) -> bool:
        """Whether tasks are under way."""
        return any(seat.task is not None for seat in self._seats)

    def start(self, task: TaskT, item: ItemT) -> None:
        """Hand an item to a free process; ``task`` is what :meth:`events` calls it.

        Raises:
            Exception: the item cannot be pickled.
            ValueError: no process is free.
        """
        work = pickle.dumps(item)
        free = [seat for seat in self._seats if seat.task is None]
        if not free:
            raise ValueError("all processes are at work")
        # One that runs rather than one that would have to be started.
        max(free, key=lambda seat: seat.is_open).give(task, work)

    def events(self) -> list[Event[TaskT, ValueT]]:
        """Wait until something becomes of at least one task; empty if a process has only become ready meanwhile.

        Raises:
            W2SVQAError: a process could not be started, or ``initializer`` failed in it.
            pickle.PicklingError: a value cannot be pickled.
        """
        at_work = [seat for seat in self._seats if seat.task is not None]
        speaking = wait([seat.connection for seat in at_work if seat.connection is not None], self._patience(at_work))
        found = [self._event(seat, seat.connection in speaking) for seat in at_work]
        return [event for event in found if event is not None]

    def _patience(self, at_work: Sequence[_Seat[TaskT]]) -> float:
        if self._time_out is None:
            return _LOOK_AGAIN
        left = (self._time_out - seat.seconds for seat in at_work)
        return max(0.0, min(_LOOK_AGAIN, *left))

    def _event(self, seat: _Seat[TaskT], speaks: bool) -> Event[TaskT, ValueT] | None:
        if speaks or not seat.is_alive:
            return self._heard(seat)
        if self._time_out is not None and seat.seconds >= self._time_out:
            return Event(seat.release(), end="hung")
        return None

    def _heard(self, seat: _Seat[TaskT]) -> Event[TaskT, ValueT] | None:
        try:
            reply: Reply[ValueT] | None = seat.receive()
        except (EOFError, OSError):
            if not seat.is_ready:
                raise died_while_starting() from None
            return Event(seat.release(), end="died")
        return None if reply is None else Event(seat.take(), reply=reply)


class _Seat(Generic[TaskT]):
    """The place of one process: it may be empty, making itself ready, idle or at work."""

    def __init__(
        self, watched: Connection, program: bytes, initializer: Callable[..., object] | None, arguments: tuple[Any, ...]
    ) -> None:
        self._start = (watched, program, initializer, arguments)
        self._process: SpawnProcess | None = None
        self._work = b""
        self._begun: float | None = None
        self.connection: Connection | None = None
        self.task: TaskT | None = None
        self.is_ready = False

    @property
    def is_open(self) -> bool:
        return self.connection is not None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def seconds(self) -> float:
        """How long it has been at its item."""
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def give(self, task: TaskT, work: bytes) -> None:
        self.task, self._work = task, work
        if self.connection is None:
            self._open()
        else:
            self._send()

    def receive(self) -> Reply[Any] | None:
        """Return the reply to the item; ``None`` once the process is ready, which then gets its item.

        Raises:
            EOFError: the process is gone; so may be OSError.
            W2SVQAError: it could not be made ready.
            pickle.PicklingError: item or value cannot be pickled.
        """
        if self.connection is None or not self.connection.poll():
            raise EOFError
        reply = heard(self.connection.recv_bytes())
        if self.is_ready:
            return reply
        if reply.error is not None:
            raise reply.error
        self.is_ready = True
        self._send()
        return None

    def take(self) -> TaskT:
        """Return the task that is done, and be free."""
        task, self.task, self._begun = self.task, None, None
        if task is None:
            raise ValueError("no task is under way")
        return task

    def release(self) -> TaskT:
        """Return the task that was under way and stop the process, however it is."""
        task = self.take()
        self.clear(0)
        return task

    def dismiss(self) -> None:
        """Tell the process that nothing more comes."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def clear(self, patience: float) -> None:
        """Be empty: wait for the process to leave, then stop it."""
        self.dismiss()
        if self._process is not None:
            if patience:
                self._process.join(patience)
            self._process.kill()  # nothing is lost: it holds nothing that was not handed over
            self._process.join()
            self._process.close()
            self._process = None
        self.is_ready = False

    def _open(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._start))
        try:
            with _interrupts_held_back():
                self._process.start()
        finally:
            theirs.close()  # or the end of the process would not end the pipe

    def _send(self) -> None:
        self._begun = time.monotonic()
        try:
            if self.connection is not None:
                self.connection.send_bytes(self._work)
        except OSError:
            return  # it has died, which the next look at it will show


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


def _serve(
    connection: Connection,
    watched: Connection,
    program: bytes,
    initializer: Callable[..., object] | None,
    arguments: tuple[Any, ...],
) -> None:
    """Be a worker: say that it is ready, or why not, then answer one item after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_caller, args=(watched,), daemon=True).start()
    ready: Reply[object] = Reply()
    if initializer is not None:
        ready = Reply(error=attempt(lambda each: initializer(*each), arguments, 0).error)
    try:
        function, retries = pickle.loads(program)  # before it is ready: this imports the module of the function
        connection.send_bytes(pickle.dumps(ready))
        while ready.error is None:
            connection.send_bytes(answer(function, connection.recv_bytes(), retries))
    except (EOFError, OSError):
        return  # nothing more comes
    except (AttributeError, ImportError, pickle.UnpicklingError) as error:
        connection.send_bytes(untold(error))  # the function is not to be found in this process


def _leave_with_caller(watched: Connection) -> None:
    try:
        watched.recv_bytes()  # nothing is ever sent: this returns when the other end is closed, or its process gone
    except (EOFError, OSError):
        os._exit(1)
