"""Which versions are looked at together: groups of a few, all of which are compared with each other.

Four versions give six pairs and are encoded once each, so a group costs less than six pairs apart.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

from w2svqa.core.rows import VersionRow

ItemT = TypeVar("ItemT")

_EVERYTHING = (-math.inf, math.inf)

# Tries per wanted version: a pool of few clips may have no version that fits beside the others.
_TRIES = 6


class Deck(Generic[ItemT]):
    """Items dealt in random order, all of them before any comes again.

    Args:
        items: at least one.
        random: shuffles them.
    """

    def __init__(self, items: Sequence[ItemT], random: np.random.Generator) -> None:
        self._items = tuple(items)
        self._random = random
        self._left: list[int] = []

    def deal(self) -> ItemT:
        """Return the next item."""
        if not self._left:
            self._left = self._random.permutation(len(self._items)).tolist()
        return self._items[self._left.pop()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A version whose VMAF is known.

    Attributes:
        row: the version.
        vmaf: 0-100, higher is better.
    """

    row: VersionRow
    vmaf: float


def vmaf_groups(
    versions: Sequence[Measured], *, count: int, size: int, near: float, random: np.random.Generator
) -> Iterator[list[Measured]]:
    """Yield groups of versions, every other one of versions whose VMAF lies within a window.

    Distortions are dealt in turn, so that each takes part about as often; the second version is of the same content as
    the first where that is possible, the others come from anywhere. A group never holds two severities of one
    distortion on one content, nor an untouched clip beside its own versions: their order is known without VMAF.

    Args:
        versions: any number.
        count: how many groups to try; a group with fewer than two versions is left out.
        size: versions per group, at most.
        near: width of the window in points of VMAF; two versions in it differ by less.
        random: draws all.
    """
    by_kind: dict[str, list[Measured]] = defaultdict(list)
    by_clip: dict[str, list[Measured]] = defaultdict(list)
    for version in sorted(versions, key=lambda version: (version.vmaf, version.row.version_id)):
        by_kind[version.row.kind].append(version)
        by_clip[version.row.clip_id].append(version)
    if not by_kind:
        return
    kinds = Deck(sorted(by_kind), random)
    values = {kind: [version.vmaf for version in each] for kind, each in by_kind.items()}
    for number in range(count):
        first = _drawn(by_kind, values, kinds.deal(), _EVERYTHING, random)
        if first is None:
            continue
        start = first.vmaf - near * float(random.random())
        window = (start, start + near) if number % 2 else _EVERYTHING
        group = [first, *_companion(first, by_clip[first.row.clip_id], window, random)]
        for _ in range(_TRIES * size):
            if len(group) >= size:
                break
            other = _drawn(by_kind, values, kinds.deal(), window, random)
            if other is not None and all(_comparable(other.row, member.row) for member in group):
                group.append(other)
        if len(group) > 1:
            yield group[:size]


def ranked_groups(
    ranks: Mapping[str, float], stills: frozenset[str], *, count: int, size: int, random: np.random.Generator
) -> Iterator[list[str]]:
    """Yield groups of clips, one from each part of the range of quality, so that few pairs are alike.

    A group of photographs alone gets a video in the place of one of them, if there is one.

    Args:
        ranks: clip ids and what they are ordered by.
        stills: ids of photographs.
        count: how many groups.
        size: clips per group; fewer where there are fewer clips.
        random: draws all.
    """
    order = sorted(ranks, key=lambda clip: (ranks[clip], clip))
    parts = min(size, len(order))
    if parts < 2:
        return
    ends = [len(order) * part // parts for part in range(parts + 1)]
    decks = [Deck(order[start:end], random) for start, end in pairwise(ends)]
    videos = [clip for clip in order if clip not in stills]
    moving = Deck(videos, random) if videos else None
    for _ in range(count):
        group = [deck.deal() for deck in decks]
        if moving is not None and stills.issuperset(group):
            group[int(random.integers(len(group)))] = moving.deal()
        yield group


def groups_needed(items: int, pairs_per_item: float, size: int) -> int:
    """Return how many groups of ``size`` give each of ``items`` about ``pairs_per_item`` pairs.

    Example:
        >>> groups_needed(8, 3, 4)
        2
    """
    return math.ceil(items * pairs_per_item / (size * (size - 1)))


def _drawn(
    by_kind: Mapping[str, Sequence[Measured]],
    values: Mapping[str, Sequence[float]],
    kind: str,
    window: tuple[float, float],
    random: np.random.Generator,
) -> Measured | None:
    """A version of a kind whose VMAF is in the half-open window; ``None`` if there is none."""
    start, end = (bisect_left(values[kind], value) for value in window)
    return by_kind[kind][int(random.integers(start, end))] if start < end else None


def _companion(
    first: Measured, siblings: Sequence[Measured], window: tuple[float, float], random: np.random.Generator
) -> list[Measured]:
    """Another distortion of the same content, if one fits."""
    fitting = [other for other in siblings if window[0] <= other.vmaf < window[1] and _comparable(first.row, other.row)]
    return [fitting[int(random.integers(len(fitting)))]] if fitting else []


def _comparable(one: VersionRow, other: VersionRow) -> bool:
    if one.clip_id != other.clip_id:
        return True
    return one.kind != other.kind and "none" not in (one.kind, other.kind)
