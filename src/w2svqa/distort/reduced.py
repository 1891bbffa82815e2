"""The simulators on pictures that were averaged down from their native size, as motion frames are.

What a simulator does to a native frame it does, seen through the averaging, to the small one: training can distort the
motion frames it keeps instead of decoding the video again. For filters the small picture ``y = P x`` is spread over
the native grid by cubic interpolation (set so that averaging gives ``y`` back), filtered there, and averaged: one small
matrix per axis, cached. That is better than a filter with scaled parameters, whose kernel would be far narrower than a
pixel and change nothing, where in truth each pixel of the small picture takes a little of its neighbours.

Only averages are known, so what depends on single native pixels is taken as if the picture were flat under each
small pixel: the curve of lightness, and the clipping of noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import erf

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.distort.axes import (
    Floats,
    Planes,
    Taps,
    enlarging_taps,
    gaussian_taps,
    rounded,
    shrinking_taps,
)
from w2svqa.distort.lightness import change_lightness
from w2svqa.distort.spatial import cells_of, changes_nothing
from w2svqa.distort.temporal import Shake, draw_shakes, stuttering
from w2svqa.video.colour import HD_LINES

Pictures = NDArray[np.uint8]

_LUMA_709 = (0.2126, 0.7152, 0.0722)
_LUMA_601 = (0.299, 0.587, 0.114)
_FINE = 256  # length of the grid on which small pictures are shifted, at least twice theirs
_FINEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """Where small pictures come from.

    Attributes:
        size: native height and width.
        kind: name of the simulator, which labels its random numbers.
        seed: fixes the random parts.
        start: index of the first picture in its video.
    """

    size: tuple[int, int]
    kind: str
    seed: int
    start: int

    def random(self, number: int) -> np.random.Generator:
        """Return the generator that distorts the native frame under picture ``number``."""
        return generator(self.seed, self.kind, self.start + number)


def reduced_resizing(pictures: Pictures, factor: float, reduction: Reduction) -> Pictures:
    """Scale down and back up; see :func:`w2svqa.distort.spatial.resizing`.

    Args:
        pictures: uint8 ``(T, h, w)`` luma or ``(T, h, w, 3)`` RGB, averaged down.
        factor: how many times smaller than native.
        reduction: native size of the frames they come from.

    Returns:
        uint8 of the same shape.
    """
    rows, columns = (
        _resizing_matrix(native, small, factor)
        for native, small in zip(reduction.size, pictures.shape[1:3], strict=True)
    )
    return _filtered(pictures, rows, columns)


def reduced_blur(pictures: Pictures, sigma: float, reduction: Reduction) -> Pictures:
    """Blur; see :func:`w2svqa.distort.spatial.blur`.

    Args:
        pictures: uint8 ``(T, h, w)`` luma or ``(T, h, w, 3)`` RGB, averaged down.
        sigma: standard deviation in native pixels.
        reduction: native size of the frames they come from.

    Returns:
        uint8 of the same shape.
    """
    if changes_nothing(sigma):
        return pictures.copy()
    rows, columns = (
        _blur_matrix(native, small, sigma) for native, small in zip(reduction.size, pictures.shape[1:3], strict=True)
    )
    return _filtered(pictures, rows, columns)


def reduced_noise(pictures: Pictures, variance: float, reduction: Reduction) -> Pictures:
    """Add noise of the variance that is left after averaging; see :func:`w2svqa.distort.spatial.noise`.

    The grain is not that of the native frame, only as strong. Clipped noise has a mean: black grows lighter. Luma has
    the noise of three channels, weighted (BT.709 from 720 lines on, BT.601 below).

    Args:
        pictures: uint8 ``(T, h, w)`` luma or ``(T, h, w, 3)`` RGB, averaged down.
        variance: of a native pixel, on values in 0-1.
        reduction: native size and random numbers of the frames they come from.

    Returns:
        uint8 of the same shape.
    """
    share = 1.0
    for native, small in zip(reduction.size, pictures.shape[1:3], strict=True):
        share *= max(1.0, native / small)
    weights = (1.0,) if pictures.ndim == 4 else _LUMA_709 if reduction.size[0] >= HD_LINES else _LUMA_601
    mean, deviation = _clipped_noise(255 * variance**0.5)
    deviation = deviation * np.float32((sum(weight**2 for weight in weights) / share) ** 0.5)
    result = np.empty_like(pictures)
    for number, picture in enumerate(pictures):
        grain = reduction.random(number).standard_normal(picture.shape, dtype=np.float32)
        grain *= deviation[picture]
        grain += mean[picture]
        result[number] = rounded(grain)
    return result


def reduced_darkening(pictures: Pictures, amount: float, reduction: Reduction) -> Pictures:
    """Darken each pixel; see :func:`w2svqa.distort.spatial.darkening`. Luma counts as grey.

    Args:
        pictures: uint8 ``(T, h, w)`` luma or ``(T, h, w, 3)`` RGB, averaged down.
        amount: the paper's p.
        reduction: native size of the frames they come from.

    Returns:
        uint8 of the same shape.
    """
    del reduction
    return _relit(pictures, -amount)


def reduced_brightening(pictures: Pictures, amount: float, reduction: Reduction) -> Pictures:
    """Brighten each pixel; see :func:`w2svqa.distort.spatial.brightening`. Luma counts as grey.

    Args:
        pictures: uint8 ``(T, h, w)`` luma or ``(T, h, w, 3)`` RGB, averaged down.
        amount: the paper's p.
        reduction: native size of the frames they come from.

    Returns:
        uint8 of the same shape.
    """
    del reduction
    return _relit(pictures, amount)


def reduced_jitter(pictures: Pictures, amount: float, reduction: Reduction) -> Pictures:
    """Shift and crop each picture as its native frame; see :func:`w2svqa.distort.temporal.jitter`.

    Args:
        pictures: uint8 ``(T, h, w)`` luma or ``(T, h, w, 3)`` RGB, averaged down.
        amount: largest shift, as a share of the shorter native side.
        reduction: native size and random numbers of the frames they come from.

    Returns:
        uint8 of the same shape.
    """
    result = np.empty_like(pictures)
    for number, picture in enumerate(pictures):
        shakes = draw_shakes(amount, reduction.size, reduction.random(number))
        rows, columns = (_shake_matrix(shake, side) for shake, side in zip(shakes, picture.shape[:2], strict=True))
        result[number] = _filtered(picture[None], rows, columns)[0]
    return result


def reduced_stuttering(pictures: Pictures, probability: float, reduction: Reduction) -> Pictures:
    """Repeat pictures; see :func:`w2svqa.distort.temporal.stuttering`. Before the first one nothing is known.

    Args:
        pictures: uint8 ``(T, h, w)`` luma or ``(T, h, w, 3)`` RGB, averaged down.
        probability: with which a picture is replaced by the one before it.
        reduction: native size and random numbers of the frames they come from.

    Returns:
        uint8 of the same shape.
    """
    replaced = stuttering(probability, len(pictures), reduction.seed, reduction.start)
    return pictures[last_shown(replaced)]


def last_shown(replaced: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each frame which one is on display, if those marked are replaced by what was there before.

    Example:
        >>> last_shown(np.array([True, False, True, True, False])).tolist()
        [0, 1, 1, 1, 4]
    """
    own = np.where(replaced, 0, np.arange(len(replaced), dtype=np.int64))
    return np.maximum.accumulate(own)


