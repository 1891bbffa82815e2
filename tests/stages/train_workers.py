"""Training in several processes that gloo joins on the CPU, for the tests."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, TypeAlias

from w2svqa.core.errors import W2SVQAError
from w2svqa.stages.train import TrainConfig

Answers: TypeAlias = "Queue[tuple[int, Any]]"
TIMEOUT = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
    return port


def run_processes(count: int, work: Callable[..., Any], *arguments: object) -> list[Any]:
    """Call ``work(*arguments)`` in each of ``count`` joined processes; return what each returned, or its error."""
    context = multiprocessing.get_context("spawn")
    answers: Answers = context.Queue()
    port = free_port()
    started = [
        context.Process(target=_joined, args=(index, count, port, answers, work, arguments), daemon=True)
        for index in range(count)
    ]
    try:
        for process in started:
            process.start()
        found = dict(answers.get(timeout=TIMEOUT) for _ in started)
    finally:
        for process in started:
            process.join(timeout=20)
            process.kill()
    return [found[index] for index in range(count)]


def _joined(
    index: int, count: int, port: int, answers: Answers, work: Callable[..., Any], arguments: tuple[object, ...]
) -> None:
    place = {"RANK": index, "LOCAL_RANK": index, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in place.items()}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    try:
        answers.put((index, work(*arguments)))
    except W2SVQAError as error:
        answers.put((index, error))


def train_together(pool: Any, folder: Path, config: TrainConfig) -> dict[str, Any]:  # noqa: ANN401 (of any students)
    """Train; return the weights and how often progress was told."""
    told: list[int] = []
    model = pool.train(folder, config, lambda step, *_: told.append(step))
    return {"weights": {name: value.numpy() for name, value in model.state_dict().items()}, "told": len(told)}
