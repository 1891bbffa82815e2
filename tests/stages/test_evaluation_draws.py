"""The bootstrap of rank correlations, against SciPy on the resamples themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.stages.evaluation_draws import KendallDraws, SpearmanDraws, content_draws, drawn, percentiles

stats = pytest.importorskip("scipy.stats")

Floats = NDArray[np.float64]


@settings(max_examples=40)
@given(
    values=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 4)), min_size=2, max_size=24),
    seed=st.integers(0, 99),
)
def test_each_resample_has_the_correlation_that_scipy_finds_in_it(
    values: list[tuple[int, int, int]], seed: int
) -> None:
    first, second = (np.array([row[side] for row in values], np.float64) for side in (0, 1))
    counts, places = content_draws([str(row[2]) for row in values], 5, seed, "test")
    spearman = drawn(SpearmanDraws(first, second), counts, places)
    kendall = drawn(KendallDraws(first, second), counts, places)
    for draw, count in enumerate(counts):
        taken = np.repeat(np.arange(len(values)), count[places])
        if len(set(first[taken])) < 2 or len(set(second[taken])) < 2:
            assert np.isnan([spearman[draw], kendall[draw]]).all()
            continue
        assert spearman[draw] == pytest.approx(stats.spearmanr(first[taken], second[taken]).statistic, abs=1e-12)
        assert kendall[draw] == pytest.approx(stats.kendalltau(first[taken], second[taken]).statistic, abs=1e-12)


def test_a_content_is_drawn_as_a_whole_and_as_often_for_any_model() -> None:
    counts, places = content_draws(["b", "a", "b", "c"], 50, 1, "x")
    assert counts.shape == (50, 3)
    assert (counts.sum(axis=1) == 3).all()
    assert places.tolist() == [1, 0, 1, 2]
    again, _ = content_draws(["c", "b", "a"], 50, 1, "x")
    assert (again == counts).all()
    other, _ = content_draws(["c", "b", "a"], 50, 1, "y")
    assert (other != counts).any()


def test_nothing_drawn_has_no_interval() -> None:
    counts, places = content_draws([], 10, 0, "x")
    assert counts.shape == (10, 0)
    assert np.isnan(percentiles(np.array([np.nan, np.nan]))).all()
    assert len(drawn(SpearmanDraws(np.ones(1), np.ones(1)), counts[:0], places)) == 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's of a normal pair with correlation 0.6
    inside = 0
    for trial in range(100):
        one = random.normal(size=80)
        other = 0.6 * one + 0.8 * random.normal(size=80)
        counts, places = content_draws([str(each) for each in range(80)], 200, trial, "cover")
        low, high = percentiles(drawn(SpearmanDraws(one, other), counts, places))
        inside += low <= truth <= high
    assert 85 <= inside <= 100
