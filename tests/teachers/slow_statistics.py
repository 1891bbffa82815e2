"""The equations of natural scene statistics, written down directly in float64: slow, for comparison."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

Values = NDArray[np.float64]
Border = Literal["replicate", "zero"]

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def slow_mscn(luma: NDArray[np.uint8] | Values, border: Border) -> Values:
    """Normalise with the whole 7x7 window at every pixel."""
    offsets = np.arange(-3, 4)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * (7 / 6) ** 2))
    weights /= weights.sum()
    mode = {"replicate": "nearest", "zero": "constant"}[border]
    picture = luma.astype(np.float64)
    mean = ndimage.correlate(picture, weights, mode=mode)
    square = ndimage.correlate(picture**2, weights, mode=mode)
    result: Values = (picture - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
    return result


def _cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0


def _half_line(line: Values) -> Values:
    count = len(line)
    result = np.zeros(math.ceil(count / 2))
    for index in range(len(result)):
        centre = 2 * index + 0.5
        places = [place for place in range(2 * index - 4, 2 * index + 6) if abs(place - centre) < 4]
        weights = [_cubic((place - centre) / 2) for place in places]
        mirrored = [-1 - place if place < 0 else min(place, 2 * count - 1 - place) for place in places]
        result[index] = sum(w * line[m] for w, m in zip(weights, mirrored, strict=True)) / sum(weights)
    return result


def slow_half(luma: NDArray[np.uint8]) -> Values:
    """Halve as MATLAB's imresize does: each output weighs its inputs by the cubic kernel of twice the width."""
    result: Values = np.apply_along_axis(_half_line, 1, np.apply_along_axis(_half_line, 0, luma.astype(np.float64)))
    return result


def slow_asymmetric(samples: Values) -> tuple[float, float, float]:
    """Return shape and left and right standard deviation by trying every shape."""
    left = math.sqrt(np.mean(samples[samples < 0] ** 2))
    right = math.sqrt(np.mean(samples[samples > 0] ** 2))
    lean = left / right
    ratio = np.mean(np.abs(samples)) ** 2 / np.mean(samples**2)
    ratio *= (lean**3 + 1) * (lean + 1) / (lean**2 + 1) ** 2
    shapes = np.arange(0.2, 10.0005, 0.001)
    table = special.gamma(2 / shapes) ** 2 / (special.gamma(1 / shapes) * special.gamma(3 / shapes))
    return float(shapes[np.argmin(np.abs(table - ratio))]), left, right


def _scale(shape: float) -> float:
    return math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))


def slow_niqe_features(luma: NDArray[np.uint8], patch: int = 96) -> Values:
    """Return the 36 features of each whole patch, one patch after the other."""
    height, width = (size // patch * patch for size in luma.shape)
    cropped = luma[:height, :width]
    tables = []
    for picture, size in ((cropped, patch), (slow_half(cropped), patch // 2)):
        normalised = slow_mscn(picture, "replicate")
        corners = [(row, column) for row in range(0, height, patch) for column in range(0, width, patch)]
        scale = patch // size
        blocks = [normalised[r // scale : r // scale + size, c // scale : c // scale + size] for r, c in corners]
        tables.append([_niqe_block(block) for block in blocks])
    return np.concatenate([np.array(table) for table in tables], axis=1)


def _niqe_block(block: Values) -> list[float]:
    shape, left, right = slow_asymmetric(block)
    values = [shape, (left + right) / 2 * _scale(shape)]
    for shift in NEIGHBOURS:
        shape, left, right = slow_asymmetric(block * np.roll(block, shift, (0, 1)))
        left, right = left * _scale(shape), right * _scale(shape)
        values += [shape, (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape), left, right]
    return values


def slow_brisque_features(luma: NDArray[np.uint8]) -> Values:
    """Return the 36 features of a picture."""
    values = []
    for picture in (luma, slow_half(luma)):
        normalised = slow_mscn(picture, "zero")
        shapes = np.arange(0.2, 10.0005, 0.001)
        table = special.gamma(1 / shapes) * special.gamma(3 / shapes) / special.gamma(2 / shapes) ** 2
        variance = np.mean(normalised**2)
        wanted = variance / np.mean(np.abs(normalised)) ** 2
        values += [float(shapes[np.argmin(np.abs(table - wanted))]), float(variance)]
        for shift in NEIGHBOURS:
            shape, left, right = slow_asymmetric(normalised * np.roll(normalised, shift, (0, 1)))
            mean = (right - left) * _scale(shape) * math.gamma(2 / shape) / math.gamma(1 / shape)
            values += [shape, mean, left**2, right**2]
    return np.array(values)
