"""What the tests of the command line share: how it is started, and what it left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import w2svqa

FPS = 4
COMMAND = [sys.executable, str(Path(__file__).with_name("fake_command.py"))]
PACKAGE = Path(w2svqa.__file__).parents[1]


@dataclass(frozen=True)
class Finished:
    """What a run of the command left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Start = Callable[..., subprocess.Popen[bytes]]
Run = Callable[..., Finished]
WriteClip = Callable[..., Path]
