from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import log_ndtr

from w2svqa.preference.soft import log_odds_of
from w2svqa.preference.thurstone import CONTAINED, anchor_derivatives, checked_matrix, place, place_anchors, sigmoid

Floats = NDArray[np.float64]

ANCHORS = np.array([-1.2, -0.5, 0.1, 0.6, 1.3])
odds = st.floats(-60, 60)
votes = st.lists(odds, min_size=5, max_size=5)
weights = st.floats(0.02, 5000)


def random_matrix(generator: np.random.Generator, count: int) -> Floats:
    upper = np.triu(generator.random((count, count)), k=1)
    return upper + np.tril(1.0 - upper.T, k=-1) + 0.5 * np.eye(count)


def gradient_at(x: float, vote: Floats, anchors: Floats, weight: float) -> float:
    """The gradient of the objective with scipy's functions, the prior centred at 0."""
    win, lose = sigmoid(vote), sigmoid(-vote)
    ratio = [np.exp(-0.5 * t * t - 0.5 * np.log(2 * np.pi) - log_ndtr(t)) for t in (x - anchors, anchors - x)]
    return float(weight * (win * ratio[0] - lose * ratio[1]).sum() - x)


@pytest.mark.parametrize("count", [1, 2, 5, 9, 40])
def test_anchors_are_the_optimum_that_scipy_finds(count: int) -> None:
    matrix = random_matrix(np.random.default_rng(count), count)

    def loss(q: Floats) -> float:
        return float(-(matrix * log_ndtr(q[:, None] - q[None, :])).sum() + 0.5 * q @ q)

    positions = place_anchors(matrix)
    reference = minimize(loss, np.zeros(count), method="BFGS", options={"gtol": 1e-7})
    assert loss(positions) <= loss(reference.x) + 1e-10
    np.testing.assert_allclose(positions, reference.x, atol=1e-5)


@pytest.mark.parametrize("count", [2, 5, 60])
@pytest.mark.parametrize("sharp", [False, True])
def test_gradient_of_the_anchors_vanishes(count: int, sharp: bool) -> None:
    matrix = random_matrix(np.random.default_rng(7), count)
    matrix = np.round(matrix) if sharp else matrix
    np.fill_diagonal(matrix, 0.5)
    positions = place_anchors(matrix)
    gradient, _ = anchor_derivatives(checked_matrix(matrix), positions)
    assert np.linalg.norm(gradient) < 1e-10
    assert abs(positions.sum()) < 1e-12


@given(st.permutations(range(5)))
def test_anchors_do_not_depend_on_their_order(order: list[int]) -> None:
    matrix = random_matrix(np.random.default_rng(3), 5)
    np.testing.assert_allclose(place_anchors(matrix[np.ix_(order, order)]), place_anchors(matrix)[order], atol=1e-12)


def test_a_consistent_ladder_comes_out_in_order_and_symmetric() -> None:
    places = np.arange(5.0)
    positions = place_anchors(sigmoid(places[:, None] - places[None, :]))
    assert np.all(np.diff(positions) > 0.1)
    np.testing.assert_allclose(positions, -positions[::-1], atol=1e-12)


@pytest.mark.parametrize("weight", [0.1, 1.0, 37.0, 2000.0])
def test_videos_are_at_the_root_that_scipy_finds(weight: float) -> None:
    generator = np.random.default_rng(11)
    vote = generator.normal(size=(200, 5)) * 4.0
    vote[0], vote[1] = 0.0, CONTAINED - 0.01
    placed = place(vote, ANCHORS, vote_weight=weight)
    for row in range(len(vote)):
        root = brentq(gradient_at, -30, 30, args=(vote[row], ANCHORS, weight), xtol=1e-13, rtol=1e-13)
        assert placed.latent[row] == pytest.approx(root, abs=1e-11)


def test_deviation_is_the_curvature_of_the_objective() -> None:
    vote = np.random.default_rng(5).normal(size=(20, 5)) * 2.0
    placed = place(vote, ANCHORS, vote_weight=12.0)
    step = 1e-5
    for row, x in enumerate(placed.latent):
        slopes = [gradient_at(x + sign * step, vote[row], ANCHORS, 12.0) for sign in (-1, 1)]
        curvature = (slopes[0] - slopes[1]) / (2 * step)
        assert placed.deviation[row] == pytest.approx(curvature**-0.5, rel=1e-7)


@given(st.lists(votes, min_size=1, max_size=30), weights)
def test_gradient_vanishes_for_any_votes(many: list[list[float]], weight: float) -> None:
    placed = place(many, ANCHORS, vote_weight=weight)
    assert np.abs(placed.gradient).max() < 1e-8
    assert np.all((placed.deviation > 0.0) & (placed.deviation <= 1.0))


@pytest.mark.parametrize("weight", [1.0, 100.0, 8000.0])
def test_preferences_of_exactly_nought_and_one_are_placed(weight: float) -> None:
    certain = np.array(np.meshgrid(*[[0.0, 0.5, 1.0]] * 5)).reshape(5, -1).T
    placed = place(log_odds_of(certain), ANCHORS, vote_weight=weight)
    assert np.abs(placed.gradient).max() < 1e-8
    assert placed.latent.argmax() == len(certain) - 1
    assert placed.latent.argmin() == 0


