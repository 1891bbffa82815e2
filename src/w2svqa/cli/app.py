"""The entry point of ``w2svqa``: what happens to errors, signals and closed pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from w2svqa.cli import exits
from w2svqa.cli.interrupts import Interrupts
from w2svqa.core.errors import W2SVQAError


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Errors that a user can cause end as one line on stderr. Anything else is a bug and keeps its traceback.

    Args:
        arguments: without the program's name; ``None`` takes those of the process.

    Raises:
        SystemExit: always, with one of the codes in :mod:`w2svqa.cli.exits`.
    """
    exits.make_streams_safe()
    with Interrupts() as interrupts:
        code = _run(arguments)
        sys.exit(interrupts.exit_code if interrupts.received else code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return exits.finish(_invoke(arguments))
    except W2SVQAError as error:
        return exits.fail(str(error))
    except BrokenPipeError:
        return exits.close_stdout(exits.BROKEN_PIPE)
    except OSError as error:
        return exits.fail_on_system(error)
    except MemoryError:
        return exits.fail("not enough memory (close other programs, or use fewer workers)")
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def _invoke(arguments: Sequence[str] | None) -> int:
    # before numpy is imported: its matrices are small here and worked on beside other threads, so that more threads of
    # its own only wait for each other (training took twice as long)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # typer and the commands are imported here, inside the guard, so that an early Ctrl-C leaves no traceback
    from typer.main import get_command

    from w2svqa.cli.commands import app

    command = get_command(app)
    try:
        command.main(args=None if arguments is None else list(arguments), prog_name="w2svqa")
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else exits.FAILED
    return exits.OK
