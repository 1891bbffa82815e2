"""How right teachers, ensemble and each stage's student are, where something is known: the table ``quality/`` of a run.

Weak teachers label the first stage; they are measured on the versions of training primaries that tested them. The
student of a stage labels the next; it is measured on contents that are held back. So rows of teachers and of students
are of other contents: students compare with each other, and so do teachers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Protocol

import numpy as np

from w2svqa.core.config import config_hash
from w2svqa.core.rows import LabelQualityRow, ScoreRow
from w2svqa.core.stage_rows import HeldBackRow
from w2svqa.core.store import fingerprint, is_complete, read_artifact, write_artifact
from w2svqa.pipeline.context import Material, Run
from w2svqa.stages.label_quality import (
    QUALITY,
    Contents,
    Labelling,
    agreement,
    ladder_quality,
    order_levels,
    pair_quality,
    rank_quality,
)
from w2svqa.stages.pair import severity_level


class _Version(Protocol):
    """What rows of versions and of held-back scores have in common."""

    @property
    def clip_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def primary(self) -> bool: ...
    @property
    def vmaf(self) -> float | None: ...


def write_quality(run: Run, material: Material, held_back: Sequence[Sequence[HeldBackRow]]) -> list[LabelQualityRow]:
    """Measure the labels of all stages and store them; return the rows.

    Args:
        run: the run.
        material: what all stages share.
        held_back: the scores of each stage's student, the first stage's first.

    Raises:
        StoreError: the table cannot be written.
    """
    folder = run.folder / QUALITY
    inputs = {
        "teachers": config_hash({} if material.judged is None else material.judged.facts),
        "students": config_hash([[row.raw for row in rows] for rows in held_back]),
    }
    if not is_complete(folder, fingerprint(QUALITY, {}, inputs)):
        rows = [*_teachers(run, material), *_students(held_back)]
        write_artifact(folder, rows, LabelQualityRow, kind=QUALITY, config={}, inputs=inputs)
    return read_artifact(folder, LabelQualityRow, kind=QUALITY).rows


def _teachers(run: Run, material: Material) -> Iterator[LabelQualityRow]:
    """Rows of each fitted teacher and of their mean, on the versions that all of this is known of."""
    judged = material.judged
    if judged is None:
        return
    scores: dict[str, dict[str, float]] = {fit.teacher: {} for fit in judged.calibration.fits}
    fits = {fit.teacher: fit for fit in judged.calibration.fits}
    for row in read_artifact(run.folder / "labels", ScoreRow, kind="labels").rows:
        if row.teacher in fits and np.isfinite(row.value):
            scores[row.teacher][row.version_id] = float(fits[row.teacher].curve(np.array(row.value)))
    if len(scores) > 1:
        common = set.intersection(*(set(each) for each in scores.values()))
        scores["ensemble"] = {name: float(np.mean([scores[fit][name] for fit in fits])) for name in sorted(common)}
    versions = {row.version_id: row for row in material.versions}
    for source, values in scores.items():
        rows = [versions[name] for name in values if name in versions]
        yield from _scored(source, 1, rows, [values[row.version_id] for row in rows])


def _students(held_back: Sequence[Sequence[HeldBackRow]]) -> Iterator[LabelQualityRow]:
    before: Sequence[HeldBackRow] | None = None
    for number, rows in enumerate(held_back, start=1):
        source = f"student-{number}"
        yield from _scored(source, number + 1, rows, [row.raw for row in rows])
        yield from _paired(source, number + 1, rows, before)
        before = rows


def _scored(source: str, stage: int, rows: Sequence[_Version], scores: Sequence[float]) -> Iterator[LabelQualityRow]:
    """Scores against severities within each content, and against VMAF over all."""
    values = np.array(scores, dtype=np.float64)
    ladder = [index for index, row in enumerate(rows) if row.kind != "none"]
    yield from ladder_quality(
        Labelling(stage=stage, source=source, against="severity"),
        values[ladder],
        [rows[index].level for index in ladder],
        [rows[index].clip_id for index in ladder],
        [rows[index].kind for index in ladder],
    )
    vmaf = [np.nan if row.vmaf is None or not row.primary else row.vmaf for row in rows]
    if np.isfinite(vmaf).any():  # it is measured where it labels pairs, and that is not on held-back contents
        clips = [row.clip_id for row in rows]
        yield from rank_quality(Labelling(stage=stage, source=source, against="vmaf"), values, vmaf, clips)


def _paired(
    source: str, stage: int, rows: Sequence[HeldBackRow], before: Sequence[HeldBackRow] | None
) -> Iterator[LabelQualityRow]:
    """The order of severity pairs against the truth, and against the student of the stage before."""
    pairs = list(_severity_pairs(rows))
    contents = Contents(first=[one.clip_id for one, _, _ in pairs], kinds=[other.kind for _, other, _ in pairs])
    levels = order_levels([one.raw for one, _, _ in pairs], [other.raw for _, other, _ in pairs])
    truth = [level for *_, level in pairs]
    yield from pair_quality(
        Labelling(stage=stage, source=source, against="severity"), levels, truth, contents, exact=False
    )
    if before is not None:
        raw = {row.version_id: row.raw for row in before}
        old = order_levels(
            [raw.get(one.version_id, np.nan) for one, _, _ in pairs],
            [raw.get(other.version_id, np.nan) for _, other, _ in pairs],
        )
        yield from agreement(Labelling(stage=stage, source=source, against="before"), levels, old, contents)


def _severity_pairs(rows: Sequence[HeldBackRow]) -> Iterator[tuple[HeldBackRow, HeldBackRow, int]]:
    """All pairs of one content and distortion, the untouched primary among them, with the level of the second."""
    clips: dict[str, list[HeldBackRow]] = {}
    for row in rows:
        clips.setdefault(row.clip_id, []).append(row)
    for members in clips.values():
        clean = [row for row in members if row.kind == "none" and row.primary]
        for kind in sorted({row.kind for row in members} - {"none"}):
            ladder = clean + sorted((row for row in members if row.kind == kind), key=lambda row: row.level)
            for (step, milder), (later, worse) in combinations(enumerate(ladder), 2):
                yield milder, worse, severity_level(step, later)
