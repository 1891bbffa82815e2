"""The logistic fits, against another implementation: SciPy's curve_fit over all parameters, from many starts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.stages.logistic_fit import LEAST, Form, fit_curve

optimize = pytest.importorskip("scipy.optimize")

Floats = NDArray[np.float64]


def four(x: Floats, top: float, bottom: float, centre: float, width: float) -> Floats:
    return bottom + (top - bottom) / (1 + np.exp(np.clip(-(x - centre) / abs(width), -500, 500)))


def five(x: Floats, size: float, steep: float, centre: float, slope: float, shift: float) -> Floats:
    return size * (0.5 - 1 / (1 + np.exp(np.clip(steep * (x - centre), -500, 500)))) + slope * x + shift


def others_cost(x: Floats, y: Floats, form: Form) -> float:
    """The least sum of squares that Levenberg-Marquardt finds from a dozen starts, in VQEG's and Sheikh's notation."""
    best = np.inf
    for centre in np.percentile(x, (20, 50, 80)):
        for width in x.std() * np.array([0.1, 0.3, 0.6, 1.0]):
            start = (
                (y.max(), y.min(), centre, width) if form == "four" else (np.ptp(y), 1 / width, centre, 0.0, y.mean())
            )
            model = four if form == "four" else five
            try:
                found, _ = optimize.curve_fit(model, x, y, p0=start, maxfev=4000)
            except RuntimeError:  # it gives up from this start
                continue
            best = min(best, float(((model(x, *found) - y) ** 2).sum()))
    return best


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Covariance of the parameters")
@pytest.mark.parametrize("form", ["four", "five"])
def test_it_finds_what_another_implementation_finds_on_100_problems(form: Form) -> None:
    random = np.random.default_rng(7)
    for _ in range(100):
        count = int(random.integers(60, 200))
        x = random.normal(random.uniform(-50, 50), random.uniform(0.1, 30), size=count)
        inner = (x - np.percentile(x, random.uniform(35, 65))) / (x.std() * random.uniform(0.25, 0.6))
        y = random.uniform(0, 50) + random.uniform(1, 60) / (1 + np.exp(-inner))
        y += np.ptp(y) * random.uniform(0.02, 0.15) * random.normal(size=count)
        curve = fit_curve(x, y, form)
        assert curve is not None
        assert curve.converged
        residuals = curve(x) - y
        assert curve.cost == pytest.approx(float(residuals @ residuals), rel=1e-9)
        assert curve.cost <= others_cost(x, y, form) * (1 + 1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_scores_does_not_matter(scale: float) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=80)
    y = 3 + 2 * np.tanh(x) + 0.2 * random.normal(size=80)
    plain, scaled = fit_curve(x, y), fit_curve(x * scale + 5 * scale, y)
    assert plain is not None
    assert scaled is not None
    np.testing.assert_allclose(scaled(x * scale + 5 * scale), plain(x), rtol=1e-4)


def test_a_falling_curve_says_so() -> None:
    x = np.linspace(0, 1, 40)
    curve = fit_curve(x, 5 - 3 / (1 + np.exp(-(x - 0.5) * 12)))
    assert curve is not None
    assert not curve.rising
    assert curve.monotone


def test_five_parameters_may_rise_and_fall() -> None:
    x = np.linspace(-3, 3, 90)
    curve = fit_curve(x, np.tanh(2 * x) - 0.4 * x, "five")
    assert curve is not None
    assert not curve.monotone
    assert curve.cost < 1e-9


@pytest.mark.parametrize("form", ["four", "five"])
def test_too_few_or_constant_numbers_have_no_curve(form: Form) -> None:
    few = np.arange(LEAST[form] - 1, dtype=np.float64)
    assert fit_curve(few, few, form) is None
    many = np.arange(40, dtype=np.float64)
    assert fit_curve(many, np.ones(40), form) is None
    assert fit_curve(np.ones(40), many, form) is None


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="all of them finite"):
        fit_curve(np.array([1.0, np.nan]), np.ones(2))


def test_an_outlier_does_not_spoil_the_search() -> None:
    random = np.random.default_rng(3)
    x = np.append(random.normal(size=200), 1e4)
    y = np.append(1 + 4 / (1 + np.exp(-x[:-1] / 0.4)), 5.0)
    curve = fit_curve(x, y)
    assert curve is not None
    np.testing.assert_allclose(curve(x), y, atol=1e-3)
