"""Work on a cluster: nodes that go, drivers that are killed, and what a node must see."""

from __future__ import annotations

import json
import os
import pickle
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clusters import Cluster, cluster_of

from w2svqa.core import actors
from w2svqa.core.actors import Program, Worker
from w2svqa.core.cluster import RayEngine
from w2svqa.core.errors import ConfigError, InputError, W2SVQAError
from w2svqa.core.executor import SerialExecutor, make_executor, use_engine, works_here
from w2svqa.core.resume import Kept, map_resumed

DEFAULTS: dict[str, Any] = {"initializer": None, "initargs": (), "retries": 1, "time_out": None, "places": None}
ITEMS = [f"n{number:02}" for number in range(40)]


def note(folder: str, name: str, seconds: float, lasting: str = "") -> str:
    """Leave a mark of the call in the folder, its node and process; the first call of ``lasting`` takes long."""
    import ray

    if name == lasting and not list(Path(folder).glob(f"{name}-*")):
        seconds = 120
    place = Path(folder) / f"{name}-{time.monotonic_ns()}"
    place.write_text(f"{ray.get_runtime_context().get_node_id()} {os.getpid()}")
    time.sleep(seconds)
    return name.upper()


def take_the_machine_along(name: str) -> str:
    """Kill the node that this runs on, if it is called so."""
    if name == "kill":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return name


def calls(folder: Path) -> Counter[str]:
    return Counter(path.name.partition("-")[0] for path in folder.iterdir())


def kept(folder: Path) -> Kept[str, str]:
    return Kept(path=folder / "journal.jsonl", fingerprint="f", key=str, name=str, encode=str, decode=str)


def journal_keys(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return [line["key"] for line in lines if "key" in line]


def unseen(*_: object) -> None:
    """Be told of progress."""


def run(
    folder: Path, seconds: float, progress: Callable[[int, int, str], None] = unseen, *, lasting: str = ""
) -> tuple[dict[str, str], dict[str, str]]:
    """Work on all items with two workers of the engine in use."""
    work = partial(note, str(folder / "calls"), seconds=seconds, lasting=lasting)
    return map_resumed(work, ITEMS, kept(folder), workers=2, progress=progress)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "calls").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_of(nodes=2) as started:
        yield started


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[RayEngine]:
    with closing(RayEngine(cluster.address)) as made, use_engine(made):
        yield made


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_a_node_that_dies_loses_nothing_and_doubles_nothing(cluster: Cluster, folder: Path) -> None:
    lost = ITEMS[5]
    places: list[str] = []

    def progress(done: int, total: int, name: str) -> None:
        """Kill the node of the item that takes long, when the other node has done ten."""
        del name
        assert (total, done) == (len(ITEMS), len(journal_keys(folder)))
        if done == 10:
            [mark] = (folder / "calls").glob(f"{lost}-*")
            places.extend(mark.read_text().split())
            cluster.kill_node(places[0], int(places[1]))

    made, failed = run(folder, 0.2, progress, lasting=lost)
    assert failed == {}
    assert made == {name: name.upper() for name in ITEMS}
    assert sorted(journal_keys(folder)) == ITEMS  # each once
    assert calls(folder / "calls") == Counter(ITEMS) + Counter([lost])  # that one was begun anew, and no other
    nodes = [path.read_text().split()[0] for path in (folder / "calls").glob(f"{lost}-*")]
    assert len(set(nodes)) == 2
    assert places[0] in nodes
    cluster.add_node()


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_cluster import run
from w2svqa.core.cluster import RayEngine
from w2svqa.core.executor import use_engine

with use_engine(RayEngine(sys.argv[2])):
    run(Path(sys.argv[3]), 0.3)
