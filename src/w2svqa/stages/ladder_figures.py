"""The figures of the evaluation, from scores alone: what counts and how it is averaged.

docs/evaluation.md says the same rules in words; `ladder_intervals` says how sure a figure is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.statistics import spearman
from w2svqa.distort import SIMULATORS, UNSEEN_CODECS
from w2svqa.stages.ladder_intervals import Counted, Figure, estimate, mean, owner_of, weighted_mean
from w2svqa.stages.ladder_items import LadderRow
from w2svqa.stages.versions import VMAF_KINDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ItemT = TypeVar("ItemT")

LEAST_STEPS: Final = 3
"""A ladder counts within content if it has so many visible steps, the untouched clip included for primaries."""

WORST_PAIR: Final = 2
"""Clean order and timeline are asked at the worst two levels of a kind."""

WORST_REASONS: Final = 3
"""Reasons are asked at the worst three."""

LEAST_SECONDS: Final = 3
"""A timeline needs so many seconds."""

BINS: Final = 10
"""Of the calibration error."""

CODECS: Final = frozenset({"h264", "h265"})
"""Counted as one kind, "compression", in the merged figure of reasons."""


def shares(name: str, counted: Mapping[str, Counted[float]]) -> list[Figure]:
    """Return the mean over everything, pooled, then that of each kind, ``name/kind``."""
    every: Counted[float] = Counted()
    for each in counted.values():
        every.items.extend(each.items)
        every.owners.extend(each.owners)
    return [mean(name, every), *(mean(f"{name}/{kind}", each) for kind, each in counted.items())]


def by_kind(kinds: Iterable[str], counted: Mapping[str, Counted[ItemT]]) -> dict[str, Counted[ItemT]]:
    """Return the kinds that have anything, in the given order."""
    return {kind: counted[kind] for kind in kinds if kind in counted}


def order_figures(rows: Sequence[LadderRow], raw: Mapping[str, float]) -> list[Figure]:
    """Return how scores order severities: within content, in pairs, and the untouched clip above its versions.

    Args:
        rows: versions; those without a score do not count.
        raw: score by version id; higher is better, not clipped.
    """
    scored = [row for row in rows if row.version_id in raw]
    kinds = _kinds(scored)
    within, pairs, clean = (defaultdict[str, Counted[float]](Counted) for _ in range(3))
    for (kind, _), ladder in _ladders(scored).items():
        owner = owner_of(ladder[0].source)
        levels, scores = [row.level for row in ladder], [raw[row.version_id] for row in ladder]
        if len(ladder) >= LEAST_STEPS:
            within[kind].add(spearman(levels, np.negative(scores)), owner)
        for (mild, better), (severe, worse) in combinations(zip(levels, scores, strict=True), 2):
            if severe - mild > 1:
                pairs[kind].add(float(better > worse), owner)
        for row in ladder[1:] if levels[0] == 0 else ():
            if row.level > row.levels - WORST_PAIR:
                clean[kind].add(float(scores[0] > raw[row.version_id]), owner)
    return [
        *_within(by_kind(kinds, within)),
        *shares("pair_accuracy", by_kind(kinds, pairs)),
        *shares("clean_order", by_kind(kinds, clean)),
    ]


def _kinds(rows: Sequence[LadderRow]) -> list[str]:
    there = {row.kind for row in rows}
    return [kind for kind in (*SIMULATORS, *UNSEEN_CODECS) if kind in there]


def _ladders(rows: Sequence[LadderRow]) -> dict[tuple[str, str], list[LadderRow]]:
    """The visible levels of each kind and clip, mild to severe; the untouched clip first if it is a primary."""
    clean = {row.clip_id: row for row in rows if row.kind == "none" and row.primary}
    ladders: dict[tuple[str, str], list[LadderRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda each: each.level):
        if row.kind != "none":
            ladders[row.kind, row.clip_id].append(row)
    return {
        (kind, clip): [clean[clip], *ladder] if clip in clean else ladder for (kind, clip), ladder in ladders.items()
    }


def _within(counted: Mapping[str, Counted[float]]) -> list[Figure]:
    """The mean per kind, and the mean and the least of these over all kinds, and over the codecs never trained on."""
    unseen = {kind: each for kind, each in counted.items() if kind in UNSEEN_CODECS}
    return [
        _over_kinds("within_mean", counted, _middle),
        _over_kinds("within_worst", counted, _least),
        _over_kinds("within_unseen", unseen, _middle),
        *(mean(f"within/{kind}", each) for kind, each in counted.items()),
    ]


def _over_kinds(name: str, counted: Mapping[str, Counted[float]], join: Callable[[Floats], Floats]) -> Figure:
    owners = [owner for each in counted.values() for owner in each.owners]
    values = [np.array(each.items, dtype=np.float64) for each in counted.values()]
    ends = np.cumsum([len(each) for each in values])[:-1]

    def statistic(weights: Ints) -> Floats:
        parts = np.split(weights, ends, axis=1)
        means = np.stack([weighted_mean(each, some) for each, some in zip(values, parts, strict=True)])
        return join(means)

    return estimate(name, owners, statistic)


def _middle(means: Floats) -> Floats:
    """Mean over the kinds ``(kinds, D)`` that a draw has."""
    there = np.isfinite(means)
    return np.asarray(np.where(there, means, 0).sum(axis=0) / there.sum(axis=0))


def _least(means: Floats) -> Floats:
    return np.asarray(np.fmin.reduce(means, axis=0))


def vmaf_figures(rows: Sequence[LadderRow], raw: Mapping[str, float]) -> list[Figure]:
    """Return the rank correlation of scores with VMAF over all versions of primaries that VMAF may judge.

    The untouched clips are among them, at 100. All kinds together, the codecs never trained on, and each kind.
    """
    judged = [row for row in rows if row.primary and row.vmaf is not None and row.version_id in raw]
    kinds = [kind for kind in _kinds(judged) if kind in VMAF_KINDS]
    groups = {"": kinds, "/unseen": [kind for kind in kinds if kind in UNSEEN_CODECS]}
    groups |= {f"/{kind}": [kind] for kind in kinds}
    return [
        _srcc(f"vmaf_srcc{name}", [row for row in judged if some and row.kind in ("none", *some)], raw)
        for name, some in groups.items()
    ]


def _srcc(name: str, rows: Sequence[LadderRow], raw: Mapping[str, float]) -> Figure:
    truth = np.array([row.vmaf for row in rows], dtype=np.float64)
    scores = np.array([raw[row.version_id] for row in rows])

    def statistic(weights: Ints) -> Floats:
        return np.array([spearman(np.repeat(truth, drawn), np.repeat(scores, drawn)) for drawn in weights])

    return estimate(name, [owner_of(row.source) for row in rows], statistic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a student names first.

    Attributes:
        kind: a distortion or ``"none"``.
        probability: of it, 0-1; ``None`` where the student does not say.
    """

    kind: str
    probability: float | None


