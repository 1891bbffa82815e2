"""pairs -> batches for training: groups of pairs with the views of the versions they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.students.views import VIEW_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """What one step of training sees.

    Attributes:
        severity_groups: groups of severity pairs (one clip, one distortion) per step.
        same_groups: groups of same-version pairs per step.
        cross_groups: groups of clean-against-heavy pairs across contents per step.
        peer_groups: groups of pairs of equal severity across contents per step.
        details: detail crops of each second, drawn at random; the whole picture comes on top.
    """

    severity_groups: int = 5
    same_groups: int = 1
    cross_groups: int = 1
    peer_groups: int = 2
    details: int = 3

    def __post_init__(self) -> None:
        """Reject batches that hold nothing.

        Raises:
            ValueError: no groups at all, or no details.
        """
        groups = (self.severity_groups, self.same_groups, self.cross_groups, self.peer_groups)
        if min(groups) < 0 or not any(groups) or self.details < 1:
            raise ValueError(f"a step needs groups and at least one detail, not {groups} and {self.details}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Views of some versions, and pairs among them.

    Attributes:
        views: uint8 ``(N, V, side, side, 3)``, one random second of each version.
        kinds: int64 ``(N,)``: 0 for "none", else 1 + index of the distortion; -1 where the clip is no primary and
            untouched, so that nobody knows what is wrong with it.
        severities: float32 ``(N,)``, 0-1.
        first: int64 ``(P,)``, rows of ``views``.
        second: int64 ``(P,)``.
        levels: int64 ``(P,)``, 0 (inferior) to 4 (superior), of the second relative to the first.
    """

    views: NDArray[np.uint8]
    kinds: NDArray[np.int64]
    severities: NDArray[np.float32]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    levels: NDArray[np.int64]


class Batches:
    """Draws the batch of any step.

    The same seed and step give the same batch, so that a resumed run goes on as if it had never stopped.

    Args:
        versions: rows of the distort stage.
        pairs: rows of the pair stage.
        folder: of the distort stage; holds the views.
        kinds: names of the distortions, in the order of the diagnosis.
        config: what one step sees.
        seed: fixes everything that is drawn.
    """

    def __init__(
        self,
        versions: Sequence[VersionRow],
        pairs: Sequence[PairRow],
        folder: Path,
        *,
        kinds: Sequence[str],
        config: BatchConfig,
        seed: int,
    ) -> None:
        self._versions = {version.version_id: version for version in versions}
        self._folder = folder
        self._kinds = tuple(kinds)
        self._config = config
        self._seed = seed
        self._groups = _by_origin(pairs)
        self._files: dict[str, NDArray[np.uint8]] = {}

    def at(self, step: int) -> Batch:
        """Return the batch of step ``step``."""
        random = generator(self._seed, "batch", step)
        wanted = {
            "severity": self._config.severity_groups,
            "same": self._config.same_groups,
            "cross": self._config.cross_groups,
            "peer": self._config.peer_groups,
        }
        parts = [
            self._group(groups[int(random.integers(len(groups)))], random)
            for origin, count in wanted.items()
            for groups in [self._groups.get(origin, [])]
            for _ in range(count if groups else 0)
        ]
        return _joined(parts)

    def _group(self, pairs: Sequence[PairRow], random: np.random.Generator) -> Batch:
        """One group: its versions' views under one shift, flip and second each, or a common one."""
        # a pair of a version with itself needs two different looks at it; the others are encoded once
        sides = [(pair.first, pair.second, pair.origin == "same") for pair in pairs]
        slots: dict[tuple[str, int], int] = {}
        first = [slots.setdefault((one, 0), len(slots)) for one, _, _ in sides]
        second = [slots.setdefault((other, int(same)), len(slots)) for _, other, same in sides]
        rows = [self._versions[name] for name, _ in slots]
        common = None if pairs[0].origin == "same" or random.random() < 0.5 else int(random.integers(1 << 30))
        flip = bool(random.random() < 0.5)
        views = np.stack([self._look(row, common, random, flip=flip) for row in rows])
        return Batch(
            views=views,
            kinds=np.array([self._kind(row) for row in rows], dtype=np.int64),
            severities=np.array([row.severity for row in rows], dtype=np.float32),
            first=np.array(first, dtype=np.int64),
            second=np.array(second, dtype=np.int64),
            levels=np.array([pair.level for pair in pairs], dtype=np.int64),
        )

    def _look(
        self, row: VersionRow, common: int | None, random: np.random.Generator, *, flip: bool
    ) -> NDArray[np.uint8]:
        """One second of a version: some of its details, shifted within the margin, and the whole picture.

        ``common`` makes versions agree on all of it, so that only their quality differs.
        """
        drawn = int(random.integers(1 << 30)) if common is None else common
        look = np.random.Generator(np.random.PCG64(drawn))
        views = self._views(row.views)[row.row, int(look.integers(row.seconds))]
        top, left = look.integers(views.shape[1] - VIEW_SIZE + 1, size=2).tolist()
        details = look.permutation(len(views) - 1)[: self._config.details].tolist()
        shifted: NDArray[np.uint8] = views[[*details, -1], top : top + VIEW_SIZE, left : left + VIEW_SIZE]
        return shifted[:, :, ::-1] if flip else shifted

    def _views(self, name: str) -> NDArray[np.uint8]:
        if name not in self._files:
            self._files[name] = np.load(self._folder / name, mmap_mode="r", allow_pickle=False)
        return self._files[name]

    def _kind(self, row: VersionRow) -> int:
        if row.kind == "none":
            return 0 if row.primary else -1
        return 1 + self._kinds.index(row.kind)


def _by_origin(pairs: Sequence[PairRow]) -> Mapping[str, list[list[PairRow]]]:
    groups: dict[tuple[str, str], list[PairRow]] = defaultdict(list)
    for pair in pairs:
        groups[pair.origin, pair.group].append(pair)
    by_origin: dict[str, list[list[PairRow]]] = defaultdict(list)
    for (origin, _), members in groups.items():
        by_origin[origin].append(members)
    return by_origin


def _joined(parts: Sequence[Batch]) -> Batch:
    starts = np.cumsum([0, *(len(part.views) for part in parts)])[:-1]
    return Batch(
        views=np.concatenate([part.views for part in parts]),
        kinds=np.concatenate([part.kinds for part in parts]),
        severities=np.concatenate([part.severities for part in parts]),
        first=np.concatenate([part.first + start for part, start in zip(parts, starts, strict=True)]),
        second=np.concatenate([part.second + start for part, start in zip(parts, starts, strict=True)]),
        levels=np.concatenate([part.levels for part in parts]),
    )
