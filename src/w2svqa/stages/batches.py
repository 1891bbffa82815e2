"""pairs -> batches for training: groups of pairs, with the pictures of the versions they share made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.rows import Origin, PairRow, VersionRow
from w2svqa.distort import SIMULATORS
from w2svqa.stages.group_draws import GroupDraws, names_of
from w2svqa.stages.renditions import distorted
from w2svqa.students.crops import MARGIN, Crops, Rendition, read_crops
from w2svqa.students.views import VIEW_SIZE, join_views, make_motion

UNKNOWN = -1
"""Kind of a version of which nobody knows what is wrong with it."""

_LEAST_FRAMES = 3  # what the motion branch needs

# more of the first repairs the second, so that "worse" would be no truth
_UNDONE_BY = {"brightening": "darkening", "darkening": "brightening", "blur": "noise", "resizing": "noise"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """What one step of training sees: so many groups of each origin, where there are pairs of it.

    Attributes:
        severity_groups: groups of severity pairs (one clip, one distortion) per step.
        same_groups: groups of same-version pairs per step.
        cross_groups: groups of clean-against-heavy pairs across contents per step.
        peer_groups: groups of pairs of equal severity across contents per step.
        vmaf_groups: groups of pairs that VMAF has judged per step.
        teacher_groups: groups of pairs of real clips that the weak teachers have judged per step.
        gmad_groups: groups of pairs on which student and teachers disagreed most, per step (from stage 2 on).
        misclassified_groups: groups of synthetic pairs that the last stage's student got wrong, per step.
        random_groups: groups of pairs drawn at random instead of the hard ones, per step.
        details: detail crops of each second, drawn at random; the whole picture comes on top.
        mixtures: share of the severity groups all of whose versions get the same mild second distortion on top.
        mixture_level: greatest level of that second distortion.
        pairs_per_group: at most so many pairs of each group, drawn at random; ``None`` for all. For students to whom a
            pair costs more than the pictures of its versions.
        length_parts: groups are sorted by the seconds of their videos and cut into so many parts; a step draws from
            one, so that little is padded. For students that see several seconds; 1 draws from all groups.

    Details and mixtures are the compact student's.
    """

    severity_groups: int = 8
    same_groups: int = 1
    cross_groups: int = 1
    peer_groups: int = 1
    vmaf_groups: int = 6
    teacher_groups: int = 2
    gmad_groups: int = 2
    misclassified_groups: int = 2
    random_groups: int = 2
    details: int = 1
    mixtures: float = 0.2
    mixture_level: int = 2
    pairs_per_group: int | None = None
    length_parts: int = 8

    def __post_init__(self) -> None:
        """Reject batches that hold nothing.

        Raises:
            ValueError: no groups at all, no details, or a share beyond 0-1.
        """
        groups = tuple(self.groups.values())
        if min(groups) < 0 or not any(groups) or self.details < 1:
            raise ValueError(f"a step needs groups and at least one detail, not {groups} and {self.details}")
        if not 0 <= self.mixtures <= 1 or self.mixture_level < 1:
            raise ValueError(f"mixtures {self.mixtures} must be 0-1 and mixture_level {self.mixture_level} at least 1")
        if self.pairs_per_group is not None and self.pairs_per_group < 1:
            raise ValueError(f"pairs_per_group {self.pairs_per_group} must be at least 1")
        if self.length_parts < 1:
            raise ValueError(f"length_parts {self.length_parts} must be at least 1")

    @property
    def groups(self) -> Mapping[Origin, int]:
        """How many groups of each origin a step takes."""
        return {
            "severity": self.severity_groups,
            "same": self.same_groups,
            "cross": self.cross_groups,
            "peer": self.peer_groups,
            "vmaf": self.vmaf_groups,
            "teacher": self.teacher_groups,
            "gmad": self.gmad_groups,
            "misclassified": self.misclassified_groups,
            "random": self.random_groups,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What the student sees of some versions, and pairs among them.

    Attributes:
        names: version id of each row below, ``N`` of them.
        views: uint8 ``(N, V, side, side, 3)``, one second of each version.
        motion: uint8 ``(N, T, 32, 32)``, ``T`` the most frames that any has.
        counts: int64 ``(N,)``, how many of the motion frames are real.
        kinds: int64 ``(N,)``: 0 for "none", else 1 + index of the distortion, or :data:`UNKNOWN`.
        severities: float32 ``(N, K)``, 0-1 for each kind; NaN where nobody knows.
        first: int64 ``(P,)``, rows of ``views``.
        second: int64 ``(P,)``.
        levels: int64 ``(P,)``, 0 (inferior) to 4 (superior), of the second relative to the first.
        weights: float32 ``(P,)``, what each pair counts: the pairs of a group share 1, for fifteen pairs of six
            versions tell little more than six of four.
    """

    names: tuple[str, ...]
    views: NDArray[np.uint8]
    motion: NDArray[np.uint8]
    counts: NDArray[np.int64]
    kinds: NDArray[np.int64]
    severities: NDArray[np.float32]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    levels: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How the versions of a group are looked at.

    ``common`` is the seed of a look that all share, so that only their quality differs; ``grain`` that of the
    distortions, shared by severities of one kind, so that they are nested; ``base`` a second distortion; ``details``
    how many detail crops every version of the group has. ``mirror``: left and right, top and bottom, rows and columns
    exchanged: eight views of each clip, for there are few clips, and quality has no orientation.
    """

    mirror: tuple[bool, bool, bool]
    halve: bool
    common: int | None
    grain: int | None
    base: tuple[str, int] | None
    details: int


class Batches:
    """Draws the batch of any step.

    The same seed and step give the same batch, so that a resumed run goes on as if it had never stopped. The crop cache
    is read once and kept in memory.

    Args:
        versions: rows of the distort stage.
        pairs: rows of the pair stage.
        folder: of the distort stage; holds the crop cache.
        kinds: names of the distortions, in the order of the diagnosis.
        config: what one step sees.
        seed: fixes everything that is drawn.
        share: ``(index, count)`` of this process among several: it makes every ``count``-th group. Together the
            processes make what one alone makes.

    Raises:
        ConfigError: no pair is of an origin that a step takes, or a step has fewer groups than there are processes.
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
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._versions = {version.version_id: version for version in versions}
        self._folder = folder
        self._kinds = tuple(kinds)
        self._config = config
        self._draws = GroupDraws(pairs, config.groups, seed=seed, share=share, most=config.pairs_per_group)
        self._cache: dict[str, Crops] = {}
        self._bases = [
            (kind, level)
            for kind, simulator in SIMULATORS.items()
            if simulator.family == "spatial"
            for level in range(1, min(config.mixture_level, len(simulator.levels)) + 1)
        ]

    def at(self, step: int) -> Batch:
        """Return the batch of step ``step``, or this process's share of it.

        Raises:
            StoreError: a file of the crop cache is missing or damaged.
        """
        return _joined([self._group(pairs, random) for pairs, random in self._draws.own(step)])

    def names(self, step: int) -> tuple[str, ...]:
        """Return the version ids of the whole batch of step ``step``, of all processes; no picture is made for it."""
        return names_of(self._draws.all(step))

    def _group(self, pairs: Sequence[PairRow], random: np.random.Generator) -> Batch:
        # a pair of a version with itself needs two different looks at it; the others are encoded once
        sides = [(pair.first, pair.second, pair.origin == "same") for pair in pairs]
        slots: dict[tuple[str, int], int] = {}
        first = [slots.setdefault((one, 0), len(slots)) for one, _, _ in sides]
        second = [slots.setdefault((other, int(same)), len(slots)) for _, other, same in sides]
        rows = [self._versions[name] for name, _ in slots]
        plan = self._plan(pairs[0], rows, random)
        seen = [self._look(row, plan, random) for row in rows]
        motion = [make_motion(frames) for _, frames in seen]
        known = plan.base is None
        return Batch(
            names=tuple(row.version_id for row in rows),
            views=np.stack([views for views, _ in seen]),
            motion=np.stack([frames for frames, _ in motion]),
            counts=np.array([count for _, count in motion], dtype=np.int64),
            kinds=np.array([self._kind(row) if known else UNKNOWN for row in rows], dtype=np.int64),
            severities=np.stack([self._severities(row, known=known) for row in rows]),
            first=np.array(first, dtype=np.int64),
            second=np.array(second, dtype=np.int64),
            levels=np.array([pair.level for pair in pairs], dtype=np.int64),
            weights=np.full(len(pairs), 1 / len(pairs), dtype=np.float32),
        )

    def _plan(self, pair: PairRow, rows: Sequence[VersionRow], random: np.random.Generator) -> _Plan:
        severity = pair.origin == "severity"
        bases = [base for base in self._bases if base[0] not in (pair.kind, _UNDONE_BY.get(pair.kind))]
        mixed = severity and bool(bases) and random.random() < self._config.mixtures
        alike = severity and random.random() < 0.5
        return _Plan(
            mirror=_three_coins(random),
            halve=bool(random.random() < 0.25),
            common=int(random.integers(1 << 30)) if alike else None,
            grain=int(random.integers(1 << 30)) if severity else None,
            base=bases[int(random.integers(len(bases)))] if mixed else None,
            details=min(len(self._rendition(row)[1].details) for row in rows),
        )

    def _look(
        self, row: VersionRow, plan: _Plan, random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Some details of a version, shifted within the margin, and the whole picture; and its motion frames."""
        drawn = int(random.integers(1 << 30))
        look = np.random.Generator(np.random.PCG64(drawn if plan.common is None else plan.common))
        crops, rendition = self._rendition(row)
        top, left = look.integers(MARGIN + 1, size=2).tolist()
        # the first ones are those that every version of the clip has
        choice = len(rendition.details) if plan.common is None else plan.details
        details = look.permutation(choice)[: self._config.details].tolist()
        shown = Rendition(
            details=rendition.details[details],
            whole=rendition.whole,
            motion=rendition.motion[:: 1 + plan.halve],
        )
        for kind, level in _steps(row, plan):
            shown = distorted(shown, kind, level, crops.size, drawn if plan.grain is None else plan.grain)
        # a version with fewer details than wanted shows some of them twice: every version has as many views
        filled = np.arange(self._config.details) % len(shown.details)
        shifted = shown.details[filled, top : top + VIEW_SIZE, left : left + VIEW_SIZE]
        views = join_views(shifted, shown.whole)
        return _mirrored(views, plan.mirror), _mirrored(shown.motion, plan.mirror)

    def _rendition(self, row: VersionRow) -> tuple[Crops, Rendition]:
        if row.views not in self._cache:
            self._cache[row.views] = read_crops(self._folder / row.views)
        crops = self._cache[row.views]
        return crops, crops.renditions[row.row]

    def _kind(self, row: VersionRow) -> int:
        if row.kind == "none":
            return 0 if row.primary else UNKNOWN
        return 1 + self._kinds.index(row.kind)

    def _severities(self, row: VersionRow, *, known: bool) -> NDArray[np.float32]:
        """A primary has nothing but what was done to it; of any other clip only that much is known."""
        severities = np.full(len(self._kinds), 0 if row.primary else np.nan, dtype=np.float32)
        if row.kind != "none":
            severities[self._kinds.index(row.kind)] = row.severity
        return severities if known else np.full_like(severities, np.nan)


def _three_coins(random: np.random.Generator) -> tuple[bool, bool, bool]:
    first, second, third = (random.random(3) < 0.5).tolist()
    return first, second, third


def _mirrored(pictures: NDArray[np.uint8], mirror: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    """Mirror square pictures ``(N, side, side, ...)``."""
    across, down, diagonal = mirror
    if diagonal:
        pictures = pictures.swapaxes(1, 2)
    return pictures[:, :: -1 if down else 1, :: -1 if across else 1]


def _steps(row: VersionRow, plan: _Plan) -> list[tuple[str, int]]:
    """What is left to do to the stored pictures: the base first, as a source has its faults before it is distorted."""
    steps = [] if plan.base is None else [plan.base]
    return steps if row.stored else [*steps, (row.kind, row.level)]


def _joined(parts: Sequence[Batch]) -> Batch:
    starts = np.cumsum([0, *(len(part.names) for part in parts)])[:-1]
    counts = np.concatenate([part.counts for part in parts])
    most = max(_LEAST_FRAMES, int(counts.max()))  # a batch of stills is not computed at full length
    return Batch(
        names=tuple(name for part in parts for name in part.names),
        views=np.concatenate([part.views for part in parts]),
        motion=np.concatenate([part.motion[:, :most] for part in parts]),
        counts=counts,
        kinds=np.concatenate([part.kinds for part in parts]),
        severities=np.concatenate([part.severities for part in parts]),
        first=np.concatenate([part.first + start for part, start in zip(parts, starts, strict=True)]),
        second=np.concatenate([part.second + start for part, start in zip(parts, starts, strict=True)]),
        levels=np.concatenate([part.levels for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
    )
