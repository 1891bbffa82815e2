from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.preference.calibrate import VOTE_WEIGHTS, coverage, fit_factor, fit_vote_weight, held
from w2svqa.preference.thurstone import Placement, place, place_anchors, sigmoid

Floats = NDArray[np.float64]

LADDER = np.arange(-2.0, 3.0)
POSITIONS = place_anchors(sigmoid(LADDER[:, None] - LADDER[None, :]))


def simulated(seed: int, count: int, noise: float = 0.25) -> tuple[Floats, Floats]:
    """Votes of two halves of each version: one quality, seen twice with a student's noise."""
    generator = np.random.default_rng(seed)
    quality = generator.normal(size=(count, 1)) * 1.3
    halves = [quality + noise * generator.normal(size=(count, 1)) for _ in range(2)]
    scored, target = (2.0 * (half - LADDER) + 0.1 * generator.normal(size=(count, 5)) for half in halves)
    return scored, target


def covered(seed: int, weight: float, noise: float = 0.25) -> float:
    scored, target = simulated(seed, 2000, noise)
    target_latent = place(target, POSITIONS, vote_weight=weight).latent
    return float(held(place(scored, POSITIONS, vote_weight=weight), target_latent).mean())


@pytest.mark.parametrize("noise", [0.1, 0.25, 0.6])
def test_fitted_intervals_hold_their_target_on_fresh_data(noise: float) -> None:
    fitted = fit_vote_weight(*_with_positions(simulated(1, 1000, noise)))
    assert fitted.coverage == pytest.approx(0.90, abs=0.002)
    assert not fitted.at_limit
    assert 0.87 < covered(2, fitted.weight, noise) < 0.93


def _with_positions(halves: tuple[Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    return halves[0], POSITIONS, halves[1]


def test_noisier_students_get_lighter_votes() -> None:
    weights = [fit_vote_weight(*_with_positions(simulated(1, 500, noise))).weight for noise in (0.1, 0.3, 0.6)]
    assert weights[0] > weights[1] > weights[2]


def test_a_raw_posterior_is_far_too_wide() -> None:
    assert covered(3, 1.0) > 0.999


def test_a_target_that_never_differs_ends_at_the_limit() -> None:
    scored, _ = simulated(1, 50)
    fitted = fit_vote_weight(scored, POSITIONS, scored)
    assert fitted.at_limit
    assert fitted.coverage == 1.0
    assert fitted.weight == pytest.approx(VOTE_WEIGHTS[1])


def test_contents_count_alike_however_many_rows_they_have() -> None:
    (quiet, quiet_target), (loud, loud_target) = simulated(1, 400, 0.05), simulated(2, 20, 0.8)
    scored, target = np.concatenate([quiet, loud]), np.concatenate([quiet_target, loud_target])
    names = np.array(["quiet"] * 400 + ["loud"] * 20)
    by_rows = fit_vote_weight(scored, POSITIONS, target).weight
    by_contents = fit_vote_weight(scored, POSITIONS, target, contents=names).weight
    assert by_contents < by_rows


def test_a_fitted_factor_holds_on_fresh_data() -> None:
    scored, target = simulated(4, 1000)
    seconds = place(scored, POSITIONS, vote_weight=500.0)
    factor = fit_factor(seconds, place(target, POSITIONS, vote_weight=500.0).latent)
    fresh, fresh_target = simulated(5, 2000)
    holds = held(
        place(fresh, POSITIONS, vote_weight=500.0), place(fresh_target, POSITIONS, vote_weight=500.0).latent, factor
    )
    assert 0.87 < holds.mean() < 0.93


def test_too_few_rows_for_a_factor_are_refused() -> None:
    few = Placement(np.zeros(5), np.ones(5), np.zeros(5))
    with pytest.raises(ValueError, match="too few"):
        fit_factor(few, np.zeros(5))


def test_wilson_interval_has_the_textbook_value() -> None:
    found = coverage([True] * 9 + [False])
    assert (found.share, found.count, found.contents) == (0.9, 10, 10)
    np.testing.assert_allclose([found.low, found.high], [0.5958, 0.9821], atol=1e-4)


def test_rows_of_one_content_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    names = np.repeat(np.arange(40), 25)
    holds = np.repeat(generator.random(40) < 0.9, 25)
    alone = coverage(holds)
    grouped = coverage(holds, contents=names, generator=np.random.default_rng(1))
    assert grouped.share == alone.share
    assert (grouped.count, grouped.contents) == (1000, 40)
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)
    assert grouped == coverage(holds, contents=names, generator=np.random.default_rng(1))


def test_contents_that_all_agree_still_have_an_interval() -> None:
    found = coverage([True] * 100, contents=np.repeat(np.arange(10), 10), generator=np.random.default_rng(0))
    assert found.high == 1.0
    assert found.low == pytest.approx(0.7225, abs=1e-3)


def test_grouped_intervals_hold_the_true_share_mostly() -> None:
    generator = np.random.default_rng(9)
    inside = 0
    for _ in range(100):
        chances = generator.beta(9.0, 1.0, size=60)
        holds = generator.random((60, 20)) < chances[:, None]
        names = np.repeat(np.arange(60), 20)
        found = coverage(holds.ravel(), contents=names, generator=generator, resamples=400)
        inside += found.low <= 0.9 <= found.high
    assert inside >= 85


def test_malformed_input_is_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        fit_vote_weight(np.zeros((2, 5)), POSITIONS, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="level"):
        fit_vote_weight(np.zeros((2, 5)), POSITIONS, np.zeros((2, 5)), level=1.5)
    with pytest.raises(ValueError, match="N >= 1"):
        coverage([])
    with pytest.raises(ValueError, match="generator"):
        coverage([True], contents=["a"])
    with pytest.raises(ValueError, match="contents"):
        coverage([True], contents=["a", "b"], generator=np.random.default_rng(0))
