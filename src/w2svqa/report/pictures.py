"""Small pictures of videos, and clips that any browser plays, to be put into a page as ``data:`` addresses."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import MediaError, StrPath
from w2svqa.core.records import ClipSpec
from w2svqa.video.decode import VideoClip, open_clip
from w2svqa.video.encode import write_video
from w2svqa.video.image import jpeg_bytes
from w2svqa.video.resize import resize_rgb

SIDE: Final = 288
"""Longest side of a thumbnail in pixels: 11 rem of the page, at screens of somewhat more than one pixel per unit."""

CLIP_SIDE: Final = 640
"""Longest side of a playable clip in pixels: two of them side by side on a usual screen."""

_RATE: Final = 25.0  # where the container does not say
_MOST_RATE: Final = 60.0


def thumbnail(path: StrPath, *, side: int = SIDE) -> str:
    """Return a key frame as a small JPEG, a ``data:`` address.

    It is that of the second second, for many videos begin in black; of shorter ones that of the first. No more than
    these two seconds are decoded.

    Args:
        path: a video or still image.
        side: longest side in pixels; smaller pictures keep their size.

    Raises:
        InputError: it cannot be read.
    """
    with open_clip(path) as clip:
        *_, chunk = islice(clip.chunks(), 2)
    height, width = chunk.key_frame.shape[:2]
    return _address("image/jpeg", jpeg_bytes(resize_rgb(chunk.key_frame, _within(height, width, side))))


def playable(path: StrPath, *, seconds: int = 5, side: int = CLIP_SIDE) -> str:
    """Return the beginning of a video as H.264 in MP4, a ``data:`` address, of whatever coding the video is.

    It is coded anew, nearly without loss (constant rate factor 16). A video that is larger than ``side`` is shown
    smaller, which hides faint distortions: set ``side`` to its size where these are the point.

    Args:
        path: a video.
        seconds: how much of it.
        side: longest side in pixels; smaller videos keep their size.

    Raises:
        InputError: it cannot be read, or is a still image.
        StoreError: the disk for temporary files is full.
    """
    with open_clip(path) as clip:
        info = clip.info
    if info.is_still:
        raise MediaError("is a still image", path=path, remedy="show it as a picture")
    # a steady rate: players of a page know no other, and beyond the screen's there is nothing to see
    rate = Fraction(min(info.fps or _RATE, _MOST_RATE)).limit_denominator(1001)
    size = _within(info.height, info.width, side)
    spec = ClipSpec(motion_size=size, motion_rate=float(rate), motion_format="rgb")
    with tempfile.TemporaryDirectory() as folder, open_clip(path, spec) as clip:
        target = Path(folder) / "clip.mp4"
        options = {"crf": "16", "preset": "veryfast", "movflags": "+faststart", "threads": "1"}
        write_video(target, _frames(clip, seconds), fps=rate, options=options)
        return _address("video/mp4", target.read_bytes())


def _frames(clip: VideoClip, seconds: int) -> Iterator[NDArray[np.uint8]]:
    for chunk in islice(clip.chunks(), seconds):
        yield from chunk.motion


def _within(height: int, width: int, side: int) -> tuple[int, int]:
    """Return a size of the same shape with no side above ``side``."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
