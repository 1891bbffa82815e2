"""Resizing of 8-bit pictures, by swscale."""

from __future__ import annotations

from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

Method = Literal["area", "bilinear", "bicubic", "lanczos", "nearest"]

METHODS: dict[Method, Interpolation] = {
    "area": Interpolation.AREA,
    "bilinear": Interpolation.BILINEAR,
    "bicubic": Interpolation.BICUBIC,
    "lanczos": Interpolation.LANCZOS,
    "nearest": Interpolation.POINT,
}
"""The known methods. When shrinking, all but ``nearest`` widen their kernel, so that nothing aliases."""

_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def resize_rgb(picture: NDArray[np.uint8], size: tuple[int, int], *, method: Method = "area") -> NDArray[np.uint8]:
    """Return ``picture`` in another size.

    Arithmetic is on the code values (no linear light), bit-exact on every processor. ``area`` is within 1 of the exact
    mean when it shrinks; when either size has a side below 4 pixels, swscale may take single pixels instead.

    Args:
        picture: uint8 ``(height, width, 3)``, any range of values 0-255.
        size: the new height and width in pixels, at least 1.
        method: a key of :data:`METHODS`.

    Returns:
        uint8 ``(*size, 3)``; a copy, even if the size is the same.

    Raises:
        ValueError: another shape or type, a size below 1, or an unknown method.

    Example:
        >>> resize_rgb(np.full((4, 6, 3), 90, np.uint8), (2, 3), method="area")[..., 0].tolist()
        [[90, 90, 90], [90, 90, 90]]
    """
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture must have shape (height, width, 3), not {picture.shape}")
    return _resize(picture, "rgb24", size, method)


def resize_grey(picture: NDArray[np.uint8], size: tuple[int, int], *, method: Method = "area") -> NDArray[np.uint8]:
    """Return ``picture``, uint8 ``(height, width)``, in another size; else as :func:`resize_rgb`.

    Raises:
        ValueError: another shape or type, a size below 1, or an unknown method.

    Example:
        >>> checks = np.indices((8, 8)).sum(axis=0).astype(np.uint8) % 2 * 200
        >>> resize_grey(checks, (4, 4), method="area")[0].tolist()
        [100, 100, 100, 100]
    """
    if picture.ndim != 2:
        raise ValueError(f"a picture must have shape (height, width), not {picture.shape}")
    return _resize(picture, "gray", size, method)


def _resize(picture: NDArray[np.uint8], layout: str, size: tuple[int, int], method: Method) -> NDArray[np.uint8]:
    if picture.dtype != np.uint8 or 0 in picture.shape:
        raise ValueError(f"a picture must be uint8 and not empty, not {picture.dtype} {picture.shape}")
    if min(size) < 1:
        raise ValueError(f"the new size {size} must be at least 1 x 1")
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
    height, width = size
    if picture.shape[:2] == (height, width):
        return picture.copy()
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=layout)
    result = frame.reformat(width=width, height=height, interpolation=METHODS[method] | _EXACT, threads=1)
    return result.to_ndarray().astype(np.uint8, copy=False)
