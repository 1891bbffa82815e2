"""Rows of figures: of whole benchmarks, of their contents and distortions, and over the groups of the paper."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from w2svqa.core.evaluation_rows import AgreementRow, Facet
from w2svqa.stages.benchmark_table import BENCHMARKS
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluation_models import ModelScores
from w2svqa.stages.evaluation_statistics import (
    LEAST_VIDEOS,
    Agreement,
    Drawing,
    Estimate,
    Measure,
    Part,
    measure_agreement,
    weighted_overall,
)
from w2svqa.stages.ratings import Ratings

OVERALL: Final = {"in-domain": "in-domain-overall", "OOD": "OOD-overall"}
"""What the mean over a group is called, as in the paper's tables."""

_FACET_MEASURES: Final[tuple[Measure, ...]] = ("srcc", "krcc", "plcc_raw")  # too few videos for fits


def figure_rows(ratings: Ratings, model: str, agreement: Agreement) -> Iterator[AgreementRow]:
    """Yield a row per measure of a model on a benchmark."""
    for measure, estimate in agreement.figures.items():
        yield _row(
            ratings.benchmark.name,
            model,
            measure,
            estimate,
            counts=(agreement.videos, ratings.expected, agreement.contents),
        )


def facet_rows(ratings: Ratings, scores: ModelScores, drawing: Drawing) -> Iterator[AgreementRow]:
    """Yield figures of each content and of each distortion that has three videos or more.

    Figures of one content have no interval: it is contents that are drawn.
    """
    higher = ratings.benchmark.higher_is_better
    values = [row.value if higher else -row.value for row in ratings.rows]
    contents = [row.content for row in ratings.rows]
    facets: tuple[tuple[Facet, Sequence[str]], ...] = (
        ("content", contents),
        ("distortion", [row.distortion for row in ratings.rows]),
    )
    for facet, names in facets:
        groups: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(names):
            groups[name].append(place)
        if len(groups) < 2:
            continue
        resamples = drawing.resamples if facet == "distortion" else 0
        for name, places in sorted(groups.items()):
            if name and len(places) >= LEAST_VIDEOS:
                agreement = measure_agreement(
                    scores.oriented[places],
                    [values[place] for place in places],
                    [contents[place] for place in places],
                    Drawing(resamples=resamples, seed=drawing.seed, label=f"{ratings.benchmark.name} {name}"),
                    measures=_FACET_MEASURES,
                )
                for measure, estimate in agreement.figures.items():
                    counts = (agreement.videos, len(places), agreement.contents)
                    yield _row(
                        ratings.benchmark.name, scores.model, measure, estimate, facet=facet, part=name, counts=counts
                    )


def overall_rows(
    found: Mapping[Benchmark, tuple[Ratings, Mapping[str, Agreement]]],
) -> Iterator[AgreementRow]:
    """Yield the weighted means of the paper's groups, for models that were evaluated on all benchmarks of the group.

    Weights are the videos that were scored.

    Source: arXiv 2505.03631, Table 1.
    """
    models = list(dict.fromkeys(model for _, agreements in found.values() for model in agreements))
    for group, title in OVERALL.items():
        names = [benchmark.name for benchmark in BENCHMARKS if benchmark.group == group]
        sets = {benchmark.name: each for benchmark, each in found.items() if benchmark.name in names}
        for model in models:
            have = [sets[name] for name in names if name in sets and model in sets[name][1]]
            if len(have) != len(names):
                continue
            agreements = [each[1][model] for each in have]
            videos, contents = (sum(getattr(each, key) for each in agreements) for key in ("videos", "contents"))
            counts = (videos, sum(each[0].expected for each in have), contents)
            for measure in ("srcc", "krcc", "plcc"):
                parts = [Part(estimate=each.figures[measure], videos=each.videos) for each in agreements]
                yield _row(title, model, measure, weighted_overall(parts), counts=counts)


def _row(
    benchmark: str,
    model: str,
    measure: str,
    estimate: Estimate,
    *,
    counts: tuple[int, int, int],
    facet: Facet = "",
    part: str = "",
) -> AgreementRow:
    value, low, high = (each if math.isfinite(each) else None for each in (estimate.value, estimate.low, estimate.high))
    known = value is not None
    videos, expected, contents = counts
    return AgreementRow(
        benchmark=benchmark,
        model=model,
        facet=facet,
        part=part,
        measure=measure,
        value=value,
        low=low if known else None,
        high=high if known else None,
        n=videos,
        expected=expected,
        contents=contents,
        message=None if known else estimate.problem or "there is none",
    )
