"""Exit codes, and the two streams: results on stdout, everything else on stderr.

| code | meaning |
| --- | --- |
| 0 | all files scored |
| 1 | some file failed, or another error, said in one line on stderr |
| 2 | wrong usage |
| 3 | all scored, some below ``--fail-under`` |
| 130 | interrupted (143: terminated); what was finished is printed and kept |
| 141 | the reader of stdout went away, as for any program that writes into ``head`` |
"""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable
from typing import Final, ParamSpec

from w2svqa.core.errors import printable

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
BELOW: Final = 3
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

Parameters = ParamSpec("Parameters")


def make_streams_safe() -> None:
    """Let stdout show what its encoding cannot hold as escapes, as stderr does; replace streams that are closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a line on stdout."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Print a line on stderr, marked as ours; control characters come out escaped."""
    sys.stderr.write(f"w2svqa: {printable(text)}\n")


def fail(text: str) -> int:
    """Print one line on stderr and return the exit code of a failure."""
    note(text)
    return FAILED


def finish(code: int) -> int:
    """Write out what stdout still holds, while an error can still be told; return ``code``.

    Raises:
        OSError: the disk is full, or the reader went away (:class:`BrokenPipeError`).
    """
    sys.stdout.flush()
    return code


def fail_on_system(error: OSError) -> int:
    """Say in one line that the system refused something (a full disk, say) and return the exit code."""
    close_stdout(FAILED)
    place = "standard output" if error.filename is None else os.fsdecode(error.filename)
    return fail(f"{place}: {error.strerror or error} (free some space, or choose another place)")


def close_stdout(code: int) -> int:
    """Send what is left for stdout nowhere, so that the interpreter does not fail on it at exit; return ``code``."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    os.close(nowhere)
    return code


def silent_on_broken_pipe(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Wrap a command: typer would report a closed stdout as code 1, which here means that a file failed."""

    @functools.wraps(command)
    def wrapped(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
        try:
            command(*arguments, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            raise SystemExit(close_stdout(BROKEN_PIPE)) from None

    return wrapped
