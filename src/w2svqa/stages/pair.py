"""severities -> pairs: who is compared with whom, and with what level.

- ``severity``: two severities of one distortion on one clip. Gap 1: better / worse; more: superior / inferior; never
  similar (arXiv 2505.03631, section 4). The untouched clip counts as severity 0 where the clip is a primary.
- ``same``: a version and itself; training draws the two sides from other seconds or shifted views. Similar. Ours:
  without it no pair would ever be similar, and the word would have no meaning.
- ``cross``: the untouched version of a primary and a heavy version of another clip: superior / inferior. Ours: a
  score compares across contents, so training must see contents side by side where the answer is not in doubt.
- ``peer``: two primaries at the same severity of the same distortion, or both untouched: similar. Ours: severity is the
  only quality the simulators know, so what is equal in it should not be told apart by content. Where VMAF pairs are
  made, peers whose VMAF is known are left to them: equal severities of two contents may differ much in VMAF.
- ``vmaf``: versions of primaries, the untouched ones among them, of different contents or of different distortions of
  one; the level is that of :func:`uncertain_level` for their VMAF, each with a deviation of :data:`VMAF_DEVIATION`.
  VMAF ends at 0: where the worse version is there, its true value may lie anywhere below, and the pair is kept only if
  that makes no difference. Ours: the paper names VMAF in its outlook.
- ``teacher``: untouched clips, primaries or not, photographs among them; the level is that of :func:`uncertain_level`
  for what the weak teachers say together (arXiv 2505.03631, section 4). A group of clips none of which they tell apart
  is left out: few and weak teachers are unsure of most, and their doubt is no finding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Final

import numpy as np

from w2svqa.core.levels import BETTER, INFERIOR, SIMILAR, SUPERIOR, WORSE, opposite
from w2svqa.core.random import generator
from w2svqa.core.rows import PairRow, Split, VersionRow
from w2svqa.stages.groups import Measured, groups_needed, ranked_groups, vmaf_groups
from w2svqa.teachers.calibration import PseudoLabel

VMAF_DEVIATION: Final = 5.0
"""Points of VMAF by which the value of a version deviates from what viewers would say. Ours: about its usual error."""

VMAF_NEAR: Final = 25.0
"""Points of VMAF by which the versions of every other group differ at most, so that close calls are learned too."""

# Groups of clips to draw for each that is kept.
_TEACHER_DRAWS: Final = 4

# VMAF below this has been cut off at 0.
_VMAF_END: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PairConfig:
    """How many pairs beside the severity pairs, which are all made.

    Attributes:
        same_per_clip: pairs of a version with itself, per clip.
        cross_per_primary: pairs of a clean and a heavy version across contents, per primary.
        peers_per_version: pairs of equal severity across contents, per version of a primary.
        cross_severity: least severity (0-1) of the other clip in a pair across contents.
        cross_group: pairs of a clean and a heavy version, or of peers, that are drawn together.
        vmaf_per_version: VMAF pairs, per version of a primary whose VMAF is known; 0 makes none.
        teacher_per_clip: pairs by the teachers' labels, per labelled clip, or fewer where they tell little apart; 0
            makes none.
        group_size: versions that are drawn together for VMAF and teacher pairs; each is paired with each.
    """

    same_per_clip: int = 4
    cross_per_primary: int = 16
    cross_severity: float = 0.75
    peers_per_version: int = 2
    cross_group: int = 4
    vmaf_per_version: float = 9
    teacher_per_clip: float = 30
    group_size: int = 4

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: a number of pairs is negative or not finite, or a group holds less than a pair.
        """
        counts = (self.same_per_clip, self.cross_per_primary, self.peers_per_version)
        if not all(0 <= count < math.inf for count in (*counts, self.vmaf_per_version, self.teacher_per_clip)):
            raise ValueError("numbers of pairs must be 0 or more")
        if self.cross_group < 1 or self.group_size < 2:
            raise ValueError("cross_group must be at least 1 and group_size at least 2")


