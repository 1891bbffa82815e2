"""Tests between models: against other formulas and plain loops on random problems."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.stages.evaluation_statistics import Drawing, measure_agreement
from w2svqa.stages.significance import holm, meng_test, paired_bootstrap, variance_test

stats = pytest.importorskip("scipy.stats")

Floats = NDArray[np.float64]


def dunn_and_clark(first: float, second: float, between: float, videos: int) -> float:
    """Z from the covariance of two correlations as Dunn and Clark give it, pooled by the mean square."""
    square = (first**2 + second**2) / 2
    covariance = between * (1 - 2 * square) - square / 2 * (1 - 2 * square - between**2)
    correlated = covariance / (1 - square) ** 2
    return (math.atanh(first) - math.atanh(second)) * math.sqrt((videos - 3) / (2 - 2 * correlated))


def problem(random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    count = int(random.integers(20, 300))
    truth = random.normal(size=count)
    shared = random.normal(size=count)
    one, other = (
        truth + random.uniform(0.2, 1) * shared + random.uniform(0.2, 1) * random.normal(size=count) for _ in range(2)
    )
    return truth, one, other


def test_meng_is_dunn_and_clark_with_pooled_squares_on_100_problems() -> None:
    """Two ways of writing the variance of a difference of correlations; Meng's factor is capped at 1, theirs is not."""
    random = np.random.default_rng(2)
    for _ in range(100):
        truth, one, other = problem(random)
        first, second, between = (
            float(np.corrcoef(a, b)[0, 1]) for a, b in ((one, truth), (other, truth), (one, other))
        )
        z, p = meng_test(first, second, between, len(truth))
        assert z == pytest.approx(dunn_and_clark(first, second, between, len(truth)), rel=1e-9)
        assert p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-6, abs=1e-12)


def test_the_paired_bootstrap_is_a_plain_loop_over_resamples() -> None:
    from w2svqa.stages.evaluation_draws import content_draws

    random = np.random.default_rng(5)
    for _ in range(5):
        truth, one, other = problem(random)
        contents = [str(place // 3) for place in range(len(truth))]
        drawing = Drawing(resamples=40, label="loop")
        first, second = (
            measure_agreement(scores, truth, contents, drawing, measures=("srcc",)) for scores in (one, other)
        )
        counts, places = content_draws(contents, 40, 0, "loop")
        gaps = []
        for count in counts:
            taken = np.repeat(np.arange(len(truth)), count[places])
            gaps.append(
                stats.spearmanr(one[taken], truth[taken]).statistic
                - stats.spearmanr(other[taken], truth[taken]).statistic
            )
        value = first.figures["srcc"].value - second.figures["srcc"].value
        found = paired_bootstrap(value, first.figures["srcc"].draws, second.figures["srcc"].draws)
        assert found.p == pytest.approx(2 * stats.norm.sf(abs(value) / np.std(gaps, ddof=1)))
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(gaps, (0.025, 0.975))))


@pytest.mark.slow
def test_models_that_are_equally_good_are_rarely_called_different() -> None:
    random = np.random.default_rng(8)
    called = {"bootstrap": 0, "meng": 0}
    for trial in range(200):
        truth = random.normal(size=80)
        one, other = (truth + random.normal(size=80) for _ in range(2))
        contents = [str(each) for each in range(80)]
        drawing = Drawing(resamples=200, label=str(trial))
        first, second = (
            measure_agreement(scores, truth, contents, drawing, measures=("srcc",)).figures["srcc"]
            for scores in (one, other)
        )
        called["bootstrap"] += paired_bootstrap(first.value - second.value, first.draws, second.draws).p < 0.05
        between = float(stats.spearmanr(one, other).statistic)
        called["meng"] += meng_test(first.value, second.value, between, 80)[1] < 0.05
    assert 2 <= called["bootstrap"] <= 22
    assert 2 <= called["meng"] <= 22


def test_the_variance_test_is_the_ratio_of_variances() -> None:
    random = np.random.default_rng(1)
    same = random.normal(size=200)
    assert variance_test(same, same) == pytest.approx((1.0, 1.0))
    ratio, p = variance_test(same, 3 * random.normal(size=200))
    assert ratio < 0.2
    assert p < 1e-6
    swapped = variance_test(3 * same, same)
    assert swapped[0] == pytest.approx(9)
    assert math.isnan(variance_test(np.ones(5), same)[0])


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=12))
def test_holm_rejects_what_its_steps_reject(values: list[float]) -> None:
    """Step by step: the smallest against level / m, the next against level / (m - 1), until one does not pass."""
    raised = holm(values)
    known = sorted((value, place) for place, value in enumerate(values) if not math.isnan(value))
    for level in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for rank, (value, place) in enumerate(known):
            if value * (len(known) - rank) > level:
                break
            rejected.add(place)
        assert {place for place, value in enumerate(raised) if value <= level} == rejected
    assert all(math.isnan(one) == math.isnan(other) for one, other in zip(values, raised, strict=True))


@pytest.mark.parametrize("case", [(0.5, 0.4, 0.3, 3), (1.0, 0.5, 0.5, 30), (0.5, 0.5, 1.0, 30)])
def test_meng_has_no_answer_at_the_ends(case: tuple[float, float, float, int]) -> None:
    assert all(math.isnan(each) for each in meng_test(*case))


def test_draws_must_be_paired() -> None:
    with pytest.raises(ValueError, match="resamples"):
        paired_bootstrap(0.0, np.zeros(3), np.zeros(4))


def test_p_goes_below_what_shares_of_resamples_could_tell() -> None:
    """Else no two of many models could be told apart after Holm's correction."""
    first = np.random.default_rng(0).normal(0.9, 0.01, 200)
    assert paired_bootstrap(0.4, first, first * 0 + 0.5).p < 1e-9


def test_two_forms_of_one_model_do_not_differ() -> None:
    draws = np.random.default_rng(0).normal(size=50)
    assert paired_bootstrap(0.0, draws, draws).p == 1


def test_without_resamples_there_is_no_p() -> None:
    assert math.isnan(paired_bootstrap(0.1, np.zeros(0), np.zeros(0)).p)
