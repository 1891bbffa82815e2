"""Natural scene statistics: locally normalised luma, and the generalised Gaussians that describe it.

Both :mod:`~w2svqa.teachers.niqe` and :mod:`~w2svqa.teachers.brisque` stand on it; where they differ (border, how the
widths are told), the caller says.

Source: A. Mittal, A. K. Moorthy, A. C. Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP
21(12), 2012, section III (doi 10.1109/TIP.2012.2214050).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require

Picture = NDArray[np.float32]

WINDOW = 7
WINDOW_SIGMA = 7 / 6
"""Window of the local mean and deviation: 7x7 taps, Gaussian (TIP 2012, eq. 2-3: three deviations to each side)."""

# MSCN = (I - mean) / (deviation + 1) for luma 0-255 (TIP 2012, eq. 1).
_STABILISER = 1.0
# A pixel of 8-bit luma that differs from its window at all does so by 1.6e-4 or more (the window's least weight);
# below that it is rounding. In flat areas the sign of rounding would count as texture, so it is set to zero.
_ROUNDING = 1e-4

# The mean square less the squared mean is the difference of large numbers: around the middle of the range they are
# smaller, and float32 keeps the deviation to 0.05 even where there is none.
_MIDDLE = 128.0
_MARGIN = WINDOW // 2

# Shapes tried by the moment matching, as in the authors' release: 0.2 to 10 in steps of 0.001.
_SHAPES = np.arange(200, 10_001) / 1000

# Horizontal, vertical and the two diagonal neighbours, as circular shifts of rows and columns (TIP 2012, eq. 7-10).
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def mscn(luma: NDArray[np.uint8] | Picture, border: Literal["replicate", "zero"]) -> Picture:
    """Return the mean-subtracted contrast-normalised coefficients of a picture.

    Args:
        luma: ``(height, width)``, 0-255.
        border: what lies outside: the outermost pixels again (NIQE), or zeros (BRISQUE).

    Returns:
        float32 ``(height, width)``, mostly within -3 to 3; exactly 0 where the picture is flat.

    Source: TIP 2012, eq. 1-3; the borders are those of the authors' two releases.
    """
    cv2 = require("cv2", extra="train")
    picture = np.subtract(luma, _MIDDLE, dtype=np.float32)
    if border == "replicate":
        padded = cv2.copyMakeBorder(picture, *[_MARGIN] * 4, cv2.BORDER_REPLICATE)
    else:
        padded = cv2.copyMakeBorder(picture, *[_MARGIN] * 4, cv2.BORDER_CONSTANT, value=-_MIDDLE)
    mean, square = _windowed(padded), _windowed(padded * padded)
    square -= mean * mean
    difference: Picture = np.subtract(picture, mean, out=picture)
    difference *= np.abs(difference) >= _ROUNDING
    deviation = np.sqrt(np.abs(square, out=square), out=square)
    deviation += _STABILISER
    difference /= deviation
    return difference


def _windowed(padded: Picture) -> Picture:
    """Return the Gaussian mean around each pixel, for a picture with a margin that is cut off again."""
    cv2 = require("cv2", extra="train")
    mean: Picture = cv2.GaussianBlur(padded, (WINDOW, WINDOW), WINDOW_SIGMA)
    return mean[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def half_size(luma: NDArray[np.uint8] | Picture) -> Picture:
    """Return a picture at half its size (odd sizes rounded up), by the cubic kernel stretched to twice its width.

    The arithmetic of MATLAB's ``imresize(luma, 0.5)``: eight taps per axis, mirrored border.

    Returns:
        float32 ``(ceil(height / 2), ceil(width / 2))``; not clipped, so slightly beyond 0-255 at hard edges.

    Source: R. Keys, "Cubic Convolution Interpolation", IEEE TASSP 29(6), 1981, eq. 15 (a = -1/2).

    Example:
        >>> half_size(np.full((6, 7), 50, np.uint8)).shape
        (3, 4)
    """
    cv2 = require("cv2", extra="train")
    distances = np.abs(np.arange(-3.5, 4) / 2)
    near = 1.5 * distances**3 - 2.5 * distances**2 + 1
    far = -0.5 * distances**3 + 2.5 * distances**2 - 4 * distances + 2
    taps = np.where(distances <= 1, near, far)
    taps /= taps.sum()
    picture = np.asarray(luma, np.float32)
    # Every second row is dropped before the other axis, which then has half the work.
    tall = cv2.sepFilter2D(picture, -1, np.ones(1), taps, anchor=(0, 3), borderType=cv2.BORDER_REFLECT)[::2]
    wide = cv2.sepFilter2D(tall, -1, taps, np.ones(1), anchor=(3, 0), borderType=cv2.BORDER_REFLECT)
    result: Picture = np.ascontiguousarray(wide[:, ::2])
    return result


def neighbour_products(blocks: Picture, shift: tuple[int, int]) -> Picture:
    """Return each coefficient times its neighbour, which at the border is the one on the other side of the block.

    Args:
        blocks: ``(..., height, width)``.
        shift: rows and columns, one of :data:`NEIGHBOURS`.
    """
    return blocks * np.roll(blocks, shift, axis=(-2, -1))


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over samples, kept apart by sign; arrays of one shape, float64.

    Attributes:
        below: how many are negative.
        above: how many are positive.
        size: how many there are in all.
        absolute: sum of absolute values.
        square_below: sum of squares of the negative ones.
        square_above: sum of squares of the positive ones.
    """

    below: NDArray[np.float64]
    above: NDArray[np.float64]
    size: int
    absolute: NDArray[np.float64]
    square_below: NDArray[np.float64]
    square_above: NDArray[np.float64]


