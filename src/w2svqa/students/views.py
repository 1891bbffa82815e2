"""What the compact student looks at: views of a key frame, and the motion frames of a second.

The views show detail at native resolution, and the whole picture beside it.

The one place for this arithmetic: training, export and scoring all call these functions.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.records import ClipSpec
from w2svqa.video.resize import resize_rgb

VIEW_SIZE: Final = 128
"""Side of every view in pixels."""

DETAIL_GRID: Final = (2, 3)
"""Rows and columns of detail crops of a landscape frame; exchanged for a portrait one."""

VIEWS: Final = DETAIL_GRID[0] * DETAIL_GRID[1] + 1
"""Detail crops, then the whole picture."""

_LUMA: Final = (299, 587, 114)  # BT.601, in thousandths

MOTION_SIZE: Final = (32, 32)
"""Height and width of a motion frame. Small: jitter moves the whole picture, stuttering stops it; any size shows it."""

MOTION_FRAMES: Final = 64
"""Motion frames of a second, at most; of more, evenly spaced ones are taken."""

MOTION_SPEC: Final = ClipSpec(motion_size=MOTION_SIZE)
"""What a student with a motion branch wants of a clip: every frame, for a repeated frame shows only beside its
neighbours."""


def make_views(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a key frame into the student's views: :func:`make_details`, then :func:`make_whole` as grey pixels.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB 0-255, any size from one pixel.

    Returns:
        uint8 ``(VIEWS, VIEW_SIZE, VIEW_SIZE, 3)``; the whole picture comes last.

    Example:
        >>> make_views(np.zeros((720, 1280, 3), np.uint8)).shape
        (7, 128, 128, 3)
    """
    return join_views(make_details(frame), make_whole(frame))


def make_details(frame: NDArray[np.uint8], *, margin: int = 0) -> NDArray[np.uint8]:
    """Cut detail crops out of a key frame.

    They are pixels of the frame itself, never resized, so that blur, noise and blocks keep their size; their centres
    are those of a 2 x 3 grid of cells. A side shorter than a crop is continued by reflection.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB 0-255, any size from one pixel.
        margin: extra pixels that training keeps around each crop, to shift it at random.

    Returns:
        uint8 ``(VIEWS - 1, side, side, 3)`` with ``side = VIEW_SIZE + margin``.
    """
    side = VIEW_SIZE + margin
    padded = _at_least(frame, side)
    rows, columns = DETAIL_GRID if frame.shape[1] >= frame.shape[0] else DETAIL_GRID[::-1]
    tops = _starts(padded.shape[0], rows, side)
    lefts = _starts(padded.shape[1], columns, side)
    return np.stack([padded[top : top + side, left : left + side] for top in tops for left in lefts])


def make_whole(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of the whole key frame, averaged down (or stretched up) to a square.

    Without colours, which the details show: they would tell clips apart, not their qualities, and fill the crop cache.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB 0-255, any size from one pixel.

    Returns:
        uint8 ``(VIEW_SIZE, VIEW_SIZE)``, BT.601 luma in full range.
    """
    small = resize_rgb(frame, (VIEW_SIZE, VIEW_SIZE), method="area").astype(np.uint32)
    # in integers, alike on every processor
    luma = (small[..., 0] * _LUMA[0] + small[..., 1] * _LUMA[1] + small[..., 2] * _LUMA[2] + 500) // 1000
    return luma.astype(np.uint8)


def join_views(details: NDArray[np.uint8], whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put detail crops, uint8 ``(D, side, side, 3)``, and the luma of the whole, ``(side, side)``, into one array.

    Returns:
        uint8 ``(D + 1, side, side, 3)``; the whole comes last, its three channels alike.
    """
    return np.concatenate([details, np.broadcast_to(whole[None, :, :, None], (1, *whole.shape, 3))])


def make_motion(frames: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Bring the motion frames of a second to a fixed count.

    Args:
        frames: uint8 ``(T, 32, 32)`` luma, any ``T``; 0 for a still.

    Returns:
        uint8 ``(MOTION_FRAMES, 32, 32)``, zero from the count on; and the count, 0 to :data:`MOTION_FRAMES`.

    Raises:
        ValueError: frames of another size.

    Example:
        >>> motion, count = make_motion(np.ones((120, 32, 32), np.uint8))
        >>> motion.shape, count
        ((64, 32, 32), 64)
    """
    if frames.ndim != 3 or frames.shape[1:] != MOTION_SIZE:
        raise ValueError(f"motion frames must have shape (T, {MOTION_SIZE[0]}, {MOTION_SIZE[1]}), not {frames.shape}")
    if len(frames) > MOTION_FRAMES:
        frames = frames[np.arange(MOTION_FRAMES) * len(frames) // MOTION_FRAMES]
    motion = np.zeros((MOTION_FRAMES, *MOTION_SIZE), np.uint8)
    motion[: len(frames)] = frames
    return motion, len(frames)


def _starts(length: int, cells: int, side: int) -> list[int]:
    """Where crops of ``side`` begin whose centres are those of ``cells`` equal cells, kept inside ``length``."""
    centres = [(cell + 0.5) * length / cells for cell in range(cells)]
    return [min(max(round(centre - side / 2), 0), length - side) for centre in centres]


def _at_least(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    missing = [max(0, side - length) for length in frame.shape[:2]]
    if not any(missing):
        return frame
    return np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