def _relit(pictures: Pictures, change: float) -> Pictures:
    if pictures.ndim == 4:
        return change_lightness(pictures, change)
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return change_lightness(greys, change)[:, 1][pictures]


def _filtered(pictures: Pictures, rows: NDArray[np.float32], columns: NDArray[np.float32]) -> Pictures:
    """Apply a matrix to the rows and one to the columns of ``(T, h, w)`` or ``(T, h, w, 3)``."""
    is_rgb = pictures.ndim == 4
    planes = (np.moveaxis(pictures, 3, 1) if is_rgb else pictures).astype(np.float32)
    filtered: Planes = np.matmul(rows @ planes, columns.T)
    result = rounded(filtered)
    return np.ascontiguousarray(np.moveaxis(result, 1, 3)) if is_rgb else result


@lru_cache(maxsize=256)
def _resizing_matrix(native: int, small: int, factor: float) -> NDArray[np.float32]:
    cells, length = cells_of(native, factor), max(native, small)
    return _seen_small([shrinking_taps(length, cells), enlarging_taps(cells, length)], length, small)


@lru_cache(maxsize=256)
def _blur_matrix(native: int, small: int, sigma: float) -> NDArray[np.float32]:
    length = max(native, small)
    return _seen_small([gaussian_taps(length, sigma * length / native)], length, small)


def _shake_matrix(shake: Shake, small: int) -> NDArray[np.float32]:
    fine = small * min(_FINEST, max(2, _FINE // small))
    return _seen_small([shake.taps(fine)], fine, small)


def _seen_small(filters: Sequence[Taps], length: int, small: int) -> NDArray[np.float32]:
    """Return float32 ``(small, small)``: what filters on ``length`` pixels do to their averages over ``small``."""
    spread = _spread(length, small)
    for taps in filters:
        spread = taps.apply(spread)
    return np.asarray(_averaging(length, small) @ spread, dtype=np.float32)


@lru_cache(maxsize=16)
def _averaging(length: int, small: int) -> Floats:
    """Return float64 ``(small, length)``: the mean under each small pixel."""
    return shrinking_taps(length, small).matrix(length)


@lru_cache(maxsize=16)
def _spread(length: int, small: int) -> Floats:
    """Return float64 ``(length, small)``: cubic interpolation, corrected so that averaging it gives back the input."""
    if length == small:
        return np.eye(length)
    smooth = enlarging_taps(small, length).apply(np.eye(small))
    return np.asarray(smooth @ np.linalg.inv(_averaging(length, small) @ smooth), dtype=np.float64)


@lru_cache(maxsize=32)
def _clipped_noise(deviation: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation, float32 ``(256,)`` each, of each grey level plus noise, clipped to 0-255."""
    means, deviations = zip(*(_clipped_moments(float(grey), deviation) for grey in range(256)), strict=True)
    return np.array(means, dtype=np.float32), np.array(deviations, dtype=np.float32)


def _clipped_moments(grey: float, deviation: float) -> tuple[float, float]:
    """Mean and standard deviation of a normal variable clipped to 0-255 (its excess over a bound, by integration)."""
    low, high = -grey / deviation, (255 - grey) / deviation
    below, above = (1 + erf(low / 2**0.5)) / 2, (1 - erf(high / 2**0.5)) / 2
    at_low, at_high = (float(np.exp(-(bound**2) / 2) / (2 * np.pi) ** 0.5) for bound in (low, high))
    mean = low * below + high * above + at_low - at_high
    square = low**2 * below + high**2 * above + (1 - below - above) + low * at_low - high * at_high
    return grey + deviation * mean, deviation * max(0.0, square - mean**2) ** 0.5
