"""The files that are offered to a pool, and their content: each read once, also over several calls."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from w2svqa.core.errors import InputError, MissingInputError, printable
from w2svqa.core.inputs import expand_inputs
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.stages.objects import Progress, StoredObject, copy_objects, is_address, list_objects
from w2svqa.stages.pool_videos import HASHES, KnownFile

SYNC_EVERY: Final = 1.0
"""Seconds between waits for the disk: what a power cut may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedFile:
    """A file or object that is offered to a pool.

    Attributes:
        place: path or address, as it was given or found.
        stored: the object, if it is one.
        problem: why it cannot be read, as far as looking for it told.
    """

    place: str
    stored: StoredObject | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """A file or object that was offered, and its content.

    Attributes:
        place: path or address.
        path: where it can be read: the path, or that of a local copy.
        file: its content; ``None`` if it cannot be read.
        problem: why it cannot be read.
    """

    place: str
    path: str
    file: KnownFile | None = None
    problem: str | None = None


def offered_files(
    places: Sequence[str], *, leave_out: Path, stdin: TextIO | BinaryIO | None = None
) -> list[OfferedFile]:
    """Return what is offered, each place once, in the order given.

    Args:
        places: files, folders, patterns, ``-`` for a list on ``stdin`` (see :func:`w2svqa.core.inputs.expand_inputs`),
            and addresses (see :func:`w2svqa.stages.objects.list_objects`).
        leave_out: a folder whose files do not count: the output, which may lie in the pool.
        stdin: where ``-`` reads from.

    Raises:
        MissingExtraError: an address needs a package that is not installed.
    """
    own = os.path.realpath(leave_out) + os.sep
    found: dict[str, OfferedFile] = {}
    for place in places:
        for offered in _objects(place) if is_address(place) else _local(place, stdin):
            if offered.stored is not None or not os.path.realpath(offered.place).startswith(own):
                found.setdefault(offered.place, offered)
    return list(found.values())


def _local(place: str, stdin: TextIO | BinaryIO | None) -> Iterator[OfferedFile]:
    for item in expand_inputs([place], stdin=stdin):
        if item.error is not None and place == "-" and is_address(item.path):
            yield from _objects(item.path)
        else:
            yield OfferedFile(place=item.path, problem=None if item.error is None else item.error.without_path)


def _objects(address: str) -> Iterator[OfferedFile]:
    try:
        for stored in list_objects(address):
            yield OfferedFile(place=stored.url, stored=stored)
    except InputError as error:
        yield OfferedFile(place=address, problem=error.without_path)


def read_files(
    offered: Sequence[OfferedFile], folder: Path, *, copies: Path, workers: int, progress: Mapping[str, Progress]
) -> list[ReadFile]:
    """Return the content of what is offered; what is known from an earlier call is not read again.

    A file is known by path, size and time of its last change, an object by what its store says of it. Paths that lead
    to one file (links) are read once. A file that changes while it is read has no content, and is tried again by the
    next call.

    Args:
        offered: from :func:`offered_files`.
        folder: of the journal.
        copies: folder of local copies of objects.
        workers: processes.
        progress: of ``"copies"`` and ``"files"``.

    Raises:
        StoreError: what was found cannot be kept.
    """
    stored = [each.stored for each in offered if each.stored is not None]
    local, lost = copy_objects(stored, copies, workers=workers, progress=progress["copies"])
    paths = {
        each.place: each.place if each.stored is None else local.get(each.place, "")
        for each in offered
        if each.problem is None and each.place not in lost
    }
    known, problems = _hashes([path for path in paths.values() if path], folder, workers, progress["files"])
    return [_read(each, paths.get(each.place, each.place), known, lost, problems) for each in offered]


def _read(
    offered: OfferedFile,
    path: str,
    known: Mapping[str, KnownFile],
    lost: Mapping[str, str],
    problems: Mapping[str, str],
) -> ReadFile:
    place = offered.place
    problem = offered.problem or lost.get(place) or problems.get(path)
    if problem is not None:
        problem = problem.removeprefix(f"{printable(place)}: ").removeprefix(f"{printable(path)}: ")
    return ReadFile(place=place, path=path, file=known.get(path), problem=problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamped:
    """A file as the system describes it; ``others`` are further paths to it."""

    path: str
    size: int
    mtime_ns: int
    others: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return os.path.normpath(Path(self.path).absolute())


def _hashes(
    paths: Sequence[str], folder: Path, workers: int, progress: Progress
) -> tuple[dict[str, KnownFile], dict[str, str]]:
    """Return the content of files, and the reasons where there is none, by path."""
    stamped, problems = _stamped(paths)
    kept: Kept[_Stamped, KnownFile] = Kept(
        path=folder / "files.jsonl",
        fingerprint=HASHES,
        key=lambda item: item.key,
        name=lambda item: Path(item.path).name,
        encode=lambda file: [file.size, file.mtime_ns, file.sha256],
        decode=_decoded,
        holds=lambda item, file: (item.size, item.mtime_ns) == (file.size, file.mtime_ns),
        sync_every=SYNC_EVERY,
    )
    made, failed = map_resumed(_hashed, stamped, kept, workers=workers, progress=progress)
    known = {}
    for item in stamped:
        for path in (item.path, *item.others):
            if item.key in failed:
                problems[path] = failed[item.key].removeprefix(f"{printable(item.path)}: ")
            else:
                digest = made[item.key].sha256
                known[path] = KnownFile(path=path, size=item.size, mtime_ns=item.mtime_ns, sha256=digest)
    return known, problems


def _stamped(paths: Sequence[str]) -> tuple[list[_Stamped], dict[str, str]]:
    """Return each file once, and the reasons of those that are gone since they were found."""
    found: dict[object, _Stamped] = {}
    problems = {}
    for path in dict.fromkeys(paths):
        try:
            status = os.stat(path)  # noqa: PTH116 - a path is kept as the user wrote it
        except OSError as error:
            problems[path] = f"cannot be read: {error.strerror} (check the path)"
            continue
        item = _Stamped(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)
        # Windows before 3.12 has no inode numbers for some file systems: 0 is none
        first = found.setdefault((status.st_dev, status.st_ino) if status.st_ino else path, item)
        if first is not item:
            first.others.append(path)
    return list(found.values()), problems


def _decoded(value: object) -> KnownFile:
    size, mtime_ns, digest = value if isinstance(value, list) and len(value) == 3 else (-1, -1, "")
    return KnownFile(path="", size=int(size), mtime_ns=int(mtime_ns), sha256=str(digest))


def _hashed(item: _Stamped) -> KnownFile:
    try:
        with open(item.path, "rb") as file:  # noqa: PTH123 - a path is kept as the user wrote it
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = os.stat(item.path)  # noqa: PTH116 - as above
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise MissingInputError(reason, path=item.path, remedy="check its permissions") from None
    if (status.st_size, status.st_mtime_ns) != (item.size, item.mtime_ns):
        raise MissingInputError("was changed while it was read", path=item.path, remedy="run the command again")
    return KnownFile(path=item.path, size=item.size, mtime_ns=item.mtime_ns, sha256=digest)
