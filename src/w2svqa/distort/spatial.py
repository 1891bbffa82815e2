"""Spatial simulators: each takes an RGB frame, its parameter and a generator, and returns a frame of the same shape.

Source: arXiv 2505.03631, section 4 and appendix A.3.1. Where the paper names no kernel, filter or curve, the choice is
stated at the function.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from w2svqa.distort.axes import (
    COLUMNS,
    ROWS,
    Banded,
    enlarging_taps,
    filter_frame,
    gaussian_taps,
    rounded,
    shrinking_taps,
)
from w2svqa.distort.lightness import change_lightness

Frame = NDArray[np.uint8]


def resizing(frame: Frame, factor: float, random: np.random.Generator) -> Frame:
    """Scale down by ``factor`` and back up to the first size.

    Our choice: exact area averaging down (no aliasing, as an encoding ladder does), cubic interpolation up (Keys,
    a = -1/2), on the gamma-coded values, without rounding between the two.

    Args:
        frame: uint8 ``(height, width, 3)``.
        factor: 1 or more; each side shrinks to ``round(side / factor)``, at least one pixel.
        random: unused; nothing here is random.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    del random
    (down_rows, up_rows), (down_columns, up_columns) = (_there_and_back(side, factor) for side in frame.shape[:2])
    return filter_frame(frame, [(ROWS, down_rows), (COLUMNS, down_columns), (COLUMNS, up_columns), (ROWS, up_rows)])


def cells_of(side: int, factor: float) -> int:
    """Return how many pixels a side keeps when it is scaled down by ``factor``.

    Example:
        >>> cells_of(720, 16), cells_of(3, 16)
        (45, 1)
    """
    return max(1, round(side / factor))


def blur(frame: Frame, sigma: float, random: np.random.Generator) -> Frame:
    """Convolve with a Gaussian, per channel on the gamma-coded values.

    Our choice: kernel cut at four sigma, edges reflected.

    Args:
        frame: uint8 ``(height, width, 3)``.
        sigma: standard deviation in pixels; at 0.1 nothing changes in 8 bits.
        random: unused; nothing here is random.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    del random
    if changes_nothing(sigma):
        return frame.copy()
    height, width = frame.shape[:2]
    return filter_frame(frame, [(ROWS, _gaussian(height, sigma)), (COLUMNS, _gaussian(width, sigma))])


def changes_nothing(sigma: float) -> bool:
    """Return whether a blur is too weak to move any 8-bit pixel by half a step.

    Example:
        >>> changes_nothing(0.1), changes_nothing(0.5)
        (True, False)
    """
    neighbour = float(np.exp(-0.5 / sigma**2))
    # four neighbours with the weight of the nearest, and what lies beyond them by far less
    return 4 * 255 * neighbour < 0.4


def noise(frame: Frame, variance: float, random: np.random.Generator) -> Frame:
    """Add white Gaussian noise, independent for each pixel and channel.

    Args:
        frame: uint8 ``(height, width, 3)``.
        variance: of the noise, on pixel values scaled to 0-1.
        random: draws the grain; the same for every variance, so that more variance is the same grain, stronger.

    Returns:
        uint8 ``(height, width, 3)``, rounded and clipped to 0-255.
    """
    grain = random.standard_normal(frame.shape, dtype=np.float32)
    grain *= np.float32(255 * variance**0.5)
    grain += frame
    return rounded(grain)


def darkening(frame: Frame, amount: float, random: np.random.Generator) -> Frame:
    """Lower CIELAB lightness by a curve that moves its middle down by ``amount / 2``; a* and b* stay.

    Our choice of a curve: :func:`w2svqa.distort.lightness.lightness_curve`.

    Args:
        frame: uint8 ``(height, width, 3)``, sRGB.
        amount: the paper's p, 0 (nothing) to 1 (all but white is black or near it).
        random: unused; nothing here is random.

    Returns:
        uint8 ``(height, width, 3)``.

    Source: arXiv 2505.03631, equation 17.
    """
    del random
    return change_lightness(frame, -amount)


def brightening(frame: Frame, amount: float, random: np.random.Generator) -> Frame:
    """Raise CIELAB lightness by a curve that moves its middle up by ``amount / 2``; a* and b* stay.

    Our choice of a curve: :func:`w2svqa.distort.lightness.lightness_curve`.

    Args:
        frame: uint8 ``(height, width, 3)``, sRGB.
        amount: the paper's p, from 0 (nothing); at 1.1 the lighter half has the lightness of white.
        random: unused; nothing here is random.

    Returns:
        uint8 ``(height, width, 3)``.

    Source: arXiv 2505.03631, equation 18.
    """
    del random
    return change_lightness(frame, amount)


@lru_cache(maxsize=64)
def _gaussian(length: int, sigma: float) -> Banded:
    return Banded(gaussian_taps(length, sigma))


@lru_cache(maxsize=64)
def _there_and_back(length: int, factor: float) -> tuple[Banded, Banded]:
    cells = cells_of(length, factor)
    return Banded(shrinking_taps(length, cells)), Banded(enlarging_taps(cells, length))
