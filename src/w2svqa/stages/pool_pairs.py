"""labels -> pairs: which videos of a pool are compared with each other, and with what level.

- ``ensemble`` pairs are drawn at random among the labelled videos that are nobody's distorted version; their level is
  the paper's rule on the labels (:func:`w2svqa.stages.pair.uncertain_level`).
- ``severity`` pairs join two severities of one distortion of one primary: a gap of 1 is better / worse, a wider one
  superior / inferior, never similar.

Pairs are drawn, never listed: a million videos have half a million million of them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, StrPath
from w2svqa.core.levels import BETTER, INFERIOR, LEVELS, SUPERIOR, WORSE, opposite
from w2svqa.core.random import generator
from w2svqa.core.rows import PoolPairRow, PseudoLabelRow, VideoRow
from w2svqa.core.store import read_artifact, write_artifact
from w2svqa.stages.pool_labels import LABELS
from w2svqa.stages.pool_scores import VIDEOS

PAIRS: Final = "pairs"
"""Folder of the table of pairs, and the artifact's kind."""

ENSEMBLE: Final = "ensemble"
SEVERITY: Final = "severity"
"""Sources of pairs."""

PAIRS_PER_VIDEO: Final = 10
"""Pairs that are drawn per labelled video where no number is asked for."""

# Candidates that are drawn for each pair wanted before a level that is too rare is given up.
_MOST_DRAWS: Final = 200
_BATCH: Final = 1 << 16

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPairConfig:
    """Which pairs are made.

    Attributes:
        count: pairs by the teachers' labels; ``None`` for ten per labelled video, or all where there are fewer.
        balance: as many of each level, instead of as they come; fewer where a level is too rare.
        most_per_video: pairs by labels that one video may be in; ``None`` for no limit.
        severity_count: severity pairs, drawn at random; ``None`` for all.
        untouched: the primary itself, where it is in the pool, counts as severity 0 of its versions.
        stage: of weak-to-strong training, from 1.
        seed: fixes the choice and which of the two is first.
    """

    count: int | None = None
    balance: bool = False
    most_per_video: int | None = None
    severity_count: int | None = None
    untouched: bool = True
    stage: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: a number of pairs is negative, or a limit or the stage below 1.
        """
        if min(self.count or 0, self.severity_count or 0) < 0:
            raise ValueError("numbers of pairs must be 0 or more")
        if self.stage < 1 or (self.most_per_video is not None and self.most_per_video < 1):
            raise ValueError("stage and most_per_video must be at least 1")


class PoolPairs(NamedTuple):
    """Pairs, and how many by labels were wanted."""

    rows: list[PoolPairRow]
    wanted: int


class LevelCounts(NamedTuple):
    """How many pairs of one source have each level, inferior to superior."""

    source: str
    counts: tuple[int, ...]


def pair_pool(folder: StrPath, config: PoolPairConfig) -> PoolPairs:
    """Make the pairs of a labelled folder from its ``labels/`` and store them in its ``pairs/``.

    Raises:
        InputError: there is no pair to make.
        StoreError: an artifact is missing, damaged, or cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    place = Path(folder)
    videos, labels = read_artifact(place / VIDEOS, VideoRow), read_artifact(place / LABELS, PseudoLabelRow, kind=LABELS)
    found = make_pool_pairs(labels.rows, videos.rows, config)
    if not found.rows:
        raise InputError("no pair can be made", path=place, remedy="it takes two labelled videos; see --least-teachers")
    write_artifact(
        place / PAIRS,
        found.rows,
        PoolPairRow,
        kind=PAIRS,
        config=config,
        inputs={VIDEOS: videos.manifest.table_sha256, LABELS: labels.manifest.table_sha256},
        seed=config.seed,
        extra={"levels": {each.source: list(each.counts) for each in level_counts(found.rows)}, "wanted": found.wanted},
    )
    return found


