"""What teachers share that others made: a metric of another package, a program, a table of scores."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from typing import ClassVar

from w2svqa.core.protocols import Video
from w2svqa.networks.checkpoints import DIGEST_DIGITS


class OutsideTeacher(ABC):
    """A teacher whose facts are known once its argument is, as in ``pyiqa:musiq``.

    Satisfies :class:`w2svqa.core.protocols.Teacher`. The facts of the class are those of
    :class:`w2svqa.teachers.base.BaseTeacher` that do not depend on the argument.

    Args:
        name: with its argument.
        version: changes with all that its numbers depend on, as far as can be seen from here.
        higher_is_better: direction of its scale.
        scale: least and greatest value it can give.
        needs_reference: it compares with the untouched video.
    """

    needs_motion: ClassVar[bool] = False
    needs_parameters: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[tuple[str, str], ...]] = ()
    uses_device: ClassVar[bool] = False
    batch: ClassVar[int] = 1
    options: ClassVar[dict[str, int | float | str | bool]] = {}

    def __init__(
        self,
        name: str,
        version: str,
        *,
        higher_is_better: bool,
        scale: tuple[float, float],
        needs_reference: bool = False,
    ) -> None:
        self._name = name
        self._version = version
        self._higher_is_better = higher_is_better
        self._scale = scale
        self._needs_reference = needs_reference

    @property
    def name(self) -> str:
        """Its name, with its argument."""
        return self._name

    @property
    def version(self) -> str:
        """Changes whenever its numbers change, as far as can be seen from here."""
        return self._version

    @property
    def higher_is_better(self) -> bool:
        """Direction of its scale."""
        return self._higher_is_better

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest value it can give; infinite where it has no bound."""
        return self._scale

    @property
    def needs_reference(self) -> bool:
        """Whether it compares with the untouched video."""
        return self._needs_reference

    @abstractmethod
    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video; see :class:`w2svqa.core.protocols.Teacher`."""


def digest_of(*parts: object) -> str:
    """Return some hex digits that change with any of the parts, which JSON can hold.

    Example:
        >>> digest_of("a", 1) == digest_of("a", 1), digest_of("a", 1) == digest_of("a", "1")
        (True, False)
    """
    return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()[:DIGEST_DIGITS]
