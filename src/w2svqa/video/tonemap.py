"""HDR to SDR: PQ and HLG pictures in BT.2020 colours to what an SDR screen would show.

PQ code values are absolute luminance (SMPTE ST 2084). HLG code values are scene light, taken to a display of 1000 cd/m2
by the OOTF of BT.2100 with a system gamma of 1.2. From there both go the same way: the EETF of BT.2390 per colour
channel takes 0-1000 cd/m2 to 0-203 cd/m2 (203 is the HDR reference white of BT.2408), BT.2020 primaries go to BT.709
by the matrix of BT.2087, what is outside that gamut is clipped, and 0-203 cd/m2 becomes 0-255 by the inverse of the
BT.1886 power of 2.4.

We depart from BT.2390 in taking 1000 cd/m2 as the mastering peak of every file (brighter is clipped to it): metadata on
that are often missing or wrong, and the same picture must not change with them.

Source: ITU-R BT.2100-2 tables 4 and 5; ITU-R BT.2390-10 section 5.4.1; ITU-R BT.2408-5; ITU-R BT.2087-0.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

PEAK_NITS = 1000.0
"""cd/m2: the brightest that a file is taken to hold, and the nominal HLG display."""

WHITE_NITS = 203.0
"""cd/m2 that become SDR white."""

METHODS = {
    "pq": "HDR (PQ) tone-mapped to SDR: BT.2390 EETF, 1000 to 203 cd/m2, BT.709 gamut",
    "hlg": "HDR (HLG) tone-mapped to SDR: BT.2100 OOTF, BT.2390 EETF, 1000 to 203 cd/m2, BT.709 gamut",
}
"""The note for each transfer function."""

_CODES = 65536
_HLG_GAMMA = 1.2
_SDR_POWER = 2.4
_HLG_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
# SMPTE ST 2084
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# Rows converted at a time: bounds the float copies of a large picture.
_ROWS = 256


def pq_to_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return cd/m2 (0-10000) of PQ signals 0-1.

    Example:
        >>> np.round(pq_to_nits(np.array([0.0, 0.5081, 1.0])), 0).tolist()
        [0.0, 100.0, 10000.0]
    """
    power = np.power(np.clip(signal, 0, 1), 1 / _M2)
    return 10_000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def nits_to_pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return PQ signals 0-1 of cd/m2; the inverse of :func:`pq_to_nits`."""
    power = np.power(np.clip(nits, 0, 10_000) / 10_000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_to_scene(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scene light 0-1 of HLG signals 0-1 (inverse OETF).

    Example:
        >>> np.round(hlg_to_scene(np.array([0.0, 0.5, 1.0])), 4).tolist()
        [0.0, 0.0833, 1.0]
    """
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    signal = np.clip(signal, 0, 1)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def compress(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light 0-1 (1 is SDR white) of display light in cd/m2: the EETF of BT.2390.

    Monotone; unchanged in the shadows and middle tones, rolled off above a knee at about 90 cd/m2.

    Example:
        >>> np.round(compress(np.array([0.0, 20.3, 203.0, 1000.0])), 3).tolist()
        [0.0, 0.1, 0.783, 1.0]
    """
    peak = nits_to_pq(np.array(PEAK_NITS))
    level = np.minimum(nits_to_pq(nits) / peak, 1)
    top = nits_to_pq(np.array(WHITE_NITS)) / peak
    knee = 1.5 * top - 0.5
    t = (level - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * top
    return np.minimum(pq_to_nits(np.where(level < knee, level, spline) * peak) / WHITE_NITS, 1)


def to_sdr(picture: NDArray[np.uint16], transfer: str) -> NDArray[np.uint8]:
    """Return an HDR picture as SDR.

    Args:
        picture: uint16 ``(height, width, 3)``, RGB as coded (BT.2020 primaries), 0-65535.
        transfer: ``"pq"`` or ``"hlg"``.

    Returns:
        uint8 ``(height, width, 3)``, RGB 0-255, BT.709 primaries.
    """
    result = np.empty(picture.shape, np.uint8)
    for top in range(0, picture.shape[0], _ROWS):
        rows = picture[top : top + _ROWS]
        light = _pq_light()[rows] if transfer == "pq" else _hlg_light(rows)
        result[top : top + _ROWS] = _sdr_codes()[_fourth_root_codes(light @ _BT2020_TO_BT709.T)]
    return result


def _hlg_light(rows: NDArray[np.uint16]) -> NDArray[np.float32]:
    scene = _hlg_scene()[rows]
    luminance = scene @ _HLG_LUMINANCE
    display = scene * np.power(luminance, np.float32(_HLG_GAMMA - 1))[..., None]
    light: NDArray[np.float32] = _compressed_light()[_fourth_root_codes(display)]
    return light


def _fourth_root_codes(light: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Index 0-65535 of light 0-1 in tables whose steps are even to the eye, where a power would cost too much."""
    root = np.sqrt(np.sqrt(np.clip(light, 0, 1)))
    return (root * np.float32(_CODES - 1) + np.float32(0.5)).astype(np.uint16)


@functools.cache
def _pq_light() -> NDArray[np.float32]:
    return compress(pq_to_nits(_signals())).astype(np.float32)


@functools.cache
def _hlg_scene() -> NDArray[np.float32]:
    return hlg_to_scene(_signals()).astype(np.float32)


@functools.cache
def _compressed_light() -> NDArray[np.float32]:
    return compress(_signals() ** 4 * PEAK_NITS).astype(np.float32)


@functools.cache
def _sdr_codes() -> NDArray[np.uint8]:
    return np.round(255 * _signals() ** (4 / _SDR_POWER)).astype(np.uint8)


def _signals() -> NDArray[np.float64]:
    return np.arange(_CODES, dtype=np.float64) / (_CODES - 1)
