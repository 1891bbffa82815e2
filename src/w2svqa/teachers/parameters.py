"""Parameter files of teachers: where they are, and which ones they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, MissingInputError, StrPath
from w2svqa.networks.checkpoints import DIGEST_DIGITS


def read_parameters(folder: StrPath, names: Iterable[str]) -> dict[str, bytes]:
    """Return the content of the named files of a folder, which are small (a few MiB).

    A teacher of one file also takes the path of that file itself, whatever it is called.

    Raises:
        MissingInputError: the folder or one of the files is not there or may not be read.
    """
    place, wanted = Path(folder), list(names)
    if len(wanted) == 1 and place.is_file():
        return {wanted[0]: _content(place)}
    if not place.is_dir():
        raise MissingInputError("no such folder", path=place, remedy=f"name the folder that holds {', '.join(wanted)}")
    return {name: _content(place / name) for name in wanted}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingInputError(
            f"cannot be read: {error.strerror}", path=path, remedy="the teacher's parameters belong there"
        ) from None


def version_of(number: int, contents: dict[str, bytes]) -> str:
    """Return ``"<number>+<digest>"``: it changes with the arithmetic (``number``) and with the parameter files.

    Example:
        >>> version_of(1, {"a": b"", "b": b"text"}) == version_of(1, {"b": b"text", "a": b""})
        True
    """
    total = hashlib.sha256()
    for name in sorted(contents):
        total.update(hashlib.sha256(contents[name]).digest())
    return f"{number}+{total.hexdigest()[:DIGEST_DIGITS]}"


def damaged(path: StrPath, problem: str) -> InputError:
    """Return the error for a parameter file that is there but cannot be used."""
    return InputError(problem, path=path, remedy="fetch the teacher's parameters again")


def check_array(name: str, array: NDArray[np.float64], shape: tuple[int, ...], path: StrPath) -> None:
    """Refuse parameters of another shape than the teacher's, or that are no numbers.

    Raises:
        InputError: the shape is another, or a value is NaN or infinite.
    """
    if array.shape != shape:
        raise damaged(path, f"{name} has the shape {array.shape} instead of {shape}")
    if not np.isfinite(array).all():
        raise damaged(path, f"{name} holds values that are not finite")
