"""Pictures for the tests of metrics."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import strategies
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Frame = NDArray[np.uint8]

SEEDS = strategies.integers(0, 2**32 - 1)
SIZES = strategies.tuples(strategies.integers(9, 90), strategies.integers(9, 90))


def texture(height: int, width: int, seed: int = 0, spread: float = 35.0) -> Grey:
    """A grey picture with detail of every size, its power falling with frequency as in photographs."""
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    plane = np.fft.irfft2(np.fft.rfft2(generator.normal(size=(height, width))) / frequency, (height, width))
    return rounded(128 + spread * (plane - plane.mean()) / plane.std())


def random_grey(size: tuple[int, int], seed: int) -> Grey:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def random_rgb(size: tuple[int, int], seed: int) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def rounded(picture: NDArray[np.floating]) -> Grey:
    levels: Grey = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return levels


def blurred(picture: Grey, sigma: float) -> Grey:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def coded(picture: Grey, step: float) -> Grey:
    """The picture after a cosine transform of each 8x8 block and rounding of its coefficients to multiples of step."""
    height, width = (size // 8 * 8 for size in picture.shape)
    result = picture.astype(np.float32)
    for top in range(0, height, 8):
        for left in range(0, width, 8):
            block = cv2.dct(result[top : top + 8, left : left + 8])
            result[top : top + 8, left : left + 8] = cv2.idct(np.rint(block / step) * step)
    return rounded(result)


def rgb(grey: Grey) -> Frame:
    return np.repeat(grey[..., None], 3, axis=2)
