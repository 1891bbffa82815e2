"""Who holds a folder: what the lock says of its process, and whether that process still lives."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import socket
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from w2svqa.core.errors import StrPath, printable

LOCK_NAME: Final = ".lock"

MOST_BYTES: Final = 4096
"""A lock's text is read and written in one go."""

_LONGEST_COMMAND = 500
_TEXTS = ("user", "command", "since")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that holds, or held, a folder.

    Attributes:
        pid: its number on its host.
        host: name of the machine.
        user: who started it; empty if unknown.
        command: its command line, as a shell would read it; empty if unknown.
        since: when it took the folder, ISO 8601 in UTC; empty if unknown.
        born: when the process began, in clock ticks since the machine's start; tells it from a later one of the same
            number. ``None`` where the system does not say.
    """

    pid: int
    host: str
    user: str = ""
    command: str = ""
    since: str = ""
    born: int | None = None

    def __str__(self) -> str:
        """Say it in words, such as ``process 12 on lab of ann since 2026-11-29T10:00:00+00:00: w2svqa run a.yaml``."""
        words = [f"process {self.pid} on {self.host}"]
        words += [f"of {self.user}"] if self.user else []
        words += [f"since {self.since}"] if self.since else []
        return printable(" ".join(words) + (f": {self.command}" if self.command else ""))


def this_process() -> Holder:
    """Return what a lock of this process says."""
    return Holder(
        pid=os.getpid(),
        host=socket.gethostname(),
        user=user_name(),
        command=command_line()[:_LONGEST_COMMAND],
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        born=_born(os.getpid()),
    )


def user_name() -> str:
    """Return who runs this process; empty where the system has no name for it, as in some containers."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return ""


def command_line() -> str:
    """Return this process's command line; the program by its name alone.

    Bytes of a file name that are not UTF-8 come out escaped.
    """
    program, *arguments = sys.argv or [""]
    return printable(shlex.join([Path(program).name, *arguments]))


def to_bytes(holder: Holder) -> bytes:
    """Return the text of a lock, at most :data:`MOST_BYTES` long."""
    text = json.dumps(asdict(holder)).encode("ascii")
    # an escaped character takes up to 12 bytes, so that even a cut command may be too long
    return text if len(text) <= MOST_BYTES else json.dumps(asdict(replace(holder, command=""))).encode("ascii")


def from_bytes(text: bytes) -> Holder | None:
    """Read the text of a lock; ``None`` if it is empty or damaged. What an older version left out stays unknown."""
    try:
        values = json.loads(text)
        pid, host = values["pid"], values["host"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(pid, int) or not isinstance(host, str):
        return None
    texts = {name: values[name] for name in _TEXTS if isinstance(values.get(name), str)}
    born = values.get("born")
    return Holder(pid=pid, host=host, **texts, born=born if isinstance(born, int) else None)


def read_holder(folder: StrPath) -> Holder | None:
    """Return who holds, or last held, ``folder``; ``None`` if nobody does. The lock is not touched.

    A process that ends as it should empties its lock; one that fails or is killed leaves its name: see
    :func:`is_alive`.
    """
    try:
        with (Path(folder) / LOCK_NAME).open("rb") as file:
            return from_bytes(file.read(MOST_BYTES))
    except OSError:
        return None


def is_alive(holder: Holder) -> bool | None:
    """Return whether the process still runs; ``None`` where this machine cannot tell, as for one of another host."""
    if holder.host != socket.gethostname() or sys.platform == "win32":  # there, signal 0 is Ctrl-C
        return None
    try:
        os.kill(holder.pid, 0)
    except PermissionError:
        pass  # of another user, but there
    except (OSError, OverflowError):
        return False
    return holder.born is None or _born(holder.pid) in (None, holder.born)


def _born(pid: int) -> int | None:
    """Field 22 of ``/proc/PID/stat``, counted behind the program's name, which may hold anything (man 5 proc)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
