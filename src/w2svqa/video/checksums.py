"""Checksums that a file carries of itself, where FFmpeg does not act on them: FFV1 slices and Matroska clusters.

A decoder conceals a damaged slice, and a demuxer jumps over a damaged block, without a word that reaches us. What the
file says of itself is exact, costs little beside decoding, and does not depend on how threads race.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, field
from typing import Final

_SLICE_TRAILER: Final = 8  # size (3 bytes), error status (1), CRC (4)
_BIT_REVERSED: Final = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_ALL_ONES: Final = 0xFFFFFFFF


@dataclass(slots=True)
class SliceCheck:
    """Compares the slices of FFV1 packets with their checksums, if they have any.

    Whether they do is written in the stream's header in arithmetic code; that one packet agrees with 32 bits of
    checksum says the same.

    Attributes:
        unexplained: packets that did not agree, before any did: damaged, if ever one agrees.
        has_checksums: a packet agreed.
    """

    unexplained: int = field(default=0, init=False)
    has_checksums: bool = field(default=False, init=False)

    def is_damaged(self, packet: bytes) -> bool:
        """Take the next packet and return whether it is known to be damaged.

        Source: RFC 9043, 4.6 (slice) and 4.9 (slice footer): the CRC-32 of a slice with its own checksum is 0.
        """
        agrees = _slices_agree(packet)
        self.has_checksums |= agrees
        if not agrees and not self.has_checksums:
            self.unexplained += 1
        return not agrees and self.has_checksums


def _slices_agree(packet: bytes) -> bool:
    end = len(packet)
    while end > 0:
        if end < _SLICE_TRAILER:
            return False
        length = int.from_bytes(packet[end - 8 : end - 5], "big")
        start = end - _SLICE_TRAILER - length
        # FFV1 shifts bits in from the left, zlib from the right and inverted; the rest of the arithmetic is the same.
        if not length or start < 0 or zlib.crc32(packet[start:end].translate(_BIT_REVERSED), _ALL_ONES) != _ALL_ONES:
            return False
        end = start
    return bool(packet)


_EBML: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_CRC: Final = b"\xbf\x84"
_CRC_ELEMENT_BYTES: Final = 6
_READ_BYTES: Final = 1 << 20


class _BrokenError(Exception):
    """What should be the head of an element is none."""


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    start: int
    end: int | None  # None: until something else begins


def damaged_clusters(file: io.FileIO) -> int:
    """Return how many clusters (runs of packets) of a Matroska or WebM file are damaged, as far as the file can tell.

    A cluster is damaged if it differs from its checksum, or, without one, if the blocks in it do not end where it ends.
    Of a file that was cut off, only what is there is looked at; that it was cut off is found in other ways. A file that
    was written as a live stream, without lengths, is taken for whole.

    Args:
        file: open for reading; its position is left where it was.

    Raises:
        OSError: it cannot be read.

    Source: RFC 8794 (EBML), 5 and 11.3.1; RFC 9559 (Matroska), 5.1.3.
    """
    position, size = file.tell(), file.seek(0, io.SEEK_END)
    try:
        header = _element(file, 0)
        if header.kind != _EBML or header.end is None:
            return 0
        segment = _element(file, header.end)
        if segment.kind != _SEGMENT:
            return 0
        return _count_damaged(file, segment.start, min(size, segment.end or size), size)
    except _BrokenError:
        return 0  # no Matroska file at all: the demuxer's business
    finally:
        file.seek(position)


def _count_damaged(file: io.FileIO, position: int, end: int, size: int) -> int:
    damaged = 0
    while position < end:
        try:
            element = _element(file, position)
        except _BrokenError:
            # nothing says where the next one begins
            return damaged + (size - position > 1)
        if element.end is None or element.end > size:
            return damaged
        if element.kind == _CLUSTER:
            damaged += not _cluster_is_whole(file, element.start, element.end)
        position = element.end
    return damaged


def _cluster_is_whole(file: io.FileIO, start: int, end: int) -> bool:
    file.seek(start)
    head = file.read(_CRC_ELEMENT_BYTES)
    if head.startswith(_CRC):
        return _crc(file, end - start - _CRC_ELEMENT_BYTES) == int.from_bytes(head[2:], "little")
    position = start
    while position < end:
        try:
            element = _element(file, position)
        except _BrokenError:
            return False
        if element.end is None:
            return False
        position = element.end
    return position == end


def _crc(file: io.FileIO, count: int) -> int:
    crc = 0
    while count > 0 and (content := file.read(min(_READ_BYTES, count))):
        crc = zlib.crc32(content, crc)
        count -= len(content)
    return crc


def _element(file: io.FileIO, position: int) -> _Element:
    """Read the head of an element: an identifier of up to 4 bytes, a length of up to 8."""
    file.seek(position)
    head = file.read(12)
    width = _width(head, 4)
    kind = int.from_bytes(head[:width], "big")
    length_width = _width(head[width:], 8)
    length = int.from_bytes(head[width : width + length_width], "big") & ((1 << 7 * length_width) - 1)
    start = position + width + length_width
    is_unknown = length == (1 << 7 * length_width) - 1
    return _Element(kind, start, None if is_unknown else start + length)


def _width(head: bytes, most: int) -> int:
    """Return how many bytes a number takes: one more than its first byte has leading zeros."""
    width = 9 - head[0].bit_length() if head else most + 1
    if width > min(most, len(head)):
        raise _BrokenError
    return width
