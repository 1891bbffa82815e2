"""Ray on this machine, for tests: small, quiet, and gone afterwards."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from w2svqa.core.cluster import import_ray

STORE = 100 * 2**20  # bytes: containers have little shared memory


@contextmanager
def session_folder() -> Iterator[str]:
    """Give a folder for Ray's sockets and logs, with a short name: those of sockets are limited to 107 characters."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def local_ray(cpus: int) -> Iterator[ModuleType]:
    """Start Ray with one node."""
    ray, handler = import_ray(), signal.getsignal(signal.SIGTERM)
    with session_folder() as folder:
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        try:
            yield ray
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, handler)


class Cluster:
    """Nodes of one CPU each, all on this machine, and a head without any: none of the work runs there."""

    def __init__(self, folder: str, nodes: int) -> None:
        from ray.cluster_utils import Cluster as RayCluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False, "_temp_dir": folder}
        self._cluster: Any = RayCluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._nodes = [self._cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(nodes)]

    def kill_a_node(self) -> None:
        """Kill the processes of a node, as a machine that loses its power would."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


@contextmanager
def cluster_of(nodes: int) -> Iterator[Cluster]:
    """Start a cluster, not connected to."""
    import_ray()
    handler = signal.getsignal(signal.SIGTERM)
    with session_folder() as folder:
        cluster = Cluster(folder, nodes)
        try:
            yield cluster
        finally:
            import_ray().shutdown()
            cluster.shutdown()
            signal.signal(signal.SIGTERM, handler)
