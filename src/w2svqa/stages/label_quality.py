"""How good labels are, stage by stage: against ratings, known severities or VMAF, and against the stage before.

Plain arrays go in, rows of the run's table ``quality/`` come out. Each figure has a 95 % interval by the bootstrap over
contents; :mod:`w2svqa.stages.label_draws` says how it draws. Labels that are missing (NaN) do not count, and ``n`` says
how many do; a figure of nothing is ``None``, never 0.

**Order accuracy** asks which of two is better, over the pairs whose true level is not "similar". A label "similar"
decides nothing there and counts one half, as a coin would. **Level accuracy** asks for the exact level, of all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.core.levels import LEVELS, SIMILAR
from w2svqa.core.rows import LabelQualityRow, Measure, Truth
from w2svqa.core.statistics import spearman
from w2svqa.stages.label_draws import Drawn, draw_sums, drawn_correlation

Floats = NDArray[np.float64]

QUALITY: Final = "quality"
"""Folder of the table in a run, and the artifact's kind."""

LEAST_STEPS: Final = 3
"""A ladder has a rank correlation if it has so many different severities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """Whose labels, for which stage, against what.

    Attributes:
        stage: that the labels are for, from 1.
        source: a teacher's name, ``"ensemble"``, ``"student-1"``.
        against: what they are held against.
    """

    stage: int
    source: str
    against: Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Which content each side of a pair shows, and what the pair is about.

    Attributes:
        first: content of the first, ``(N,)``.
        second: of the second; ``None`` where it is the same in each pair.
        kinds: the distortion of each pair; ``None`` gives no rows by kind.
    """

    first: Sequence[str]
    second: Sequence[str] | None = None
    kinds: Sequence[str] | None = None


def pair_quality(
    labelling: Labelling, levels: ArrayLike, truth: ArrayLike, contents: Contents, *, exact: bool = True
) -> list[LabelQualityRow]:
    """Return the accuracy of pair labels, of all pairs and by kind.

    Args:
        labelling: what the rows are of.
        levels: the labels, 0 (inferior) to 4 (superior) of the second relative to the first, NaN where there is none,
            ``(N,)``.
        truth: the true levels; NaN where they are unknown.
        contents: of the pairs.
        exact: with ``"level_accuracy"``; ``False`` where the truth is an order and no more, as that of
            :func:`order_levels`.

    Returns:
        rows ``"accuracy"`` and ``"level_accuracy"``.

    Raises:
        ValueError: the lengths differ, or a level is none of the five.
    """
    labels, true = _levels(levels, "levels"), _levels(truth, "truth")
    _same_length(labels, truth=true, contents=contents.first, second=contents.second, kinds=contents.kinds)
    known = np.isfinite(labels) & np.isfinite(true)
    ordered = known & (true != SIMILAR)
    right = (1 + np.sign(labels - SIMILAR) * np.sign(true - SIMILAR)) / 2
    rows = list(_shares(labelling, "accuracy", right, ordered, contents))
    if exact:
        rows += _shares(labelling, "level_accuracy", (labels == true).astype(np.float64), known, contents)
    return rows


def agreement(labelling: Labelling, levels: ArrayLike, before: ArrayLike, contents: Contents) -> list[LabelQualityRow]:
    """Return how far a stage's labels agree with those of the stage before, on the pairs that both labelled.

    Args:
        labelling: what the rows are of.
        levels: this stage's labels, 0 to 4, NaN where there is none, ``(N,)``.
        before: those of the stage before, of the same pairs.
        contents: of the pairs.

    Returns:
        rows ``"agreement"``, the share of pairs of equal direction ("similar" is a direction of its own), of all pairs
        and by kind, and one row ``"kappa"``: Cohen's kappa with quadratic weights, 1 where all levels are equal, 0
        where they agree as often as chance would; ``None`` where both give all pairs the same level, as chance would.

    Raises:
        ValueError: the lengths differ, or a level is none of the five.

    Source: J. Cohen, "Weighted kappa", Psychological Bulletin 70, 1968.
    """
    new, old = _levels(levels, "levels"), _levels(before, "before")
    _same_length(new, before=old, contents=contents.first, second=contents.second, kinds=contents.kinds)
    known = np.isfinite(new) & np.isfinite(old)
    equal = np.sign(new - SIMILAR) == np.sign(old - SIMILAR)
    rows = list(_shares(labelling, "agreement", equal.astype(np.float64), known, contents))
    some, one, other = _chosen(contents, known), new[known], old[known]
    columns = np.stack([np.ones_like(one), one, one**2, other, other**2, (one - other) ** 2])
    drawn = draw_sums(columns, some.first, some.second, _kappa)
    return [*rows, _row(labelling, "kappa", "", drawn, len(one))]


def rank_quality(
    labelling: Labelling, scores: ArrayLike, truth: ArrayLike, contents: Sequence[str]
) -> list[LabelQualityRow]:
    """Return the rank correlation of scores with ratings or VMAF over all videos, whatever they show.

    Args:
        labelling: what the row is of.
        scores: higher is better; NaN where there is none, ``(N,)``.
        truth: ratings, higher is better; NaN where there is none.
        contents: of each video, which are drawn as wholes.

    Returns:
        one row ``"srcc"``; its value is 0 where one side is constant, for it orders nothing, and ``None`` for fewer
        than two videos.

    Raises:
        ValueError: the lengths differ.
    """
    one, other = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    _same_length(one, truth=other, contents=contents)
    known = np.isfinite(one) & np.isfinite(other)
    owners = [content for content, there in zip(contents, known, strict=True) if there]
    drawn = drawn_correlation(one[known], other[known], owners)
    return [_row(labelling, "srcc", "", drawn, int(known.sum()))]


