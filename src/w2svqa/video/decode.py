"""Reading a clip: one pass over all frames, one chunk per second, in bounded memory.

Chunk ``k`` holds the frames with ``k <= t - t0 < k + 1`` by presentation time stamps; :mod:`w2svqa.video.sample` states
the rule and its corners. What is alive at a time: one key frame, the frame on display, and one chunk's motion frames.
"""

from __future__ import annotations

from collections.abc import Iterator

from av.video.frame import VideoFrame

from w2svqa.core.errors import MediaError, StrPath
from w2svqa.core.records import Chunk, ClipSpec, MediaInfo
from w2svqa.video.cutter import Cutter
from w2svqa.video.facts import Facts, facts_of, media_info
from w2svqa.video.reader import FrameReader
from w2svqa.video.sample import DEFAULT_RATE, Timeline
from w2svqa.video.tonemap import METHODS

_EVERYTHING = ClipSpec()
_REMEDY = "copy it again, or convert it to H.264 in MP4 if it plays elsewhere (an animated WebP, say)"
# Seconds, and part of the duration, by which the end may come early before it is called early.
_END_SLACK = 0.25
_END_SLACK_PART = 0.02


def open_clip(path: StrPath, spec: ClipSpec = _EVERYTHING, *, threads: int | None = None) -> VideoClip:
    """Open a video or still image as a clip.

    Args:
        path: a local file, whatever its name.
        spec: what to deliver besides key frames.
        threads: decoding threads; ``None`` for as many as there are cores.

    Raises:
        InputError: it cannot be read as a video or image; the subclass and the message say why.
    """
    return VideoClip(path, spec, threads=threads)


def ends_early(end: float, declared: float) -> bool:
    """Return whether a video that ends at second ``end`` lacks some of what its header promises, rounding aside.

    Example:
        >>> ends_early(9.9, 10.0), ends_early(8.0, 10.0)
        (False, True)
    """
    return end < declared - max(_END_SLACK, _END_SLACK_PART * declared)


class VideoClip:
    """A file as a stream of chunks. Implements :class:`w2svqa.core.protocols.Clip`.

    * Key frames are as shown: upright, with square pixels, 8-bit RGB, SDR (:mod:`w2svqa.video.orient`,
      :mod:`w2svqa.video.colour`, :mod:`w2svqa.video.tonemap`). Interlaced pictures are not deinterlaced; a note says
      so. Where the size changes in mid-stream, each key frame has the size of its own frame; a note says so.
    * Motion frames are upright and area-averaged to the size asked for. ``"luma"`` is the coded luma stretched to full
      range; of HDR it is *not* tone-mapped. ``"rgb"`` is converted as key frames are. With a rate, the frame on display
      at each instant ``j / rate`` is taken; without one, every frame. A second without a frame of its own repeats the
      frame on display, once.
    * A still image is one chunk without motion. Animated GIF and PNG are videos; of a file with several pages or
      pictures the first is taken.

    The file stays open from construction until the first pass ends; :meth:`close`, or use as a context manager, lets
    it go before.

    Args:
        path: a local file.
        spec: what to deliver besides key frames.
        threads: decoding threads; ``None`` for as many as there are cores.

    Raises:
        InputError: it cannot be read as a video or image.
    """

    def __init__(self, path: StrPath, spec: ClipSpec = _EVERYTHING, *, threads: int | None = None) -> None:
        self._path = path
        self._spec = spec
        self._threads = threads
        self._problem: str | None = None
        self._notes: tuple[str, ...] = ()
        reader = FrameReader(path, threads)
        try:
            self._examine(reader)
        except BaseException:
            reader.close()
            raise
        self._notes = tuple(self._standing_notes())

    def _examine(self, reader: FrameReader) -> None:
        # Before anything is decoded: damage closes the file and opens it anew.
        self._facts = facts_of(reader.source)
        self._pass: _Pass | None = _Pass(reader)
        first = self._pass.first()
        still = self._facts.image and not (self._facts.may_move and self._pass.moves())
        self._info = media_info(self._path, self._facts, first, is_still=still)

    def __enter__(self) -> VideoClip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; :meth:`chunks` opens it again."""
        if self._pass is not None:
            self._pass.reader.close()
            self._pass = None

    @property
    def info(self) -> MediaInfo:
        """What is known about the file."""
        return self._info

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file was read where that matters; complete once :meth:`chunks` has ended."""
        return self._notes

    @property
    def problem(self) -> str | None:
        """Why only part of the file decoded, or ``None``; final once :meth:`chunks` has ended."""
        return self._problem

    def chunks(self) -> Iterator[Chunk]:
        """Decode from the start and yield chunks in time order; at least one.

        Raises:
            InputError: the file has changed for the worse since it was opened.
        """
        current, self._pass = self._pass, None
        if current is None:
            current = _Pass(FrameReader(self._path, self._threads))
        still = self._info.is_still
        timeline = Timeline(1 / (self._facts.fps or DEFAULT_RATE))
        cutter = Cutter(self._spec, self._facts.aspect, timeline, motionless=still, turned=self._facts.turned)
        try:
            for frame in current.frames():
                yield from cutter.push(frame)
                if still:
                    break
            self._notes = (*self._standing_notes(), *_passing_notes(cutter))
            self._problem = _problem(current.reader, cutter, self._facts)
            yield from cutter.finish()
        finally:
            current.reader.close()

    def _standing_notes(self) -> Iterator[str]:
        if self._info.transfer != "sdr":
            yield METHODS[self._info.transfer]
        if self._info.interlaced:
            yield "interlaced: scored without deinterlacing"


