"""Executors: every item comes out once, whatever the others do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest
from clusters import local_ray

from w2svqa.core.cluster import RayExecutor
from w2svqa.core.errors import BundleError, ConfigError, MediaError, W2SVQAError
from w2svqa.core.executor import Executor, Outcome, ProcessExecutor, SerialExecutor, make_executor

Make = Callable[..., Executor]
ValueT = TypeVar("ValueT")

RAY = pytest.param("ray", marks=pytest.mark.slow)
every = pytest.mark.parametrize("make", ["serial", "processes", RAY], indirect=True)
beside = pytest.mark.parametrize("make", ["processes", RAY], indirect=True)


@pytest.fixture(scope="module")
def ray() -> Iterator[ModuleType]:
    with local_ray(cpus=2) as started:
        yield started


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """Return what makes an executor: with two workers, unless told otherwise, if it works beside this process."""
    if request.param == "serial":
        return SerialExecutor
    if request.param == "ray":
        request.getfixturevalue("ray")
    kind = {"ray": RayExecutor, "processes": ProcessExecutor}[request.param]
    return lambda workers=2, **options: kind(workers, **options)


def square(number: int) -> int:
    return number * number


def picky(number: int) -> int:
    if number == 1:
        raise MediaError("no frames", path="one.mp4", remedy="record it again")
    if number == 2:
        raise ValueError(f"cannot take {number}")
    return number


def unpicklable(number: int) -> Callable[[], int]:
    return lambda: number


def only_the_second_time(marker: str) -> str:
    path = Path(marker)
    if path.exists():
        return "done"
    path.touch()
    raise OSError("not yet")


def counted(folder: str) -> None:
    (Path(folder) / f"{time.monotonic_ns()}").touch()
    raise MediaError("no frames")


def deadly(item: tuple[str, str]) -> str:
    """Die of ``"kill"``; note every call in the folder."""
    folder, name = item
    (Path(folder) / f"{name}-{os.getpid()}").touch()
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return name


_model = ""


def load(name: str) -> None:
    global _model
    _model = name


def use(item: int) -> str:
    return f"{_model}{item}"


def broken_load(kind: str) -> None:
    if kind == "ours":
        raise BundleError("damaged", path="x.bundle", remedy="get it again")
    if kind == "theirs":
        raise RuntimeError("no memory")
    os._exit(3)


def by_index(outcomes: Iterator[Outcome[object]]) -> list[Outcome[object]]:
    return sorted(outcomes, key=lambda outcome: outcome.index)


@every
def test_every_item_comes_out_once_with_its_name(make: Make) -> None:
    done: list[int] = []
    outcomes = by_index(make().map(square, range(20), key=lambda number: f"n{number}", progress=done.append))
    assert [outcome.value for outcome in outcomes] == [number * number for number in range(20)]
    assert [outcome.key for outcome in outcomes] == [f"n{number}" for number in range(20)]
    assert all(outcome.error is None for outcome in outcomes)
    assert done == list(range(1, 21))


@every
def test_nothing_in_nothing_out(make: Make) -> None:
    assert list(make().map(square, [])) == []


@every
def test_a_failing_item_is_a_row_and_the_rest_goes_on(make: Make) -> None:
    outcomes = by_index(make().map(picky, range(4)))
    assert [outcome.value for outcome in outcomes] == [0, None, None, 3]
    ours, theirs = outcomes[1].error, outcomes[2].error
    assert isinstance(ours, MediaError)
    assert (ours.path, ours.remedy) == ("one.mp4", "record it again")
    assert theirs is not None
    assert theirs.problem.startswith("ValueError: cannot take 2 (at test_executor.py:")


@every
def test_a_strangers_failure_is_tried_again_ours_is_not(make: Make, tmp_path: Path) -> None:
    assert [outcome.value for outcome in make().map(only_the_second_time, [str(tmp_path / "marker")])] == ["done"]
    [outcome] = make(retries=0).map(only_the_second_time, [str(tmp_path / "other")])
    assert outcome.error is not None
    (tmp_path / "calls").mkdir()
    [last] = make(retries=3).map(counted, [str(tmp_path / "calls")])
    assert isinstance(last.error, MediaError)
    assert len(list((tmp_path / "calls").iterdir())) == 1


@every
def test_workers_are_made_ready(make: Make) -> None:
    executor = make(initializer=load, initargs=("model",))
    assert {outcome.value for outcome in executor.map(use, range(5))} == {f"model{number}" for number in range(5)}


@beside
@pytest.mark.parametrize(
    ("kind", "error", "problem"),
    [
        ("ours", BundleError, "x.bundle: damaged"),
        ("theirs", W2SVQAError, "RuntimeError: no memory"),
        ("dead", W2SVQAError, "a worker process died while starting"),
    ],
)
def test_workers_that_cannot_be_made_ready_stop_the_map(
    make: Make, kind: str, error: type[Exception], problem: str
) -> None:
    executor = make(initializer=broken_load, initargs=(kind,))
    with pytest.raises(error, match=problem):
        list(executor.map(square, range(5)))


@every
def test_items_are_taken_only_when_a_worker_is_free(make: Make) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    executor = make()
    outcomes = executor.map(square, endless())
    for finished in range(1, 30):
        next(outcomes)
        # What is handed out, and one more per worker: this is what a kill may cost.
        assert taken <= finished + executor.workers
    outcomes.close()  # type: ignore[attr-defined]  # a generator


@beside
def test_a_deadly_item_becomes_a_row_and_costs_nobody_else(make: Make, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(6)]
    items = [(str(tmp_path), name) for name in [*names[:3], "kill", *names[3:], "kill"]]
    outcomes = by_index(make().map(deadly, items, key=lambda item: item[1]))
    assert [outcome.value for outcome in outcomes] == [*names[:3], None, *names[3:], None]
    error = outcomes[3].error
    assert error is not None
    assert "died twice" in str(error)
    assert str(error).startswith("kill: ")
    calls = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert calls.count("kill") == 4  # two items, twice each
    assert all(1 <= calls.count(name) <= 3 for name in names)


@beside
@pytest.mark.parametrize(
    ("function", "items"), [(lambda number: number, range(3)), (square, [lambda: 1] * 3), (unpicklable, range(3))]
)
def test_what_cannot_travel_is_the_programmers_error(
    make: Make, function: Callable[[object], object], items: list[object]
) -> None:
    with pytest.raises(Exception, match="pickle"):
        list(make().map(function, items))


def slow_if_odd(number: int) -> int:
    time.sleep(600 if number % 2 else 0)
    return number


@beside
def test_an_item_that_takes_too_long_is_a_row_and_the_rest_goes_on(make: Make) -> None:
    outcomes = by_index(make(time_out=2).map(slow_if_odd, range(5), key=lambda number: f"n{number}"))
    assert [outcome.value for outcome in outcomes] == [0, None, 2, None, 4]
    assert {str(outcome.error) for outcome in outcomes if outcome.value is None} == {
        f"n{number}: no answer within 2 s: its process was stopped (allow more time, or leave it out)"
        for number in (1, 3)
    }


def slow_load(name: str) -> None:
    time.sleep(1)
    load(name)


@beside
def test_making_ready_does_not_count_as_work(make: Make) -> None:
    executor = make(1, initializer=slow_load, initargs=("slow",), time_out=0.9)
    assert [outcome.value for outcome in executor.map(use, range(2))] == ["slow0", "slow1"]


def load_at(name: str, place: str) -> None:
    load(f"{name} at {place}: ")


def use_slowly(item: int) -> str:
    time.sleep(0.5)  # so that the other process gets some too
    return use(item)


@beside
def test_each_process_has_a_place_of_its_own(make: Make) -> None:
    executor = make(initializer=load_at, initargs=("model",), places=[("left",), ("right",)])
    values = {str(outcome.value).partition(": ")[0] for outcome in executor.map(use_slowly, range(8))}
    assert values == {"model at left", "model at right"}
    with pytest.raises(ValueError, match="1 places for 2 workers"):
        make(places=[("left",)])


def test_one_worker_is_serial() -> None:
    assert isinstance(make_executor(1), SerialExecutor)
    assert make_executor(3).workers == 3
    with pytest.raises(ConfigError, match="0 workers"):
        make_executor(0)


SLEEPERS = """
import pathlib, os, sys, time
sys.path.insert(0, sys.argv[1])
from test_executor import sleep
from w2svqa.core.executor import ProcessExecutor

