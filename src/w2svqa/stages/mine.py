"""labelled pool + student -> hard pairs: what the next stage learns from.

```
OUTPUT/
├── hard/       gMAD pairs, then severity pairs that the student gets wrong    (HardPairRow)
├── control/    as many pairs of the pool at random, labelled alike, where they are asked for
└── tokens/     what the student makes of each video, kept for reruns
```

The student and the teachers have scored the pool (``w2svqa label --teachers student:compact,niqe,...``). gMAD pairs are
found by those scores, see :mod:`w2svqa.stages.mining_gmad`, among the videos that are nobody's distorted version; then
the student labels them, for from now on it is the teacher. The level of a severity pair is known.

Source: arXiv 2505.03631, section 4 (iterative training on difficult samples).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.files import hold
from w2svqa.core.stage_rows import HardPairRow, MinedOrigin
from w2svqa.core.store import write_artifact
from w2svqa.stages.mining_gmad import (
    BINS,
    MOST_PER_VIDEO,
    STUDENT,
    MinedPairs,
    gmad_pairs,
    misclassified,
    random_pairs,
    share_disordered,
)
from w2svqa.stages.mining_labels import UNKNOWN, EnsembleLabeller, Labeller, Labels, StudentLabeller
from w2svqa.stages.mining_pool import MiningPool, read_mining_pool
from w2svqa.stages.pool_labels import PoolLabelConfig
from w2svqa.stages.pool_pairs import ENSEMBLE, SEVERITY, PoolPairConfig, severity_pairs
from w2svqa.stages.student_teacher import PREFIX
from w2svqa.stages.watched import watch

HARD: Final = "hard"
CONTROL: Final = "control"
"""Folders of the tables, and the artifacts' kinds."""

TOKENS: Final = "tokens"
"""Folder of the tokens."""

_LEAST_DRAWN: Final = 1000
"""Random pairs that mined ones are at least compared with."""

