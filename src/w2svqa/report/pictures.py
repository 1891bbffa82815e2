"""Small pictures of videos, to be put into a page as ``data:`` addresses."""

from __future__ import annotations

import base64
from itertools import islice
from typing import Final

from w2svqa.core.errors import StrPath
from w2svqa.video.decode import open_clip
from w2svqa.video.image import jpeg_bytes
from w2svqa.video.resize import resize_rgb

SIDE: Final = 288
"""Longest side of a thumbnail in pixels: 11 rem of the page, at screens of somewhat more than one pixel per unit."""


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
    picture = chunk.key_frame
    scale = min(1.0, side / max(picture.shape[:2]))
    height, width = (max(1, round(length * scale)) for length in picture.shape[:2])
    data = jpeg_bytes(resize_rgb(picture, (height, width)))
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
