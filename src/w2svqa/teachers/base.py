"""What all teachers of this package share: their facts, and the check of what they are given and give."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from w2svqa.core.errors import ConfigError, InputError
from w2svqa.core.protocols import Video

SPEED_OPTIONS = frozenset({"batch"})
"""Options of this name change speed and memory, and scores by no more than rounding: no part of a score's key."""


class BaseTeacher(ABC):
    """A teacher; satisfies :class:`w2svqa.core.protocols.Teacher`.

    The facts of a class are all that listing it, choosing its parameter files and planning work need: nothing has to
    be loaded for them, and no code asks for a name.

    A class whose parameters take long to load has a class method ``identify`` too, with the arguments of ``load``: it
    returns the version that ``load`` would give, from the files alone, and raises what ``load`` would raise as far as
    that can be told without their values. Without it a teacher is loaded once more before the work begins.

    Attributes:
        name: its name in the registry.
        higher_is_better: direction of its scale.
        range: least and greatest value it can give; infinite where it has no bound.
        needs_reference: it compares with the untouched video.
        needs_motion: key frames are not enough, it looks at neighbouring frames.
        needs_parameters: it has to be given trained parameters.
        files: usual names of its parameter files, the one of the official release first; empty where it has none.
        needs_all_files: it needs each of them; else they are names for one.
        modules: what it imports beyond the package itself, as (module, extra that brings it).
        uses_device: its ``load`` takes ``device``, such as ``"cpu"`` or ``"cuda:0"``.
        batch: how many pictures, or clips, of a video go through its network together, unless the option ``batch`` says
            otherwise: more are quicker and need more memory. 1 for those without that option: one after the other.
        options: the keywords that its ``load`` takes besides, each with its default. Options that are not at their
            default are a part of a score's key, unless they are :data:`SPEED_OPTIONS`.
    """

    name: ClassVar[str]
    higher_is_better: ClassVar[bool]
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    needs_reference: ClassVar[bool] = False
    needs_motion: ClassVar[bool] = False
    needs_parameters: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ()
    needs_all_files: ClassVar[bool] = False
    modules: ClassVar[tuple[tuple[str, str], ...]] = ()
    uses_device: ClassVar[bool] = False
    batch: ClassVar[int] = 1
    options: ClassVar[dict[str, int | float | str | bool]] = {}

    def __init__(self, version: str) -> None:
        self._version = version

    @property
    def version(self) -> str:
        """Number of the arithmetic and the start of the parameters' SHA-256, such as ``"1+1f0c3a9be27d"``."""
        return self._version

    @abstractmethod
    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video on the teacher's own scale; see :class:`w2svqa.core.protocols.Teacher`."""


def at_least_one(value: int, option: str, teacher: str) -> int:
    """Return the value of an option that counts something.

    Raises:
        ConfigError: it is less than 1.
    """
    if value < 1:
        raise ConfigError(f"the teacher {teacher!r} has {option}={value}", remedy="it must be at least 1")
    return value


def required(reference: Video | None, teacher: str) -> Video:
    """Return the reference, or say that there is none.

    Raises:
        InputError: it is ``None``.
    """
    if reference is None:
        raise InputError(
            f"{teacher} compares a video with its untouched source, and there is none",
            remedy="name the source of each video in the column 'reference' of the manifest, or leave this teacher out",
        )
    return reference
