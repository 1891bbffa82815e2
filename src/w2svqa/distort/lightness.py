"""Darkening and brightening: a tone curve on CIELAB lightness, hue and chroma (a*, b*) untouched.

Exact CIELAB between sRGB and D65, from tables. The trick that makes it cheap: with f the cube root of CIELAB,
``L* = 116 f(Y) - 16``, ``a* = 500 (f(X) - f(Y))`` and ``b* = 200 (f(Y) - f(Z))``, so a change of L* alone adds one
number, ``change / 116``, to f(X), f(Y) and f(Z).

Source: arXiv 2505.03631, appendix A.3.1, equations 17 and 18 (it gives no curve); CIELAB: CIE 15; sRGB: IEC 61966-2-1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

_STEPS = 65535  # of the tables over light; finer than a 65th of the darkest step of 8-bit sRGB
_CHUNK = 1 << 15  # pixels at a time, so that what lies between stays in the processor's cache
_JOINT: Final = 6 / 29  # where f goes from a line to a cube root
_SLOPE: Final = 3 * _JOINT**2
_PRIMARIES = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# relative to white, so that grey has a* = b* = 0
_TO_XYZ = _PRIMARIES / _PRIMARIES.sum(axis=1, keepdims=True)
_TO_STEPS = (_TO_XYZ * _STEPS).astype(np.float32)
_FROM_XYZ = (np.linalg.inv(_TO_XYZ) * _STEPS).astype(np.float32)


def lightness_curve(lightness: NDArray[np.float64], change: float) -> NDArray[np.float64]:
    """Bend lightness: the parabola through (0, 0), (1/2, 1/2 + change/2) and (1, 1), clipped to 0-1.

    Our choice; the paper only says that L' is a function of L and p. Between 0 and 1 it is strictly monotone in
    ``change`` until it meets the clip, and 0 changes nothing. The middle moves to 0.1 at p = 0.8 (darkening) and to
    white at p = 1.1 (brightening), where what was lighter than 45 is lost, and shadows keep their drawing.

    Args:
        lightness: L* / 100, any shape.
        change: -p to darken, p to brighten.

    Returns:
        float64 of the same shape, 0-1.

    Example:
        >>> lightness_curve(np.array([0.0, 0.5, 1.0]), -0.8).round(3).tolist()
        [0.0, 0.1, 1.0]
    """
    return np.clip(lightness + 2 * change * lightness * (1 - lightness), 0, 1)


def change_lightness(frame: Frame, change: float) -> Frame:
    """Apply :func:`lightness_curve` to L*; colours that leave sRGB are clipped per channel.

    Args:
        frame: uint8 ``(..., 3)``, sRGB 0-255.
        change: -p to darken, p to brighten.

    Returns:
        uint8 of the same shape.

    Example:
        >>> change_lightness(np.full((1, 1, 3), 128, np.uint8), -0.4).ravel().tolist()
        [79, 79, 79]
    """
    pixels = np.ascontiguousarray(frame).reshape(-1, 3)
    result = np.empty_like(pixels)
    for first in range(0, len(pixels), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        result[chunk] = _changed(pixels[chunk], change)
    return result.reshape(frame.shape)


def _changed(pixels: NDArray[np.uint8], change: float) -> NDArray[np.uint8]:
    light = np.take(_linear(), pixels)
    steps = (_TO_STEPS @ light.T + np.float32(0.5)).astype(np.uint16)
    roots = np.take(_roots(), steps)
    roots += np.take(_root_changes(change), steps[1])
    light = _FROM_XYZ @ _from_roots(roots)
    light += np.float32(0.5)
    np.clip(light, 0, _STEPS, out=light)
    return np.take(_codes(), light.astype(np.uint16).T)


def _from_roots(roots: NDArray[np.float32]) -> NDArray[np.float32]:
    """Invert f: the cube from the joint on, its tangent below."""
    above = np.maximum(roots, np.float32(_JOINT))
    roots -= above
    roots *= np.float32(_SLOPE)
    roots += above * above * above
    return roots


@lru_cache(maxsize=1)
def _linear() -> NDArray[np.float32]:
    """Light, 0-1, of each 8-bit code."""
    codes = np.arange(256) / 255
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4).astype(np.float32)


@lru_cache(maxsize=1)
def _codes() -> NDArray[np.uint8]:
    """The 8-bit code of each step of light."""
    light = np.arange(_STEPS + 1) / _STEPS
    codes = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * codes), dtype=np.uint8)


@lru_cache(maxsize=1)
def _roots() -> NDArray[np.float32]:
    """The function f of each step of light relative to white."""
    light = np.arange(_STEPS + 1) / _STEPS
    return np.where(light > _JOINT**3, np.cbrt(light), light / _SLOPE + 4 / 29).astype(np.float32)


@lru_cache(maxsize=32)
def _root_changes(change: float) -> NDArray[np.float32]:
    """What the change of L* adds to f, for each step of Y."""
    lightness = 1.16 * _roots().astype(np.float64) - 0.16
    return ((lightness_curve(lightness, change) - lightness) / 1.16).astype(np.float32)
