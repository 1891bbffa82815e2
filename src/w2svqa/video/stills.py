"""JPEG photographs: their EXIF orientation, which not every FFmpeg applies, and whether they are whole."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from w2svqa.video.orient import UPRIGHT, Orientation

HEAD_BYTES = 1 << 17
"""How much of the beginning of a file may hold the EXIF block; a JPEG segment is at most 64 KiB."""

JPEG_START = b"\xff\xd8\xff"

_START_OF_SCAN = 0xDA
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(mirror_horizontal=True),
    3: Orientation(mirror_horizontal=True, mirror_vertical=True),
    4: Orientation(mirror_vertical=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, mirror_horizontal=True),
    7: Orientation(transpose=True, mirror_horizontal=True, mirror_vertical=True),
    8: Orientation(transpose=True, mirror_vertical=True),
}


def jpeg_orientation(head: bytes) -> Orientation | None:
    """Return how a photograph must be turned to be upright, ``UPRIGHT`` if it does not say; ``None`` if it is no JPEG.

    Args:
        head: the first :data:`HEAD_BYTES` bytes of the file.

    Source: CIPA DC-008 (Exif 2.32), 4.6.4, tag 0x0112.

    Example:
        >>> jpeg_orientation(b"no jpeg") is None
        True
    """
    if not head.startswith(JPEG_START):
        return None
    for marker, start, end in _segments(head):
        segment = head[start:end]
        if marker == 0xE1 and segment.startswith(b"Exif\0\0"):
            return _ORIENTATIONS.get(_orientation_value(segment[6:]), UPRIGHT)
    return UPRIGHT


def jpeg_is_complete(data: bytes) -> bool:
    """Return whether a JPEG has an end-of-image marker after its picture; thumbnails in its headers do not count."""
    position = max((end for _, _, end in _segments(data)), default=2)
    return data.find(b"\xff\xd9", position) >= 0


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each header segment of a JPEG, until the picture starts."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _START_OF_SCAN:
            return
        yield marker, position + 4, position + 2 + length
        position += 2 + length


def _orientation_value(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    start = struct.unpack_from(f"{order}I", tiff, 4)[0]
    if start + 2 > len(tiff):
        return 1
    count = struct.unpack_from(f"{order}H", tiff, start)[0]
    for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
        if tag == _ORIENTATION_TAG and kind == 3:
            return int(struct.unpack_from(f"{order}H", tiff, entry + 8)[0])
    return 1