def make_pairs(
    versions: Sequence[VersionRow],
    config: PairConfig,
    *,
    split: Split,
    seed: int,
    labels: Mapping[str, PseudoLabel] | None = None,
) -> list[PairRow]:
    """Return the pairs among the versions of one split, each in a random order.

    Args:
        versions: rows of the distort stage.
        config: how many.
        split: only versions of this split are paired.
        seed: fixes the choice and the order.
        labels: what the teachers say of untouched clips, by clip id; those of other splits are left out.
    """
    chosen = [version for version in versions if version.split == split]
    clips: dict[str, list[VersionRow]] = defaultdict(list)
    for version in chosen:
        clips[version.clip_id].append(version)
    random = generator(seed, "pair", split)
    pairs = [pair for rows in clips.values() for pair in _severity_pairs(rows)]
    pairs += [pair for rows in clips.values() for pair in _same_pairs(rows, config.same_per_clip, random)]
    pairs += _cross_pairs(chosen, config, random)
    pairs += _peer_pairs(chosen, config, random)
    # generators of their own: more or fewer of these change none of the others
    pairs += _vmaf_pairs(chosen, config, generator(seed, "pair", split, "vmaf"))
    pairs += _teacher_pairs(chosen, labels or {}, config, generator(seed, "pair", split, "teacher"))
    exchanged = random.random(len(pairs)) < 0.5
    return [_exchange(pair) if flag else pair for pair, flag in zip(pairs, exchanged, strict=True)]


def severity_level(first: int, second: int) -> int:
    """Return the level of the version at step ``second`` of a ladder relative to the one at step ``first``.

    Steps are counted over the versions that exist: where a level changed no pixel, its neighbours are one step apart.

    Raises:
        ValueError: the two are equal; severity pairs are never similar.

    Example:
        >>> severity_level(1, 2) == WORSE, severity_level(4, 1) == SUPERIOR
        (True, True)
    """
    gap = second - first
    if gap == 0:
        raise ValueError("a severity pair needs two severities")
    if gap > 0:
        return WORSE if gap == 1 else INFERIOR
    return BETTER if gap == -1 else SUPERIOR


def uncertain_level(difference: float, deviation: float) -> int:
    """Return the level of the second of two versions whose qualities are known with some uncertainty.

    Within one deviation the two are similar, up to two the second is better or worse, beyond superior or inferior. On
    the borders themselves the rule is the paper's and takes the lower level: there, and only there, exchanging the two
    does not mirror it.

    Args:
        difference: quality of the second minus that of the first.
        deviation: standard deviation of the difference; above 0.

    Raises:
        ValueError: the difference is not finite, or the deviation not above 0.

    Source: arXiv 2505.03631, section 4: superior if D > 2s, better if s < D <= 2s, similar if -s < D <= s, worse if
    -2s < D <= -s, inferior if D <= -2s.

    Example:
        >>> [uncertain_level(difference, 1.0) for difference in (-3, -1.5, 0, 1.5, 3)]
        [0, 1, 2, 3, 4]
    """
    if not (math.isfinite(difference) and 0 < deviation < math.inf):
        raise ValueError(f"no level follows from a difference of {difference} with a deviation of {deviation}")
    borders = (-2 * deviation, -deviation, deviation, 2 * deviation)
    return sum(difference > border for border in borders)


def _severity_pairs(rows: Sequence[VersionRow]) -> Iterator[PairRow]:
    """All pairs of one clip within each kind."""
    untouched = [row for row in rows if row.kind == "none" and row.primary]
    for kind in sorted({row.kind for row in rows} - {"none"}):
        ladder = untouched + [row for row in rows if row.kind == kind]
        for (milder_step, milder), (worse_step, worse) in combinations(enumerate(ladder), 2):
            yield PairRow(
                first=milder.version_id,
                second=worse.version_id,
                level=severity_level(milder_step, worse_step),
                origin="severity",
                kind=kind,
                group=f"{milder.clip_id}-{kind}",
            )


def _same_pairs(rows: Sequence[VersionRow], count: int, random: np.random.Generator) -> Iterator[PairRow]:
    for index in random.permutation(len(rows))[:count].tolist():
        row = rows[index]
        yield PairRow(
            first=row.version_id,
            second=row.version_id,
            level=SIMILAR,
            origin="same",
            kind=row.kind,
            group=f"{row.clip_id}-same",
        )


def _cross_pairs(rows: Sequence[VersionRow], config: PairConfig, random: np.random.Generator) -> list[PairRow]:
    clean = [row for row in rows if row.kind == "none" and row.primary]
    heavy = [row for row in rows if row.severity >= config.cross_severity]
    pairs: list[PairRow] = []
    if not heavy:
        return pairs
    for _ in range(config.cross_per_primary):
        for index in random.permutation(len(clean)).tolist():
            row, other = clean[index], heavy[int(random.integers(len(heavy)))]
            if row.clip_id != other.clip_id:
                pairs.append(_cross(row, other, f"cross-{len(pairs) // config.cross_group}"))
    return pairs


