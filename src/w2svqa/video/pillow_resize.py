"""Resizing of 8-bit pictures to the very values that Pillow gives, which networks were trained on, without Pillow.

Pillow sums with weights of 22 binary places, rounds to 8 bits after each of its two passes, and widens its filter when
it shrinks. Nearly right is not enough where it is cheap to be right: OpenCV's filters of the same names do not widen,
and differ by dozens of levels.

It goes along the rows first, then along the columns. Pillow 13 takes the passes the other way round where that is less
work, as for portrait pictures, which moves noise by a few levels (black and white noise by up to 30); the networks were
trained on pictures of the older versions, and it is those that are met.

Source: Pillow's documentation of its filters, and its results, with which the tests compare; the cubic is that of
R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29 (1981), with a = -1/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Filter = Literal["bilinear", "bicubic"]

_PLACES = 22  # binary, of a weight: 8 bits of a pixel and 2 for what overshoots leave that many of 32


def pillow_resized(picture: NDArray[np.uint8], size: tuple[int, int], method: Filter) -> NDArray[np.uint8]:
    """Return ``picture`` in another size, aspect ratio ignored, as ``resize`` of Pillow 12.0 and before gives it.

    Args:
        picture: uint8 ``(height, width, channels)``.
        size: the new height and width in pixels, at least 1.
        method: the filter.

    Returns:
        uint8 ``(*size, channels)``.

    Raises:
        ValueError: another shape or type, or a size below 1.

    Example:
        >>> pillow_resized(np.full((4, 6, 3), 90, np.uint8), (2, 3), "bicubic")[..., 0].tolist()
        [[90, 90, 90], [90, 90, 90]]
    """
    if picture.ndim != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise ValueError(f"a picture must be uint8 (height, width, channels), not {picture.dtype} {picture.shape}")
    if min(size) < 1:
        raise ValueError(f"the new size {size} must be at least 1 x 1")
    height, width = size
    # Along the rows first; between the passes there are 8 bits.
    narrowed = _along_columns(np.ascontiguousarray(picture.transpose(1, 0, 2)), width, method)
    return _along_columns(np.ascontiguousarray(narrowed.transpose(1, 0, 2)), height, method)


def _along_columns(picture: NDArray[np.uint8], size: int, method: Filter) -> NDArray[np.uint8]:
    """Resize the first axis."""
    rest = picture.shape[1:]
    if len(picture) == size:
        return picture
    result = np.empty((size, *rest), np.uint8)
    for place, (first, row) in enumerate(_windows(len(picture), size, method)):
        # whole numbers below 2 ** 53, so exact in whatever order they are added
        total = row @ picture[first : first + len(row)].reshape(len(row), -1).astype(np.float64)
        rounded = np.floor(total / 2.0**_PLACES + 0.5).clip(0, 255)
        result[place] = rounded.astype(np.uint8).reshape(rest)
    return result


@lru_cache(maxsize=64)
def _windows(before: int, after: int, method: Filter) -> tuple[tuple[int, NDArray[np.float64]], ...]:
    """Return, for each place of the result, the first place that it sums over and the weights, in 2 ** -22."""
    kernel, reach = _KERNELS[method]
    scale = before / after
    widened = max(1.0, scale)
    windows = []
    for place in range(after):
        centre = (place + 0.5) * scale
        first = max(0, int(centre - reach * widened + 0.5))
        last = min(before, int(centre + reach * widened + 0.5))
        weights = [kernel((source - centre + 0.5) * (1.0 / widened)) for source in range(first, last)]
        total = math.fsum(weights)
        whole = [math.copysign(int(abs(weight / total) * (1 << _PLACES) + 0.5), weight) for weight in weights]
        windows.append((first, np.array(whole)))
    return tuple(windows)


def _triangle(distance: float) -> float:
    return max(0.0, 1.0 - abs(distance))


def _cubic(distance: float) -> float:
    away = abs(distance)
    if away < 1.0:
        return (1.5 * away - 2.5) * away * away + 1.0
    if away < 2.0:
        return (((away - 5.0) * away + 8.0) * away - 4.0) * -0.5
    return 0.0


_KERNELS: Final[dict[Filter, tuple[Callable[[float], float], float]]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}
"""Kernel and how far it reaches, in pixels of the smaller picture."""
