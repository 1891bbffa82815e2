"""Work on a Ray cluster: the same executors for every stage, with actors in place of processes.

Journals, locks and tables stay with the command that drives the work; actors read and write files, so these lie on
storage that every node sees.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, TypeVar

from w2svqa.core.actors import ActorCrew, Program
from w2svqa.core.crews import Crew
from w2svqa.core.errors import ConfigError
from w2svqa.core.executor import PoolExecutor, Task
from w2svqa.core.extras import require
from w2svqa.core.shared_paths import named_paths

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")

_STORE: Final = 100 * 2**20
"""Bytes of shared memory that a Ray started here takes: items and values are small, and containers have little."""


class RayExecutor(PoolExecutor):
    """Actors on the Ray cluster that this process is connected to; the arguments are those of :class:`PoolExecutor`.

    An actor takes one CPU. One whose place names a CUDA device takes a GPU as well, wherever the cluster has one free,
    and is told ``cuda:0``: the only one it sees. More actors than the cluster has room for wait until it has.

    An item whose actor dies with its node is begun anew on another. The rest is as with processes: one whose actor
    dies alone is tried again when all others are done, and comes out as an error if that kills another one.
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
        self._gpus = [int(any(_is_cuda(value) for value in place)) for place in places]
        super().__init__(
            workers,
            initializer=initializer,
            initargs=initargs,
            retries=retries,
            time_out=time_out,
            places=[tuple("cuda:0" if _is_cuda(value) else value for value in place) for place in places],
        )

    @property
    def uses_gpus(self) -> bool:
        """Whether any of its workers takes a GPU."""
        return any(self._gpus)

    def _open(self, function: Callable[[ItemT], ValueT], first: Sequence[ItemT]) -> Crew[Task[ItemT], ItemT, ValueT]:
        paths = named_paths(function, self._arguments[0], first[0])
        crew: ActorCrew[Task[ItemT], ItemT, ValueT] = ActorCrew(
            import_ray(),
            Program.of((function, self._retries, self._initializer), paths),
            [pickle.dumps(each) for each in self._arguments[: len(first)]],
            self._gpus[: len(first)],
            self._time_out,
        )
        return crew


class RayEngine:
    """A Ray cluster for every executor that is made inside :func:`w2svqa.core.executor.use_engine`.

    It is connected to when the first executor is made, and left by :meth:`close`. One that this process is connected to
    already is used as it is, and not left.

    Args:
        address: ``local`` starts Ray on this machine, for the time of this process; ``auto`` is the cluster that this
            machine belongs to; ``HOST:PORT`` another of which it is a node.

    Raises:
        ConfigError: the address is that of Ray's client server, which runs the driver elsewhere.
    """

    def __init__(self, address: str) -> None:
        if not address or "://" in address:
            raise ConfigError(
                f"the Ray address {address!r} cannot be used",
                remedy="'local', or 'auto' on a node of the cluster: start the command there",
            )
        self.address = address
        self._is_ours = False

    def executor(
        self,
        workers: int,
        *,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        retries: int,
        time_out: float | None,
        places: Sequence[tuple[Any, ...]] | None,
    ) -> RayExecutor:
        """Return an executor on the cluster; see :class:`w2svqa.core.executor.Engine`.

        Raises:
            ConfigError: the cluster cannot be reached, or is this machine alone and lacks a GPU that is asked for.
            MissingExtraError: Ray is not installed.
        """
        ray = self._connect()
        made = RayExecutor(
            workers, initializer=initializer, initargs=initargs, retries=retries, time_out=time_out, places=places
        )
        if self.address == "local" and made.uses_gpus and not ray.cluster_resources().get("GPU"):
            raise ConfigError("a worker is to use a GPU, and Ray finds none here", remedy="use the device cpu")
        return made

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        if self._is_ours:
            with _signals_kept():
                import_ray().shutdown()
            self._is_ours = False

    def _connect(self) -> ModuleType:
        with _signals_kept():
            ray = import_ray()
            if ray.is_initialized():
                return ray
            options = {"object_store_memory": _STORE, "include_dashboard": False} if self.address == "local" else {}
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **options)
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                raise ConfigError(
                    f"no Ray cluster at {self.address!r}: {' '.join(str(error).split())}",
                    remedy="start one with `ray start --head`, or say 'local'",
                ) from None
            self._is_ours = True
            _keep_stdout_clean(ray)
        return ray


def import_ray() -> ModuleType:
    """Return the package, told to be quiet.

    Raises:
        MissingExtraError: it is not installed.
    """
    # Ray counts its users over the network, and warns of a change to come, unless told otherwise before its import
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    return require("ray", extra="cluster")


def _keep_stdout_clean(ray: ModuleType) -> None:
    """Let Ray report its troubles on stderr, each in a line: it prints them on stdout, with pages of its logs.

    There is no setting for this (2.60); where the function is called otherwise, nothing changes.
    """
    worker = getattr(getattr(ray, "_private", None), "worker", None)
    report = getattr(worker, "print_to_stdstream", None)
    if worker is None or report is None or getattr(report, "is_ours", False):
        return

    def shorter(data: dict[str, Any], *options: object, **named: object) -> None:
        lines = [str(line).partition("\n")[0] for line in data["lines"]]
        report(data | {"lines": lines, "is_err": True}, *options, **named)

    shorter.is_ours = True  # type: ignore[attr-defined]  # a mark on the function
    worker.print_to_stdstream = shorter


def _is_cuda(value: object) -> bool:
    return isinstance(value, str) and value.partition(":")[0] == "cuda"


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Undo what Ray does to the handler of SIGTERM: the command line has one of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