def reason_figures(rows: Sequence[LadderRow], named: Mapping[str, Named], known: Sequence[str]) -> list[Figure]:
    """Return how often the first reason is right, how often clean clips have none, and how well it knows.

    Args:
        rows: versions; those without an answer do not count.
        named: the student's first reason by version id.
        known: the distortions that the student can name; others do not count, except that the codecs never trained
            on should be taken for some codec.
    """
    right, merged, codec = (defaultdict[str, Counted[float]](Counted) for _ in range(3))
    none: Counted[float] = Counted()
    sure: Counted[tuple[float, float]] = Counted()
    for row in (row for row in rows if row.version_id in named):
        answer, owner = named[row.version_id], owner_of(row.source)
        hit = float(answer.kind == row.kind)
        asked = row.kind in known and row.level > row.levels - WORST_REASONS
        if asked:
            right[row.kind].add(hit, owner)
            merged[row.kind].add(float(_merged(answer.kind) == _merged(row.kind)), owner)
        elif row.kind == "none" and row.primary:
            none.add(hit, owner)
        elif row.kind in UNSEEN_CODECS and row.level > row.levels - WORST_REASONS:
            codec[row.kind].add(float(answer.kind in CODECS), owner)
        if answer.probability is not None and (asked or (row.kind == "none" and row.primary)):
            sure.add((answer.probability, hit), owner)
    return [
        *shares("reasons", by_kind(known, right)),
        shares("reasons_merged", by_kind(known, merged))[0],
        mean("reasons_none", none),
        *shares("reasons_unseen_codec", by_kind(UNSEEN_CODECS, codec)),
        calibration_error(sure),
    ]


def _merged(kind: str) -> str:
    return "compression" if kind in CODECS else kind


def calibration_error(sure: Counted[tuple[float, float]]) -> Figure:
    """Return the expected calibration error: mean gap of probability and hit rate over bins, weighted by their size.

    Args:
        sure: probability of the first reason ("none" among them) and whether it was right, 1 or 0.

    Source: M. P. Naeini, G. F. Cooper, M. Hauskrecht, AAAI 2015; ten bins of equal width.
    """
    pairs = np.array(sure.items, dtype=np.float64).reshape(-1, 2)
    bins = np.minimum((pairs[:, 0] * BINS).astype(np.int64), BINS - 1)

    def statistic(weights: Ints) -> Floats:
        gaps = (weights * (pairs[:, 0] - pairs[:, 1])) @ (bins[:, None] == np.arange(BINS))
        return np.asarray(np.abs(gaps).sum(axis=1) / weights.sum(axis=1))

    return estimate("reasons_calibration_error", sure.owners, statistic)


def timeline_figures(
    rows: Sequence[LadderRow], seconds: Mapping[str, Floats], *, name: str = "timeline"
) -> list[Figure]:
    """Return how often a single degraded second has strictly the lowest score of an otherwise untouched clip.

    Args:
        rows: versions; clips shorter than three seconds do not count.
        seconds: the score of each second by version id, float64 ``(S,)``.
        name: of the figures.
    """
    clean = {row.clip_id: row for row in rows if row.kind == "none"}
    lowest = defaultdict[str, Counted[float]](Counted)
    of_primaries: Counted[float] = Counted()
    for row in (row for row in rows if row.kind != "none" and row.level > row.levels - WORST_PAIR):
        if row.seconds < LEAST_SECONDS or row.clip_id not in clean or row.version_id not in seconds:
            continue
        untouched, worse = seconds[clean[row.clip_id].version_id], seconds[row.version_id]
        for second, value in enumerate(worse.tolist()):
            hit = float(value < np.delete(untouched, second).min())
            lowest[row.kind].add(hit, owner_of(row.source))
            if row.primary:
                of_primaries.add(hit, owner_of(row.source))
    return [*shares(name, by_kind(_kinds(rows), lowest)), mean(f"{name}_primaries", of_primaries)]
