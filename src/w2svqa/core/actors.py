"""Workers on a cluster: Ray actors, each made ready once, given one item after the other, and replaced when it dies.

An actor that dies while its node lives on was brought down by its item, as far as can be told. One that goes with its
node was not: its item is begun anew on another. To tell the two apart, the node is asked for a sign of life.
"""

from __future__ import annotations

import os
import pickle
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from w2svqa import __version__
from w2svqa.core.attempts import answer, attempt, heard
from w2svqa.core.crews import Event
from w2svqa.core.errors import ConfigError, InputError, W2SVQAError
from w2svqa.core.shared_paths import first_unseen

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
TaskT = TypeVar("TaskT")

_LOOK_AGAIN: Final = 1.0
"""Seconds after which the time limits are looked at, whatever has or has not been heard."""

START_LIMIT: Final = 900.0
"""Seconds without any worker after which there will be none: clouds take some minutes to add a machine with a GPU."""

NODES_LOST: Final = 3
"""Nodes that may go while they are at the same item, before it is held to be the cause."""


@dataclass(frozen=True, slots=True)
class Program:
    """What makes an actor a worker.

    Attributes:
        version: of this package, which must be the same everywhere.
        folder: that relative paths start from.
        search: where modules are looked for besides, as in this process.
        paths: what the worker must see of the files.
        work: function, retries and initializer, pickled.
    """

    version: str
    folder: str
    search: tuple[str, ...]
    paths: tuple[str, ...]
    work: bytes

    @classmethod
    def of(cls, work: object, paths: Sequence[str]) -> Program:
        """Return the program for workers that are to find everything as this process does.

        Raises:
            Exception: ``work`` cannot be pickled.
        """
        return cls(__version__, str(Path.cwd()), tuple(sys.path), tuple(paths), pickle.dumps(work))


@dataclass(frozen=True, slots=True)
class Ready:
    """What an actor says when it has been made ready.

    Attributes:
        node: its node's identifier in Ray.
        error: why it is not ready.
    """

    node: str
    error: W2SVQAError | None = None


