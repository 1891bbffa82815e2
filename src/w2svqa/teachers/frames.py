"""Frame teachers: each key frame is scored by itself, and the video gets the mean."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError
from w2svqa.core.extras import require
from w2svqa.core.protocols import Video
from w2svqa.core.records import Chunk
from w2svqa.teachers.base import BaseTeacher

Frame = NDArray[np.uint8]
"""uint8 ``(height, width, 3)``, RGB 0-255."""

Grey = NDArray[np.uint8]
"""uint8 ``(height, width)``, luma 0-255."""


class FrameTeacher(BaseTeacher):
    """What all teachers share that look at single pictures: key frames, one per second.

    Attributes:
        least_size: height and width in pixels below which it cannot score.
    """

    modules: ClassVar[tuple[tuple[str, str], ...]] = (("cv2", "train"),)
    least_size: ClassVar[int]

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the mean over the key frames that can be judged, see :meth:`score_chunks`.

        Raises:
            InputError: the video cannot be decoded, is too small, or all its key frames are flat.
        """
        del reference  # not needed
        return self.score_chunks(video.chunks())

    def score_chunks(self, chunks: Iterable[Chunk]) -> float:
        """Return the mean over the key frames that can be judged; flat ones, such as a black opening, are left out.

        Args:
            chunks: of one video, at least one; only key frames are looked at, one at a time.

        Raises:
            InputError: the frames are too small, all are flat, or there are none.
        """
        values = [self._checked(chunk.key_frame) for chunk in chunks]
        judged = [value for value in values if value is not None]
        if not judged:
            raise self._nothing_to_judge(len(values))
        return math.fsum(judged) / len(judged)

    def score_frame(self, frame: Frame) -> float:
        """Return the score of one picture, uint8 ``(height, width, 3)``, RGB 0-255.

        Raises:
            InputError: it is too small, flat, or no such picture.
        """
        value = self._checked(frame)
        if value is None:
            raise self._nothing_to_judge(1)
        return value

    @abstractmethod
    def _judge(self, grey: Grey) -> float:
        """Return the score of one picture; not finite where there is nothing to judge."""

    def _checked(self, frame: Frame) -> float | None:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(
                f"{self.name} was given a frame of {frame.dtype} {frame.shape}",
                remedy="give RGB frames: uint8 (height, width, 3)",
            )
        height, width = frame.shape[:2]
        if min(height, width) < self.least_size:
            least = f"{self.least_size}x{self.least_size}"
            raise InputError(
                f"a frame of {width}x{height} is too small for {self.name}", remedy=f"it needs at least {least} pixels"
            )
        value = self._judge(luma(frame))
        return value if math.isfinite(value) else None

    def _nothing_to_judge(self, frames: int) -> InputError:
        if frames == 0:
            return InputError(f"{self.name} was given no frames", remedy="give at least one")
        return InputError(
            f"{self.name} finds no texture to judge in any of {frames} key frame{'s' if frames > 1 else ''}",
            remedy="flat pictures (one colour, say) have no score; leave this video out",
        )


_ItemT = TypeVar("_ItemT")


def in_batches(items: Iterable[_ItemT], size: int) -> Iterator[list[_ItemT]]:
    """Yield the items in lists of ``size``, at least 1; the last may be shorter.

    Example:
        >>> list(in_batches("abcde", 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def luma(frame: Frame) -> Grey:
    """Return the BT.601 luma of an RGB picture, rounded to 8 bits as MATLAB's ``rgb2gray`` does.

    Example:
        >>> luma(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).tolist()
        [[76, 150, 29]]
    """
    cv2 = require("cv2", extra="train")
    grey: Grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    return grey