def make_pool_pairs(labels: Sequence[PseudoLabelRow], videos: Sequence[VideoRow], config: PoolPairConfig) -> PoolPairs:
    """Return the pairs by labels, in the order drawn, then the severity pairs; no two videos are joined twice.

    Args:
        labels: of the videos, one each.
        videos: the pool; distorted versions have no pairs by labels.
        config: which pairs.
    """
    versions = {row.clip_id for row in videos if row.kind} - {row.clip_id for row in videos if not row.kind}
    chosen = [row for row in labels if row.clip_id not in versions]
    possible = math.comb(len(chosen), 2)
    wanted = min(possible, PAIRS_PER_VIDEO * len(chosen) if config.count is None else config.count)
    by_labels = list(_drawn_pairs(chosen, wanted, config))
    by_severity = severity_pairs(videos, config)
    return PoolPairs(by_labels + by_severity, wanted)


def uncertain_levels(difference: Floats, deviation: Floats) -> Ints:
    """Return what :func:`w2svqa.stages.pair.uncertain_level` returns, of many pairs at once.

    Args:
        difference: float64 ``(n,)``, quality of the second minus that of the first.
        deviation: float64 ``(n,)``, of the difference; above 0.

    Raises:
        ValueError: a difference is not finite, or a deviation not above 0.

    Example:
        >>> uncertain_levels(np.array([-2.0, -1.0, 1.0, 2.0, 2.1]), np.ones(5)).tolist()
        [0, 1, 2, 3, 4]
    """
    if not (np.isfinite(difference).all() and np.isfinite(deviation).all() and (deviation > 0).all()):
        raise ValueError("levels follow from finite differences and deviations above 0")
    borders = np.stack([-2 * deviation, -deviation, deviation, 2 * deviation])
    levels: Ints = (difference > borders).sum(axis=0)
    return levels


def severity_pairs(videos: Sequence[VideoRow], config: PoolPairConfig) -> list[PoolPairRow]:
    """Return the pairs of severities within each primary and distortion, which is first by chance.

    Args:
        videos: the pool. The untouched primary is the video whose name is the versions' ``primary``.
        config: how many, and whether the untouched one takes part.

    Source: arXiv 2505.03631, section 4: gap above 1 superior / inferior, of 1 better / worse.
    """
    random = generator(config.seed, "pool-pairs", SEVERITY)
    pairs = [pair for ladder in _ladders(videos, config.untouched) for pair in _ladder_pairs(ladder, config.stage)]
    if config.severity_count is not None and config.severity_count < len(pairs):
        kept = random.choice(len(pairs), config.severity_count, replace=False)
        pairs = [pairs[index] for index in sorted(kept.tolist())]
    exchanged = random.random(len(pairs)) < 0.5
    return [_exchange(pair) if flag else pair for pair, flag in zip(pairs, exchanged.tolist(), strict=True)]