class Worker:
    """What runs in the process of an actor."""

    def __init__(self) -> None:
        self._function: Callable[[Any], object] = str
        self._retries = 0

    def prepare(self, program: Program, arguments: bytes) -> Ready:
        """Be made ready; say so, or why not."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        try:
            self.make_ready(program, arguments, f"node {platform.node()}")
        except W2SVQAError as error:
            return Ready(node, error)
        return Ready(node)

    def work(self, item: bytes) -> bytes:
        """Answer one pickled item with a pickled reply."""
        return answer(self._function, item, self._retries)

    def make_ready(self, program: Program, arguments: bytes, name: str) -> None:
        """Find what the driver finds, then run the initializer.

        Raises:
            W2SVQAError: something is missing or different on this node, called ``name``, or the initializer failed.
        """
        if program.version != __version__:
            raise ConfigError(
                f"{name} has w2svqa {__version__}, this process {program.version}",
                remedy="install the same version on every node",
            )
        _go_to(program, name)
        sys.path.extend(place for place in program.search if place not in sys.path)
        try:
            self._function, self._retries, initializer = pickle.loads(program.work)
            values = pickle.loads(arguments)
        except (AttributeError, ImportError, pickle.UnpicklingError) as error:
            raise ConfigError(
                f"{name} cannot load the work: {type(error).__name__}: {error}",
                remedy="install the same packages on every node",
            ) from None
        if initializer is None:
            return
        failure = attempt(lambda each: initializer(*each), values, 0).error
        if failure is not None:
            raise failure


def _go_to(program: Program, name: str) -> None:
    """Change to the driver's folder and make sure of the files.

    Raises:
        InputError: something is not to be seen here.
    """
    unseen: str | None = program.folder
    if Path(program.folder).is_dir():
        os.chdir(program.folder)
        unseen = first_unseen(program.paths)
    if unseen is not None:
        raise InputError(
            f"{name} does not see what this machine sees there",
            path=unseen,
            remedy="put it on storage that every node mounts at the same place, see docs/clusters.md",
        )


class ActorCrew(Generic[TaskT, ItemT, ValueT]):
    """Actors that work on items; see :class:`w2svqa.core.crews.Crew`.

    An item goes to whichever actor is ready first, so those for which the cluster has no room yet hold nothing up.

    Args:
        ray: the package, connected.
        program: what makes an actor a worker.
        arguments: those of the initializer, pickled, once per actor: there are as many actors.
        gpus: how many GPUs each of them takes, in the same order.
        time_out: seconds after which an actor that is at one item is stopped; ``None`` for never.
    """

    def __init__(
        self,
        ray: ModuleType,
        program: Program,
        arguments: Sequence[bytes],
        gpus: Sequence[int],
        time_out: float | None,
    ) -> None:
        self._ray = ray
        self._program = ray.put(program)
        self._seats: list[_Seat[TaskT]] = [
            _Seat(ray, self._program, each, count) for each, count in zip(arguments, gpus, strict=True)
        ]
        self._time_out = time_out
        self._waiting: deque[_Job[TaskT]] = deque()
        self._inquiries: dict[Any, _Job[TaskT]] = {}
        self._last_sign = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for seat in self._seats:
            seat.clear()

    @property
    def busy(self) -> bool:
        """Whether tasks are under way."""
        return bool(self._waiting or self._inquiries) or any(seat.job is not None for seat in self._seats)

    def start(self, task: TaskT, item: ItemT) -> None:
        """Take an item to work on; see :meth:`Crew.start`."""
        self._waiting.append(_Job(task, pickle.dumps(item)))

    def events(self) -> list[Event[TaskT, ValueT]]:
        """Wait until something becomes of at least one task; see :meth:`Crew.events`."""
        self._employ()
        seats = {seat.answer: seat for seat in self._seats if seat.answer is not None}
        references = [*seats, *self._inquiries]
        ready, _ = self._ray.wait(references, num_returns=1, timeout=self._patience())
        if ready:  # all of them, lest a quick worker keep the others waiting
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        found = [
            self._heard(seats[each]) if each in seats else self._inquired(self._inquiries.pop(each), each)
            for each in ready
        ]
        found += [self._hung(seat) for seat in self._seats]
        if not ready:
            self._check_start()
        return [event for event in found if event is not None]

    def _employ(self) -> None:
        """Hand out what waits, and start as many actors as there are items left for."""
        for seat in self._seats:
            if seat.is_idle and self._waiting:
                seat.give(self._waiting.popleft())
        coming = sum(seat.is_starting for seat in self._seats)
        for seat in [each for each in self._seats if each.is_empty][: max(0, len(self._waiting) - coming)]:
            seat.open()

    def _patience(self) -> float:
        if self._time_out is None:
            return _LOOK_AGAIN
        return max(0.0, min([_LOOK_AGAIN, *(self._time_out - seat.seconds for seat in self._seats)]))

    def _heard(self, seat: _Seat[TaskT]) -> Event[TaskT, ValueT] | None:
        """Take what an actor said, or note that it died."""
        self._last_sign = time.monotonic()
        try:
            said = self._ray.get(seat.answer)
        except self._ray.exceptions.RayTaskError:
            raise  # of our own methods, which raise nothing: a fault of the program
        except self._ray.exceptions.RayError as error:
            job, node = seat.job, seat.node
            seat.fail(error)
            if job is not None:
                self._inquiries[_sign_of_life(self._ray, node)] = job
            return None
        if isinstance(said, Ready):
            seat.be_ready(said)
            return None
        return Event(seat.take().task, reply=heard(said))

    def _inquired(self, job: _Job[TaskT], sign: object) -> Event[TaskT, ValueT] | None:
        """Hold the item to be the cause if the node lives, else begin it anew."""
        try:
            self._ray.get(sign)
        except self._ray.exceptions.RayError:
            job.nodes_lost += 1
            if job.nodes_lost >= NODES_LOST:
                return Event(job.task, end="lost")
            self._waiting.appendleft(job)
            return None
        return Event(job.task, end="died")

    def _hung(self, seat: _Seat[TaskT]) -> Event[TaskT, ValueT] | None:
        if self._time_out is None or seat.job is None or seat.seconds < self._time_out:
            return None
        task = seat.take().task
        seat.clear()
        return Event(task, end="hung")

    def _check_start(self) -> None:
        if any(seat.is_idle or seat.job is not None for seat in self._seats) or self._inquiries:
            self._last_sign = time.monotonic()
        elif time.monotonic() - self._last_sign > START_LIMIT:
            raise W2SVQAError(
                f"the cluster had no room for a worker for {START_LIMIT:g} s; "
                f"it takes 1 CPU and {max(seat.gpus for seat in self._seats)} GPU",
                remedy="`ray status` shows what there is and what is taken",
            )


@dataclass(slots=True)
class _Job(Generic[TaskT]):
    task: TaskT
    item: bytes
    nodes_lost: int = 0


class _Seat(Generic[TaskT]):
    """The place of one actor: empty, starting, idle or at work."""

    def __init__(self, ray: ModuleType, program: object, arguments: bytes, gpus: int) -> None:
        self._ray, self._start = ray, (program, arguments)
        self._actor: Any = None
        self._failures = 0
        self._begun = 0.0
        self.gpus = gpus
        self.answer: Any = None
        self.node = ""
        self.job: _Job[TaskT] | None = None

    @property
    def is_empty(self) -> bool:
        return self._actor is None

    @property
    def is_starting(self) -> bool:
        return self._actor is not None and not self.node

    @property
    def is_idle(self) -> bool:
        return bool(self.node) and self.job is None

    @property
    def seconds(self) -> float:
        """How long it has been at its item."""
        return 0.0 if self.job is None else time.monotonic() - self._begun

    def open(self) -> None:
        """Start an actor, once there is room for it; on whichever node has most, so that the work is spread."""
        remote = self._ray.remote(Worker).options(
            num_cpus=1, num_gpus=self.gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        self._actor = remote.remote()
        self.answer = self._actor.prepare.remote(*self._start)

    def be_ready(self, ready: Ready) -> None:
        """Be idle.

        Raises:
            W2SVQAError: the actor could not be made ready.
        """
        if ready.error is not None:
            raise ready.error
        self.node, self.answer, self._failures = ready.node, None, 0

    def give(self, job: _Job[TaskT]) -> None:
        self.job, self._begun = job, time.monotonic()
        self.answer = self._actor.work.remote(job.item)

    def take(self) -> _Job[TaskT]:
        """Return what is done, and be idle."""
        job, self.job, self.answer = self.job, None, None
        if job is None:
            raise ValueError("no task is under way")
        return job

    def fail(self, error: Exception) -> None:
        """Be empty after the actor died; that it dies twice running before it is ready is no accident.

        Raises:
            W2SVQAError: it has.
        """
        self._failures += self.is_starting
        self.clear()
        if self._failures > 1:
            reason = str(error).strip().splitlines()[-1].strip()  # above it stand Ray's identifiers and frames
            raise W2SVQAError(
                f"a worker process died while starting: {reason}",
                remedy="install the same version of w2svqa on every node; else run it without the cluster to see why",
            )

    def clear(self) -> None:
        """Stop the actor, whatever it does; nothing is lost, for it holds nothing that was not handed over."""
        if self._actor is not None and self._ray.is_initialized():  # else it is gone, and this would start Ray anew
            with suppress(self._ray.exceptions.RayError):  # it is known no more
                self._ray.kill(self._actor, no_restart=True)
        self._actor, self.answer, self.node, self.job = None, None, "", None


def _sign_of_life(ray: ModuleType, node: str) -> Any:  # noqa: ANN401 - a reference, which Ray leaves untyped
    """Return the reference of a task that succeeds only on this node."""
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(_answer_life).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy).remote()


def _answer_life() -> bool:
    return True
