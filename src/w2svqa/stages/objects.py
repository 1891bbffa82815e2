"""Object storage: addresses such as ``s3://bucket/folder`` made into a list of objects, and local copies of them.

Through fsspec, so whatever it has a file system for. An object is copied once; the listing tells whether it is another
one meanwhile, so a second look at a bucket costs the listing alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from w2svqa.core.attempts import attempt
from w2svqa.core.errors import InputError, MissingExtraError, MissingInputError, W2SVQAError
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_write
from w2svqa.core.inputs import MEDIA_SUFFIXES
from w2svqa.core.resume import Kept, map_resumed

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BYTES: Final = 1 << 20
# Under these names file systems tell what changes with an object's content.
_VERSIONS: Final = ("ETag", "etag", "md5Hash", "generation", "content_md5", "LastModified", "last_modified", "mtime")
_REMEDY: Final = "check the address, and the credentials as its file system wants them"

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, name)`` after each item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object in a store.

    Attributes:
        url: its address.
        size: bytes.
        version: text that changes with its content.
    """

    url: str
    size: int
    version: str


def is_address(place: str) -> bool:
    """Return whether a place is an address, not a local path.

    Example:
        >>> is_address("s3://bucket/clips"), is_address("clips/a.mp4")
        (True, False)
    """
    return _ADDRESS.match(place) is not None


def list_objects(address: str) -> list[StoredObject]:
    """Return the videos and images below an address, sorted; a single object counts whatever its name.

    Raises:
        InputError: nothing is there, or the store cannot be reached.
        MissingExtraError: fsspec, or what it needs for this kind of address, is not installed.
    """
    if "::" in address:
        raise InputError("addresses within addresses are not read", path=address, remedy="copy the files first")
    reply = attempt(_listing, address, 0)
    if reply.error is not None:
        raise reply.error
    if not reply.value:
        raise InputError("there is no video or image below this address", path=address, remedy=_REMEDY)
    return reply.value


def copy_objects(
    objects: Sequence[StoredObject], folder: Path, *, workers: int, progress: Progress
) -> tuple[dict[str, str], dict[str, str]]:
    """Copy what is not there yet; return the local copies, and the reasons where there is none, by address.

    Args:
        objects: from :func:`list_objects`.
        folder: of the copies, named by address, with the journal of what is there.
        workers: processes.
        progress: called as ``progress(done, total, name)``.

    Raises:
        UnwritableError: the disk is full or fails, or the folder may not be written to.
    """
    if not objects:
        return {}, {}
    copies = {each.url: folder / _name(each.url) for each in objects}
    items = [(each, str(copies[each.url])) for each in objects]
    kept: Kept[tuple[StoredObject, str], str] = Kept(
        path=folder / "objects.jsonl",
        fingerprint="copies of objects by address",
        key=lambda item: item[0].url,
        name=lambda item: PurePosixPath(item[0].url).name,
        encode=str,
        decode=str,
        holds=lambda item, version: version == item[0].version and Path(item[1]).exists(),
        sync_every=1.0,
    )
    made, failed = map_resumed(_copy, items, kept, workers=workers, progress=progress)
    return {url: str(copy) for url, copy in copies.items() if url in made and url not in failed}, failed


def _listing(address: str) -> list[StoredObject]:
    system, root = _file_system(address)
    try:
        found: Mapping[str, Mapping[str, Any]] = system.find(root, detail=True)
    except FileNotFoundError:
        raise MissingInputError("nothing is there", path=address, remedy=_REMEDY) from None
    except OSError as error:
        raise InputError(f"cannot be listed: {error.strerror or error}", path=address, remedy=_REMEDY) from None
    return [
        StoredObject(url=system.unstrip_protocol(path), size=int(facts.get("size") or 0), version=_version(facts))
        for path, facts in sorted(found.items())
        if path == root or _is_wanted(path.removeprefix(root))
    ]


def _is_wanted(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return PurePosixPath(path).suffix.lower() in MEDIA_SUFFIXES and not any(part.startswith(".") for part in parts)


def _version(facts: Mapping[str, Any]) -> str:
    known = [f"{name}={facts[name]}" for name in _VERSIONS if facts.get(name) is not None]
    return " ".join([str(facts.get("size")), *(known or [f"created={facts.get('created')}"])])


def _file_system(address: str) -> tuple[Any, str]:
    fsspec = require("fsspec", extra="remote")
    try:
        system, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError(
            f"this kind of address needs another package: {error}",
            path=address,
            remedy="pip install 'w2svqa[remote]' for s3://, else that package",
        ) from None
    except ValueError as error:
        raise InputError(f"no known kind of address: {error}", path=address, remedy=_REMEDY) from None
    return system, root


def _name(url: str) -> str:
    """Return a file name that no other address has and that a person recognises."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePosixPath(url).name)[-80:].lstrip(".-")
    return f"{hashlib.sha256(url.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}-{name or 'object'}"


def _copy(item: tuple[StoredObject, str]) -> str:
    wanted, path = item
    system, root = _file_system(wanted.url)
    try:
        source = system.open(root, "rb")
    except OSError as error:
        raise _lost(wanted, error) from None
    with source, atomic_write(path) as target:
        copied = 0
        while content := _read(source, wanted):
            copied += target.write(content)
        if copied != wanted.size:
            raise InputError(
                f"has {copied} bytes, not {wanted.size} as listed", path=wanted.url, remedy="run the command again"
            )
    return wanted.version


def _read(source: Any, wanted: StoredObject) -> bytes:  # noqa: ANN401 - a file of whatever file system
    try:
        return bytes(source.read(_BYTES))
    except OSError as error:
        raise _lost(wanted, error) from None


def _lost(wanted: StoredObject, error: OSError) -> W2SVQAError:
    return InputError(f"cannot be copied: {error.strerror or error}", path=wanted.url, remedy="run the command again")