Ints = NDArray[np.int64]
Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MineConfig:
    """Which pairs are mined, and who labels them.

    Attributes:
        student: its name among the teachers of the pool, ``"student:PATH"`` or ``"student:NAME"``.
        count: gMAD pairs wanted.
        misclassified: severity pairs wanted; ``None`` for all that the student gets wrong.
        random: pairs of the control.
        teachers: who takes part; empty for all who scored the pool.
        labels: the student compares the two (``"direct"``), or its scores and their deviations give the level
            (``"scores"``), or its scores and the teachers' together (``"ensemble"``), each on the common scale.
        student_weight: of the student in the ensemble, above 0; each teacher counts 1.
        wrong: a severity pair is wrong if its ``"level"`` is, or only if its ``"order"`` is; see
            :func:`~w2svqa.stages.mining_gmad.misclassified`.
        bins: of quality.
        most_per_video: gMAD pairs, or pairs of the control, that a video may be in; ``None`` for no limit.
        balance: as many gMAD pairs from each role, fewer where one has no more.
        untouched: the primary itself, where it is in the pool, counts as severity 0 of its versions.
        workers: processes that encode videos.
        stage: that the pairs are for, from 2.
        seed: settles what is left to chance.
        higher_is_better: teachers whose direction neither the scores' manifest nor the registry tells.
        lower_is_better: the same, of the other direction.
    """

    student: str
    count: int
    misclassified: int | None = None
    random: int = 0
    teachers: tuple[str, ...] = ()
    labels: Literal["direct", "scores", "ensemble"] = "direct"
    student_weight: float = 1.0
    wrong: Literal["level", "order"] = "level"
    bins: int = BINS
    most_per_video: int | None = MOST_PER_VIDEO
    balance: bool = False
    untouched: bool = True
    workers: int = 1
    stage: int = 2
    seed: int = 0
    higher_is_better: tuple[str, ...] = ()
    lower_is_better: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject what cannot be.

        Raises:
            ConfigError: a number is out of range, the student is among the teachers, or nobody can label.
        """
        if min(self.count, self.misclassified or 0, self.random) < 0:
            raise ConfigError("a negative number of pairs", remedy="ask for 0 or more")
        if min(self.bins, self.workers, self.most_per_video or 1, self.stage - 1) < 1 or self.most_per_video == 0:
            raise ConfigError(
                "bins, workers and pairs per video must be 1 or more, and the stage 2 or more", remedy="raise it"
            )
        if not (math.isfinite(self.student_weight) and self.student_weight > 0):
            raise ConfigError(f"the student has weight {self.student_weight:g}", remedy="give a number above 0")
        if self.student in self.teachers:
            raise ConfigError(f"{self.student} is the student and a teacher", remedy="name it once")
        if self.labels == ENSEMBLE and self.wrong == "level" and self.misclassified != 0:
            raise ConfigError(
                "scores alone do not tell the student's level", remedy="ask for a wrong order, or for no severity pairs"
            )
        if self.labels != ENSEMBLE and not self.student.startswith(PREFIX):
            raise ConfigError(
                f"{self.student!r} is no student that could look at videos",
                remedy=f"name {PREFIX}PATH, or have the ensemble label",
            )


class RoleFigures(NamedTuple):
    """What a role gave.

    ``disordered`` is the share of its pairs that the two models put in opposite order, ``at_random`` that of random
    pairs; NaN where neither sees a difference.
    """

    by: str
    attacked: str
    pairs: int
    largest: float
    smallest: float
    disordered: float
    at_random: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedPool:
    """What was mined.

    Attributes:
        rows: gMAD pairs by falling difference, then severity pairs, worst first.
        control: random pairs.
        roles: those that gave pairs.
        skipped: why models had no part, by name.
        possible: how many severity pairs there are.
        unlabelled: pairs that were left out, for a video of theirs has no label.
        failed: why videos could not be encoded, by clip id.
        agreement: share of gMAD pairs that direct comparison and scores give the same level; ``None`` where the student
            did not look.
    """

    rows: tuple[HardPairRow, ...]
    control: tuple[HardPairRow, ...]
    roles: tuple[RoleFigures, ...]
    skipped: Mapping[str, str]
    possible: int
    unlabelled: int
    failed: Mapping[str, str]
    agreement: float | None

    def counted(self, origin: MinedOrigin) -> int:
        """Return how many pairs there are of an origin."""
        return sum(row.origin == origin for row in (*self.rows, *self.control))


def mine_pool(
    folder: StrPath,
    config: MineConfig,
    *,
    output: StrPath | None = None,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> MinedPool:
    """Mine the hard pairs of a labelled folder, label them, and store them.

    Killed at any moment, the same call goes on: videos that were encoded are not encoded again.

    Args:
        folder: that ``w2svqa label`` wrote.
        config: which pairs.
        output: where to; into ``folder`` if not given.
        progress: called as videos get encoded.

    Raises:
        ConfigError: the student or a teacher has not scored the pool, or a direction is not known.
        InputError: there is no pair to mine, or the ensemble cannot be calibrated.
        BundleError: the student cannot be loaded.
        StoreError: an artifact is missing, damaged, or cannot be written.
        MissingExtraError: pyarrow or SciPy is not installed.
    """
    place = Path(output or folder)
    told = PoolLabelConfig(higher_is_better=config.higher_is_better, lower_is_better=config.lower_is_better)
    with hold(place):
        pool = read_mining_pool(Path(folder), config.student, config.teachers, told)
        found = _find(pool, config)
        labeller, failed = _labeller(pool, found, config, place / TOKENS, progress)
        mined = _labelled(pool, found, labeller, failed, config)
        if not mined.rows:
            raise InputError(f"no pair is mined: {_why_none(mined)}", path=folder, remedy="add videos or teachers")
        _write(place, pool, mined, config)
    return mined


class _Found(NamedTuple):
    """Pairs by clip id, before they are labelled."""

    gmad: MinedPairs
    mined: list[tuple[str, str]]
    control: list[tuple[str, str]]
    severity: list[tuple[str, str]]
    levels: Ints


def _find(pool: MiningPool, config: MineConfig) -> _Found:
    share = -(-config.count // max(1, 2 * len(pool.teachers)))
    gmad = gmad_pairs(
        pool.student,
        pool.teachers,
        count=config.count,
        bins=config.bins,
        most_per_video=config.most_per_video,
        most_per_role=max(1, share) if config.balance else None,
        seed=config.seed,
    )
    drawn = random_pairs(len(pool.clips), config.random, most_per_video=config.most_per_video, seed=config.seed)
    ladders = PoolPairConfig(untouched=config.untouched, stage=config.stage, seed=config.seed)
    severity = severity_pairs(pool.videos, ladders) if config.misclassified != 0 else []
    return _Found(
        gmad=gmad,
        mined=_named(pool.clips, gmad.first, gmad.second),
        control=_named(pool.clips, *drawn),
        severity=[(row.first, row.second) for row in severity],
        levels=np.array([row.level for row in severity], dtype=np.int64),
    )


def _named(clips: Sequence[str], first: Ints, second: Ints) -> list[tuple[str, str]]:
    return [(clips[one], clips[other]) for one, other in zip(first.tolist(), second.tolist(), strict=True)]


def _labeller(
    pool: MiningPool, found: _Found, config: MineConfig, tokens: Path, progress: Progress
) -> tuple[Labeller, Mapping[str, str]]:
    """Who labels, and why videos could not be looked at."""
    if config.labels == ENSEMBLE:
        return EnsembleLabeller(pool, config.student, config.student_weight), {}
    files = {row.clip_id: row.path for row in pool.videos}
    wanted = dict.fromkeys(clip for pair in (*found.mined, *found.control, *found.severity) for clip in pair)
    watched = watch(
        {clip: files[clip] for clip in wanted},
        config.student.removeprefix(PREFIX),
        tokens,
        workers=config.workers,
        progress=partial(progress, "encode"),
    )
    return StudentLabeller(config.student, watched, direct=config.labels == "direct"), watched.failed


def _labelled(
    pool: MiningPool, found: _Found, labeller: Labeller, failed: Mapping[str, str], config: MineConfig
) -> MinedPool:
    labels, drawn = labeller.label(found.mined), labeller.label(found.control)
    logits = labeller.logits(found.severity)
    judged = np.flatnonzero(np.isfinite(logits).all(axis=1))
    wrong = misclassified(
        found.levels[judged], logits[judged], config.misclassified, rule=config.wrong, seed=config.seed
    )
    gmad = found.gmad
    places = np.flatnonzero(labels.levels != UNKNOWN)
    rows = [
        replace(row, by=gmad.by[place], attacked=gmad.attacked[place], gap=float(gmad.gap[place]))
        for place, row in zip(places.tolist(), _rows(found.mined, labels, labeller, "gmad", config.stage), strict=True)
    ]
    known = Labels(found.levels, np.zeros(len(found.levels)))
    severity = [(found.severity[place], place) for place in judged[wrong].tolist()]
    hard = [_row(pair, known, place, SEVERITY, "misclassified", config.stage) for pair, place in severity]
    control = _rows(found.control, drawn, labeller, "random", config.stage)
    return MinedPool(
        rows=(*rows, *hard),
        control=tuple(control),
        roles=role_figures(pool, gmad, seed=config.seed),
        skipped=gmad.skipped,
        possible=len(found.severity),
        unlabelled=len(found.mined) - len(rows) + len(found.control) - len(control) + len(logits) - len(judged),
        failed=failed,
        agreement=None if labels.other is None or not rows else float((labels.levels == labels.other)[places].mean()),
    )


def _rows(
    pairs: Sequence[tuple[str, str]], labels: Labels, labeller: Labeller, origin: MinedOrigin, stage: int
) -> list[HardPairRow]:
    """The pairs that have a label."""
    return [
        _row(pair, labels, place, labeller.source, origin, stage)
        for place, pair in enumerate(pairs)
        if labels.levels[place] != UNKNOWN
    ]


def _row(
    pair: tuple[str, str], labels: Labels, place: int, source: str, origin: MinedOrigin, stage: int
) -> HardPairRow:
    return HardPairRow(
        first=pair[0],
        second=pair[1],
        level=int(labels.levels[place]),
        source=source,
        uncertainty=float(labels.deviation[place]),
        stage=stage,
        origin=origin,
        by="",
        attacked="",
        gap=0.0,
    )


def role_figures(pool: MiningPool, mined: MinedPairs, *, seed: int) -> tuple[RoleFigures, ...]:
    """Return what each role that gave pairs gave, beside as many random pairs."""
    by_role: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, role in enumerate(zip(mined.by, mined.attacked, strict=True)):
        by_role[role].append(place)
    drawn = random_pairs(len(pool.clips), max(_LEAST_DRAWN, len(mined.by)), seed=seed)
    figures = []
    for (by, attacked), places in by_role.items():
        teacher = pool.teachers[attacked if by == STUDENT else by]
        sizes = np.abs(mined.gap[places])
        disordered = share_disordered(mined.first[places], mined.second[places], pool.student, teacher)
        at_random = share_disordered(*drawn, pool.student, teacher)
        figures.append(RoleFigures(by, attacked, len(places), float(sizes[0]), float(sizes[-1]), disordered, at_random))
    return tuple(figures)


def _why_none(mined: MinedPool) -> str:
    reasons = [f"{name}: {reason}" for name, reason in mined.skipped.items()]
    if mined.unlabelled:
        reasons.append(f"{mined.unlabelled} pairs have a video without a label")
    return "; ".join(reasons) or "no two videos of one bin differ"


def _write(place: Path, pool: MiningPool, mined: MinedPool, config: MineConfig) -> None:
    extra = {
        "origins": Counter(row.origin for row in mined.rows),
        "wanted": config.count,
        "possible_severity_pairs": mined.possible,
        "unlabelled": mined.unlabelled,
        "failed": dict(mined.failed),
        "skipped": dict(mined.skipped),
        "agreement": mined.agreement,
        "roles": [_plain(each) for each in mined.roles],
    }
    store = partial(write_artifact, row_type=HardPairRow, config=config, inputs=dict(pool.inputs), seed=config.seed)
    store(place / HARD, mined.rows, kind=HARD, extra=extra)
    if config.random:
        store(place / CONTROL, mined.control, kind=CONTROL)


def _plain(figures: RoleFigures) -> dict[str, object]:
    """JSON has no NaN."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in figures._asdict().items()
    }
