"""What a container and its first frame say about a file: the arithmetic behind `probe` and `open_clip`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from w2svqa.core.errors import StrPath
from w2svqa.core.records import MediaInfo
from w2svqa.video.colour import transfer_of
from w2svqa.video.formats import ANIMATION_DEMUXERS, STILL_BRANDS, STILL_DEMUXERS
from w2svqa.video.orient import Orientation, orientation_of, square_size
from w2svqa.video.sample import LONGEST_GAP
from w2svqa.video.source import Source

_MICROSECONDS = 1_000_000
_HIGHEST_RATE = 1000
_LOWEST_RATE = 1 / LONGEST_GAP
# Demuxers whose duration is written in a header, not estimated from the file's own end.
_DECLARING_DEMUXERS = frozenset({"mov", "matroska", "avi", "flv", "asf", "mxf", "nut"})


def frame_rate(stream: VideoStream) -> float | None:
    """Return average frames per second as declared, or ``None`` where that is missing or absurd.

    Absurd is over 1000, and under one in :data:`LONGEST_GAP` seconds: a damaged header would make hours of one picture.
    """
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and _LOWEST_RATE <= rate <= _HIGHEST_RATE:
            return float(rate)
    return None


def duration_of(source: Source) -> float | None:
    """Return seconds of the video stream, or of the file where the stream does not say; ``None`` if unknown."""
    stream = source.stream
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tagged = _tagged_duration(stream.metadata.get("DURATION", ""))
    if tagged is not None:
        return tagged
    return source.container.duration / _MICROSECONDS if source.container.duration else None


def declared_duration(source: Source) -> float | None:
    """Return the seconds that a header promises of the video stream itself, or ``None`` where nothing does.

    This is what tells a truncated file. An estimate from the file's own end would not do, nor would the duration of a
    container whose sound may be longer.
    """
    if not _DECLARING_DEMUXERS & set(source.container.format.name.split(",")):
        return None
    stream = source.stream
    alone = len(source.container.streams) == 1
    says = bool(stream.duration and stream.time_base) or "DURATION" in stream.metadata
    duration = duration_of(source) if says or alone else None
    if duration is not None and "matroska" in source.container.format.name:
        # there it is the time of the end, and a recording need not begin at 0
        duration -= max(0.0, float((stream.start_time or 0) * (stream.time_base or 0)))
    return duration


def _tagged_duration(text: str) -> float | None:
    """Return seconds of Matroska's ``HH:MM:SS.fraction``, or ``None``."""
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _is_image(source: Source) -> bool:
    names = set(source.container.format.name.split(","))
    return bool(names & (STILL_DEMUXERS | ANIMATION_DEMUXERS)) or (
        source.container.metadata.get("major_brand", "") in STILL_BRANDS
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What a container says before anything is decoded.

    Attributes:
        fps: average frames per second, or ``None``.
        duration: seconds, or ``None``.
        declared: the seconds that a header promises of the video itself, or ``None``.
        bit_rate: bits per second, or ``None``.
        codec: FFmpeg's name.
        aspect: width of a pixel divided by its height.
        turned: how to turn the picture where the file says so itself (EXIF); ``None`` to believe FFmpeg.
        image: the format is one of images.
        may_move: an image format that may hold an animation.
        cut_off: an image file that has no end.
    """

    fps: float | None
    duration: float | None
    declared: float | None
    bit_rate: int | None
    codec: str
    aspect: Fraction
    turned: Orientation | None
    image: bool
    may_move: bool
    cut_off: bool


def facts_of(source: Source) -> Facts:
    """Collect the facts of an open file."""
    stream = source.stream
    return Facts(
        fps=frame_rate(stream),
        duration=duration_of(source),
        declared=declared_duration(source),
        bit_rate=stream.bit_rate or source.container.bit_rate or None,
        codec=stream.codec_context.name,
        aspect=Fraction(stream.sample_aspect_ratio or 1),
        turned=source.orientation,
        image=_is_image(source),
        may_move=source.container.format.name in ANIMATION_DEMUXERS,
        cut_off=source.cut_off,
    )


def media_info(path: StrPath, facts: Facts, frame: VideoFrame, *, is_still: bool) -> MediaInfo:
    """Put together what is known, given the first decoded frame."""
    orientation = orientation_of(frame) if facts.turned is None else facts.turned
    width, height = orientation.shown(*square_size(frame.width, frame.height, facts.aspect))
    return MediaInfo(
        path=os.fspath(path),
        width=width,
        height=height,
        fps=None if is_still else facts.fps,
        duration=None if is_still else facts.duration,
        codec=facts.codec,
        pixel_format=frame.format.name,
        bit_rate=None if is_still else facts.bit_rate,
        rotation=orientation.rotation,
        pixel_aspect=facts.aspect,
        interlaced=frame.interlaced_frame,
        transfer=transfer_of(frame),
        is_still=is_still,
    )
