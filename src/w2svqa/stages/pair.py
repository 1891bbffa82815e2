"""severities -> pairs: who is compared with whom, and with what level.

- ``severity``: two severities of one distortion on one clip. Gap 1: better / worse; more: superior / inferior; never
  similar (arXiv 2505.03631, section 4). The untouched clip counts as severity 0 where the clip is a primary.
- ``same``: a version and itself; training draws the two sides from other seconds or shifted views. Similar. Ours:
  without it no pair would ever be similar, and the word would have no meaning.
- ``cross``: the untouched version of a primary and a heavy version of another clip: superior / inferior. Ours: a
  score compares across contents, so training must see contents side by side where the answer is not in doubt.
- ``peer``: two primaries at the same severity of the same distortion, or both untouched: similar. Ours: severity is the
  only quality the simulators know, so what is equal in it should not be told apart by content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from w2svqa.core.levels import BETTER, INFERIOR, SIMILAR, SUPERIOR, WORSE, opposite
from w2svqa.core.random import generator
from w2svqa.core.rows import PairRow, Split, VersionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PairConfig:
    """How many pairs beside the severity pairs, which are all made.

    Attributes:
        same_per_clip: pairs of a version with itself, per clip.
        cross_per_primary: pairs of a clean and a heavy version across contents, per primary.
        peers_per_version: pairs of equal severity across contents, per version of a primary.
        cross_severity: least severity (0-1) of the other clip in a pair across contents.
        cross_group: pairs across contents, of either sort, that are drawn together.
    """

    same_per_clip: int = 4
    cross_per_primary: int = 16
    cross_severity: float = 0.75
    peers_per_version: int = 2
    cross_group: int = 4


def make_pairs(versions: Sequence[VersionRow], config: PairConfig, *, split: Split, seed: int) -> list[PairRow]:
    """Return the pairs among the versions of one split, each in a random order.

    Args:
        versions: rows of the distort stage.
        config: how many.
        split: only versions of this split are paired.
        seed: fixes the choice and the order.
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
    different = [(row, other) for row, other in shuffled if row.clip_id != other.clip_id]
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


def _exchange(pair: PairRow) -> PairRow:
    return PairRow(
        first=pair.second,
        second=pair.first,
        level=opposite(pair.level),
        origin=pair.origin,
        kind=pair.kind,
        group=pair.group,
    )
