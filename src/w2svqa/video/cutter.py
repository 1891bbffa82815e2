"""Cuts the frames of a video into chunks: converts the one that opens a second, shrinks those wanted for motion."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from w2svqa.core.records import Chunk, ClipSpec
from w2svqa.video.colour import FrameConverter
from w2svqa.video.orient import UPRIGHT, Orientation, orientation_of, square_size
from w2svqa.video.sample import LONGEST_GAP, MotionGrid, Timeline, chunk_count, chunk_of


@dataclass(slots=True)
class Cutter:
    """Takes frames in the order shown and gives chunks. Keeps one key frame, one frame and one chunk's motion alive.

    Attributes:
        spec: what a chunk shall hold besides its key frame.
        aspect: width of a pixel divided by its height.
        timeline: gives each frame its time.
        motionless: make no motion frames: a still image.
        turned: how to turn every frame upright; ``None`` to read it from the frames.
        sizes: how many times the size of the stored picture changed.
        repeated: how many seconds had no frame of their own.
    """

    spec: ClipSpec
    aspect: Fraction
    timeline: Timeline
    motionless: bool = False
    turned: Orientation | None = None
    sizes: int = field(default=0, init=False)
    repeated: int = field(default=0, init=False)
    _full: FrameConverter = field(default_factory=FrameConverter, init=False)
    _small: FrameConverter = field(default_factory=lambda: FrameConverter(Interpolation.AREA), init=False)
    _grid: MotionGrid | None = field(default=None, init=False)
    _shown: VideoFrame | None = field(default=None, init=False)
    _time: float = field(default=0.0, init=False)
    _index: int = field(default=0, init=False)
    _key: NDArray[np.uint8] | None = field(default=None, init=False)
    _motion: list[NDArray[np.uint8]] = field(default_factory=list, init=False)
    _times: list[float] = field(default_factory=list, init=False)
    _before: deque[VideoFrame] = field(init=False)
    _luma: list[NDArray[np.uint8]] = field(default_factory=list, init=False)
    _orientation: Orientation = field(default=UPRIGHT, init=False)
    _layout: tuple[int, int, int] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._before = deque(maxlen=max(0, self.spec.luma_frames - 1))
        if self.spec.motion_rate is not None:
            self._grid = MotionGrid(self.spec.motion_rate)

    def push(self, frame: VideoFrame) -> Iterator[Chunk]:
        """Take the next frame; yield the chunks that it completes."""
        stamp = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        time = self.timeline.place(stamp)
        yield from self._advance(time, chunk_of(time))
        self._look_at(frame)
        self._shown, self._time = frame, time
        if self._key is None:
            self._key = self._key_frame(frame)
            self._take_luma([*self._before, frame])
        elif self._index == 0 and len(self._luma) < self.spec.luma_frames and not self.sizes:
            self._take_luma([frame])
        self._before.append(frame)
        if self._wants_motion and self._grid is None:
            self._take(frame, time)

    def finish(self) -> Iterator[Chunk]:
        """Yield the chunks that are left after the last frame."""
        end = self.end
        yield from self._advance(end, chunk_count(end))

    @property
    def end(self) -> float:
        """Seconds from the first frame shown to the end of the last one; 0 before any frame."""
        if self._shown is None:
            return 0.0
        duration = float((self._shown.duration or 0) * (self._shown.time_base or 0))
        return self._time + (duration if 0 < duration <= LONGEST_GAP else self.timeline.frame_duration)

    def _look_at(self, frame: VideoFrame) -> None:
        # Side data is dear to read; rotation and size tell whether there can be anything new in it.
        layout = (frame.width, frame.height, frame.rotation)
        if layout == self._layout:
            return
        if self._layout is not None and layout[:2] != self._layout[:2]:
            self.sizes += 1
            self._before.clear()
        self._layout = layout
        self._orientation = orientation_of(frame) if self.turned is None else self.turned

    def _advance(self, time: float, index: int) -> Iterator[Chunk]:
        """Complete the chunks before ``index``; the frame on display goes on until ``time``."""
        if self._shown is None:
            return
        while self._index < index:
            self._sample(min(time, self._index + 1.0))
            yield self._complete(self._shown)
        self._sample(time)

    def _sample(self, end: float) -> None:
        if not self._wants_motion or self._grid is None or self._shown is None:
            return
        instants = self._grid.due(end)
        if instants:
            small = self._small_frame(self._shown)
            self._motion.extend(itertools.repeat(small, len(instants)))
            self._times.extend(instants)

    def _complete(self, shown: VideoFrame) -> Chunk:
        if self._key is None:
            self._key = self._key_frame(shown)
            self._take_luma([shown])
            self.repeated += 1
        if self._wants_motion and not self._times:
            self._take(shown, float(self._index))
        chunk = Chunk(
            index=self._index,
            start=float(self._index),
            key_frame=self._key,
            motion=np.stack(self._motion) if self._motion else self._no_motion(),
            motion_times=np.array(self._times, np.float64),
            luma=tuple(self._luma),
        )
        self._index += 1
        self._key, self._motion, self._times, self._luma = None, [], [], []
        return chunk

    @property
    def _wants_motion(self) -> bool:
        return self.spec.motion_size is not None and not self.motionless

    def _take(self, frame: VideoFrame, time: float) -> None:
        self._motion.append(self._small_frame(frame))
        self._times.append(time)

    def _take_luma(self, frames: Sequence[VideoFrame]) -> None:
        if self.spec.luma_frames:
            self._luma.extend(self._full.luma(frame, frame.width, frame.height) for frame in frames)

    def _no_motion(self) -> NDArray[np.uint8]:
        height, width = self.spec.motion_size or (0, 0)
        return np.zeros((0, height, width, *((3,) if self.spec.motion_format == "rgb" else ())), np.uint8)

    def _key_frame(self, frame: VideoFrame) -> NDArray[np.uint8]:
        size = square_size(frame.width, frame.height, self.aspect)
        return self._orientation.apply(self._full.rgb(frame, *size))

    def _small_frame(self, frame: VideoFrame) -> NDArray[np.uint8]:
        height, width = self.spec.motion_size or (0, 0)
        size = self._orientation.shown(width, height)
        convert = self._small.luma if self.spec.motion_format == "luma" else self._small.rgb
        return self._orientation.apply(convert(frame, *size))