"""


@pytest.mark.slow
def test_a_killed_driver_goes_on_where_it_stopped(cluster: Cluster, folder: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(Path(__file__).parent), cluster.address, str(folder)]
    with subprocess.Popen(command) as driver:
        wait_for(lambda: (folder / "journal.jsonl").exists() and len(journal_keys(folder)) >= 5)
        driver.kill()
    before = journal_keys(folder)
    assert len(before) < len(ITEMS)
    with closing(RayEngine(cluster.address)) as engine, use_engine(engine):
        made, failed = run(folder, 0.0)
    assert failed == {}
    assert made == {name: name.upper() for name in ITEMS}
    assert sorted(journal_keys(folder)) == ITEMS
    again = calls(folder / "calls") - Counter(ITEMS)
    assert len(again) <= 2  # what the two workers were at
    assert not set(again) & set(before)


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_an_item_that_takes_machines_along_is_a_row(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "NODES_LOST", 1)  # one machine is enough here
    outcomes = list(make_executor(1, retries=0).map(take_the_machine_along, ["a", "kill", "b"]))
    assert [(each.key, each.value) for each in outcomes] == [("a", "a"), ("kill", None), ("b", "b")]
    assert str(outcomes[1].error).startswith("kill: one machine after the other was lost")
    cluster.add_node()


def hold(item: int) -> int:
    return item


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_more_workers_than_there_is_room_for_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    outer = make_executor(5).map(hold, range(20))
    assert {next(outer).value for _ in range(3)} <= set(range(20))
    monkeypatch.setattr(actors, "START_LIMIT", 0.5)
    with pytest.raises(W2SVQAError, match=r"no room for a worker for 0.5 s; it takes 1 CPU and 0 GPU"):
        list(make_executor(1).map(hold, range(2)))
    assert len(list(outer)) == 17


_device = ""


def use_device(device: str) -> None:
    global _device
    _device = device


def tell_device(item: int) -> tuple[int, str, str]:
    import ray

    time.sleep(0.5)  # so that the other worker gets some too
    return item, _device, ray.get_runtime_context().get_node_id()


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_devices_are_wherever_the_cluster_has_them() -> None:
    executor = make_executor(2, initializer=use_device, places=[("cuda:0",), ("cuda:1",)], apart=True)
    outcomes = [outcome.value for outcome in executor.map(tell_device, range(8))]
    assert {each[1] for each in outcomes if each} == {"cuda:0"}
    assert len({each[2] for each in outcomes if each}) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_what_no_node_sees_is_said_at_once(tmp_path: Path) -> None:
    with (tmp_path / "clip.mkv").open("wb") as file:
        own = f"/proc/self/fd/{os.dup2(file.fileno(), 240)}"  # a path that holds in this process alone
        try:
            with pytest.raises(InputError) as caught:
                list(make_executor(2).map(str.upper, [own]))
        finally:
            os.close(240)
    text = f"{own}: node {platform.node()} does not see what this machine sees there (put it on storage that"
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("address", ["", "ray://head:10001"])
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        RayEngine(address)


def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise ConnectionError("Could not find any running\nRay instance.")

    fake = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setattr("w2svqa.core.cluster.import_ray", lambda: fake)
    with pytest.raises(ConfigError, match=r"no Ray cluster at 'auto': Could not find any running Ray instance\."):
        RayEngine("auto").executor(1, **DEFAULTS)


def test_a_gpu_that_this_machine_lacks_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(is_initialized=lambda: True, cluster_resources=lambda: {"CPU": 2.0})
    monkeypatch.setattr("w2svqa.core.cluster.import_ray", lambda: fake)
    assert RayEngine("local").executor(2, **DEFAULTS).workers == 2
    with pytest.raises(ConfigError, match="Ray finds none here"):
        RayEngine("local").executor(1, **(DEFAULTS | {"places": [("cuda:1",)]}))


def test_every_executor_comes_from_the_engine_in_use() -> None:
    class Made:
        def executor(self, workers: int, **options: object) -> SerialExecutor:
            asked.append((workers, options["places"]))
            return SerialExecutor()

    asked: list[tuple[int, object]] = []
    with use_engine(Made()):
        assert not works_here(1)
        make_executor(1)
        make_executor(3, places=[(1,), (2,), (3,)], apart=True, time_out=2)
    assert asked == [(1, None), (3, [(1,), (2,), (3,)])]
    assert works_here(1)
    assert not works_here(2)
    with pytest.raises(ValueError, match="apart"):
        make_executor(1, time_out=2)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(tmp_path)
    return Program.of((hold, 0, None), [])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": "0.0.0"}, "node a has w2svqa .*, this process 0.0.0"),
        ({"folder": "/no/such/folder"}, "/no/such/folder: node a does not see"),
        ({"paths": ("gone.mkv",)}, "gone.mkv: node a does not see"),
        ({"work": pickle.dumps(hold).replace(b"hold", b"held")}, "node a cannot load the work: AttributeError"),
    ],
)
def test_a_node_that_differs_is_refused(program: Program, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(W2SVQAError, match=problem):
        Worker().make_ready(replace(program, **change), pickle.dumps(()), "node a")


def wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("waited in vain")
