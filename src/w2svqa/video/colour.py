"""From the colours of a decoded frame to 8-bit RGB: matrix, range, alpha, and HDR by way of `tonemap`.

Where a stream does not name its matrix, BT.709 is taken for pictures of 720 stored lines and more, else BT.601, as
players do. A range that is not named is limited (16-235) for YUV and full (0-255) for the ``yuvj`` formats, grey and
RGB, as in FFmpeg. Alpha is composited over black. SDR keeps its primaries and its gamma as coded.

swscale does the arithmetic. A key frame that keeps its size is converted by its fast path, which is within 2 of 255 of
the exact matrix on flat colours and does not interpolate subsampled chroma.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from w2svqa.video.tonemap import to_sdr

Transfer = Literal["sdr", "pq", "hlg"]

HD_LINES = 720
"""From this height on an unnamed matrix is BT.709."""

# AVColorSpace numbers (ITU-T H.273, MatrixCoefficients) to swscale's.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_TRANSFERS: dict[int, Transfer] = {int(ColorTrc.SMPTE2084): "pq", int(ColorTrc.ARIB_STD_B67): "hlg"}
_KEY_FRAME_SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
_SAME_SIZE_SCALING = Interpolation.BILINEAR


def transfer_of(frame: VideoFrame) -> Transfer:
    """Return the kind of transfer function that ``frame`` is tagged with."""
    return _TRANSFERS.get(int(frame.color_trc), "sdr")


def matrix_of(frame: VideoFrame) -> Colorspace:
    """Return the matrix that takes the YUV of ``frame`` to RGB, guessed from its height where it is not named."""
    default = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
    return _MATRICES.get(int(frame.colorspace), default)


def range_of(frame: VideoFrame) -> ColorRange:
    """Return whether the YUV of ``frame`` is full or limited range."""
    name = frame.format.name
    if name.startswith("yuvj") or frame.format.is_rgb or frame.format.has_palette:
        return ColorRange.JPEG
    if int(frame.color_range) in (ColorRange.MPEG, ColorRange.JPEG):
        return ColorRange(int(frame.color_range))
    return ColorRange.JPEG if name.startswith(("gray", "ya", "mono")) else ColorRange.MPEG


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether ``frame`` has transparent parts, possibly."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


class FrameConverter:
    """Converts frames to RGB or grey at any size. Keeps swscale's tables from call to call: one per use.

    Args:
        scaling: how to resample.
        threads: how many threads swscale may use.
    """

    def __init__(self, scaling: Interpolation = _KEY_FRAME_SCALING, threads: int = 1) -> None:
        self._reformatter = VideoReformatter()
        self._scaling = scaling
        self._threads = threads

    def convert(self, frame: VideoFrame, pixel_format: str, width: int, height: int) -> VideoFrame:
        """Return ``frame`` as full-range ``pixel_format`` (``rgb24``, ``gray``, ...) of ``width`` x ``height``."""
        return self._convert(frame, pixel_format, width, height, matrix_of(frame))

    def _convert(self, frame: VideoFrame, pixel_format: str, width: int, height: int, matrix: Colorspace) -> VideoFrame:
        same_size = (width, height) == (frame.width, frame.height)
        return self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=pixel_format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=range_of(frame),
            dst_color_range=ColorRange.JPEG,
            interpolation=_SAME_SIZE_SCALING if same_size else self._scaling,
            threads=self._threads,
        )

    def luma(self, frame: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
        """Return the luma of ``frame`` as coded, stretched to full range, as uint8 ``(height, width)``.

        Luma of RGB frames is that of BT.601.
        """
        # To swscale grey is always BT.601 luma; with any other matrix it would convert by way of RGB.
        return _pixels(self._convert(frame, "gray", width, height, Colorspace.ITU601))

    def rgb(self, frame: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
        """Return ``frame`` as uint8 ``(height, width, 3)`` RGB 0-255, SDR, alpha over black."""
        transfer = transfer_of(frame)
        if transfer != "sdr":
            deep = self.convert(frame, "rgb48le", width, height)
            return to_sdr(deep.to_ndarray().astype(np.uint16, copy=False), transfer)
        if has_alpha(frame):
            return over_black(_pixels(self.convert(frame, "rgba", width, height)))
        return _pixels(self.convert(frame, "rgb24", width, height))


def _pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    return frame.to_ndarray().astype(np.uint8, copy=False)


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Composite ``(height, width, 4)`` with straight alpha over black, as ``(height, width, 3)``.

    Example:
        >>> over_black(np.array([[[200, 100, 50, 255], [200, 100, 50, 51]]], np.uint8)).tolist()
        [[[200, 100, 50], [40, 20, 10]]]
    """
    alpha = rgba[..., 3:]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(rgba[..., :3])
    product = rgba[..., :3].astype(np.uint16) * alpha
    return ((product + 127) // 255).astype(np.uint8)
