"""What is known about a file without reading more than its first frame."""

from __future__ import annotations

from w2svqa.core.errors import StrPath
from w2svqa.core.records import MediaInfo
from w2svqa.video.decode import open_clip


def probe(path: StrPath) -> MediaInfo:
    """Return what the container and the first decoded frame say about a file.

    Raises:
        InputError: it cannot be read as a video or image; the subclass and the message say why.
    """
    with open_clip(path) as clip:
        return clip.info
