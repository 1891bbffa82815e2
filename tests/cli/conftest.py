from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from running import COMMAND, FPS, PACKAGE, Finished, Run, Start, WriteClip

from w2svqa.video.encode import write_lossless


@pytest.fixture
def write_clip(tmp_path: Path) -> WriteClip:
    """Return a function that writes a grey clip: each level for one second."""

    def write(name: str, levels: Iterable[int] = (100,)) -> Path:
        path = tmp_path / name
        frames = (np.full((32, 48, 3), level, np.uint8) for level in levels for _ in range(FPS))
        write_lossless(path, frames, fps=Fraction(FPS))
        return path

    return write


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts the command with the brightness student, in the temporary folder."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str | Path, delay: float = 0.0, **options: object) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(PACKAGE), "FAKE_DELAY": str(delay), "PYTHONIOENCODING": "utf-8"}
        environment |= {"COLUMNS": "200"}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        command = [*COMMAND, *map(str, arguments)]
        process: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes)  # type: ignore[call-overload]  # options of Popen
        started.append(process)
        return process

    yield begin
    for process in started:  # a failed test leaves nothing behind
        process.kill()
        process.communicate()


@pytest.fixture
def run(start: Start) -> Run:
    """Return a function that runs the command to its end."""

    def complete(*arguments: str | Path, stdin: bytes | None = None, delay: float = 0.0) -> Finished:
        options = {} if stdin is None else {"stdin": subprocess.PIPE}
        with start(*arguments, delay=delay, **options) as process:
            out, err = process.communicate(stdin, timeout=60)
        return Finished(process.returncode, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "replace"))

    return complete
