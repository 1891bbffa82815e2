"""What the packets of a video say without decoding: how many there are, from when to when, and where the key frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import av
from av.packet import Packet
from av.video.stream import VideoStream

from w2svqa.video.sample import LONGEST_GAP
from w2svqa.video.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketSurvey:
    """The packets of a video stream.

    Attributes:
        count: how many, without those that are never shown.
        origin: time stamp of the first frame shown, seconds on the file's own clock.
        end: seconds from there to the end of the last frame shown.
        key_times: seconds from the first frame shown to each key frame, rising.
        is_timed: every packet has a time stamp, and none jumps by more than :data:`LONGEST_GAP`; where it is not, the
            times mean nothing.
        corrupt: packets that the container flags as damaged.
        broken: the container could not be read to its end.
    """

    count: int
    origin: float
    end: float
    key_times: tuple[float, ...]
    is_timed: bool
    corrupt: int
    broken: bool


def survey_packets(source: Source, frame_duration: float) -> PacketSurvey:
    """Read all packets of a file that is at its beginning; it is at its end afterwards.

    Args:
        source: the open file.
        frame_duration: seconds that a packet lasts which does not say.
    """
    base = float(source.stream.time_base or 0)
    times: list[tuple[float, float]] = []
    keys: list[float] = []
    count = corrupt = 0
    packets = _Packets(source)
    for packet in packets:
        count += 1
        corrupt += packet.is_corrupt
        if packet.pts is not None:
            times.append((packet.pts * base, (packet.duration or 0) * base or frame_duration))
            if packet.is_keyframe:
                keys.append(packet.pts * base)
    times.sort()
    origin = times[0][0] if times else 0.0
    return PacketSurvey(
        count=count,
        origin=origin,
        end=max((start + lasting for start, lasting in times[-16:]), default=origin) - origin,
        key_times=tuple(sorted(key - origin for key in keys)),
        is_timed=count == len(times) > 0 and all(b[0] - a[0] <= LONGEST_GAP for a, b in pairwise(times)),
        corrupt=corrupt,
        broken=packets.broken,
    )


@dataclass(slots=True)
class _Packets:
    source: Source
    broken: bool = False

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        packets = self.source.container.demux(self.source.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                self.broken = True
                return
            if packet is None:
                return
            if packet.size and not packet.is_discard:
                yield packet
