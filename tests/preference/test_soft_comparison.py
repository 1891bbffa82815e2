from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from preference_fakes import LinearStudent, ladder, tokens_of
from scipy.special import expit, softmax

from w2svqa.preference import soft

five_logits = st.lists(st.floats(-30, 30), min_size=5, max_size=5)


@given(five_logits, st.floats(0.1, 10))
def test_level_probabilities_are_the_softmax(logits: list[float], temperature: float) -> None:
    found = soft.level_probabilities([logits], temperature)
    np.testing.assert_allclose(found, softmax(np.array([logits]) / temperature, axis=1), rtol=1e-12)


@given(five_logits, st.floats(-1000, 1000))
def test_adding_a_constant_to_all_logits_changes_nothing(logits: list[float], constant: float) -> None:
    shifted = soft.level_probabilities([[value + constant for value in logits]])
    np.testing.assert_allclose(shifted, soft.level_probabilities([logits]), atol=1e-12)


@given(five_logits)
def test_preference_and_log_odds_are_the_same_thing(logits: list[float]) -> None:
    logarithms = soft.level_log_probabilities([logits])
    preference = soft.preferences(np.exp(logarithms))
    np.testing.assert_allclose(expit(soft.log_odds(logarithms)), preference, rtol=1e-10)


@given(five_logits)
def test_reversing_the_levels_negates_the_log_odds(logits: list[float]) -> None:
    forward = soft.log_odds(soft.level_log_probabilities([logits]))
    backward = soft.log_odds(soft.level_log_probabilities([logits[::-1]]))
    np.testing.assert_allclose(forward, -backward, rtol=1e-12, atol=1e-13)


def test_log_odds_rise_long_after_preferences_have_saturated() -> None:
    gaps = np.linspace(40.0, 4000.0, 500)
    logarithms = soft.level_log_probabilities(np.outer(gaps, [-2, -1, 0, 1, 2]))
    assert np.all(soft.preferences(np.exp(logarithms)) == 1.0)
    assert np.all(np.diff(soft.log_odds(logarithms)) > 0.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_log_odds_of_preferences_are_finite_and_invert(preference: list[float]) -> None:
    odds = soft.log_odds_of(preference)
    assert np.isfinite(odds).all()
    np.testing.assert_allclose(expit(odds), preference, rtol=1e-9, atol=1e-300)


def test_preference_is_about_the_second_video() -> None:
    judged = soft.judge_both(LinearStudent(), [tokens_of(0.0)], [tokens_of(1.0)])
    assert judged.argmax() == 4
    assert soft.preferences(judged)[0] > 0.5


def test_position_bias_is_averaged_away() -> None:
    fair, biased = LinearStudent(), LinearStudent(bias=0.7, antisymmetric=False)
    a, b = [tokens_of(0.1)], [tokens_of(0.3)]
    forward, backward = soft.judge_both(biased, a, b), soft.judge_both(biased, b, a)
    np.testing.assert_allclose(forward, backward[:, ::-1], rtol=1e-12)
    assert soft.preferences(soft.judge_both(biased, a, a))[0] == pytest.approx(0.5, abs=1e-12)
    assert soft.preferences(soft.level_probabilities(biased.judge(a, a)))[0] > 0.7
    assert soft.preferences(soft.judge_both(fair, a, a))[0] == 0.5


def test_matrix_holds_the_preference_for_the_row_over_the_column() -> None:
    matrix = soft.preference_matrix(LinearStudent(), [tokens_of(1.0), tokens_of(0.0), tokens_of(2.0)])
    assert matrix[2, 0] > 0.5 > matrix[1, 0]
    assert np.array_equal(matrix.diagonal(), [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(matrix + matrix.T, np.ones((3, 3)))


def test_matrix_of_a_biased_student_is_that_of_an_even_handed_one() -> None:
    # Averaging removes the bias from the order of the videos, whichever comes first in the list.
    biased = LinearStudent(slope=1.0, bias=0.5, antisymmetric=False)
    matrix = soft.preference_matrix(biased, ladder())
    reverse = soft.preference_matrix(biased, ladder()[::-1])
    np.testing.assert_allclose(matrix, reverse[::-1, ::-1], rtol=1e-12)


def test_large_batches_are_cut_and_stay_in_order() -> None:
    student = LinearStudent()
    first = [tokens_of(0.0)] * (soft.MAX_PAIRS + 10)
    second = [tokens_of(index / len(first)) for index in range(len(first))]
    logits = soft.judge_pieces(student, first, second)
    assert student.largest_call == soft.MAX_PAIRS
    assert np.all(np.diff(logits[:, 4]) > 0.0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        soft.level_probabilities([[0.0] * 5], temperature)


def test_malformed_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, 5\)"):
        soft.level_probabilities([[0.0] * 4])
    with pytest.raises(ValueError, match="finite"):
        soft.level_probabilities([[0.0, 0.0, float("nan"), 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        soft.log_odds_of([1.1])
    with pytest.raises(ValueError, match="2 first videos, but 1 second"):
        soft.judge_both(LinearStudent(), ladder(2), ladder(1))
    with pytest.raises(ValueError, match="fake-1"):
        soft.judge_both(LinearStudent(slope=float("nan")), ladder(1), ladder(1))


def test_a_certain_preference_is_never_above_one() -> None:
    logits = np.random.default_rng(0).normal(0, 40, (20_000, 5))
    found = soft.preferences(soft.level_probabilities(logits, 0.7))
    assert found.max() <= 1.0
    assert found.min() >= 0.0
