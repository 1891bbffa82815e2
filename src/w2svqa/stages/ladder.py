"""student + items -> figures: the evaluation on contents and codecs that the student never saw, beside its teachers.

The items are made by `ladder_items`, the rules of the figures stand in `ladder_figures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import BundleError
from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.stages.ladder_figures import (
    Named,
    order_figures,
    reason_figures,
    timeline_figures,
    vmaf_figures,
)
from w2svqa.stages.ladder_intervals import Figure, difference
from w2svqa.stages.ladder_items import LadderItems, LadderRow
from w2svqa.students.bundle import Bundle
from w2svqa.students.looks import Looks
from w2svqa.students.runtime import first_answers

Floats = NDArray[np.float64]

TARGETS: Final[Mapping[str, float]] = {
    "within_mean": 0.95,
    "within_worst": 0.85,
    "pair_accuracy": 0.95,
    "vmaf_srcc": 0.85,
    "clean_order": 0.98,
    "reasons": 0.8,
    "reasons_none": 0.9,
    "timeline": 0.9,
}
"""What the student shall reach on the final manifest, at least."""

FLOORS: Final[Mapping[str, float]] = {"within": 0.85, "clean_order": 0.98, "reasons": 0.8, "timeline": 0.9}
"""What it shall reach for every single distortion; a kind below is listed."""

LEAST_SOURCES: Final = 5
"""Fewer sources give no interval to rely on: the bootstrap of one has no width at all."""


class KindScale(Protocol):
    """What makes probabilities of kind logits."""

    def probabilities(self, logits: Floats) -> Floats:
        """Map logits ``(N, 1 + kinds)``, "none" first, to probabilities."""
        ...


@runtime_checkable
class LadderStudent(Student, Protocol):
    """A student that reads stored looks and says how probable each distortion is."""

    def encode_looks(self, looks: Looks) -> Tokens:
        """Return the tokens of one version."""
        ...

    def diagnosis(self, videos: Sequence[Tokens]) -> tuple[Floats, Floats]:
        """Return kind logits ``(N, 1 + kinds)``, "none" first, and severities ``(N, kinds)``."""
        ...

    @property
    def diagnosis_scale(self) -> KindScale:
        """What makes probabilities of the logits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a student says of every version.

    Attributes:
        raw: score by version id; higher is better, not clipped.
        seconds: score of each second by version id, as shown to users: float64 ``(S,)``, clipped to 0-100.
        raw_seconds: the same before clipping.
        named: its first reason by version id.
    """

    raw: Mapping[str, float]
    seconds: Mapping[str, Floats]
    raw_seconds: Mapping[str, Floats]
    named: Mapping[str, Named]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Student minus teacher on the items that both have scored.

    Attributes:
        teacher: its name.
        name: of the figure.
        student: its figure.
        other: the teacher's.
        value: student minus teacher.
        low: lower end of the 95 % interval, by the paired bootstrap.
        high: upper end.
        n: how many items.
        sources: how many sources they come from.
    """

    teacher: str
    name: str
    student: float
    other: float
    value: float
    low: float
    high: float
    n: int
    sources: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0; never with fewer than :data:`LEAST_SOURCES`."""
        return self.sources >= LEAST_SOURCES and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """All figures of a student and of the teachers.

    Attributes:
        student: its name.
        figures: of the student, by name.
        teachers: of each teacher, by name; on all items it has scored.
        differences: of the student to each teacher, on common items.
        problems: items that could not be made.
        counts: clips of the manifest, clips and versions measured, primaries, sources.
        known: distortions that the student can name.
        targets: what to reach.
    """

    student: str
    figures: Mapping[str, Figure]
    teachers: Mapping[str, Mapping[str, Figure]]
    differences: tuple[Difference, ...]
    problems: tuple[tuple[str, str], ...]
    counts: Mapping[str, int]
    known: tuple[str, ...]
    targets: Mapping[str, float] = field(default_factory=lambda: dict(TARGETS))

    @property
    def lost(self) -> tuple[Difference, ...]:
        """Where a teacher is better, worst first; whether by more than chance, each says itself."""
        behind = [each for each in self.differences if each.value < 0]
        return tuple(sorted(behind, key=lambda each: each.value))

    @property
    def missed(self) -> tuple[str, ...]:
        """Targets that are not reached, a figure that is not there among them."""
        return tuple(name for name, least in self.targets.items() if not self.figures[name].value >= least)

    @property
    def below_floor(self) -> tuple[Figure, ...]:
        """Single distortions below their floor."""
        return tuple(
            figure
            for name, figure in self.figures.items()
            if "/" in name and name.partition("/")[0] in FLOORS and figure.value < FLOORS[name.partition("/")[0]]
        )


def measure(bundle: Bundle, items: LadderItems, *, threads: int = 1) -> Ladder:
    """Return the figures of a student, those of the teachers on the same items, and their differences.

    Args:
        bundle: with a student that reads looks.
        items: from :func:`w2svqa.stages.ladder_items.build_items`.
        threads: clips looked at side by side.

    Raises:
        BundleError: its student cannot read looks.
        StoreError: the looks of a version cannot be read.
    """
    known = tuple(str(kind) for kind in bundle.card.get("kinds", ()))
    seen = look(bundle, items, known, threads=threads)
    figures = [
        *_order(items.rows, seen.raw),
        *reason_figures(items.rows, seen.named, known),
        *timeline_figures(items.rows, seen.seconds),
        *timeline_figures(items.rows, seen.raw_seconds, name="timeline_unclipped"),
    ]
    return Ladder(
        student=bundle.student.name,
        figures={figure.name: figure for figure in figures},
        teachers={name: {each.name: each for each in _order(items.rows, raw)} for name, raw in items.scores.items()},
        differences=tuple(
            each for name, raw in items.scores.items() for each in differences(items.rows, seen.raw, name, raw)
        ),
        problems=items.problems,
        counts=_counts(items),
        known=known,
    )


def look(bundle: Bundle, items: LadderItems, known: Sequence[str], *, threads: int = 1) -> Seen:
    """Return what a student says of every version: its scores as :class:`w2svqa.stages.score.Scorer` computes them.

    Args:
        bundle: the student, its anchors and its scale.
        items: the versions.
        known: the distortions it can name, in its own order.
        threads: clips looked at side by side.

    Raises:
        BundleError: its student cannot read looks.
        StoreError: the looks of a version cannot be read.
    """
    student = bundle.student
    if not isinstance(student, LadderStudent):
        raise BundleError(
            f"its student {student.name!r} cannot read looks", path=bundle.folder, remedy="measure a compact student"
        )
    judge = AnchoredJudge(student, bundle.anchors, Scale.from_dict(bundle.scale_mapping))
    by_clip = [list(rows) for _, rows in groupby(items.rows, key=lambda row: row.clip_id)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda rows: _look_at_clip(student, judge, items, rows, known), by_clip))
    return Seen(
        raw={key: value for part in parts for key, value in part.raw.items()},
        seconds={key: value for part in parts for key, value in part.seconds.items()},
        raw_seconds={key: value for part in parts for key, value in part.raw_seconds.items()},
        named={key: value for part in parts for key, value in part.named.items()},
    )


def _look_at_clip(
    student: LadderStudent, judge: AnchoredJudge, items: LadderItems, rows: Sequence[LadderRow], known: Sequence[str]
) -> Seen:
    names = [row.version_id for row in rows]
    tokens = [student.encode_looks(items.looks(row)) for row in rows]
    whole = judge.score(tokens)
    single = judge.score([video[second : second + 1] for video in tokens for second in range(len(video))])
    ends = np.cumsum([len(video) for video in tokens])[:-1]
    probabilities = student.diagnosis_scale.probabilities(student.diagnosis(tokens)[0])
    kinds = ("none", *known)
    return Seen(
        raw=dict(zip(names, whole.raw.tolist(), strict=True)),
        seconds=dict(zip(names, np.split(single.value, ends), strict=True)),
        raw_seconds=dict(zip(names, np.split(single.raw, ends), strict=True)),
        named={
            name: Named(kind=kinds[answer], probability=float(each[answer]))
            for name, answer, each in zip(names, first_answers(probabilities).tolist(), probabilities, strict=True)
        },
    )


def differences(
    rows: Sequence[LadderRow], student: Mapping[str, float], teacher: str, other: Mapping[str, float]
) -> list[Difference]:
    """Return student minus teacher for every figure that both have, on the versions that both have scored.

    Args:
        rows: versions.
        student: score by version id.
        teacher: its name.
        other: its scores by version id, higher is better.
    """
    common = [row for row in rows if row.version_id in student and row.version_id in other]
    mine, theirs = _order(common, student), _order(common, other)
    found = []
    for one, two in zip(mine, theirs, strict=True):
        if one.n:
            value, low, high = difference(one, two)
            found.append(
                Difference(
                    teacher=teacher,
                    name=one.name,
                    student=one.value,
                    other=two.value,
                    value=value,
                    low=low,
                    high=high,
                    n=one.n,
                    sources=len(one.sources),
                )
            )
    return found


def _order(rows: Sequence[LadderRow], raw: Mapping[str, float]) -> list[Figure]:
    return [*order_figures(rows, raw), *vmaf_figures(rows, raw)]


def _counts(items: LadderItems) -> dict[str, int]:
    def clips(rows: Iterable[LadderRow]) -> int:
        return len({row.clip_id for row in rows})

    return {
        "manifest_clips": items.clips,
        "clips": clips(items.rows),
        "primaries": clips(row for row in items.rows if row.primary),
        "sources": len({row.source for row in items.rows}),
        "versions": len(items.rows),
        "seconds": sum(row.seconds for row in items.rows),
    }
