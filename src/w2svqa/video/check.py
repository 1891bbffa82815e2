"""Whether a video decodes, in full or at a few places, and what it looks like there at the size of a stamp."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Final, Literal

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from w2svqa.core.errors import StrPath
from w2svqa.core.records import ClipSpec, MediaInfo
from w2svqa.video.checksums import damaged_clusters
from w2svqa.video.colour import FrameConverter
from w2svqa.video.decode import ends_early, open_clip
from w2svqa.video.facts import Facts, facts_of
from w2svqa.video.orient import orientation_of
from w2svqa.video.packets import PacketSurvey, survey_packets
from w2svqa.video.sample import DEFAULT_RATE, TOLERANCE
from w2svqa.video.source import Source, open_source

CheckMode = Literal["full", "sampled", "none"]
"""``full``: every frame is decoded; ``sampled``: all packets are read and those around a few frames decoded; ``none``:
the first frame."""

PLACES: Final = 5
"""Frames that a video is known by: in the middle of each fifth of it."""

SIDE: Final = 32
"""Pixels, height and width, of these frames."""

# Frames are looked at on a grid of a quarter of a second, so that both kinds of check take the same ones.
_RATE: Final = 4
_SPEC: Final = ClipSpec(motion_size=(SIDE, SIDE), motion_rate=_RATE)
# The share of a video beyond which looking at five places, each from the key frame before it, saves nothing.
_MOST: Final = 0.5
# Time stamps of these are of decoding, not of showing: seeking leads elsewhere.
_UNTIMED_DEMUXERS: Final = frozenset({"avi"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checked:
    """What a check found.

    Attributes:
        info: facts of the file; the duration is the measured one where the container does not say.
        problem: why only a part of it decodes, or ``None``.
        frames: uint8 ``(PLACES, SIDE, SIDE)``, luma 0-255, upright, aspect ratio ignored: the frames on display in the
            middle of each fifth, at most a quarter of a second before; of a still image the same one; none without a
            check.
    """

    info: MediaInfo
    problem: str | None
    frames: NDArray[np.uint8]


class _DoubtError(Exception):
    """Something that only decoding everything can tell."""


def check_video(path: StrPath, mode: CheckMode = "full", *, threads: int | None = None) -> Checked:
    """Decode a file as far as ``mode`` says.

    Whatever looks wrong to the sampled check, and what it cannot look at, is decoded in full, so that both say the same
    of a damaged file that both find. What it misses: pictures that are damaged between its places while all packets are
    there.

    Args:
        path: a local file.
        mode: how much to decode.
        threads: decoding threads of the full check; ``None`` for as many as there are cores.

    Raises:
        InputError: it cannot be read as a video or image; the subclass and the message say why.
    """
    if mode == "none":
        with open_clip(path, threads=threads) as clip:
            return Checked(info=clip.info, problem=None, frames=np.zeros((0, SIDE, SIDE), np.uint8))
    if mode == "sampled":
        try:
            return _sampled(path)
        except _DoubtError:
            pass
    return _full(path, threads)


def _full(path: StrPath, threads: int | None) -> Checked:
    with open_clip(path, _SPEC, threads=threads) as clip:
        info = clip.info
        if info.is_still:
            [chunk] = clip.chunks()
            frame = np.repeat(_stamp_of_still(chunk.key_frame)[np.newaxis], PLACES, axis=0)
            return Checked(info=info, problem=clip.problem, frames=frame)
        frames = np.concatenate([chunk.motion for chunk in clip.chunks()])
        end = len(frames) / _RATE
        places = [min(round(instant * _RATE), len(frames) - 1) for instant in _instants(info.duration or end, end)]
        return Checked(info=_timed(info, end), problem=clip.problem, frames=frames[places])


def _stamp_of_still(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    frame = VideoFrame.from_ndarray(picture, format="rgb24")
    return FrameConverter(Interpolation.AREA).luma(frame, SIDE, SIDE)


def _instants(duration: float, end: float) -> list[float]:
    """Return the instants, on the grid, in the middle of each fifth."""
    shortest = min(duration, end)
    return [int((place + 0.5) / PLACES * shortest * _RATE + TOLERANCE) / _RATE for place in range(PLACES)]


def _timed(info: MediaInfo, end: float) -> MediaInfo:
    if info.duration is not None or info.is_still:
        return info
    return replace(info, duration=end)


def _sampled(path: StrPath) -> Checked:
    with open_source(path) as source:
        facts = facts_of(source)
        survey = survey_packets(source, 1 / (facts.fps or DEFAULT_RATE))
        if facts.image or _is_doubtful(source, facts, survey):
            raise _DoubtError
        runs = _runs(survey, _instants(facts.duration or survey.end, survey.end))
        if sum(instants[-1] - key for key, instants in runs) > _MOST * survey.end:
            raise _DoubtError
        with open_clip(path, threads=1) as clip:
            info = clip.info
        frames = _frames(source, facts, survey.origin, [instants for _, instants in runs])
    return Checked(info=_timed(info, survey.end), problem=None, frames=np.stack(frames))


def _is_doubtful(source: Source, facts: Facts, survey: PacketSurvey) -> bool:
    if survey.broken or survey.corrupt or not survey.is_timed or not survey.key_times:
        return True
    if facts.declared is not None and ends_early(survey.end, facts.declared):
        return True
    demuxer = source.container.format.name
    return demuxer in _UNTIMED_DEMUXERS or ("matroska" in demuxer and damaged_clusters(source.file) > 0)


def _runs(survey: PacketSurvey, instants: Sequence[float]) -> list[tuple[float, list[float]]]:
    """Return the key frames to enter at, each with the instants that come before the next one's."""
    keys = [bisect_right(survey.key_times, instant + TOLERANCE) - 1 for instant in instants]
    groups = groupby(zip(keys, instants, strict=True), key=itemgetter(0))
    return [(survey.key_times[max(0, key)], [instant for _, instant in group]) for key, group in groups]


