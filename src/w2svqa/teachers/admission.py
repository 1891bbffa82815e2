"""The test a teacher must pass before anything is learned from it: does it order the severities of clean sources?

Nobody has rated the pool, but what a simulator did to a clean source is known: of two severities of one distortion on
one content the milder one is better. A teacher that cannot tell that is of no use for anything finer. The test asks no
more than that: it says nothing about scores of different contents.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.core.rows import ScoreRow, VersionRow
from w2svqa.core.statistics import spearman

LEAST_STEPS = 3
"""Steps of a ladder, the untouched source among them, below which its order is chance."""

INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap: a 95 % interval."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionConfig:
    """What a teacher must reach.

    The figure is Spearman's correlation between severity and falling score within one content and kind, -1 to 1, where
    1 is the right order; averaged over contents, then over kinds. One exchange of neighbours in a ladder of four steps
    gives 0.8.

    Attributes:
        floor: least mean over kinds.
        worst_floor: least figure of the worst kind.
        least_contents: least number of contents in every kind.
        resamples: of the bootstrap.
    """

    floor: float = 0.8
    worst_floor: float = 0.4
    least_contents: int = 8
    resamples: int = 1000

    def __post_init__(self) -> None:
        """Reject floors outside -1 to 1 and empty tests.

        Raises:
            ValueError: a floor is no correlation, or a count is below 1.
        """
        if not (-1 <= self.worst_floor <= self.floor <= 1):
            raise ValueError(f"floors must be -1 to 1, the worst one lower, not {self.floor} and {self.worst_floor}")
        if self.least_contents < 1 or self.resamples < 1:
            raise ValueError("least_contents and resamples must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFigure:
    """How a teacher orders the severities of one distortion.

    Attributes:
        kind: the distortion.
        spearman: mean over contents, -1 to 1, 1 is right; ``None`` without contents.
        contents: how many were tested.
    """

    kind: str
    spearman: float | None
    contents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The result of one teacher's test; kept for refused ones too.

    Attributes:
        teacher: its name.
        admitted: it passed.
        reason: why not; empty if it passed.
        spearman: mean over kinds; ``None`` without contents.
        low: lower end of the 95 % interval of ``spearman``, resampled by content.
        high: upper end.
        contents: how many contents took part in any kind.
        kinds: figures kind by kind.
    """

    teacher: str
    admitted: bool
    reason: str
    spearman: float | None
    low: float | None
    high: float | None
    contents: int
    kinds: tuple[KindFigure, ...]

    def __str__(self) -> str:
        """Return the record on one line."""
        verdict = "admitted" if self.admitted else f"refused: {self.reason}"
        if self.spearman is None:
            return f"{self.teacher}: {verdict}"
        kinds = ", ".join(f"{figure.kind} {_shown(figure.spearman)} (N={figure.contents})" for figure in self.kinds)
        interval = f"[{_shown(self.low)}, {_shown(self.high)}]"
        return f"{self.teacher}: {verdict}; orders severities {_shown(self.spearman)} {interval} by {kinds}"


def admit(
    scores: Sequence[ScoreRow],
    versions: Sequence[VersionRow],
    *,
    higher_is_better: Mapping[str, bool],
    kinds: Sequence[str],
    config: AdmissionConfig,
    seed: int,
) -> tuple[Admission, ...]:
    """Test every teacher.

    The untouched source is severity 0 of each ladder. A ladder in which a teacher gives one score to all steps counts
    as 0: it orders nothing. Scores that are no finite numbers count as missing, and so does a kind or a teacher that
    has no scores at all, which refuses it.

    Args:
        scores: of all teachers on versions of clean sources; others are ignored.
        versions: what the scored versions are.
        higher_is_better: direction of each teacher; its keys are the teachers that take the test.
        kinds: the distortions that count, all of them.
        config: the floors.
        seed: of the bootstrap.

    Returns:
        one record per teacher, in the order of ``higher_is_better``.

    Example:
        >>> nothing = admit([], [], higher_is_better={"a": True}, kinds=["blur"], config=AdmissionConfig(), seed=0)
        >>> str(nothing[0])
        'a: refused: blur has 0 contents, 8 are needed'
    """
    known = {row.version_id: row for row in versions if row.primary}
    return tuple(
        _test([row for row in scores if row.teacher == teacher], known, teacher, rising, tuple(kinds), config, seed)
        for teacher, rising in higher_is_better.items()
    )