def level_counts(pairs: Sequence[PoolPairRow]) -> list[LevelCounts]:
    """Return the histogram of levels of each source, sources sorted."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for pair in pairs:
        counts[pair.source][pair.level] += 1
    return [
        LevelCounts(source, tuple(counts[source][level] for level in range(len(LEVELS)))) for source in sorted(counts)
    ]


def candidate_pairs(videos: int, wanted: int, random: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
    """Yield ordered pairs of different videos: all in random order where they are few, else drawn with repetition.

    Args:
        videos: in the pool.
        wanted: pairs that are looked for; a multiple of it is drawn.
        random: draws them.

    Yields:
        Places of the first and of the second videos, int64 ``(n,)`` each.
    """
    possible = math.comb(videos, 2)
    draws = _MOST_DRAWS * wanted
    if possible <= draws and possible <= max(_BATCH, 8 * wanted):
        first, second = _unrank(random.permutation(possible), videos)
        exchanged = random.random(possible) < 0.5
        yield np.where(exchanged, second, first), np.where(exchanged, first, second)
        return
    while draws > 0:
        first = random.integers(videos, size=_BATCH)
        second = random.integers(videos - 1, size=_BATCH)
        yield first, second + (second >= first)  # every other video is equally likely
        draws -= _BATCH


def _ladders(videos: Sequence[VideoRow], untouched: bool) -> Iterator[list[VideoRow]]:
    """The versions of each primary and distortion; of one content, where a level changes nothing, the first."""
    versions: dict[tuple[str, str], list[VideoRow]] = defaultdict(list)
    clean = {row.name: row for row in videos if not row.kind}
    for row in videos:
        if row.kind:
            versions[row.primary, row.kind].append(row)
    for (primary, _), rows in sorted(versions.items()):
        source = [clean[primary]] if untouched and primary in clean else []
        yield list({row.clip_id: row for row in reversed(source + rows)}.values())[::-1]


def _ladder_pairs(ladder: Sequence[VideoRow], stage: int) -> Iterator[PoolPairRow]:
    for first, second in combinations(ladder, 2):
        gap = second.level - first.level
        if gap:
            strong = abs(gap) > 1
            level = (INFERIOR if strong else WORSE) if gap > 0 else (SUPERIOR if strong else BETTER)
            yield PoolPairRow(
                first=first.clip_id, second=second.clip_id, level=level, source=SEVERITY, uncertainty=0.0, stage=stage
            )


def _exchange(pair: PoolPairRow) -> PoolPairRow:
    return replace(pair, first=pair.second, second=pair.first, level=opposite(pair.level))


def _drawn_pairs(labels: Sequence[PseudoLabelRow], wanted: int, config: PoolPairConfig) -> Iterator[PoolPairRow]:
    """Take candidates as they are drawn while their level and their videos have room."""
    mean = np.array([row.mean for row in labels], dtype=np.float64)
    variance = np.array([row.variance for row in labels], dtype=np.float64)
    room = _Room(wanted, len(labels), config)
    seen: set[int] = set()
    for first, second in candidate_pairs(len(labels), wanted, generator(config.seed, "pool-pairs", ENSEMBLE)):
        deviation = np.sqrt(variance[first] + variance[second])
        ahead = uncertain_levels(mean[second] - mean[first], deviation)
        back = uncertain_levels(mean[first] - mean[second], deviation)
        room_there = room.open(levels=(ahead, back), videos=(first, second))  # most of a late batch has none
        columns = (column[room_there].tolist() for column in (first, second, ahead, back, deviation))
        for one, other, level, mirrored, unsure in zip(*columns, strict=True):
            if not room.left:
                return
            key = min(one, other) * len(labels) + max(one, other)
            if key in seen or not room.for_videos(one, other):
                continue
            if not room.for_level(level):
                one, other, level = other, one, mirrored
                if not room.for_level(level):
                    continue
            seen.add(key)
            room.take(one, other, level)
            yield PoolPairRow(
                first=labels[one].clip_id,
                second=labels[other].clip_id,
                level=level,
                source=ENSEMBLE,
                uncertainty=unsure,
                stage=config.stage,
            )


class _Room:
    """How many more pairs are wanted, in all, of each level and of each video."""

    def __init__(self, wanted: int, videos: int, config: PoolPairConfig) -> None:
        self.left = wanted
        self._levels = np.full(len(LEVELS), wanted)
        if config.balance:
            share, rest = divmod(wanted, len(LEVELS))
            middle_first = np.argsort(np.abs(np.arange(len(LEVELS)) - len(LEVELS) // 2), kind="stable")
            self._levels[middle_first] = share + (np.arange(len(LEVELS)) < rest)
        self._videos = np.full(videos, config.most_per_video or wanted)

    def open(self, *, levels: Sequence[Ints], videos: Sequence[Ints]) -> NDArray[np.bool_]:
        """Whether there is room for a pair with any of its levels and all of its videos."""
        by_level = np.any([self._levels[each] > 0 for each in levels], axis=0)
        there: NDArray[np.bool_] = by_level & np.all([self._videos[each] > 0 for each in videos], axis=0)
        return there

    def for_videos(self, first: int, second: int) -> bool:
        return bool(self._videos[first] > 0 and self._videos[second] > 0)

    def for_level(self, level: int) -> bool:
        return bool(self._levels[level] > 0)

    def take(self, first: int, second: int, level: int) -> None:
        self.left -= 1
        self._levels[level] -= 1
        self._videos[first] -= 1
        self._videos[second] -= 1


def _unrank(ranks: Ints, videos: int) -> tuple[Ints, Ints]:
    """The pairs (first < second) at some places of their list, which is not made."""
    # before the pairs of `first` come those of all before it: first * (2 * videos - first - 1) / 2
    starts = np.arange(videos) * (2 * videos - np.arange(videos) - 1) // 2
    first = np.searchsorted(starts, ranks, side="right") - 1
    # the last video starts no pair: its place in `starts` is that of the end
    return first, ranks - starts[first] + first + 1