@settings(max_examples=50)
@given(st.lists(votes, min_size=2, max_size=8), weights)
def test_alone_or_in_a_batch_the_bits_are_the_same(many: list[list[float]], weight: float) -> None:
    batch = place(many, ANCHORS, vote_weight=weight)
    for row, vote in enumerate(many):
        alone = place([vote], ANCHORS, vote_weight=weight)
        assert alone.latent[0] == batch.latent[row]
        assert alone.deviation[0] == batch.deviation[row]


def test_bits_do_not_depend_on_the_block_a_video_falls_in() -> None:
    vote = np.random.default_rng(2).normal(size=(5000, 5)) * 6.0
    forward, backward = place(vote, ANCHORS, vote_weight=20.0), place(vote[::-1], ANCHORS, vote_weight=20.0)
    np.testing.assert_array_equal(forward.latent, backward.latent[::-1])


@given(votes, st.integers(0, 4), st.floats(1e-3, 20), weights)
def test_latent_rises_with_every_preference(vote: list[float], anchor: int, more: float, weight: float) -> None:
    raised = list(vote)
    raised[anchor] += more
    before, after = place([vote, raised], ANCHORS, vote_weight=weight).latent
    # Equality only where the vote was certain to the last digit already.
    assert after > before or (after > before - 1e-12 and abs(vote[anchor]) > 15.0)


@given(votes, weights, st.permutations(range(5)))
def test_the_order_of_the_anchors_does_not_matter(vote: list[float], weight: float, order: list[int]) -> None:
    plain = place([vote], ANCHORS, vote_weight=weight).latent
    shuffled = place(np.array([vote])[:, order], ANCHORS[order], vote_weight=weight).latent
    np.testing.assert_allclose(shuffled, plain, atol=1e-11)


@given(votes, weights)
def test_turning_everything_around_negates_the_latent(vote: list[float], weight: float) -> None:
    plain, mirrored = (
        place([vote], ANCHORS, vote_weight=weight),
        place([[-v for v in vote]], -ANCHORS, vote_weight=weight),
    )
    np.testing.assert_allclose(mirrored.latent, -plain.latent, atol=1e-11)
    np.testing.assert_allclose(mirrored.deviation, plain.deviation, rtol=1e-9)


@pytest.mark.parametrize("weight", [1.0, 30.0, 5000.0])
@pytest.mark.parametrize("slope", [0.3, 2.0, 40.0, 1000.0])
def test_videos_rise_strictly_far_beyond_both_ends(weight: float, slope: float) -> None:
    gaps = np.concatenate([np.linspace(-40, -1.0, 2000), np.linspace(1.0, 40, 2000)])
    positions = place_anchors(sigmoid(ANCHORS[:, None] - ANCHORS[None, :]))
    outside = np.where(gaps < 0, ANCHORS[0], ANCHORS[-1]) + gaps
    placed = place(slope * (outside[:, None] - ANCHORS), positions, vote_weight=weight)
    assert np.all(np.diff(placed.latent) > 0.0)


def test_the_prior_stays_at_nought_for_videos_that_an_anchor_contains() -> None:
    contained = np.array([[700.0, 700.0, 700.0, 700.0, CONTAINED], [700.0, 500.0, 3.0, -500.0, -700.0]])
    for row in contained:
        placed = place([row], ANCHORS, vote_weight=3.0)
        assert abs(gradient_at(float(placed.latent[0]), row, ANCHORS, 3.0)) < 1e-9


@given(st.lists(st.floats(-4, 4), min_size=5, max_size=5), st.floats(0.1, 100), st.floats(1.1, 50))
def test_a_heavier_vote_narrows_the_posterior(vote: list[float], weight: float, times: float) -> None:
    light, heavy = (place([vote], ANCHORS, vote_weight=w).deviation[0] for w in (weight, weight * times))
    assert heavy < light


def test_malformed_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, 5\)"):
        place([[0.0] * 4], ANCHORS)
    with pytest.raises(ValueError, match="finite"):
        place([[0.0, 0.0, float("inf"), 0.0, 0.0]], ANCHORS)
    with pytest.raises(ValueError, match="weight of a vote"):
        place([[0.0] * 5], ANCHORS, vote_weight=0.0)
    with pytest.raises(ValueError, match="positions"):
        place([[0.0]], [float("nan")])
    with pytest.raises(ValueError, match="square"):
        place_anchors([[0.5, 0.5]])
    with pytest.raises(ValueError, match="must be 1"):
        place_anchors([[0.5, 0.9], [0.9, 0.5]])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        place_anchors([[0.5, 1.5], [-0.5, 0.5]])


def test_no_videos_give_no_placements() -> None:
    assert place(np.empty((0, 5)), ANCHORS).latent.shape == (0,)