def _test(
    scores: Sequence[ScoreRow],
    known: Mapping[str, VersionRow],
    teacher: str,
    rising: bool,
    kinds: tuple[str, ...],
    config: AdmissionConfig,
    seed: int,
) -> Admission:
    table = _table(_ladders(scores, known, rising=rising), kinds)
    figures = tuple(
        KindFigure(kind=kind, spearman=float(column.mean()) if len(column) else None, contents=len(column))
        for kind, column in zip(kinds, (values[np.isfinite(values)] for values in table.T), strict=True)
    )
    values = [figure.spearman for figure in figures if figure.spearman is not None]
    mean = math.fsum(values) / len(values) if values else None
    low, high = _interval(table, config.resamples, generator(seed, "admission", teacher)) if values else (None, None)
    reason = _reason(figures, mean, config)
    return Admission(
        teacher=teacher,
        admitted=not reason,
        reason=reason,
        spearman=mean,
        low=low,
        high=high,
        contents=len(table),
        kinds=figures,
    )


def _ladders(
    scores: Sequence[ScoreRow], known: Mapping[str, VersionRow], *, rising: bool
) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Level and goodness of the steps of each content and kind; the untouched source under the kind ``"none"``."""
    ladders: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for row in scores:
        version = known.get(row.version_id)
        if version is not None and math.isfinite(row.value):
            ladders[version.clip_id, version.kind].append((version.level, row.value if rising else -row.value))
    return ladders


def _table(ladders: Mapping[tuple[str, str], list[tuple[int, float]]], kinds: tuple[str, ...]) -> Floats:
    """Return the order of each ladder, ``(contents, kinds)``; NaN where there is none."""
    orders: dict[str, list[float]] = {}
    for clip, kind in sorted(ladders):
        steps = ladders[clip, kind] + ladders.get((clip, "none"), [])
        if kind in kinds and len(steps) >= LEAST_STEPS:
            level, goodness = np.array(steps, dtype=np.float64).T
            orders.setdefault(clip, [math.nan] * len(kinds))[kinds.index(kind)] = -spearman(level, goodness)
    return np.array(list(orders.values()), dtype=np.float64).reshape(len(orders), len(kinds))


def _interval(table: Floats, resamples: int, random: np.random.Generator) -> tuple[float, float]:
    """Percentiles of the mean over kinds when whole contents are drawn with replacement."""
    contents = len(table)
    draws = random.multinomial(contents, np.full(contents, 1 / contents), size=resamples).astype(np.float64)
    there = np.isfinite(table)
    counts = draws @ there.astype(np.float64)
    sums = draws @ np.where(there, table, 0.0)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    # a draw may miss every content of a rare kind: the mean is over the kinds that are left
    low, high = np.percentile(np.nanmean(means, axis=1), INTERVAL).tolist()
    return low, high


def _reason(figures: Sequence[KindFigure], mean: float | None, config: AdmissionConfig) -> str:
    for figure in figures:
        if figure.contents < config.least_contents:
            return f"{figure.kind} has {figure.contents} contents, {config.least_contents} are needed"
    if mean is None or mean < config.floor:
        return f"the mean over kinds is {_shown(mean)}, the floor {config.floor:g}"
    worst = min(figures, key=lambda figure: figure.spearman if figure.spearman is not None else -1)
    if worst.spearman is None or worst.spearman < config.worst_floor:
        return f"{worst.kind} has {_shown(worst.spearman)}, the floor of the worst kind is {config.worst_floor:g}"
    return ""


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
