from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.preference.calibrate import TEMPERATURES, fit_scale, fit_temperature
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import level_probabilities

SCALE = Scale(
    anchor_positions=(-0.7, -0.1, 0.1 + 0.2, 0.9),
    latent_zero=-1.3,
    latent_hundred=1.1,
    temperature=1.7,
    vote_weight=42.5,
)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3))
def test_low_value_high_are_in_order_and_on_the_scale(latent: float, deviation: float) -> None:
    scores = SCALE.score([latent], [deviation])
    assert 0.0 <= scores.low[0] <= scores.value[0] <= scores.high[0] <= 100.0
    assert scores.value[0] == np.clip(scores.raw[0], 0.0, 100.0)


def test_nought_and_a_hundred_are_where_the_scale_says() -> None:
    raw = SCALE.score([-1.3, 1.1, -0.1], [0.1] * 3).raw
    np.testing.assert_allclose(raw, [0.0, 100.0, 50.0], atol=1e-12)


def test_raw_values_go_on_beyond_the_clipped_ones() -> None:
    scores = SCALE.score([1.2, 1.3, -5.0, -6.0], [0.01] * 4)
    assert scores.value.tolist() == [100.0, 100.0, 0.0, 0.0]
    assert scores.raw[1] > scores.raw[0] > 100.0
    assert scores.raw[3] < scores.raw[2] < 0.0


def test_interval_is_the_factor_times_the_deviation() -> None:
    scores = SCALE.score([-0.1], [0.12])
    half = 0.12 * SCALE.interval_factor * 100.0 / 2.4
    np.testing.assert_allclose([scores.low[0], scores.high[0]], [50.0 - half, 50.0 + half])
    wider = SCALE.score([-0.1], [0.12], factor=2 * SCALE.interval_factor)
    np.testing.assert_allclose(wider.high - wider.value, 2 * half)


def test_scale_survives_json_to_the_last_bit() -> None:
    assert Scale.from_dict(json.loads(json.dumps(SCALE.to_dict()))) == SCALE


@pytest.mark.parametrize("key", sorted(SCALE.to_dict()))
def test_a_missing_key_is_refused(key: str) -> None:
    stored = SCALE.to_dict()
    del stored[key]
    with pytest.raises(ValueError, match=f"lacks {key}"):
        Scale.from_dict(stored)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1.0}, "unknown keys: colour"),
        ({"temperature": "1"}, "temperature must be a number"),
        ({"temperature": True}, "temperature must be a number"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"vote_weight": float("nan")}, "vote_weight must be finite"),
        ({"latent_hundred": -2.0}, "must be above latent_zero"),
        ({"interval_level": 1.0}, "interval_level"),
        ({"anchor_positions": []}, "at least one anchor"),
        ({"anchor_positions": 3.0}, "list of numbers"),
        ({"anchor_positions": [0.0, float("inf")]}, "anchor_positions must be finite"),
        ({"form": "best"}, "form must be one of anchored, joint, released"),
        ({"form": ["anchored"]}, "form must be one of"),
    ],
)
def test_a_wrong_value_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scale.from_dict(SCALE.to_dict() | change)


def test_impossible_latents_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        SCALE.score([float("nan")], [0.1])
    with pytest.raises(ValueError, match="at least 0"):
        SCALE.score([0.0], [-0.1])
    with pytest.raises(ValueError, match=r"\(N,\)"):
        SCALE.score([0.0, 1.0], [0.1])


def test_one_in_twenty_lies_beyond_either_end_of_the_scale() -> None:
    worst, clean = np.linspace(-3, 0, 201), np.linspace(-1, 2, 201)
    zero, hundred = fit_scale(worst, clean)
    assert (worst < zero).mean() == pytest.approx(0.05, abs=0.005)
    assert (clean > hundred).mean() == pytest.approx(0.05, abs=0.005)
    with pytest.raises(ValueError, match="no better"):
        fit_scale([1.0], [1.0])
    with pytest.raises(ValueError, match="must be there"):
        fit_scale([], [1.0])


@pytest.mark.parametrize("truth", [0.25, 1.0, 4.0])
def test_temperature_is_recovered_from_labels(truth: float) -> None:
    generator = np.random.default_rng(8)
    logits = np.outer(generator.normal(size=20000) * truth, [-2, -1, 0, 1, 2]) + generator.normal(size=(20000, 5))
    cumulative = level_probabilities(logits, truth).cumsum(axis=1)
    labels = (generator.random((20000, 1)) > cumulative).sum(axis=1).clip(0, 4)
    assert fit_temperature(logits, labels) == pytest.approx(truth, rel=0.05)


def test_temperature_is_the_minimum_of_the_cross_entropy() -> None:
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(size=(300, 5)), generator.integers(5, size=300)
    logits[np.arange(300), labels] += 1.5
    best = fit_temperature(logits, labels)

    def cross_entropy(temperature: float) -> float:
        return float(-np.log(level_probabilities(logits, temperature)[np.arange(300), labels]).mean())

    assert cross_entropy(best) < min(cross_entropy(best * 1.01), cross_entropy(best / 1.01))


def test_perfect_and_useless_logits_end_at_the_limits() -> None:
    labels = np.array([0, 4, 2])
    assert fit_temperature(np.eye(5)[labels], labels) == pytest.approx(TEMPERATURES[0])
    assert fit_temperature(-np.eye(5)[labels], labels) == pytest.approx(TEMPERATURES[1])


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="integers"):
        fit_temperature(np.zeros((2, 5)), [0.5, 1.0])
    with pytest.raises(ValueError, match="labels 0 to 4"):
        fit_temperature(np.zeros((2, 5)), [0, 5])
