"""Ranks with ties, and the correlation that is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from w2svqa.core.statistics import average_ranks, spearman

values = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=12)


@settings(deadline=None)
@given(values)
def test_ranks_add_up_and_follow_order(numbers: list[float]) -> None:
    ranks = average_ranks(numbers)
    assert ranks.sum() == pytest.approx(len(numbers) * (len(numbers) - 1) / 2)
    for one, first in zip(numbers, ranks, strict=True):
        for other, second in zip(numbers, ranks, strict=True):
            assert np.sign(one - other) == np.sign(first - second)


@settings(deadline=None)
@given(values)
def test_spearman_of_itself_and_its_reverse(numbers: list[float]) -> None:
    expected = 0.0 if len(set(numbers)) == 1 else 1.0
    assert spearman(numbers, numbers) == pytest.approx(expected)
    assert spearman(numbers, np.negative(numbers)) == pytest.approx(-expected)
    assert spearman(numbers, np.exp(numbers)) == pytest.approx(expected)


def test_spearman_with_ties_is_the_correlation_of_average_ranks() -> None:
    # ranks (0, 1.5, 1.5, 3) and (0, 1, 2, 3): covariance 4.5, variances 4.5 and 5
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_spearman_agrees_with_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=np.float64).T
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert spearman(first, second) == 0
    else:
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


@pytest.mark.parametrize(("first", "second"), [([1.0, 2.0], [1.0]), ([], [])])
def test_numbers_that_do_not_pair_up_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="have no rank correlation"):
        spearman(first, second)
