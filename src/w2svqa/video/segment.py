"""Cutting videos without encoding anew: the packets between two key frames, copied into a file of their own.

Only the video is copied, with its rotation, pixel shape and colours. Pictures of an open group, which are shown before
the key frame that they are stored behind and need the group before as well, belong to neither side and are left out.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from w2svqa.core.errors import MediaError, StrPath, UnwritableError
from w2svqa.core.files import atomic_path
from w2svqa.video.sample import TOLERANCE
from w2svqa.video.sink import Sink
from w2svqa.video.source import Source, open_source

_CONTAINERS: Final = {"mov": ".mp4", "webm": ".webm"}
_ANY_CONTAINER: Final = ".mkv"
# FFmpeg calls both so; which it is, the codec tells.
_WEBM_CODECS: Final = frozenset({"vp8", "vp9", "av1"})


def segment_suffix(source: Source) -> str:
    """Return the suffix of the container that the segments of an open file get: its own, or Matroska's."""
    names = source.container.format.name.split(",")
    if "webm" in names:
        return ".webm" if source.stream.codec_context.name.startswith(tuple(_WEBM_CODECS)) else _ANY_CONTAINER
    return next((suffix for name, suffix in _CONTAINERS.items() if name in names), _ANY_CONTAINER)


def copy_segments(
    path: StrPath, parts: Sequence[tuple[float, float]], folder: StrPath, stem: str, *, origin: float
) -> list[Path]:
    """Copy parts of a video into files of their own, which begin at time 0.

    The same parts of the same file always give the same bytes.

    Args:
        path: a local video.
        parts: begin and end in seconds from the first frame shown, rising and apart; each begins at a key frame and
            ends at one or at the end.
        folder: where to; files of these names are replaced.
        stem: of the names, which go on with ``-000``, ``-001`` and so on.
        origin: time stamp of the first frame shown, seconds on the file's own clock.

    Raises:
        InputError: the file cannot be read.
        MediaError: a part cannot be copied: its container does not take the coding, or has no packet there.
        UnwritableError: the disk is full or fails, or the folder may not be written to.
    """
    written = []
    with open_source(path) as source:
        suffix = segment_suffix(source)
        packets = _Rewindable(source)
        for number, (begin, end) in enumerate(parts):
            target = Path(folder) / f"{stem}-{number:03d}{suffix}"
            with atomic_path(target) as temporary:
                _copy(source, packets, temporary, target, origin + begin, origin + end)
            written.append(target)
    return written


class _Rewindable:
    """The packets of a source, of which the last one taken can be given back."""

    def __init__(self, source: Source) -> None:
        self._packets = source.container.demux(source.stream)
        self._returned: Packet[VideoStream] | None = None

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        while True:
            packet, self._returned = self._returned or next(self._packets, None), None
            if packet is None:
                return
            if packet.size and packet.pts is not None:
                yield packet

    def give_back(self, packet: Packet[VideoStream]) -> None:
        self._returned = packet


def _copy(source: Source, packets: _Rewindable, temporary: Path, target: Path, begin: float, end: float) -> None:
    """Copy what is shown from ``begin`` on and before ``end``, on the file's own clock."""
    sink = Sink(temporary)
    try:
        with sink, av.open(sink, "w", format=_format(target), options={"fflags": "+bitexact"}) as container:
            if not _mux(source, packets, container, begin, end):
                raise MediaError(f"has no key frame at {begin:.2f} s", path=source.path, remedy="leave it whole")
    except (av.error.FFmpegError, ValueError) as error:
        if sink.error is not None:
            raise _full(target, sink.error) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            f"cannot be cut without encoding: {reason}", path=source.path, remedy="leave it whole"
        ) from None
    if sink.error is not None:
        raise _full(target, sink.error)


def _full(target: Path, error: OSError) -> UnwritableError:
    remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another folder"
    return UnwritableError(f"cannot be written: {error.strerror}", path=target, remedy=remedy)


def _format(target: Path) -> str:
    return {".mp4": "mp4", ".webm": "webm"}.get(target.suffix, "matroska")


def _mux(source: Source, packets: _Rewindable, container: OutputContainer, begin: float, end: float) -> bool:
    stream = container.add_stream_from_template(source.stream)
    first: int | None = None
    for packet in _with_decoding_times(_between(source, packets, begin, end)):
        first = (packet.pts or 0) if first is None else first
        if (packet.pts or 0) < first:
            continue  # of an open group: needs what was left out
        packet.stream = stream
        packet.pts, packet.dts = (packet.pts or 0) - first, (packet.dts or 0) - first
        container.mux(packet)
    return first is not None


def _between(source: Source, packets: _Rewindable, begin: float, end: float) -> Iterator[Packet[VideoStream]]:
    """Yield the packets from the key frame at ``begin`` to that at ``end``, which is given back."""
    base = float(source.stream.time_base or 0)
    has_begun = False
    for packet in packets:
        time = (packet.pts or 0) * base
        has_begun |= packet.is_keyframe and time >= begin - TOLERANCE
        if packet.is_keyframe and time >= end - TOLERANCE:
            packets.give_back(packet)
            return
        if has_begun:
            yield packet


def _with_decoding_times(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Yield packets that all have a time of decoding; Matroska files begin with some that do not tell theirs."""
    waiting: list[Packet[VideoStream]] = []
    for packet in packets:
        if packet.dts is None:
            waiting.append(packet)
            continue
        for before, early in enumerate(reversed(waiting), start=1):
            early.dts = packet.dts - before * max(1, early.duration or packet.duration or 1)
        yield from waiting
        waiting = []
        yield packet
    for packet in waiting:  # none tells: the order is that of showing
        packet.dts = packet.pts
        yield packet
