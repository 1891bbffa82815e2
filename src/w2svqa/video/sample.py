"""Index arithmetic in time: which frame opens which second, and which frames are motion frames. Pure; no pixels.

A video is cut into one-second chunks by presentation time stamps: chunk ``k`` holds the frames with
``k <= t - t0 < k + 1``, where ``t0`` is the time of the first frame shown, so variable frame rate comes out right.
Time stamps are often rounded (to the millisecond in Matroska), so a frame up to :data:`TOLERANCE` early still counts as
on time.

The paper has ``floor(duration)`` chunks. We depart in two points: a remainder of at least half a second is a chunk as
well, and whatever is shorter than a second is one chunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

TOLERANCE = 0.001
"""Seconds by which a frame may come early and still count as on time: the rounding of time stamps in Matroska."""

SHORTEST_REMAINDER = 0.5
"""Seconds that must be left after the last whole second to make one more chunk."""

LONGEST_GAP = 60.0
"""Seconds between two frames beyond which the time stamps are not believed."""

LONGEST_STEP_BACK = 0.5
"""Seconds by which a time stamp may go back and still be a slip of one frame; beyond it the clock was set anew."""

DEFAULT_RATE = 25.0
"""Frames per second where a file has neither time stamps nor a rate."""


def chunk_of(time: float) -> int:
    """Return the chunk that a frame at ``time`` (seconds from the first frame shown, >= 0) belongs to.

    Example:
        >>> [chunk_of(time) for time in (0.0, 0.5, 0.9995, 1.0, 2.3)]
        [0, 0, 1, 1, 2]
    """
    return math.floor(time + TOLERANCE)


def chunk_count(duration: float) -> int:
    """Return how many chunks a video of ``duration`` seconds has; at least 1.

    Example:
        >>> [chunk_count(duration) for duration in (0.04, 1.0, 1.49, 1.5, 10.0)]
        [1, 1, 1, 2, 10]
    """
    whole = math.floor(duration + TOLERANCE)
    return max(1, whole + (duration - whole >= SHORTEST_REMAINDER - TOLERANCE))


@dataclass(slots=True)
class Timeline:
    """Turns the time stamps of frames, in the order shown, into seconds from the first one, never going back.

    A missing time stamp, one that does not grow, or one that jumps by more than :data:`LONGEST_GAP` is replaced by the
    time of the frame before plus one nominal frame. After a jump (forward, or back by more than
    :data:`LONGEST_STEP_BACK`) what follows is shifted with it, so that a bogus time stamp can never make millions of
    chunks.

    Attributes:
        frame_duration: seconds of one frame at the nominal rate.
        gaps: how many jumps, forward or back, were bridged.
        repaired: how many time stamps were missing or slipped back.
    """

    frame_duration: float = 1 / DEFAULT_RATE
    gaps: int = field(default=0, init=False)
    repaired: int = field(default=0, init=False)
    _last: float | None = field(default=None, init=False)
    _offset: float | None = field(default=None, init=False)

    def place(self, stamp: float | None) -> float:
        """Return the time of the next frame in seconds from the first one.

        Args:
            stamp: its presentation time stamp in seconds from any origin, or ``None``.

        Example:
            >>> timeline = Timeline(0.04)
            >>> [timeline.place(stamp) for stamp in (7.0, 7.5, None, 99999.0, 99999.25)]
            [0.0, 0.5, 0.54, 0.58, 0.83]
        """
        self._last = self._next(stamp)
        return self._last

    def _next(self, stamp: float | None) -> float:
        if self._last is None:
            self._offset = stamp
            return 0.0
        expected = round(self._last + self.frame_duration, 9)
        if stamp is None:
            self.repaired += 1
            return expected
        if self._offset is None:
            self._offset = stamp - expected
        time = round(stamp - self._offset, 9)
        if self._last < time <= self._last + LONGEST_GAP:
            return time
        if self._last - LONGEST_STEP_BACK <= time <= self._last:
            self.repaired += 1
        else:
            self.gaps += 1
            self._offset = stamp - expected
        return expected


@dataclass(slots=True)
class MotionGrid:
    """The evenly spaced instants ``j / rate`` at which a motion frame is taken: the frame that is on display then.

    A frame on display at several instants is taken several times, so each whole second has the same number of motion
    frames, whatever the frame rate of the video.

    Attributes:
        rate: motion frames per second, > 0.
    """

    rate: float
    _index: int = field(default=0, init=False)

    def due(self, end: float) -> list[float]:
        """Return the instants not yet taken that come before ``end`` (seconds), in order.

        Example:
            >>> grid = MotionGrid(4)
            >>> grid.due(0.5), grid.due(0.5), grid.due(1.1)
            ([0.0, 0.25], [], [0.5, 0.75, 1.0])
        """
        instants = []
        while (instant := self._index / self.rate) < end - TOLERANCE:
            instants.append(instant)
            self._index += 1
        return instants
