"""What made a run: code, versions, machine, command and inputs, one record for each time it was started.

`provenance.json` holds all starts, oldest first; it is replaced as a whole, so that a kill leaves the old or the new.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from w2svqa import __version__
from w2svqa.core.checkout import commit_of
from w2svqa.core.config import config_hash
from w2svqa.core.errors import StoreError, StrPath, W2SVQAError
from w2svqa.core.holder import command_line, user_name
from w2svqa.core.plain_files import read_plain, write_plain

PROVENANCE: Final = "provenance.json"
FORMAT: Final = 1
_PACKAGE: Final = Path(__file__).parents[1]

Outcome = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run ran on.

    Attributes:
        host: its name.
        system: operating system with its release.
        processor: model, as the system calls it.
        processors: how many of them this process may use.
        memory_bytes: of the machine; ``None`` where the system does not say.
        gpus: names of those that PyTorch sees; empty where it was not loaded.
    """

    host: str
    system: str
    processor: str
    processors: int
    memory_bytes: int | None
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of a run.

    Attributes:
        started: ISO 8601 in UTC, to the second.
        ended: the same; ``None`` while it runs, and for ever if it was killed.
        outcome: how it ended; ``None`` as above.
        problem: the error that ended it; empty otherwise.
        command: the command line.
        user: who started it; empty if unknown.
        pid: number of the process.
        seed: of all random choices.
        config: hash of the effective configuration, as :func:`w2svqa.core.config.config_hash` makes it.
        inputs: hashes of what went in, by name.
        versions: of this package, Python and each dependency that is installed.
        source: hash over this package's modules, so that code changed after an install or a commit is seen.
        commit: of the git checkout that the package lies in, without regard to changes not committed; ``None`` for an
            installed package.
        machine: what it ran on.
    """

    started: str
    ended: str | None = None
    outcome: Outcome | None = None
    problem: str = ""
    command: str
    user: str
    pid: int
    seed: int | None
    config: str
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str]
    source: str
    commit: str | None
    machine: Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """The file as a whole."""

    format: int = FORMAT
    starts: tuple[Start, ...]


@contextmanager
def recorded(
    folder: StrPath, *, config: object, seed: int | None = None, inputs: Mapping[str, str] | None = None
) -> Iterator[Start]:
    """Record the start of a run, and at the end of the block how it ended; the folder must be held.

    Args:
        folder: of the run.
        config: the effective configuration.
        seed: of its random choices.
        inputs: hashes of what goes in, by name.

    Yields:
        the record of this start.

    Raises:
        StoreError: the record that is there is damaged, or nothing can be written.
    """
    start = record_start(folder, config=config, seed=seed, inputs=inputs)
    try:
        yield start
    except BaseException as error:
        with suppress(StoreError):  # a full disk, say: the error that ended the run is the one to be told
            record_end(folder, *_ending(error))
        raise
    record_end(folder, "finished")


def _ending(error: BaseException) -> tuple[Outcome, str]:
    """Tell what went wrong from what was asked for: Ctrl-C, SIGTERM, the end of the program."""
    if not isinstance(error, Exception):
        return "interrupted", ""
    return "failed", error.message if isinstance(error, W2SVQAError) else f"{type(error).__name__}: {error}"


def record_start(
    folder: StrPath, *, config: object, seed: int | None = None, inputs: Mapping[str, str] | None = None
) -> Start:
    """Append what makes the run from now on, and return it.

    Args:
        folder: of the run; made if it is not there.
        config: the effective configuration, a dataclass or plain values; its hash is kept.
        seed: of its random choices.
        inputs: hashes of what goes in, by name.

    Raises:
        StoreError: the record that is there is damaged, or nothing can be written.
    """
    start = Start(
        started=_now(),
        command=command_line(),
        user=user_name(),
        pid=os.getpid(),
        seed=seed,
        config=config_hash(config),
        inputs=dict(inputs or {}),
        versions=installed_versions(),
        source=source_hash(),
        commit=commit_of(_PACKAGE),
        machine=this_machine(),
    )
    _write(folder, (*read_starts(folder), start))
    return start


def record_end(folder: StrPath, outcome: Outcome, problem: str = "") -> None:
    """Note how and when the last start ended.

    Raises:
        StoreError: there is no start, the record is damaged, or nothing can be written.
    """
    starts = read_starts(folder)
    if not starts:
        raise StoreError("no start was recorded", path=Path(folder) / PROVENANCE, remedy="start the run again")
    _write(folder, (*starts[:-1], replace(starts[-1], ended=_now(), outcome=outcome, problem=problem)))


def read_starts(folder: StrPath) -> tuple[Start, ...]:
    """Return all recorded starts of a run, oldest first; none if there is no record.

    Raises:
        StoreError: the record is damaged, cannot be read, or a later version of this package wrote it.
    """
    remedy = "move it away to go on; only the record of earlier starts is lost"
    record = read_plain(Path(folder) / PROVENANCE, _Record, remedy=remedy, newest=FORMAT)
    return () if record is None else record.starts


def this_machine() -> Machine:
    """Return what this process runs on."""
    return Machine(
        host=socket.gethostname(),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        processors=_processors(),
        memory_bytes=_memory(),
        gpus=_gpus(),
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of this package, of Python, and of every dependency that is installed, by name.

    Dependencies are those that the package declares, those of its extras too, but not the tools of developers.
    """
    versions = {"w2svqa": __version__, "python": platform.python_version()}
    try:
        requirements = metadata.requires("w2svqa") or []
    except metadata.PackageNotFoundError:
        return versions  # run from a folder that was never installed
    names = {re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0] for each in requirements if not _DEVELOPERS.search(each)}
    for name in sorted(names - {"w2svqa"}):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that this installation does without
    return versions


_DEVELOPERS = re.compile(r"extra\s*==\s*['\"]dev['\"]")


def source_hash() -> str:
    """Return 16 hex digits over the names and contents of this package's modules."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
        digest.update(hashlib.blake2b(path.read_bytes()).digest())
    return digest.hexdigest()


def _write(folder: StrPath, starts: tuple[Start, ...]) -> None:
    write_plain(Path(folder) / PROVENANCE, _Record(starts=starts))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # on Windows there is no sysconf
        return None


def _gpus() -> tuple[str, ...]:
    """Ask PyTorch, if something else has loaded it: loading it for this alone takes seconds."""
    torch: Any = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_available():
        return ()
    return tuple(str(cuda.get_device_name(index)) for index in range(cuda.device_count()))
