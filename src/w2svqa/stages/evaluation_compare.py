"""Every two models on the videos that both have scored: differences, their intervals, and whether they are chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.evaluation_rows import DifferenceRow
from w2svqa.core.statistics import spearman
from w2svqa.stages.evaluation_models import ModelScores
from w2svqa.stages.evaluation_statistics import LEAST_VIDEOS, Agreement, Drawing, measure_agreement
from w2svqa.stages.significance import holm, meng_test, paired_bootstrap, variance_test

Floats = NDArray[np.float64]

_MEASURES: Final[tuple[Literal["srcc", "plcc"], ...]] = ("srcc", "plcc")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """One of two models on the videos of both.

    Attributes:
        agreement: with the ratings.
        scores: of these videos.
        fitted: after the curve of four parameters; the scores where there is none.
    """

    agreement: Agreement
    scores: Floats
    fitted: Floats


def differences(
    benchmark: str,
    scores: Sequence[ModelScores],
    agreements: Mapping[str, Agreement],
    ratings: Sequence[float],
    contents: Sequence[str],
    drawing: Drawing,
) -> list[DifferenceRow]:
    """Return a row per two models and measure; those without a figure are left out.

    Figures are measured anew on the videos that both models have scored, with the same draws. The p-values of each test
    are raised by Holm's rule over all pairs of models, for each measure.

    Args:
        benchmark: its name.
        scores: of the models.
        agreements: of the models on all of their videos.
        ratings: higher is better, ``(N,)``.
        contents: of each video.
        drawing: as for the agreements.
    """
    values = np.asarray(ratings, np.float64)
    rows: list[DifferenceRow] = []
    for one, other in combinations(scores, 2):
        first, second = agreements[one.model], agreements[other.model]
        common = np.intersect1d(first.known, second.known)
        if len(common) < LEAST_VIDEOS:
            continue
        sides = []
        for each, agreement in ((one, first), (other, second)):
            if len(common) != agreement.videos:
                agreement = _on(each.oriented, values, contents, common, drawing)
            said = each.oriented[common]
            curve = agreement.curves.get("four")
            sides.append(_Side(agreement=agreement, scores=said, fitted=said if curve is None else curve(said)))
        rows += _rows(benchmark, (one.model, other.model), sides[0], sides[1], values[common])
    return [row for measure in _MEASURES for row in _raised([row for row in rows if row.measure == measure])]


def _on(
    scores: Floats, ratings: Floats, contents: Sequence[str], common: NDArray[np.int64], drawing: Drawing
) -> Agreement:
    """A model on some of its videos: the others are taken for missing, so that contents are drawn as before."""
    kept = np.full(len(scores), np.nan)
    kept[common] = scores[common]
    return measure_agreement(kept, ratings, contents, drawing, measures=_MEASURES)


def _rows(benchmark: str, names: tuple[str, str], one: _Side, other: _Side, ratings: Floats) -> list[DifferenceRow]:
    rows = []
    for measure in _MEASURES:
        first, second = one.agreement.figures[measure], other.agreement.figures[measure]
        if not (math.isfinite(first.value) and math.isfinite(second.value)):
            continue
        found = paired_bootstrap(first.value - second.value, first.draws, second.draws)
        if measure == "srcc":
            between, f, p_f = spearman(one.scores, other.scores), math.nan, math.nan
        else:
            between = float(np.corrcoef(one.fitted, other.fitted)[0, 1])
            f, p_f = variance_test(one.fitted - ratings, other.fitted - ratings)
        z, p_meng = meng_test(first.value, second.value, between, len(ratings))
        rows.append(
            DifferenceRow(
                benchmark=benchmark,
                first=names[0],
                second=names[1],
                measure=measure,
                value=found.value,
                low=_known(found.low),
                high=_known(found.high),
                p=_known(found.p),
                p_holm=None,
                z=_known(z),
                p_meng=_known(p_meng),
                p_meng_holm=None,
                f=_known(f),
                p_f=_known(p_f),
                n=len(ratings),
                contents=one.agreement.contents,
            )
        )
    return rows


def _raised(rows: Sequence[DifferenceRow]) -> list[DifferenceRow]:
    bootstrap = holm([math.nan if row.p is None else row.p for row in rows])
    meng = holm([math.nan if row.p_meng is None else row.p_meng for row in rows])
    return [
        replace(row, p_holm=_known(one), p_meng_holm=_known(other))
        for row, one, other in zip(rows, bootstrap, meng, strict=True)
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
