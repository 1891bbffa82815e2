"""Training in several processes: starts them, shows their progress, and ends with them.

The processes run ``w2svqa train FOLDER``. What starts them is torchrun on this machine, Accelerate's launcher where one
of its configurations is given, or a line of the user's own, such as ``srun torchrun --nproc-per-node 4``.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from w2svqa.core.errors import ConfigError, W2SVQAError

Progress = Callable[[int, int, str], None]

_LAST_LINES: Final = 20
"""What is kept of the output for the error."""
_GRACE: Final = 10.0
"""Seconds that processes have to end by themselves."""
_OURS: Final = "w2svqa: "
_PROGRESS = re.compile(_OURS + r"\S[^/]* (\d+)/(\d+) ?(.*)")
LEASH: Final = "W2SVQA_LEASH"
"""Set for processes that are to end with the one that started them."""


def launch_training(
    folder: Path,
    stage: int,
    *,
    processes: int,
    launcher: str | None = None,
    accelerate_config: Path | None = None,
    progress: Progress,
) -> None:
    """Train one stage of a run in several processes and return when it is done.

    Args:
        folder: of the run; its tables are there.
        stage: from 1.
        processes: how many; what ``launcher`` says counts instead where it is given.
        launcher: a command line to which ``-m w2svqa train FOLDER --stage K`` is added; quoted as in a shell, but no
            shell runs it. ``None`` takes torchrun.
        accelerate_config: for Accelerate's launcher instead, such as configs/accelerate/fsdp.yaml.
        progress: called as ``progress(step, steps, text)`` with what the main process shows.

    Raises:
        ConfigError: the launcher's line cannot be split or its program is not there.
        W2SVQAError: the training failed; the message ends with what the processes said last.
    """
    line = _command(folder, stage, processes, launcher, accelerate_config)
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with _started(line, _environment(processes)) as (process, lines):
        for text in lines:
            found = _PROGRESS.fullmatch(text)
            if found:
                progress(int(found[1]), int(found[2]), found[3])
            elif text:
                last.append(text)
        code = process.wait()
    if code != 0:
        raise W2SVQAError(
            f"training in several processes ended with code {code}: {_cause(last)}",
            path=folder,
            remedy=f"the line was: {shlex.join(line)}",
        )


def _cause(last: Iterable[str]) -> str:
    """What is worth telling of the last lines: the first error that is ours, or all of them."""
    ours = [text.removeprefix(_OURS) for text in last if text.startswith(_OURS)]
    return ours[0] if ours else " | ".join(last) or "nothing was said"


def end_with_caller() -> None:
    """Let this process end as soon as the one that launched it is gone, however that ended.

    Nothing is ever written to its standard input, so that reading returns only when the other end is closed.
    """
    if os.environ.get(LEASH) == "1" and stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_leave_at_end, daemon=True).start()


def _leave_at_end() -> None:
    os.read(0, 1)
    os._exit(1)


def process_index() -> int:
    """Return the index of this process among those that were launched together, 0 for the main one or the only one."""
    return int(os.environ.get("RANK", "0"))


def _command(
    folder: Path, stage: int, processes: int, launcher: str | None, accelerate_config: Path | None
) -> list[str]:
    work = ["-m", "w2svqa", "train", str(folder), "--stage", str(stage)]
    if launcher is not None:
        try:
            parts = shlex.split(launcher)
        except ValueError as error:
            raise ConfigError(
                f"the launcher {launcher!r} cannot be split: {error}", remedy="close its quotes"
            ) from None
        if not parts:
            raise ConfigError("the launcher is empty", remedy="leave it out, or name a program")
        return [*parts, *work]
    if accelerate_config is not None:
        options = ["--config_file", str(accelerate_config), "--num_processes", str(processes)]
        # port 0 is any that is free: two trainings on one machine must not meet
        return [sys.executable, "-m", "accelerate.commands.launch", *options, "--main_process_port", "0", *work]
    # Accelerate's launcher would start one process on a CPU, unless there is MPI; standalone takes a free port
    options = ["--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, "-m", "torch.distributed.run", *options, *work]


def _environment(processes: int) -> dict[str, str]:
    """The processes share the cores: each would take all of them, and wait for the others most of the time."""
    threads = max(1, (os.cpu_count() or 1) // max(1, processes))
    return {"OMP_NUM_THREADS": str(threads)} | os.environ | {"PYTHONUNBUFFERED": "1", LEASH: "1"}


@contextmanager
def _started(line: Sequence[str], environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """Start the processes; at the end of the block none of them is left, however it ends."""
    try:
        process = subprocess.Popen(
            line,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=os.name == "posix",
        )
    except OSError as error:
        raise ConfigError(f"{line[0]!r} cannot be started: {error.strerror}", remedy="check the launcher") from None
    try:
        yield process, (text.rstrip() for text in _pipe(process.stdout))
    finally:
        _end(process)


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("the process was started without a pipe")
    return stream


def _end(process: subprocess.Popen[str]) -> None:
    """Ask all processes to end, by the end of their standard input and by a signal, and kill what is left."""
    _pipe(process.stdin).close()
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE)
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _pipe(process.stdout).close()
