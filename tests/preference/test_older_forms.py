from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_expit, log_ndtr

from w2svqa.preference.forms import Link, place_jointly, score_released, solve_jointly, stretch
from w2svqa.preference.thurstone import place_anchors, sigmoid

Floats = NDArray[np.float64]

# The grid of the published check of the released code: five ideal anchors one apart, preferences by the logistic.
IDEAL = np.arange(-2.0, 3.0)
MATRIX = sigmoid(IDEAL[:, None] - IDEAL[None, :])


def votes_at(*qualities: float) -> Floats:
    return np.asarray(np.array(qualities)[:, None] - IDEAL)


def reference(vote: Floats, link: Link) -> Floats:
    """All six latents by a general optimiser."""
    matrix = np.zeros((6, 6))
    matrix[:5, :5], matrix[5, :5], matrix[:5, 5] = MATRIX, sigmoid(vote), sigmoid(-vote)
    logarithm = log_ndtr if link == "normal" else log_expit

    def loss(q: Floats) -> float:
        return float(-(matrix * logarithm(q[:, None] - q[None, :])).sum() + 0.5 * (q * q).sum())

    return np.asarray(minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-7}).x)


@pytest.mark.parametrize("link", ["normal", "logistic"])
def test_joint_latents_are_the_optimum_that_scipy_finds(link: Link) -> None:
    vote = np.random.default_rng(4).normal(size=(12, 5)) * 5.0
    positions, _, gradient = solve_jointly(vote, MATRIX, link)
    for row in range(len(vote)):
        np.testing.assert_allclose(positions[row], reference(vote[row], link), atol=1e-5)
    assert gradient.max() < 1e-10
    assert np.abs(positions.sum(axis=1)).max() < 1e-10


def test_a_video_like_an_anchor_is_placed_with_it() -> None:
    vote = votes_at(*IDEAL)
    positions, _, _ = solve_jointly(vote, MATRIX)
    np.testing.assert_allclose(positions[:, 5], positions[np.arange(5), np.arange(5)], atol=1e-11)


def test_joint_and_anchored_agree_where_no_vote_is_cast() -> None:
    # A video that is exactly undecided about every anchor of a symmetric ladder lies in its middle in every form.
    assert place_jointly(np.zeros((1, 5)), MATRIX).latent[0] == pytest.approx(0.0, abs=1e-12)


def test_the_joint_form_moves_its_anchors_and_ours_does_not() -> None:
    positions, _, _ = solve_jointly(votes_at(-3.0, 3.0), MATRIX)
    assert np.abs(positions[0, :5] - positions[1, :5]).max() > 0.1
    assert np.array_equal(place_anchors(MATRIX), place_anchors(MATRIX))


@settings(max_examples=30)
@given(st.lists(st.lists(st.floats(-50, 50), min_size=5, max_size=5), min_size=2, max_size=5))
def test_joint_form_has_the_same_bits_alone_and_in_a_batch(many: list[list[float]]) -> None:
    batch = place_jointly(many, MATRIX)
    assert batch.gradient.max() < 1e-10
    for row, vote in enumerate(many):
        assert place_jointly([vote], MATRIX).latent[0] == batch.latent[row]


def test_joint_deviation_is_from_the_inverse_hessian() -> None:
    vote = votes_at(0.4)
    step = 1e-3
    deviation = place_jointly(vote, MATRIX).deviation[0]
    # Each vote's curvature is at most 1, and the prior's is 1.
    assert 1.0 / np.sqrt(6.0) < deviation < 1.0
    nudged = place_jointly(vote + step, MATRIX).latent[0]
    assert nudged > place_jointly(vote, MATRIX).latent[0]


def test_released_form_gives_the_published_figures() -> None:
    scores = score_released(sigmoid(votes_at(-2.0, 1.0, 2.0)), MATRIX)
    np.testing.assert_allclose(scores, [2.11, 71.39, 95.73], atol=0.005)
    exact = stretch(solve_jointly(votes_at(-2.0, 1.0, 2.0), MATRIX, "logistic")[0])
    np.testing.assert_allclose(exact, [0.0, 74.74, 100.0], atol=0.005)


def test_released_form_stops_up_to_four_points_before_its_optimum() -> None:
    grid = votes_at(*np.linspace(-3.0, 3.0, 61))
    exact = stretch(solve_jointly(grid, MATRIX, "logistic")[0])
    error = np.abs(score_released(sigmoid(grid), MATRIX) - exact).max()
    assert error == pytest.approx(4.3, abs=0.05)
    converged = score_released(sigmoid(grid), MATRIX, steps=500)
    np.testing.assert_allclose(converged, exact, atol=1e-6)


def test_released_form_ties_beyond_the_end_anchors() -> None:
    scores = score_released(sigmoid(votes_at(-9.0, -5.0, -3.0, 3.0, 5.0, 9.0)), MATRIX)
    assert scores.tolist() == [0.0, 0.0, 0.0, 100.0, 100.0, 100.0]


def test_released_form_moves_with_its_seed() -> None:
    vote = sigmoid(votes_at(0.3))
    scores = [score_released(vote, MATRIX, seed=seed)[0] for seed in range(20)]
    assert min(scores) == pytest.approx(54.2, abs=0.1)
    assert max(scores) == pytest.approx(59.5, abs=0.1)
    settled = [score_released(vote, MATRIX, steps=500, seed=seed)[0] for seed in range(3)]
    np.testing.assert_allclose(settled, 57.36, atol=0.005)


def test_malformed_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, 5\)"):
        score_released([[0.5]], MATRIX)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score_released([[0.5, 0.5, 0.5, 0.5, 1.5]], MATRIX)
    with pytest.raises(ValueError, match=r"\(N, 5\)"):
        place_jointly([[0.0]], MATRIX)
