"""The frames of a source in the order shown, whatever is wrong with the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from w2svqa.core.errors import StrPath
from w2svqa.video.checksums import SliceCheck, damaged_clusters
from w2svqa.video.source import Source, open_source

# Frame threads hold a picture each; above this size they are limited to two.
_LARGE_PICTURE = 3840 * 2160


# The H.264 decoder hands out a picture while a thread may still be at work on it, which is about to mark it as damaged.
# Held back until as many others were begun as there are threads, it is finished. FFmpeg can hold back 16.
_MOST_THREADS = 15

# What a decoder shall refuse instead of covering it up. The decoders of other formats mark what they covered up, or
# refuse too much this way: intact TIFF files, say.
_STRICT = {"mjpeg": "explode", "png": "crccheck+explode", "apng": "crccheck+explode"}


# Their decoders mark pictures of which a part is missing. Of others only the gap in a transport stream tells.
_FINDS_GAPS = {"h264", "mpeg2video", "mpeg1video", "mpeg4"}


class _DamageError(Exception):
    """A packet was damaged, so that frames may depend on how threads raced."""


@dataclass(slots=True)
class FrameReader:
    """Decodes the video stream of a file from the start, once.

    With several threads, FFmpeg may conceal damage differently from run to run. So when the first sign of damage comes,
    the file is decoded again on one thread, and what was already delivered is skipped: the same file always gives the
    same frames. Frames that the decoder itself marks as corrupt are left out, and so are those that differ from the
    file's own checksums (FFV1). JPEG and PNG pictures, which are damaged as a whole or not at all, are shown as well
    as they decode.

    Attributes:
        path: the file.
        threads: decoding threads; ``None`` for as many as there are cores.
        damaged: packets or frames that could not be decoded.
        covered_up: something was damaged, and what its decoder made of it was delivered.
        flagged: packets after which a transport stream has a gap, or was joined with another; decoded all the same.
            Not counted where the decoder finds for itself what is missing.
        clusters: parts of a Matroska file that differ from their checksums or are broken.
        broken: the container could not be read to its end.
        packets: packets read, damaged ones as well.
    """

    path: StrPath
    threads: int | None = None
    damaged: int = field(default=0, init=False)
    covered_up: bool = field(default=False, init=False)
    flagged: int = field(default=0, init=False)
    clusters: int = field(default=0, init=False)
    broken: bool = field(default=False, init=False)
    packets: int = field(default=0, init=False)
    _source: Source | None = field(default=None, init=False)
    _delivered: int = field(default=0, init=False)
    _is_last_pass: bool = field(default=False, init=False)
    _slices: SliceCheck | None = field(default=None, init=False)
    _differing: set[int | None] = field(default_factory=set, init=False)

    @property
    def source(self) -> Source:
        """The open file; opened when it is first asked for.

        Raises:
            InputError: it cannot be read as a video.
        """
        if self._source is None:
            self._source = open_source(self.path)
        return self._source

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def frames(self) -> Iterator[VideoFrame]:
        """Yield each frame; its ``pts`` may be missing or wrong."""
        try:
            try:
                yield from self._pass(self.threads)
            except _DamageError:
                self.close()
                self.damaged = self.flagged = self.packets = 0
                self._is_last_pass = True
                yield from self._pass(threads=1)
        finally:
            self.close()

    def _pass(self, threads: int | None) -> Iterator[VideoFrame]:
        self._prepare(threads)
        skip, seen = self._delivered, 0
        for packet in self._packets():
            for frame in self._decode(packet):
                seen += 1
                if seen > skip:
                    self._delivered = seen
                    yield frame
                if seen == 1:
                    # not before, so that a look at the first frame reads no more than that
                    self._check_container()
        if self._slices is not None and self._slices.has_checksums:
            self.covered_up |= self._slices.unexplained > 0

    def _prepare(self, threads: int | None) -> None:
        stream = self.source.stream
        codec = stream.codec_context
        count = self.threads or _thread_count(stream)
        stream.thread_type = "AUTO"
        stream.thread_count = threads or count
        if codec.name == "h264":
            codec.options = {"has_b_frames": str(min(count, _MOST_THREADS))}
        self._slices = SliceCheck() if codec.name == "ffv1" else None
        self._differing.clear()
        if codec.name not in _STRICT:
            self._is_last_pass |= threads == 1
        elif self._is_last_pass:
            self.covered_up = True
        else:
            codec.options = {"err_detect": _STRICT[codec.name]}

    def _check_container(self) -> None:
        if "matroska" in self.source.container.format.name:
            self.clusters = damaged_clusters(self.source.file)
            self._decide(self.clusters)

    def _decide(self, damage: int) -> None:
        if damage and not self._is_last_pass:
            raise _DamageError

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        self.broken = False
        packets = self.source.container.demux(self.source.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                # What the decoder still holds comes out with an empty packet.
                self.broken = True
                packet = None
            if packet is None:
                break
            self.packets += packet.size > 0
            yield packet
        if self.broken:
            yield self._flush()

    def _flush(self) -> Packet[VideoStream]:
        packet = Packet()
        packet.stream = self.source.stream
        return cast("Packet[VideoStream]", packet)

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        self._examine(packet)
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            frames = None
        whole = [] if frames is None else [frame for frame in frames if self._is_whole(frame)]
        damaged = 1 if frames is None else len(frames) - len(whole)
        self._decide(damaged)
        self.damaged += damaged
        return whole

    def _examine(self, packet: Packet[VideoStream]) -> None:
        if packet.is_corrupt and self.source.stream.codec_context.name not in _FINDS_GAPS:
            self.flagged += 1
            self._decide(1)
        if self._slices is not None and packet.size and self._slices.is_damaged(bytes(packet)):
            self._decide(1)
            self._differing.add(packet.pts)

    def _is_whole(self, frame: VideoFrame) -> bool:
        return not frame.is_corrupt and (frame.pts is None or frame.pts not in self._differing)


def _thread_count(stream: VideoStream) -> int:
    if stream.width * stream.height > _LARGE_PICTURE:
        return 2
    return min(_available_cores() + 1, _MOST_THREADS)


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
