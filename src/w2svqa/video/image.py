"""Coding a single picture: PNG files, JPEG bytes."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from w2svqa.core.errors import StrPath
from w2svqa.core.files import atomic_write


def write_image(path: StrPath, picture: NDArray[np.uint8]) -> None:
    """Write one RGB picture as PNG, whole or not at all; an existing file is replaced.

    Args:
        path: where to write; should end in ``.png``.
        picture: uint8 ``(height, width, 3)``, RGB 0-255.

    Raises:
        ValueError: the picture has another shape or type.
        StoreError: the file cannot be written.
    """
    data = _encoded(picture, "png", "rgb24", {})
    with atomic_write(path) as file:
        file.write(data)


def jpeg_bytes(picture: NDArray[np.uint8], *, scale: int = 4) -> bytes:
    r"""Return one RGB picture as JPEG, 4:2:0; the same picture gives the same bytes.

    Args:
        picture: uint8 ``(height, width, 3)``, RGB 0-255.
        scale: the quantiser's, 2 (finest) to 31 (coarsest).

    Raises:
        ValueError: the picture has another shape or type.

    Example:
        >>> jpeg_bytes(np.zeros((8, 8, 3), np.uint8))[:3]
        b'\xff\xd8\xff'
    """
    # one thread: with more, the encoder cuts the picture into as many slices
    return _encoded(picture, "mjpeg", "yuvj420p", {"qmin": str(scale), "qmax": str(scale), "threads": "1"})


def _encoded(picture: NDArray[np.uint8], codec: str, pixel_format: str, options: dict[str, str]) -> bytes:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"a picture must be uint8 (height, width, 3), not {picture.dtype} {picture.shape}")
    encoder = cast("VideoCodecContext", VideoCodecContext.create(codec, "w"))
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = pixel_format, Fraction(1)
    encoder.options = options
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
