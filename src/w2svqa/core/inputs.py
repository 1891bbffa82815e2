"""What a user means by ``PATH...``: files, folders, patterns, or a list on standard input, made into a list of files.

Nothing here stops a batch: what cannot be used becomes an item with its error. Order and repetition are the user's: an
argument given twice is scored twice, so that rows can be matched with arguments; folders and patterns come out sorted.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, TextIO

from w2svqa.core.errors import InputError, MediaError, MissingInputError, RefusedMediaError

_VIDEO = """
    264 265 3g2 3gp asf av1 avi divx dv f4v flv h264 h265 hevc ivf m2ts m2v m4v mj2 mkv mov mp4 mpeg mpg mts mxf nut obu
    ogm ogv rm rmvb ts vob webm wmv y4m
"""
_IMAGE = "bmp jpeg jpg png tif tiff webp"

IMAGE_SUFFIXES: Final = frozenset(f".{name}" for name in _IMAGE.split())
"""Suffixes, in lower case, of still images."""

MEDIA_SUFFIXES: Final = IMAGE_SUFFIXES | frozenset(f".{name}" for name in _VIDEO.split())
"""Suffixes, in lower case, that make a file in a folder a video or an image; one that is named itself may have any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputItem:
    """One file to score, or the reason why there is none.

    Attributes:
        path: the file as it was given or found; bytes that are no UTF-8 are surrogates, as :func:`os.fsdecode` makes.
        error: why it cannot be used; ``None`` if it can be opened at least.
    """

    path: str
    error: InputError | None = None


def expand_inputs(arguments: Sequence[str], *, stdin: TextIO | BinaryIO | None = None) -> list[InputItem]:
    """Return the files that command line arguments stand for.

    Args:
        arguments: each a file, a folder (searched for known suffixes; hidden files are left out), a pattern with
            ``*``, ``?``, ``[...]`` or ``**`` (unless a file has exactly that name), or ``-`` for the paths on
            ``stdin``, one per line, or ended by NUL if there is one among them. A listed path is taken as it is, never
            as a pattern. A file whose name is ``-`` is ``./-``.
        stdin: where ``-`` reads from.

    Example:
        >>> [item] = expand_inputs(["nowhere.mp4"])
        >>> str(item.error)
        'nowhere.mp4: no such file or folder (check the path)'
    """
    items: list[InputItem] = []
    for argument in arguments:
        if argument == "-":
            items.extend(_listed(stdin))
        elif glob.has_magic(argument) and not os.path.lexists(argument):
            items.extend(_matching(argument))
        else:
            items.extend(_expanded(argument))
    return items


def _listed(stdin: TextIO | BinaryIO | None) -> Iterator[InputItem]:
    paths = [] if stdin is None else _paths_in(stdin)
    if not paths:
        error = InputError("standard input lists no path", path="-", remedy="pipe one path per line into it")
        yield InputItem(path="-", error=error)
    for path in paths:
        yield from _expanded(path)


def _paths_in(stdin: TextIO | BinaryIO) -> list[str]:
    content = getattr(stdin, "buffer", stdin).read()  # the bytes below a text stream: names need not be text
    data = os.fsencode(content) if isinstance(content, str) else bytes(content)
    if b"\0" in data:
        paths = data.split(b"\0")
    else:
        paths = data.split(b"\n")
        if all(path.endswith(b"\r") for path in paths[:-1]):  # a list that was written on Windows
            paths = [path.removesuffix(b"\r") for path in paths]
    return [os.fsdecode(path) for path in paths if path]


def _matching(pattern: str) -> Iterator[InputItem]:
    matches = sorted(glob.iglob(pattern, recursive=True))
    if not matches:
        error = MissingInputError("no file matches the pattern", path=pattern, remedy="check the pattern")
        yield InputItem(path=pattern, error=error)
    # With ** a folder matches beside the files in it: then the files are meant.
    files = [path for path in matches if not os.path.isdir(path)]
    for path in files if files and "**" in pattern else matches:
        yield from _expanded(path)


def _expanded(path: str) -> Iterator[InputItem]:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        yield InputItem(path=path, error=_missing(path, error))
        return
    if stat.S_ISDIR(mode):
        yield from _folder(path)
    elif stat.S_ISREG(mode):
        yield InputItem(path=path)
    else:
        problem = MediaError("is no regular file", path=path, remedy="save the video as a file first")
        yield InputItem(path=path, error=problem)


def _missing(path: str, error: OSError | ValueError) -> InputError:
    if "://" in path:
        return RefusedMediaError("only local files are read", path=path, remedy="download it first")
    if isinstance(error, ValueError) or error.errno in (errno.ENOENT, errno.ENOTDIR):
        if os.path.islink(path):
            return MissingInputError("the symbolic link points to nothing", path=path, remedy="check the link")
        return MissingInputError("no such file or folder", path=path, remedy="check the path")
    return _unreadable(path, error)


def _unreadable(path: str, error: OSError) -> InputError:
    remedy = "check its permissions" if error.errno in (errno.EACCES, errno.EPERM) else "check the path"
    return MissingInputError(f"cannot be read: {error.strerror}", path=path, remedy=remedy)


def _folder(path: str) -> Iterator[InputItem]:
    found = False
    for item in _walk(path, set()):
        found = True
        yield item
    if not found:
        error = InputError(
            "the folder holds no video or image", path=path, remedy="name a file itself if its suffix is unusual"
        )
        yield InputItem(path=path, error=error)


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[InputItem]:
    """Yield the media files below a folder, names sorted; a folder that is reached twice, by links, is read once."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield InputItem(path=folder, error=_unreadable(folder, error))
        return
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith("."):
            continue
        if os.path.isdir(path):
            yield from _walk(path, seen)
        elif os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES:
            yield from _expanded(path)
