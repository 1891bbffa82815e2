"""Linear filters along one axis of a picture, as few weights per output pixel and as small matrix products.

Blur, resizing and jitter treat rows and columns apart; what each does to one axis is a :class:`Taps`, which
:class:`Banded` turns into products of dense blocks, the fastest way from numpy to the processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Floats = NDArray[np.float64]
Planes = NDArray[np.float32]

ROWS: Final = 1
"""The axis of planes ``(3, height, width)`` along which rows follow each other."""

COLUMNS: Final = 2
"""The axis of planes along which columns follow each other."""

_BLOCK = 64  # output pixels per product: few enough to skip most zeros, enough to keep the processor busy
_GAUSSIAN_REACH = 4  # standard deviations


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Each output pixel as a weighted sum of a few input pixels.

    Attributes:
        indices: int64 ``(out, taps)``, input pixels; one may come twice.
        weights: float64 ``(out, taps)``.
    """

    indices: NDArray[np.int64]
    weights: Floats

    def apply(self, matrix: Floats) -> Floats:
        """Filter the columns of ``matrix``, float64 ``(in, anything)``, to ``(out, anything)``."""
        total = np.zeros((len(self.indices), matrix.shape[1]))
        for index, weight in zip(self.indices.T, self.weights.T, strict=True):
            total += weight[:, None] * matrix[index]
        return total

    def matrix(self, length: int) -> Floats:
        """Return the same as one matrix, float64 ``(out, length)``, for an axis of ``length`` pixels."""
        cells = np.arange(len(self.indices))[:, None] * length + self.indices
        dense = np.bincount(cells.ravel(), weights=self.weights.ravel(), minlength=len(self.indices) * length)
        return np.asarray(dense, dtype=np.float64).reshape(-1, length)


def gaussian_taps(length: int, sigma: float) -> Taps:
    """Return a Gaussian of ``sigma`` pixels, cut at four sigma, mirrored at the edges (the edge pixel once).

    Example:
        >>> gaussian_taps(5, 1.0).indices[0].tolist()
        [4, 3, 2, 1, 0, 1, 2, 3, 4]
    """
    reach = max(1, round(_GAUSSIAN_REACH * sigma))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    indices = _mirrored(np.arange(length)[:, None] + offsets, length)
    return Taps(indices, np.broadcast_to(kernel / kernel.sum(), indices.shape))


def shrinking_taps(length: int, cells: int) -> Taps:
    """Return the mean over ``cells`` equal parts of the axis; pixels on a border count by their share.

    Example:
        >>> shrinking_taps(3, 2).apply(np.array([[3.0], [6.0], [9.0]])).ravel().tolist()
        [4.0, 8.0]
    """
    edges = np.arange(cells + 1) * (length / cells)
    indices = np.floor(edges[:-1, None] + 1e-9).astype(np.int64) + np.arange(math.ceil(length / cells) + 1)
    overlap = np.minimum(indices + 1, edges[1:, None]) - np.maximum(indices, edges[:-1, None])
    return Taps(np.minimum(indices, length - 1), np.maximum(overlap, 0) * (cells / length))


def cubic_taps(positions: Floats, length: int) -> Taps:
    """Return cubic interpolation (Keys, a = -1/2) at ``positions`` of an axis; the edge pixel is continued.

    Args:
        positions: float64 ``(out,)``, in pixels; 0 is the centre of the first one.
        length: pixels of the axis.
    """
    base = np.floor(positions)
    part = (positions - base)[:, None]
    weights = np.concatenate(
        [
            ((-0.5 * part + 1) * part - 0.5) * part,
            (1.5 * part - 2.5) * part**2 + 1,
            ((-1.5 * part + 2) * part + 0.5) * part,
            (0.5 * part - 0.5) * part**2,
        ],
        axis=1,
    )
    indices = base.astype(np.int64)[:, None] + np.arange(-1, 3)
    return Taps(np.clip(indices, 0, length - 1), weights)


def enlarging_taps(cells: int, length: int) -> Taps:
    """Return cubic interpolation from ``cells`` to ``length`` pixels, both covering the same stretch."""
    positions = (np.arange(length, dtype=np.float64) + 0.5) * (cells / length) - 0.5
    return cubic_taps(positions, cells)


class Banded:
    """A :class:`Taps` as products of dense blocks.

    Args:
        taps: what to apply.
    """

    def __init__(self, taps: Taps) -> None:
        self._length = len(taps.indices)
        self._blocks = [_block(taps, first) for first in range(0, self._length, _BLOCK)]

    def apply(self, planes: Planes, axis: int) -> Planes:
        """Filter float32 planes ``(channels, height, width)`` along :data:`ROWS` or :data:`COLUMNS`."""
        channels, height, width = planes.shape
        if axis == ROWS:
            result = np.empty((channels, self._length, width), np.float32)
            for target, source, block in self._blocks:
                np.matmul(block, planes[:, source], out=result[:, target])
            return result
        flat = planes.reshape(channels * height, width)
        result = np.empty((channels * height, self._length), np.float32)
        for target, source, block in self._blocks:
            np.matmul(flat[:, source], block.T, out=result[:, target])
        return result.reshape(channels, height, self._length)


def filter_frame(frame: Frame, steps: Sequence[tuple[int, Banded]]) -> Frame:
    """Apply filters one after the other, without rounding between them.

    Args:
        frame: uint8 ``(height, width, 3)``.
        steps: pairs of :data:`ROWS` or :data:`COLUMNS` and the filter along it.

    Returns:
        uint8 of the size that the filters lead to, rounded and clipped to 0-255.
    """
    planes: Planes = np.ascontiguousarray(frame.transpose(2, 0, 1)).astype(np.float32)
    for axis, banded in steps:
        planes = banded.apply(planes, axis)
    return np.ascontiguousarray(rounded(planes).transpose(1, 2, 0))


def rounded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round to 0-255 (halves up); ``values`` are overwritten."""
    values += np.float32(0.5)
    np.clip(values, 0, 255.5, out=values)
    return values.astype(np.uint8)


def _mirrored(indices: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    period = max(1, 2 * (length - 1))
    folded = indices % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros_like(indices)


def _block(taps: Taps, first: int) -> tuple[slice, slice, NDArray[np.float32]]:
    indices, weights = taps.indices[first : first + _BLOCK], taps.weights[first : first + _BLOCK]
    count, low, wide = len(indices), int(indices.min()), int(np.ptp(indices)) + 1
    dense = Taps(indices - low, weights).matrix(wide)
    return slice(first, first + count), slice(low, low + wide), dense.astype(np.float32)