if __name__ == "__main__":
    try:
        for outcome in ProcessExecutor(2).map(sleep, [sys.argv[2]] * 5):
            pass
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


def sleep(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


@pytest.mark.parametrize(
    ("sent", "whole_group", "code", "output"),
    [
        (signal.SIGINT, True, 130, "interrupted\n"),  # Ctrl-C reaches every process of the terminal's group
        (signal.SIGINT, False, 130, "interrupted\n"),
        (signal.SIGTERM, False, -signal.SIGTERM, ""),
        (signal.SIGKILL, False, -signal.SIGKILL, ""),
    ],
)
def test_workers_end_with_their_caller_and_say_nothing(
    tmp_path: Path, sent: signal.Signals, whole_group: bool, code: int, output: str
) -> None:
    (tmp_path / "program.py").write_text(SLEEPERS)
    (tmp_path / "workers").mkdir()
    command = [sys.executable, str(tmp_path / "program.py"), str(Path(__file__).parent), str(tmp_path / "workers")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as caller:
        workers = wait_for(lambda: list((tmp_path / "workers").iterdir()), lambda found: len(found) == 2)
        if whole_group:
            os.killpg(caller.pid, sent)
        else:
            caller.send_signal(sent)
        # Reading to the end waits for every process that holds the pipes: an orphan would keep this waiting.
        try:
            stdout, stderr = caller.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            caller.kill()  # leaving the block would wait for it
            raise
    assert (caller.returncode, stdout) == (code, output)
    assert "Traceback" not in stderr
    wait_for(lambda: [alive(int(path.name)) for path in workers], lambda states: not any(states))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(look: Callable[[], ValueT], enough: Callable[[ValueT], bool]) -> ValueT:
    for _ in range(600):
        value = look()
        if enough(value):
            return value
        time.sleep(0.05)
    pytest.fail("waited in vain")
