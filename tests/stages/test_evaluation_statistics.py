"""Measures of agreement: SciPy's values, plain intervals, and what has no figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.stages.evaluation_statistics import (
    MEASURES,
    Drawing,
    Estimate,
    Measure,
    Part,
    measure_agreement,
    weighted_overall,
)

stats = pytest.importorskip("scipy.stats")

Floats = NDArray[np.float64]
QUICK = Drawing(resamples=60)


def some(count: int = 60, seed: int = 0) -> tuple[Floats, Floats, list[str]]:
    random = np.random.default_rng(seed)
    scores = random.normal(size=count)
    ratings = 50 + 20 * np.tanh(scores) + 8 * random.normal(size=count)
    return scores, ratings, [str(place // 2) for place in range(count)]


def test_figures_are_scipys_and_lie_in_their_intervals() -> None:
    scores, ratings, contents = some()
    found = measure_agreement(scores, ratings, contents, QUICK)
    assert tuple(found.figures) == MEASURES
    assert found.figures["srcc"].value == pytest.approx(stats.spearmanr(scores, ratings).statistic)
    assert found.figures["krcc"].value == pytest.approx(stats.kendalltau(scores, ratings).statistic)
    assert found.figures["plcc_raw"].value == pytest.approx(stats.pearsonr(scores, ratings).statistic)
    fitted = found.curves["four"](scores)
    assert found.figures["plcc"].value == pytest.approx(stats.pearsonr(fitted, ratings).statistic)
    assert found.figures["rmse"].value == pytest.approx(math.sqrt(float(((fitted - ratings) ** 2).mean())))
    assert found.figures["plcc"].value >= found.figures["plcc_raw"].value
    assert found.figures["rmse5"].value <= found.figures["rmse"].value + 1e-9
    for estimate in found.figures.values():
        assert estimate.low <= estimate.value <= estimate.high
    assert (found.videos, found.contents) == (60, 30)


def test_draws_of_pearson_and_rmse_are_those_of_the_resampled_videos() -> None:
    from w2svqa.stages.evaluation_draws import content_draws

    scores, ratings, contents = some(40)
    scores += 1e5  # far from 0, where naive sums lose digits
    found = measure_agreement(scores, ratings, contents, QUICK)
    counts, places = content_draws(contents, QUICK.resamples, QUICK.seed, QUICK.label)
    fitted = found.curves["four"](scores)
    for draw in (0, 7, 59):
        taken = np.repeat(np.arange(40), counts[draw][places])
        expected: tuple[tuple[Measure, float], ...] = (
            ("plcc_raw", stats.pearsonr(scores[taken], ratings[taken]).statistic),
            ("plcc", stats.pearsonr(fitted[taken], ratings[taken]).statistic),
            ("rmse", math.sqrt(float(((fitted - ratings)[taken] ** 2).mean()))),
        )
        for name, value in expected:
            assert found.figures[name].draws[draw] == pytest.approx(value, rel=1e-6)


def test_what_is_missing_does_not_count() -> None:
    scores, ratings, contents = some()
    whole = measure_agreement(scores[5:], ratings[5:], contents[5:], Drawing(resamples=0))
    scores[:3], ratings[3], scores[4] = np.nan, np.nan, np.inf
    holed = measure_agreement(scores, ratings, contents, Drawing(resamples=0))
    assert holed.videos == 55
    assert {name: each.value for name, each in holed.figures.items()} == pytest.approx(
        {name: each.value for name, each in whole.figures.items()}
    )


@pytest.mark.parametrize(
    ("scores", "ratings", "problem"),
    [
        ([1.0, 2.0], [1.0, 2.0], "2 videos have a score and a rating, a correlation takes 3"),
        ([], [], "0 videos"),
        ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0], "2 videos"),
        ([4.0] * 9, list(range(9)), "the model gives all 9 videos the same score"),
        (list(range(9)), [4.0] * 9, "all 9 ratings are the same"),
    ],
)
def test_what_has_no_figure_says_why(scores: list[float], ratings: list[float], problem: str) -> None:
    found = measure_agreement(scores, ratings, [str(each) for each in range(len(scores))], QUICK)
    for estimate in found.figures.values():
        assert math.isnan(estimate.value)
        assert math.isnan(estimate.low)
        assert estimate.problem.startswith(problem)
    assert found.notes == ()


def test_few_videos_have_ranks_but_no_fit() -> None:
    found = measure_agreement([1, 2, 3, 5], [2, 1, 3, 4], list("abcd"), QUICK)
    assert found.figures["srcc"].value == pytest.approx(0.8)
    assert found.figures["plcc"].problem == "a fit takes 8 videos, there are 4"
    assert found.figures["plcc_raw"].value > 0.5


def test_a_model_that_is_upside_down_is_told_and_not_turned_round() -> None:
    scores, ratings, contents = some()
    found = measure_agreement(-scores, ratings, contents, QUICK)
    right = measure_agreement(scores, ratings, contents, QUICK)
    assert found.upside_down
    assert not right.upside_down
    assert "scores fall where ratings rise" in found.notes[0]
    for name in ("srcc", "krcc", "plcc", "plcc_raw"):
        assert found.figures[name].value == pytest.approx(-right.figures[name].value, abs=1e-6)
    assert found.figures["rmse"].value == pytest.approx(right.figures["rmse"].value, abs=1e-4)


def test_chance_is_not_called_upside_down() -> None:
    random = np.random.default_rng(4)
    found = measure_agreement(random.normal(size=60), random.normal(size=60), [str(each) for each in range(60)], QUICK)
    assert not found.upside_down


def test_lengths_must_fit() -> None:
    with pytest.raises(ValueError, match="contents"):
        measure_agreement([1, 2, 3], [1, 2, 3], ["a"])


def test_the_overall_figure_of_the_paper_is_weighted_by_videos() -> None:
    """Its Table 1: five figures of DOVER, and what they are together."""
    videos = (7182, 3573, 1200, 585, 1020)
    values = (0.878, 0.782, 0.874, 0.817, 0.771)
    parts = [Part(estimate=Estimate(value=value), videos=each) for value, each in zip(values, videos, strict=True)]
    assert weighted_overall(parts).value == pytest.approx(0.842, abs=0.001)


def test_overall_of_draws_has_an_interval_and_of_a_gap_has_none() -> None:
    draws = np.linspace(0.4, 0.6, 100)
    part = Part(estimate=Estimate(value=0.5, draws=draws), videos=10)
    found = weighted_overall([part, part])
    assert 0.4 <= found.low < 0.5 < found.high <= 0.6
    gap = weighted_overall([part, Part(estimate=Estimate(value=math.nan), videos=10)])
    assert math.isnan(gap.value)
    assert gap.problem
