"""The rows of the tables of weak-to-strong stages: what a student says, and the pairs that were mined with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MinedOrigin = Literal["gmad", "misclassified", "random"]
"""How a pair was found: :mod:`w2svqa.stages.next_pairs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """What a student makes of one version.

    Attributes:
        version_id: the version.
        clip_id: the source.
        token: the mean of its seconds' tokens.
    """

    version_id: str
    clip_id: str
    token: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBackRow:
    """The score of a version that no student of the run was trained on.

    Attributes:
        version_id: the version.
        clip_id: the source.
        kind: name of the simulator; ``"none"`` for the untouched clip.
        level: 1 (mild) upwards; 0 for the untouched clip.
        primary: its source is visually clean.
        vmaf: 0-100, higher is better; ``None`` where it was not measured.
        raw: score before it is cut to 0-100.
    """

    version_id: str
    clip_id: str
    kind: str
    level: int
    primary: bool
    vmaf: float | None
    raw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedRow:
    """A pair that a stage adds, and what each way of labelling says of it.

    Attributes:
        first: version id.
        second: version id.
        level: 0 (inferior) to 4 (superior), of the second relative to the first: the one that is trained on.
        origin: how the pair was found.
        kind: the distortion that the pair is about; ``"none"`` for two untouched clips.
        by: whose quality bin both are in; empty where there is none.
        attacked: who tells them apart most; empty where there is none.
        gap: by how much, in that model's standard deviations, second minus first; 0 where there is none.
        direct: level by the student's direct comparison.
        by_scores: level by the student's scores and their deviations.
        by_teachers: level by the weak teachers' labels; ``None`` where one of the two has none.
    """

    first: str
    second: str
    level: int
    origin: MinedOrigin
    kind: str
    by: str
    attacked: str
    gap: float
    direct: int
    by_scores: int
    by_teachers: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HardPairRow:
    """A pair of a labelled pool for the next stage; the first six columns are those of a ``PoolPairRow``.

    Attributes:
        first: clip id.
        second: clip id.
        level: 0 (inferior) to 4 (superior).
        source: who says so: the student's name, ``"ensemble"``, or ``"severity"``.
        uncertainty: standard deviation of the difference of qualities, in points of the source's scale; 0 where the
            level is known.
        stage: of weak-to-strong training, from 2.
        origin: how the pair was found.
        by: whose quality bin both are in; empty where there is none.
        attacked: who tells them apart most; empty where there is none.
        gap: by how much, in that model's normal scores, second minus first; 0 where there is none.
    """

    first: str
    second: str
    level: int
    source: str
    uncertainty: float
    stage: int
    origin: MinedOrigin
    by: str
    attacked: str
    gap: float