class _Pass:
    """One reading of a file, of which the first frames may be looked at before."""

    def __init__(self, reader: FrameReader) -> None:
        self.reader = reader
        self._rest = reader.frames()
        self._peeked: list[VideoFrame] = []

    def first(self) -> VideoFrame:
        """Return the first frame without consuming it.

        Raises:
            MediaError: there is none.
        """
        if not self._peek(1):
            raise MediaError("no frame of it can be decoded", path=self.reader.path, remedy=_REMEDY)
        return self._peeked[0]

    def moves(self) -> bool:
        """Return whether there is a second frame, without consuming it."""
        return self._peek(2)

    def frames(self) -> Iterator[VideoFrame]:
        """Yield all frames."""
        self.first()
        while self._peeked:
            yield self._peeked.pop(0)
        yield from self._rest

    def _peek(self, count: int) -> bool:
        while len(self._peeked) < count:
            frame = next(self._rest, None)
            if frame is None:
                return False
            self._peeked.append(frame)
        return True


def _passing_notes(cutter: Cutter) -> Iterator[str]:
    if cutter.sizes:
        yield f"the picture size changes ({_count(cutter.sizes, 'time')}): each key frame in its own size"
    if cutter.timeline.gaps:
        yield f"{_count(cutter.timeline.gaps, 'jump')} in the time stamps: time goes on at the nominal frame rate"
    if cutter.repeated:
        yield f"{_count(cutter.repeated, 'second')} without a frame of its own: the frame on display was repeated"


def _problem(reader: FrameReader, cutter: Cutter, facts: Facts) -> str | None:
    if facts.cut_off:
        return "cut off: the image has no end"
    # Where time stamps jump, files were joined: gaps are no damage then, and what was declared counts the jumps.
    is_joined = cutter.timeline.gaps > 0
    damage, end = _damage(reader, is_joined), cutter.end
    if facts.image and damage:
        return "damaged: the image is shown as well as it decodes"
    declared = None if facts.image or is_joined else facts.declared
    if declared is not None and ends_early(end, declared):
        return f"ended early: {end:.1f} of {declared:.1f} s decoded" + (f", {damage}" if damage else "")
    if damage:
        return f"{damage}: {end:.1f} s decoded"
    return f"the file breaks off: {end:.1f} s decoded" if reader.broken else None


def _damage(reader: FrameReader, is_joined: bool) -> str:
    """Name the plainest damage that was found; empty if there was none."""
    if reader.damaged:
        return f"{_count(reader.damaged, 'damaged packet')} left out"
    if reader.flagged and not is_joined:
        return f"{_count(reader.flagged, 'gap')} in the stream"
    if reader.clusters:
        return f"{_count(reader.clusters, 'damaged cluster')} in the file"
    return "damaged pictures shown as well as they decode" if reader.covered_up else ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
