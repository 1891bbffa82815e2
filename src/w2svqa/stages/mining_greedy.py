"""Pairs of many groups in order of their difference, taken while there is room, without listing them.

A bin of a hundred thousand videos has five thousand million pairs. Sorted by score, its largest differences are between
its ends, so that those which are taken can be found one after the other.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Pair(NamedTuple):
    """A pair taken: its videos, the attacked model's difference between them, and its role."""

    lower: int
    upper: int
    gap: float
    role: int


class Group(NamedTuple):
    """The videos of one bin of one role, by rising score of the attacked model."""

    role: int
    videos: Ints
    scores: Floats


class Room:
    """Which pairs may still be taken.

    Args:
        videos: in the pool.
        most_per_video: pairs that one video may be in; ``None`` for no limit.
        roles: how many there are.
        most_per_role: pairs of one role; ``None`` for no limit.
    """

    def __init__(
        self, videos: int, most_per_video: int | None, roles: int = 1, most_per_role: int | None = None
    ) -> None:
        self._videos = [videos if most_per_video is None else most_per_video] * videos
        self._roles = [math.comb(videos, 2) if most_per_role is None else most_per_role] * roles
        self._joined: set[int] = set()

    def for_role(self, role: int) -> bool:
        """Whether a role may have another pair."""
        return self._roles[role] > 0

    def for_video(self, video: int) -> bool:
        """Whether a video may be in another pair."""
        return self._videos[video] > 0

    def take(self, one: int, other: int, role: int = 0) -> bool:
        """Take a pair if there is room for it, and say whether."""
        key = min(one, other) * len(self._videos) + max(one, other)
        if key in self._joined or not (self.for_role(role) and self.for_video(one) and self.for_video(other)):
            return False
        self._joined.add(key)
        self._roles[role] -= 1
        self._videos[one] -= 1
        self._videos[other] -= 1
        return True


class _Rows:
    """The pairs of a group by falling difference, made one by one.

    A *row* is a lower video with its partners from the top down: its differences fall. A row begins no higher than the
    one below it, so it need not be looked at before that one has come up.
    """

    def __init__(self, group: Group, room: Room) -> None:
        self.group = group
        self._room = room
        self._newest = -1
        self._top = len(group.videos) - 1

    def begin(self) -> tuple[float, int, int] | None:
        """Return the head of the next row: minus its difference, its place, minus its partner's."""
        lower, self._top = self._newest + 1, self._open(self._top)
        while lower < self._top and not self._room.for_video(int(self.group.videos[lower])):
            lower += 1
        self._newest = lower
        return self._head(lower, self._top)

    def after(self, lower: int, upper: int) -> tuple[float, int, int] | None:
        """Return what follows in a row."""
        if not self._room.for_video(int(self.group.videos[lower])):
            return None
        return self._head(lower, self._open(upper - 1))

    def is_newest(self, lower: int) -> bool:
        return lower == self._newest

    def _open(self, upper: int) -> int:
        """The highest place, not above ``upper``, whose video has room; -1 where there is none."""
        while upper >= 0 and not self._room.for_video(int(self.group.videos[upper])):
            upper -= 1
        return upper

    def _head(self, lower: int, upper: int) -> tuple[float, int, int] | None:
        if lower >= upper:
            return None
        gap = float(self.group.scores[upper] - self.group.scores[lower])
        return (-gap, lower, -upper) if gap > 0 else None


def take_greedily(groups: Sequence[Group], room: Room, count: int) -> list[Pair]:
    """Take the pairs of all groups by falling difference while there is room.

    Among equal differences earlier groups come first, then lower places of the lower video, then higher ones of the
    upper. The heap holds the next pair of every row that has begun.

    Args:
        groups: each with its scores rising.
        room: is used up.
        count: the most that are taken.
    """
    rows = [_Rows(group, room) for group in groups]
    heads = ((each.begin(), number) for number, each in enumerate(rows))
    heap = [(head[0], number, *head[1:]) for head, number in heads if head is not None]
    heapq.heapify(heap)
    taken: list[Pair] = []
    while heap and len(taken) < count:
        fall, number, lower, upper = heapq.heappop(heap)
        of, group = rows[number], groups[number]
        if not room.for_role(group.role):
            continue
        one, other = int(group.videos[lower]), int(group.videos[-upper])
        if room.take(one, other, group.role):
            taken.append(Pair(one, other, -fall, group.role))
        following = (of.begin() if of.is_newest(lower) else None, of.after(lower, -upper))
        for head in following:
            if head is not None:
                heapq.heappush(heap, (head[0], number, *head[1:]))
    return taken
