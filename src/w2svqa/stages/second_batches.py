"""pairs -> batches for students with a vision tower: key frames and motion features, as the distort stage kept them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.group_draws import GroupDraws, names_of
from w2svqa.students.seconds import Seconds, read_seconds

_WHOLE, _EVEN, _ODD = range(3)
_PARTS = (slice(None), slice(0, None, 2), slice(1, None, 2))

_Look = tuple[str, int]
"""Version id, and which part of its seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SecondBatch:
    """What the student sees of some videos, and pairs among them.

    Attributes:
        names: version id of each video, ``N`` of them.
        counts: int64 ``(N,)``, seconds of each.
        frames: uint8 ``(S, side, side, 3)``, the key frames of all videos, one after the other.
        motion: float32 ``(S, F)``, their motion features; zeros for stills.
        first: int64 ``(P,)``, numbers of videos.
        second: int64 ``(P,)``.
        levels: int64 ``(P,)``, 0 (inferior) to 4 (superior), of the second relative to the first.
        weights: float32 ``(P,)``, what each pair counts: the pairs of a group share 1.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    frames: NDArray[np.uint8]
    motion: NDArray[np.float32]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    levels: NDArray[np.int64]
    weights: NDArray[np.float32]


class SecondBatches:
    """Draws the batch of any step, by seed and step alone. Nothing is kept in memory; files are read as needed.

    A version is shown as it is kept, all its seconds. Only a pair of a version with itself shows its even and its odd
    seconds, if it has two.

    Args:
        versions: rows of the distort stage, with :class:`w2svqa.stages.kept_seconds.FramesConfig`.
        pairs: rows of the pair stage.
        folder: of the distort stage.
        config: what one step sees.
        seed: fixes everything that is drawn.
        share: ``(index, count)`` of this process among several: it makes every ``count``-th group.

    Raises:
        ConfigError: no pair is of an origin that a step takes, or a step has fewer groups than there are processes.
    """

    def __init__(
        self,
        versions: Sequence[VersionRow],
        pairs: Sequence[PairRow],
        folder: Path,
        *,
        config: BatchConfig,
        seed: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._versions = {version.version_id: version for version in versions}
        self._folder = folder
        self._draws = GroupDraws(
            pairs,
            config.groups,
            seed=seed,
            share=share,
            most=config.pairs_per_group,
            length=self._length,
            parts=config.length_parts,
        )

    def at(self, step: int) -> SecondBatch:
        """Return the batch of step ``step``, or this process's share of it.

        Raises:
            StoreError: a file is missing or damaged.
        """
        groups = [group for group, _ in self._draws.own(step)]
        pairs = [pair for group in groups for pair in group]
        places: dict[_Look, int] = {}  # a video that is in several pairs is encoded once
        looks = [self._looks(pair) for pair in pairs]
        first, second = ([places.setdefault(both[side], len(places)) for both in looks] for side in (0, 1))
        seen = [self._seconds(look) for look in places]
        return SecondBatch(
            names=tuple(name for name, _ in places),
            counts=np.array([len(video) for video in seen], dtype=np.int64),
            frames=np.concatenate([video.frames for video in seen]),
            motion=np.concatenate([video.motion for video in seen]),
            first=np.array(first, dtype=np.int64),
            second=np.array(second, dtype=np.int64),
            levels=np.array([pair.level for pair in pairs], dtype=np.int64),
            weights=np.array([1 / len(group) for group in groups for _ in group], dtype=np.float32),
        )

    def names(self, step: int) -> tuple[str, ...]:
        """Return the version ids of the whole batch of step ``step``, of all processes; no file is read for it."""
        return names_of(self._draws.all(step))

    def _looks(self, pair: PairRow) -> tuple[_Look, _Look]:
        if pair.first == pair.second and self._versions[pair.first].seconds > 1:
            return (pair.first, _EVEN), (pair.second, _ODD)
        return (pair.first, _WHOLE), (pair.second, _WHOLE)

    def _seconds(self, look: _Look) -> Seconds:
        name, part = look
        row = self._versions[name]
        return read_seconds(self._folder / row.views, row.row)[_PARTS[part]]

    def _length(self, pair: PairRow) -> int:
        return self._versions[pair.first].seconds + self._versions[pair.second].seconds
