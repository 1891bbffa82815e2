"""Probabilities of the diagnosis: fitted, weighed and measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.stages.diagnosis import calibration_error, diagnosis_figures, even_weights, fit_diagnosis
from w2svqa.students.runtime import DiagnosisScale

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def drawn(true: DiagnosisScale, count: int = 6000) -> tuple[Floats, Integers]:
    """Logits, and kinds drawn by the probabilities that the true scale makes of them."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (count, 4))
    probabilities = true.probabilities(logits)
    return logits, (probabilities.cumsum(axis=1) < random.uniform(size=(count, 1))).sum(axis=1)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50))
def test_clean_videos_count_half_and_kinds_alike(values: list[int]) -> None:
    kinds = np.array(values)
    weights = even_weights(kinds)
    shares = {kind: weights[kinds == kind].sum() for kind in set(values)}
    assert sum(shares.values()) == pytest.approx(1)
    distorted = [share for kind, share in shares.items() if kind]
    assert distorted == pytest.approx([distorted[0]] * len(distorted) if distorted else [])
    if distorted and 0 in shares:
        assert shares[0] == pytest.approx(0.5)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_temperature_is_found_whatever_the_kinds_share(temperature: float) -> None:
    logits, kinds = drawn(DiagnosisScale(temperature=temperature))
    found = fit_diagnosis(logits, kinds)
    assert found.temperature == pytest.approx(temperature, rel=0.15)
    # drawn with equal shares of four, fitted for a half clean: log(3) more
    assert found.none_bias == pytest.approx(np.log(3), abs=0.2)


@pytest.mark.parametrize("bias", [-3.0, 3.0])
def test_bias_is_undone_by_the_weights(bias: float) -> None:
    logits, kinds = drawn(DiagnosisScale())
    shifted = logits.copy()
    shifted[:, 0] -= bias
    assert fit_diagnosis(shifted, kinds).none_bias == pytest.approx(
        fit_diagnosis(logits, kinds).none_bias + bias, abs=0.1
    )


def test_fitted_probabilities_are_calibrated() -> None:
    logits, kinds = drawn(DiagnosisScale(temperature=4))
    half = len(kinds) // 2
    scale = fit_diagnosis(logits[:half], kinds[:half])
    fitted = calibration_error(scale.probabilities(logits[half:]), kinds[half:])
    raw = calibration_error(DiagnosisScale().probabilities(logits[half:]), kinds[half:])
    assert fitted < 0.06 < raw


@pytest.mark.parametrize("gain", [1.0, 1000.0, -1.0, 0.0])
def test_extreme_logits_give_a_scale_that_can_be_used(gain: float) -> None:
    kinds = np.arange(40) % 4
    scale = fit_diagnosis(gain * np.eye(4)[kinds], kinds)
    assert 0 < scale.temperature <= 100
    assert np.isfinite(scale.none_bias)


def test_one_kind_alone_can_be_fitted() -> None:
    assert fit_diagnosis(np.zeros((3, 2)), np.zeros(3, np.int64)).none_bias > 0


def test_figures_name_what_was_recognised() -> None:
    kinds = np.array([0, 0, 1, 1, 2, 2])
    guessed = np.array([0, 1, 1, 0, 2, 1])
    probabilities = np.where(np.eye(3)[guessed] == 1, 0.8, 0.1)
    found = diagnosis_figures(probabilities, kinds, ("blur", "noise"))
    assert found["top1"] == {"blur": 0.5, "noise": 0.5}
    assert (found["top1_mean"], found["none_rate"]) == (0.5, 0.5)
    assert (found["distorted"], found["clean"]) == (4, 2)
    assert found["calibration_error"] == pytest.approx(0.3)


@pytest.mark.parametrize("kinds", [[], [0], [0, 3], [-1, 0]])
def test_kinds_that_do_not_fit_are_refused(kinds: list[int]) -> None:
    with pytest.raises(ValueError, match="kinds"):
        fit_diagnosis(np.zeros((2, 3)), np.array(kinds, np.int64))