def _cross(clean: VersionRow, heavy: VersionRow, group: str) -> PairRow:
    return PairRow(
        first=heavy.version_id,
        second=clean.version_id,
        level=SUPERIOR,
        origin="cross",
        kind=heavy.kind,
        group=group,
    )


def _peer_pairs(rows: Sequence[VersionRow], config: PairConfig, random: np.random.Generator) -> list[PairRow]:
    peers: dict[tuple[str, int], list[VersionRow]] = defaultdict(list)
    for row in rows:
        if row.primary:
            peers[row.kind, row.level].append(row)
    couples = [
        (row, others[int(random.integers(len(others)))])
        for _ in range(config.peers_per_version)
        for others in peers.values()
        for row in others
    ]
    # in random order, so that a group holds several distortions
    shuffled = [couples[index] for index in random.permutation(len(couples)).tolist()]
    different = [
        (row, other)
        for row, other in shuffled
        if row.clip_id != other.clip_id and not _left_to_vmaf(row, other, config)
    ]
    return [
        PairRow(
            first=row.version_id,
            second=other.version_id,
            level=SIMILAR,
            origin="peer",
            kind=row.kind,
            group=f"peer-{number // config.cross_group}",
        )
        for number, (row, other) in enumerate(different)
    ]


def _left_to_vmaf(row: VersionRow, other: VersionRow, config: PairConfig) -> bool:
    return config.vmaf_per_version > 0 and row.vmaf is not None and other.vmaf is not None


def _vmaf_pairs(rows: Sequence[VersionRow], config: PairConfig, random: np.random.Generator) -> Iterator[PairRow]:
    measured = [Measured(row=row, vmaf=row.vmaf) for row in rows if row.primary and row.vmaf is not None]
    count = groups_needed(len(measured), config.vmaf_per_version, config.group_size)
    groups = vmaf_groups(measured, count=count, size=config.group_size, near=VMAF_NEAR, random=random)
    for number, group in enumerate(groups):
        for first, second in combinations(group, 2):
            level = _vmaf_level(first.vmaf, second.vmaf)
            if level is not None:
                yield PairRow(
                    first=first.row.version_id,
                    second=second.row.version_id,
                    level=level,
                    origin="vmaf",
                    kind=min(first, second, key=lambda each: each.vmaf).row.kind,
                    group=f"vmaf-{number}",
                )


def _vmaf_level(first: float, second: float) -> int | None:
    """The level by VMAF; ``None`` where VMAF's end at 0 hides it."""
    level = uncertain_level(second - first, math.hypot(VMAF_DEVIATION, VMAF_DEVIATION))
    hidden = min(first, second) < _VMAF_END and level not in (INFERIOR, SUPERIOR)
    return None if hidden else level


def _teacher_pairs(
    rows: Sequence[VersionRow],
    labels: Mapping[str, PseudoLabel],
    config: PairConfig,
    random: np.random.Generator,
) -> Iterator[PairRow]:
    untouched = {row.clip_id: row for row in rows if row.kind == "none" and row.clip_id in labels}
    count = groups_needed(len(untouched), config.teacher_per_clip, config.group_size)
    ranks = {clip: labels[clip].mean for clip in untouched}
    stills = frozenset(clip for clip, row in untouched.items() if row.is_still)
    groups = ranked_groups(ranks, stills, count=_TEACHER_DRAWS * count, size=config.group_size, random=random)
    telling = (levels for levels in (_teacher_levels(group, labels) for group in groups) if _tells(levels))
    for number, levels in enumerate(islice(telling, count)):
        for (first, second), level in levels.items():
            yield PairRow(
                first=untouched[first].version_id,
                second=untouched[second].version_id,
                level=level,
                origin="teacher",
                kind="none",
                group=f"teacher-{number}",
            )


def _teacher_levels(group: Sequence[str], labels: Mapping[str, PseudoLabel]) -> dict[tuple[str, str], int]:
    levels: dict[tuple[str, str], int] = {}
    for first, second in combinations(group, 2):
        one, other = labels[first], labels[second]
        levels[first, second] = uncertain_level(other.mean - one.mean, math.sqrt(one.variance + other.variance))
    return levels


def _tells(levels: Mapping[tuple[str, str], int]) -> bool:
    return any(level != SIMILAR for level in levels.values())


def _exchange(pair: PairRow) -> PairRow:
    return PairRow(
        first=pair.second,
        second=pair.first,
        level=opposite(pair.level),
        origin=pair.origin,
        kind=pair.kind,
        group=pair.group,
    )
