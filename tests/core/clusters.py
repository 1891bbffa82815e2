"""Ray on this machine, for tests: small, quiet, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from w2svqa.core.cluster import import_ray

STORE = 100 * 2**20  # bytes: containers have little shared memory


@contextmanager
def session_folder() -> Iterator[None]:
    """Give Ray a folder for sockets and logs, with a short name: those of sockets are limited to 107 characters.

    Undo as well what Ray does to the handler of SIGTERM.
    """
    folder, handler = tempfile.mkdtemp(prefix="w2s", dir="/tmp"), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def local_ray(cpus: int) -> Iterator[ModuleType]:
    """Start Ray with one node."""
    ray = import_ray()
    with session_folder():
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        try:
            yield ray
        finally:
            ray.shutdown()


class Cluster:
    """Nodes of one CPU and what Ray takes for a GPU, all on this machine, and a head without: no work runs there."""

    def __init__(self, nodes: int) -> None:
        from ray.cluster_utils import Cluster as RayCluster

        # a node that is gone is noticed in some 3 s, not 15
        health = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False, "_system_config": health}
        self._cluster: Any = RayCluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        for _ in range(nodes):
            self.add_node()

    def add_node(self) -> None:
        """Let a further node join."""
        self._cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)

    def kill_node(self, node_id: str, worker: int) -> None:
        """Kill the processes of a node with one of its workers at once, as when a machine loses its power."""
        [node] = [each for each in self._cluster.worker_nodes if each.node_id == node_id]
        for process in (Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1], worker):
            os.kill(int(process), signal.SIGKILL)  # its parent is the node's raylet
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


@contextmanager
def cluster_of(nodes: int) -> Iterator[Cluster]:
    """Start a cluster, not connected to."""
    import_ray()
    with session_folder():
        cluster = Cluster(nodes)
        try:
            yield cluster
        finally:
            import_ray().shutdown()
            cluster.shutdown()
