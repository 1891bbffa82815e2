"""Spatial simulators: each takes an RGB frame, its parameter and a generator, and returns a frame of the same shape.

Source: arXiv 2505.03631, section 4. Where the paper names no kernel or filter, the choice is stated at the function.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2svqa.video.resize import resize_rgb

Frame = NDArray[np.uint8]


def resizing(frame: Frame, factor: float, random: np.random.Generator) -> Frame:
    """Scale down by ``factor`` and back up to the first size.

    Our choice: area averaging down (no aliasing, as an encoding ladder does), bicubic up.

    Args:
        frame: uint8 ``(height, width, 3)``.
        factor: 1 or more; each side shrinks to ``round(side / factor)``, at least one pixel.
        random: unused; nothing here is random.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    del random
    height, width = frame.shape[:2]
    small = resize_rgb(frame, (max(1, round(height / factor)), max(1, round(width / factor))), method="area")
    return resize_rgb(small, (height, width), method="bicubic")


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
    radius = max(1, round(4 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    blurred = _convolve(_convolve(frame.astype(np.float32), kernel, axis=0), kernel, axis=1)
    return np.rint(blurred).astype(np.uint8)


def _convolve(image: NDArray[np.float32], kernel: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    """Correlate along one axis with a symmetric kernel; the edge pixel is not repeated (``reflect``)."""
    radius = len(kernel) // 2
    widths = [(0, 0)] * image.ndim
    widths[axis] = (radius, radius)
    # a side of one pixel has nothing to reflect
    padded = np.pad(image, widths, mode="reflect" if image.shape[axis] > 1 else "edge")
    moved = np.moveaxis(padded, axis, 0)
    length = image.shape[axis]
    total = np.zeros_like(moved[:length])
    for offset, weight in enumerate(kernel):
        if weight > 0:
            total += weight * moved[offset : offset + length]
    return np.moveaxis(total, 0, axis)


def noise(frame: Frame, variance: float, random: np.random.Generator) -> Frame:
    """Add white Gaussian noise, independent for each pixel and channel.

    Args:
        frame: uint8 ``(height, width, 3)``.
        variance: of the noise, on pixel values scaled to 0-1.
        random: draws the noise.

    Returns:
        uint8 ``(height, width, 3)``, rounded and clipped to 0-255.
    """
    grain = random.standard_normal(frame.shape, dtype=np.float32) * np.float32(255 * variance**0.5)
    return np.clip(np.rint(frame + grain), 0, 255).astype(np.uint8)