def moments(samples: Picture) -> Moments:
    """Return the sums over the last axis of ``(groups, samples)``."""
    absolute = np.abs(samples)
    square = np.einsum("ij,ij->i", samples, samples).astype(np.float64)
    signed = np.einsum("ij,ij->i", samples, absolute).astype(np.float64)
    return Moments(
        below=np.count_nonzero(samples < 0, axis=1).astype(np.float64),
        above=np.count_nonzero(samples > 0, axis=1).astype(np.float64),
        size=samples.shape[1],
        absolute=absolute.sum(axis=1, dtype=np.float64),
        square_below=np.maximum(square - signed, 0) / 2,
        square_above=np.maximum(square + signed, 0) / 2,
    )


def pooled(groups: Moments) -> Moments:
    """Return the moments of all groups taken as one, arrays of shape ``(1,)``."""
    return Moments(
        below=groups.below.sum(keepdims=True),
        above=groups.above.sum(keepdims=True),
        size=groups.size * len(groups.below),
        absolute=groups.absolute.sum(keepdims=True),
        square_below=groups.square_below.sum(keepdims=True),
        square_above=groups.square_above.sum(keepdims=True),
    )


@dataclass(frozen=True, slots=True)
class Asymmetric:
    """Asymmetric generalised Gaussians; NaN where the samples do not have both signs.

    Attributes:
        shape: 0.2 to 10; 2 is Gaussian, 1 Laplacian.
        left: standard deviation of the negative samples (about 0).
        right: standard deviation of the positive samples (about 0).
    """

    shape: NDArray[np.float64]
    left: NDArray[np.float64]
    right: NDArray[np.float64]

    @property
    def width_ratio(self) -> NDArray[np.float64]:
        """Scale parameter of the density divided by the standard deviation: sqrt(G(1/a) / G(3/a))."""
        return np.sqrt(_gamma(1 / self.shape) / _gamma(3 / self.shape))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of the distribution: (right - left scale) * G(2/a) / G(1/a) (TIP 2012, eq. 15)."""
        lean = (self.right - self.left) * self.width_ratio
        return lean * _gamma(2 / self.shape) / _gamma(1 / self.shape)


def fit_asymmetric(of: Moments) -> Asymmetric:
    """Return the asymmetric generalised Gaussian with these moments, by matching them on a table of shapes.

    Source: N.-E. Lasmar, Y. Stitou, Y. Berthoumieu, "Multiscale Skewed Heavy Tailed Model for Texture Analysis", ICIP
    2009, section 3, with the table of the authors of BRISQUE.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt(of.square_below / of.below)
        right = np.sqrt(of.square_above / of.above)
        lean = left / right
        ratio = np.square(of.absolute / of.size) * of.size / (of.square_below + of.square_above)
        ratio *= (lean**3 + 1) * (lean + 1) / np.square(lean**2 + 1)
    two_sided = (of.below > 0) & (of.above > 0)
    left, right, ratio = (np.where(two_sided, each, np.nan) for each in (left, right, ratio))
    return Asymmetric(shape=_nearest_shape(ratio), left=left, right=right)


def fit_symmetric(of: Moments) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shape (0.2 to 10) and variance of the generalised Gaussian with these moments; NaN where all are zero.

    Source: K. Sharifi, A. Leon-Garcia, "Estimation of Shape Parameter for Generalized Gaussian Distributions", IEEE
    TCSVT 5(1), 1995, with the table of the authors of BRISQUE.
    """
    variance = (of.square_below + of.square_above) / of.size
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.square(of.absolute / of.size) / variance
    return _nearest_shape(ratio), variance


@cache
def _ratios() -> NDArray[np.float64]:
    """Return G(2/a)^2 / (G(1/a) G(3/a)) of each shape: E|x|^2 / E x^2, which rises with the shape."""
    return np.square(_gamma(2 / _SHAPES)) / (_gamma(1 / _SHAPES) * _gamma(3 / _SHAPES))


def _nearest_shape(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    table = _ratios()
    known = np.isfinite(ratio)
    value = np.where(known, ratio, table[0])
    after = np.clip(np.searchsorted(table, value), 1, len(table) - 1)
    index = after - (value - table[after - 1] <= table[after] - value)
    return np.where(known, _SHAPES[index], np.nan)


def _gamma(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # NumPy has no gamma function, and scoring does without SciPy; at most some ten thousand values.
    return np.array([math.gamma(value) if math.isfinite(value) else math.nan for value in values])
