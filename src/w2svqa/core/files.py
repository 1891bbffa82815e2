"""Files that are whole or not there, their hashes, and the lock that keeps a second process out of a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from w2svqa.core.errors import StoreError, StrPath, UnwritableError
from w2svqa.core.holder import LOCK_NAME, MOST_BYTES, from_bytes, this_process, to_bytes

# The disk's answers, whoever was writing: no room, over the quota, over the size limit, read-only, broken.
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def sha256_file(path: StrPath) -> str:
    """Return the SHA-256 of a file as 64 hex digits; reads it in bounded memory.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what was written there takes its place at the end, all or nothing.

    The temporary file has the suffix of ``path`` and is removed if the block fails. Missing folders are made.

    Raises:
        UnwritableError: the disk is full, read-only or fails, or the folder may not be written to.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}.part{target.suffix}")
    try:
        with _disk_errors(target, any_error=True):
            target.parent.mkdir(parents=True, exist_ok=True)
        with _disk_errors(target):
            yield temporary
        with _disk_errors(target, any_error=True):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_write(path: StrPath) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of ``path`` when the block ends, all or nothing.

    Raises:
        UnwritableError: the disk is full, read-only or fails, or the folder may not be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "table.csv") as file:
        ...         _ = file.write(b"path,score")
        ...     (Path(folder) / "table.csv").read_text()
        'path,score'
    """
    with atomic_path(path) as temporary:
        with _disk_errors(Path(path), any_error=True):
            file = temporary.open("xb")
        with file:
            yield file


@contextmanager
def _disk_errors(path: Path, *, any_error: bool = False) -> Iterator[None]:
    """Turn the disk's errors into one that names the file; those of other files that a block reads pass through."""
    try:
        yield
    except OSError as error:
        if not any_error and error.errno not in _DISK_ERRORS:
            raise
        remedy = "free some space or choose another folder" if error.errno in _DISK_ERRORS else "choose another folder"
        raise UnwritableError(f"cannot be written: {error.strerror or error}", path=path, remedy=remedy) from None


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut; only POSIX lets a folder be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def hold(folder: StrPath) -> Iterator[None]:
    """Keep other processes out of ``folder`` for the time of the block; the folder is made if need be.

    The lock is the operating system's on the file ``.lock``, so it ends with its process however that ends: one left
    by a killed run is taken over. The file says who holds it.

    Raises:
        StoreError: another process holds the folder; the message has its number, host, user and command line.
    """
    path = Path(folder) / LOCK_NAME
    with _disk_errors(path, any_error=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A descriptor of its own: child processes do not inherit it, so none of them prolongs the lock.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _lock(descriptor):
            raise StoreError(f"held by {_holder(descriptor)}", path=folder, remedy="wait for it, or stop it")
        with _disk_errors(path, any_error=True):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, to_bytes(this_process()))
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # and with it the lock


def _holder(descriptor: int) -> str:
    holder = from_bytes(os.read(descriptor, MOST_BYTES))
    return "another process" if holder is None else str(holder)  # None: it has not yet written its name


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        # A byte far behind the text, because Windows keeps others from reading what is locked.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
