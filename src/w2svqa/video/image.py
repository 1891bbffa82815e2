"""Writing a single picture."""

from __future__ import annotations

from fractions import Fraction

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
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"a picture must be uint8 (height, width, 3), not {picture.dtype} {picture.shape}")
    encoder = VideoCodecContext.create("png", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    with atomic_write(path) as file:
        for packet in packets:
            file.write(bytes(packet))
