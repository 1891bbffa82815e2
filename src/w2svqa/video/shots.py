"""Where a video changes to another shot: hard cuts, by what is counted of luma and how much of the picture changes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from w2svqa.core.errors import StrPath
from w2svqa.video.colour import FrameConverter
from w2svqa.video.facts import facts_of
from w2svqa.video.reader import FrameReader
from w2svqa.video.sample import DEFAULT_RATE, Timeline

SIDE: Final = 48
"""Pixels, height and width, at which frames are compared."""

HISTOGRAM_CHANGE: Final = 0.2
"""Share of the pixels that must change their place in the luma histogram (32 bins) at a cut."""

TI_PEAK: Final = 2.0
"""How many times the median TI of half a second before and after the TI of a cut must be."""

LEAST_TI: Final = 12.0
"""TI, in luma steps of 0-255 at the reduced size, below which nothing is a cut."""

SURE_TI: Final = 45.0
"""TI from which a peak is a cut whatever the histogram says: shots of equal brightness."""

_BINS: Final = 32
_NEIGHBOURS: Final = 12


@dataclass(slots=True)
class ShotFinder:
    """Takes the frames of a video in order and finds its cuts. Keeps two numbers per frame and one small picture.

    A cut is a frame whose difference to the one before is a peak: its TI (the standard deviation of the luma
    difference) is :data:`TI_PEAK` times the median of its neighbourhood and at least :data:`LEAST_TI`, and either
    the luma histogram changes by :data:`HISTOGRAM_CHANGE` or TI is :data:`SURE_TI`. Fades and dissolves are no cuts.

    Source: TI as in ITU-T P.910, at a reduced size; half the L1 distance of histograms (Boreczky & Rowe 1996).
    """

    _converter: FrameConverter = field(default_factory=lambda: FrameConverter(Interpolation.AREA), init=False)
    _before: NDArray[np.uint8] | None = field(default=None, init=False)
    _times: list[float] = field(default_factory=list, init=False)
    _ti: list[float] = field(default_factory=list, init=False)
    _change: list[float] = field(default_factory=list, init=False)

    def push(self, frame: VideoFrame, time: float) -> None:
        """Take the next frame, shown at ``time`` seconds."""
        self.push_luma(self._converter.luma(frame, SIDE, SIDE), time)

    def push_luma(self, picture: NDArray[np.uint8], time: float) -> None:
        """Take the next frame as uint8 ``(SIDE, SIDE)`` luma, 0-255, shown at ``time`` seconds."""
        if self._before is not None:
            self._ti.append(float((picture.astype(np.int16) - self._before).std()))
            self._change.append(_histogram_change(self._before, picture))
            self._times.append(time)
        self._before = picture

    def cuts(self) -> tuple[float, ...]:
        """Return the seconds at which a shot begins that is not the first, rising."""
        ti = np.array(self._ti)
        found = [index for index in range(len(ti)) if self._is_cut(ti, index)]
        return tuple(self._times[index] for index in found)

    def _is_cut(self, ti: NDArray[np.float64], index: int) -> bool:
        if ti[index] < LEAST_TI or not (self._change[index] >= HISTOGRAM_CHANGE or ti[index] >= SURE_TI):
            return False
        around = np.delete(ti[max(0, index - _NEIGHBOURS) : index + _NEIGHBOURS + 1], min(index, _NEIGHBOURS))
        return len(around) == 0 or bool(ti[index] >= TI_PEAK * np.median(around))


def _histogram_change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Return the share of the pixels, 0-1, by which two luma histograms differ."""
    first, second = (np.bincount(each.ravel() // (256 // _BINS), minlength=_BINS) for each in (before, after))
    return float(np.abs(first - second).sum()) / (2 * before.size)


def find_cuts(path: StrPath, *, threads: int | None = None) -> tuple[float, ...]:
    """Return the seconds from the first frame shown at which a shot begins that is not the first.

    Args:
        path: a local video; it is decoded whole.
        threads: decoding threads; ``None`` for as many as there are cores.

    Raises:
        InputError: it cannot be read as a video.
    """
    reader = FrameReader(path, threads)
    finder = ShotFinder()
    try:
        timeline = Timeline(1 / (facts_of(reader.source).fps or DEFAULT_RATE))
        for frame in reader.frames():
            stamp = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
            finder.push(frame, timeline.place(stamp))
    finally:
        reader.close()
    return finder.cuts()


def plan_segments(
    key_times: Sequence[float],
    end: float,
    cuts: Sequence[float],
    *,
    shortest: float,
    longest: float,
    tolerance: float = 0.05,
) -> list[tuple[float, float]]:
    """Return which parts of a video to cut out: between key frames, of one shot each, in bounds, and as much as can be.

    What does not fit is left out: shots shorter than ``shortest``, what lies between a cut and the next key frame, and
    stretches of more than ``longest`` without a key frame. Of plans that leave out equally little, the one with fewer
    parts is taken.

    Args:
        key_times: seconds of the key frames, rising.
        end: seconds of the end, which is as good as a key frame to stop at.
        cuts: seconds at which shots begin.
        shortest: seconds a part must have.
        longest: seconds a part may have.
        tolerance: seconds within which a cut is at a key frame.

    Returns:
        Begin and end of each part in seconds, rising.

    Example:
        >>> plan_segments([0, 2, 4, 6, 8, 10, 12], 14.0, [8.0], shortest=5, longest=10)
        [(0, 8), (8, 14.0)]
    """
    stops = [*(time for time in key_times if time < end - tolerance), end]
    # per stop: seconds covered, minus a little per part; and how that was reached
    best: list[tuple[float, int | None]] = [(0.0, None)]
    for index in range(1, len(stops)):
        chosen: tuple[float, int | None] = (best[index - 1][0], None)
        for begin in range(index - 1, -1, -1):
            length = stops[index] - stops[begin]
            if length > longest + tolerance or _is_cut_between(cuts, stops[begin], stops[index], tolerance):
                break
            if length >= shortest - tolerance:
                chosen = max(chosen, (best[begin][0] + length - tolerance, begin), key=lambda each: each[0])
        best.append(chosen)
    return _followed(stops, best)


def _is_cut_between(cuts: Sequence[float], begin: float, end: float, tolerance: float) -> bool:
    following = bisect_right(cuts, begin + tolerance)
    return following < len(cuts) and cuts[following] < end - tolerance


def _followed(stops: Sequence[float], best: Sequence[tuple[float, int | None]]) -> list[tuple[float, float]]:
    parts: list[tuple[float, float]] = []
    index = len(stops) - 1
    while index > 0:
        begin = best[index][1]
        if begin is None:
            index -= 1
        else:
            parts.append((stops[begin], stops[index]))
            index = begin
    return parts[::-1]
