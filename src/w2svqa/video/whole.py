"""A whole video as teachers take it: its frames by number, or its seconds, from a file or from memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from w2svqa.core.errors import MediaError, StrPath
from w2svqa.core.records import Chunk, ClipSpec, MediaInfo
from w2svqa.video.colour import FrameConverter
from w2svqa.video.decode import open_clip
from w2svqa.video.facts import Facts, facts_of
from w2svqa.video.orient import Orientation, orientation_of, square_size
from w2svqa.video.probe import probe
from w2svqa.video.reader import FrameReader
from w2svqa.video.source import open_source

Frame = NDArray[np.uint8]
"""uint8 ``(height, width, 3)``, RGB 0-255."""

_NO_MOTION = ClipSpec()


class VideoFile:
    """A file. Implements :class:`w2svqa.core.protocols.Video`.

    Every pass decodes the file from the start, streaming; nothing is kept between passes but facts.

    Args:
        path: a local video or still image.
        threads: decoding threads; ``None`` for as many as there are cores.

    Raises:
        InputError: it cannot be read as a video or image.
    """

    def __init__(self, path: StrPath, *, threads: int | None = None) -> None:
        self._info = probe(path)
        self._threads = threads
        self._count: int | None = None

    @property
    def info(self) -> MediaInfo:
        """What is known about the file."""
        return self._info

    def count(self) -> int:
        """Return the number of frames, at least 1: the packets of the video stream, which are not decoded.

        Where some of them turn out not to decode, :meth:`frames_at` repeats the last frame that does.
        """
        if self._count is None:
            self._count = 1 if self._info.is_still else max(1, _count_packets(self._info.path))
        return self._count

    def frames_at(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames of the given numbers, as key frames are: upright, square pixels, 8-bit RGB, SDR.

        Args:
            indices: from 0, in the order shown, never falling; a number may come again. Beyond the last frame that
                decodes, that frame is repeated.

        Raises:
            InputError: the file has changed for the worse since it was opened.
            ValueError: the numbers fall, or one is negative.
        """
        _check_rising(indices)
        reader = FrameReader(self._info.path, self._threads)
        try:
            facts, converter = facts_of(reader.source), FrameConverter()
            position, last, turned = 0, None, facts.turned
            for number, last in enumerate(reader.frames()):
                # of the first frame alone: a frame that was asked for its side data is only freed by the next garbage
                # collection, and hundreds would wait for it
                turned = turned or orientation_of(last)
                again = _run_length(indices, position, number)
                if again:
                    yield from [_shown(last, facts, turned, converter)] * again
                    position += again
                if position == len(indices):
                    return
            if last is None or turned is None:
                raise MediaError("no frame of it can be decoded", path=self._info.path, remedy="copy it again")
            yield from [_shown(last, facts, turned, converter)] * (len(indices) - position)
        finally:
            reader.close()

    def chunks(self, spec: ClipSpec = _NO_MOTION) -> Iterator[Chunk]:
        """Yield one chunk per second, see :meth:`w2svqa.core.protocols.Clip.chunks`."""
        with open_clip(self._info.path, spec, threads=self._threads) as clip:
            yield from clip.chunks()


class FramesVideo:
    """Frames in memory, such as a distorted version. Implements :class:`w2svqa.core.protocols.Video`.

    Args:
        frames: uint8 ``(height, width, 3)`` each, RGB 0-255, at least one.
        fps: frames per second.
        path: what errors call it.

    Example:
        >>> video = FramesVideo([np.zeros((4, 6, 3), np.uint8)] * 3, fps=1.0)
        >>> video.count(), video.info.width, len(list(video.chunks()))
        (3, 6, 3)
    """

    def __init__(self, frames: Sequence[Frame], *, fps: float = 1.0, path: str = "frames in memory") -> None:
        if not frames:
            raise MediaError("has no frames", path=path, remedy="give at least one")
        self._frames = frames
        self._fps = fps
        self._info = _info_of(frames, fps, path)

    @property
    def info(self) -> MediaInfo:
        """What is known about the frames; those of one frame are a still."""
        return self._info

    def count(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def frames_at(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames of the given numbers; see :meth:`VideoFile.frames_at`.

        Raises:
            ValueError: the numbers fall, or one is negative.
        """
        _check_rising(indices)
        for index in indices:
            yield self._frames[min(index, len(self._frames) - 1)]

    def chunks(self, spec: ClipSpec = _NO_MOTION) -> Iterator[Chunk]:
        """Yield one chunk per second: its first frame, without motion frames; luma is that of BT.601.

        Raises:
            ValueError: motion frames are wanted.
        """
        if spec.motion_size is not None:
            raise ValueError("frames in memory have no motion frames")
        motion, times = np.zeros((0, 0, 0), np.uint8), np.zeros(0)
        before = -1
        for second in range(max(1, int(len(self._frames) / self._fps))):
            number = min(round(second * self._fps), len(self._frames) - 1)
            yield Chunk(
                index=second,
                start=float(second),
                key_frame=self._frames[number],
                motion=motion,
                motion_times=times,
                luma=self._luma(number, 1 if number == before else spec.luma_frames),
            )
            before = number

    def _luma(self, number: int, count: int) -> tuple[NDArray[np.uint8], ...]:
        """Return the luma of up to ``count`` frames that end with this one, or begin with it if it is the first."""
        frames = self._frames[:count] if number == 0 else self._frames[max(0, number + 1 - count) : number + 1]
        return tuple(_luma(frame) for frame in frames)


def _info_of(frames: Sequence[Frame], fps: float, path: str) -> MediaInfo:
    height, width = frames[0].shape[:2]
    still = len(frames) == 1
    return MediaInfo(
        path=path,
        width=width,
        height=height,
        fps=None if still else fps,
        duration=None if still else len(frames) / fps,
        codec="rawvideo",
        pixel_format="rgb24",
        bit_rate=None,
        rotation=0,
        pixel_aspect=Fraction(1),
        interlaced=False,
        transfer="sdr",
        is_still=still,
    )


def _luma(picture: Frame) -> NDArray[np.uint8]:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return FrameConverter().luma(frame, frame.width, frame.height)


def _check_rising(indices: Sequence[int]) -> None:
    if any(later < earlier for earlier, later in pairwise(indices)) or (indices and indices[0] < 0):
        raise ValueError(f"frame numbers must be 0 or more and never fall: {list(indices)[:20]}")


def _run_length(indices: Sequence[int], position: int, number: int) -> int:
    """Return how many of the indices from ``position`` on are ``number``."""
    end = position
    while end < len(indices) and indices[end] == number:
        end += 1
    return end - position


def _shown(frame: VideoFrame, facts: Facts, turned: Orientation, converter: FrameConverter) -> Frame:
    return turned.apply(converter.rgb(frame, *square_size(frame.width, frame.height, facts.aspect)))


def _count_packets(path: StrPath) -> int:
    total = 0
    with open_source(path) as source:
        try:
            for packet in source.container.demux(source.stream):
                total += bool(packet.size) and not packet.is_discard
        except av.error.FFmpegError:
            return total  # broken off: what follows cannot be decoded either
    return total