def ladder_quality(
    labelling: Labelling, scores: ArrayLike, severities: ArrayLike, contents: Sequence[str], kinds: Sequence[str]
) -> list[LabelQualityRow]:
    """Return how scores order the severities of a distortion within each content.

    A ladder is one content under one kind; it counts if :data:`LEAST_STEPS` of its different severities have scores.
    Its figure is the rank correlation of scores with falling severity; rows have the mean over ladders.

    Args:
        labelling: what the rows are of.
        scores: higher is better; NaN where there is none, ``(N,)``.
        severities: higher is worse; NaN where unknown.
        contents: of each version.
        kinds: of each version; the untouched clip stands in each ladder that it belongs to.

    Returns:
        rows ``"srcc"``, of all ladders and by kind.

    Raises:
        ValueError: the lengths differ.
    """
    one, steps = np.asarray(scores, np.float64), np.asarray(severities, np.float64)
    _same_length(one, severities=steps, contents=contents, kinds=kinds)
    ladders: dict[tuple[str, str], list[int]] = {}
    for index in np.flatnonzero(np.isfinite(one) & np.isfinite(steps)).tolist():
        ladders.setdefault((contents[index], kinds[index]), []).append(index)
    counted = {key: rows for key, rows in ladders.items() if len(set(steps[rows].tolist())) >= LEAST_STEPS}
    values = np.array([spearman(one[rows], -steps[rows]) for rows in counted.values()], np.float64)
    owners, names = ([key[place] for key in counted] for place in (0, 1))
    return list(_shares(labelling, "srcc", values, np.ones(len(values), np.bool_), Contents(first=owners, kinds=names)))


def order_levels(first: ArrayLike, second: ArrayLike, *, margin: float = 0.0) -> Floats:
    """Return levels that say only which of two ratings is higher: worse, similar or better, float64 ``(N,)``.

    Args:
        first: ratings, higher is better; NaN where unknown.
        second: as many.
        margin: ratings that differ by no more are similar.

    Example:
        >>> order_levels([50, 50, 50], [40, 50, 61]).tolist()
        [1.0, 2.0, 3.0]
    """
    gap = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    return np.where(np.isfinite(gap), SIMILAR + np.sign(gap) * (np.abs(gap) > margin), np.nan)


def _shares(
    labelling: Labelling, measure: Measure, values: Floats, known: NDArray[np.bool_], contents: Contents
) -> Iterator[LabelQualityRow]:
    """Yield the mean over what is known: of all, then of each kind."""
    masks = {"": known}
    if contents.kinds is not None:
        kinds = np.array(contents.kinds, np.str_)
        masks |= {str(kind): known & (kinds == kind) for kind in np.unique(kinds[known]) if kind}
    for kind, mask in masks.items():
        some = _chosen(contents, mask)
        columns = np.stack([np.ones(int(mask.sum())), values[mask]])
        yield _row(labelling, measure, kind, draw_sums(columns, some.first, some.second, _ratio), columns.shape[1])


def _ratio(sums: Floats) -> Floats:
    """From count and sum ``(D, 2)`` to the mean ``(D,)``."""
    count, total = sums.T
    return _divided(total, count)


def _kappa(sums: Floats) -> Floats:
    """1 - observed / expected disagreement, from count, sums, squares of both and of their difference ``(D, 6)``."""
    count, one, one_squared, other, other_squared, gaps = sums.T
    # the mean of (i - j)^2 over i and j drawn from both margins
    expected = _divided(one_squared + other_squared, count) - 2 * _divided(one, count) * _divided(other, count)
    # levels are small whole numbers, so that a variance is 0 or far from it
    return 1 - _divided(_divided(gaps, count), np.where(expected > 1e-9, expected, 0.0))


def _divided(above: Floats, below: Floats) -> Floats:
    result = np.full(len(above), np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _row(labelling: Labelling, measure: Measure, kind: str, drawn: Drawn, n: int) -> LabelQualityRow:
    value, low, high = (float(each) if np.isfinite(each) else None for each in (drawn.value, drawn.low, drawn.high))
    return LabelQualityRow(
        stage=labelling.stage,
        source=labelling.source,
        against=labelling.against,
        kind=kind,
        measure=measure,
        value=value,
        low=low if value is not None else None,
        high=high if value is not None else None,
        n=n,
        contents=drawn.contents,
    )


def _levels(values: ArrayLike, name: str) -> Floats:
    levels = np.asarray(values, np.float64)
    wrong = levels[np.isfinite(levels) & ~np.isin(levels, range(len(LEVELS))) | np.isinf(levels)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0]:g}, which is no level from 0 to {len(LEVELS) - 1}")
    return levels


def _same_length(values: Floats, **others: Sequence[str] | Floats | None) -> None:
    for name, other in others.items():
        if other is not None and len(other) != len(values):
            raise ValueError(f"{name} has {len(other)} entries, not {len(values)}")


def _chosen(contents: Contents, mask: NDArray[np.bool_]) -> Contents:
    places = np.flatnonzero(mask).tolist()
    return Contents(
        first=[contents.first[place] for place in places],
        second=None if contents.second is None else [contents.second[place] for place in places],
    )
