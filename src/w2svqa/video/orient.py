"""The picture as a player shows it: turned upright, with square pixels."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

LARGEST_SIDE = 16384
"""Pixels; a picture is not stretched beyond it."""

_EXTREME_ASPECT = 8
_NEARLY_SQUARE = 0.01


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the stored picture is turned to be upright: first transposed, then mirrored.

    Attributes:
        transpose: exchange rows and columns.
        mirror_horizontal: then exchange left and right.
        mirror_vertical: then exchange top and bottom.
    """

    transpose: bool = False
    mirror_horizontal: bool = False
    mirror_vertical: bool = False

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return ``picture``, ``(height, width, ...)``, turned upright; contiguous."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.mirror_horizontal:
            picture = picture[:, ::-1]
        if self.mirror_vertical:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height as shown of a picture stored as ``width`` x ``height``; its own inverse.

        Example:
            >>> Orientation(transpose=True).shown(1920, 1080)
            (1080, 1920)
        """
        return (height, width) if self.transpose else (width, height)

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270; of a mirrored picture, a turn that comes closest."""
        if self.transpose:
            return 270 if self.mirror_vertical else 90
        return 180 if self.mirror_vertical else 0


UPRIGHT = Orientation()
"""As stored."""

_ONE = 1 << 16
# By quarter turns counterclockwise, as PyAV counts.
_QUARTER_TURNS: dict[int, tuple[int, ...]] = {
    1: (0, -_ONE, 0, _ONE, 0, 0, 0, 0, 1 << 30),
    2: (-_ONE, 0, 0, 0, -_ONE, 0, 0, 0, 1 << 30),
    3: (0, _ONE, 0, -_ONE, 0, 0, 0, 0, 1 << 30),
}


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """Return the nine integers of the display matrix of ``frame``, or ``None``.

    Reading side data makes a reference cycle that keeps the frame's memory until the next garbage collection; done for
    every frame it costs half as much as decoding.
    """
    try:
        side_data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV does not know all kinds of side data that FFmpeg makes; what is left is the angle.
        return _QUARTER_TURNS.get(round(frame.rotation / 90) % 4)
    if not isinstance(side_data, Buffer):
        return None
    return struct.unpack("=9i", bytes(side_data)[:36])


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return how ``frame`` must be turned, from the display matrix that the container gave it."""
    matrix = display_matrix(frame)
    return UPRIGHT if matrix is None else orientation_from_matrix(matrix)


def orientation_from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """Return the nearest turn by right angles of a display matrix.

    Args:
        matrix: nine integers ``a b u c d v x y w``: a stored point ``(p, q)``, rightwards and downwards, is shown at
            ``(a p + c q + x, b p + d q + y)``.

    Source: FFmpeg ``libavutil/display.h``; ISO/IEC 14496-12, 8.3.2 (``tkhd``).

    Example:
        >>> orientation_from_matrix((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)).rotation
        90
    """
    a, b, _, c, d = matrix[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return the size of a stored picture after its pixels were made square.

    One axis is stretched, none shrunk, so that no detail is lost: the width if pixels are wide, else the height.
    Within 1 % of square they are left alone (such ratios come from rounding, and resampling would blur the picture); a
    ratio beyond 8 either way is taken for an error in the file and ignored, and so is one that would lead beyond
    :data:`LARGEST_SIDE`.

    Args:
        width: pixels as stored.
        height: pixels as stored.
        pixel_aspect: width of a pixel divided by its height.

    Example:
        >>> square_size(720, 576, Fraction(16, 15)), square_size(1440, 1080, Fraction(4, 3))
        ((768, 576), (1920, 1080))
    """
    if pixel_aspect <= 0 or not 1 / _EXTREME_ASPECT <= pixel_aspect <= _EXTREME_ASPECT:
        return width, height
    if abs(pixel_aspect - 1) < _NEARLY_SQUARE:
        return width, height
    if pixel_aspect >= 1:
        wide, high = math.floor(width * pixel_aspect + Fraction(1, 2)), height
    else:
        wide, high = width, math.floor(height / pixel_aspect + Fraction(1, 2))
    return (width, height) if max(wide, high) > LARGEST_SIDE else (wide, high)