def _frames(source: Source, facts: Facts, origin: float, runs: Sequence[Sequence[float]]) -> list[NDArray[np.uint8]]:
    source.stream.codec_context.thread_count = 1  # with more, how damage is covered up may differ from run to run
    converter = FrameConverter(Interpolation.AREA)
    frames = []
    for instants in runs:
        for frame in _frames_at(source, [origin + instant for instant in instants]):
            turned = facts.turned or orientation_of(frame)
            frames.append(turned.apply(converter.luma(frame, *turned.shown(SIDE, SIDE))))
    return frames


def _frames_at(source: Source, instants: Sequence[float]) -> list[VideoFrame]:
    """Return the frames on display at rising instants of the file's own clock, decoding from the first to the last.

    Raises:
        _DoubtError: the file cannot be entered there, or something on the way does not decode.
    """
    found: list[VideoFrame] = []
    shown: VideoFrame | None = None
    for frame in _frames_from(source, instants[0]):
        time = float((frame.pts or 0) * (frame.time_base or 0))
        while shown is not None and time > instants[len(found)] + TOLERANCE:
            found.append(shown)
            if len(found) == len(instants):
                return found
        shown = frame
    if shown is None:
        raise _DoubtError
    return found + [shown] * (len(instants) - len(found))


def _frames_from(source: Source, instant: float) -> Iterator[VideoFrame]:
    """Yield the frames from the key frame before an instant on; see :func:`_frames_at`."""
    entry: int | None = None
    try:
        base = float(source.stream.time_base or 1)
        source.container.seek(math.floor(instant / base + TOLERANCE), stream=source.stream)
        for packet in source.container.demux(source.stream):
            if entry is None:
                if not packet.is_keyframe or packet.pts is None:
                    continue
                entry = packet.pts
            for frame in packet.decode():
                if frame.pts is not None and frame.pts < entry:
                    continue  # shown before the key frame: it needs what was jumped over
                if frame.is_corrupt:
                    raise _DoubtError
                yield frame
    except (av.error.FFmpegError, OSError, ValueError):
        raise _DoubtError from None
