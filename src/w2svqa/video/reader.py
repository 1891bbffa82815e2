"""The frames of a source in the order shown, whatever is wrong with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from w2svqa.core.errors import StrPath
from w2svqa.video.source import Source, open_source

# Frame threads hold a picture each; above this size they are limited to two.
_LARGE_PICTURE = 3840 * 2160


class _DamageError(Exception):
    """A packet was damaged, so that frames may depend on how threads raced."""


@dataclass(slots=True)
class FrameReader:
    """Decodes the video stream of a file from the start, once.

    With several threads, FFmpeg may conceal damage differently from run to run. So when the first sign of damage comes,
    the file is decoded again on one thread, and what was already delivered is skipped: the same file always gives the
    same frames. Frames that the decoder itself marks as corrupt are left out.

    Attributes:
        path: the file.
        threads: decoding threads; ``None`` for as many as there are cores.
        damaged: packets or frames that could not be decoded.
        broken: the container could not be read to its end.
        packets: packets read, damaged ones as well.
    """

    path: StrPath
    threads: int | None = None
    damaged: int = field(default=0, init=False)
    broken: bool = field(default=False, init=False)
    packets: int = field(default=0, init=False)
    _source: Source | None = field(default=None, init=False)
    _delivered: int = field(default=0, init=False)

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
                yield from self._pass(one_thread=self.threads == 1)
            except _DamageError:
                self.close()
                self.damaged = self.packets = 0
                yield from self._pass(one_thread=True)
        finally:
            self.close()

    def _pass(self, *, one_thread: bool) -> Iterator[VideoFrame]:
        _set_threads(self.source.stream, 1 if one_thread else self.threads)
        skip, seen = self._delivered, 0
        for packet in self._packets():
            for frame in self._decode(packet, one_thread):
                seen += 1
                if seen > skip:
                    self._delivered = seen
                    yield frame

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

    def _decode(self, packet: Packet[VideoStream], one_thread: bool) -> list[VideoFrame]:
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            frames = None
        whole = [] if frames is None else [frame for frame in frames if not frame.is_corrupt]
        damaged = 1 if frames is None else len(frames) - len(whole)
        if damaged and not one_thread:
            raise _DamageError
        self.damaged += damaged
        return whole


def _set_threads(stream: VideoStream, threads: int | None) -> None:
    stream.thread_type = "AUTO"
    if threads is None and stream.width * stream.height > _LARGE_PICTURE:
        threads = 2
    if threads is not None:
        stream.thread_count = threads
