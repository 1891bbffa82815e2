from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr

from w2svqa.preference.normal import cdf, inverse_mills, log_cdf, log_cdf_curvature, polynomial

POINTS = [-1e6, -3000.0, -101.3, -40.0, -38.4, -20.7, -9.9, -5.0, -3.01, -2.2, -1.0, -0.3, -1e-9]
POINTS += [0.0, 1e-12, 0.2, 0.9, 1.7, 2.9, 3.1, 5.5, 8.25, 13.37, 21.0, 30.3, 37.4]

ROOT_TWO_PI = Decimal("2.50662827463100050241576528481104525300698674060993831663")


def upper_mills(s: Decimal) -> Decimal:
    """Q(s) / phi(s) for s >= 0 to 50 digits: a continued fraction far out, a series near 0."""
    if s > 3:
        value = s
        for k in range(1500, 0, -1):
            value = s + k / value
        return 1 / value
    term = total = s
    for k in range(1, 200):
        term *= s * s / (2 * k + 1)
        total += term
    return ROOT_TWO_PI / 2 * (s * s / 2).exp() - total


def exact(t: float) -> tuple[float, float, float]:
    """log Phi and its two derivatives, rounded once at the end."""
    with localcontext() as context:
        context.prec = 60
        s = abs(Decimal(t))
        mills = upper_mills(s)
        density = (-s * s / 2).exp() / ROOT_TWO_PI
        if t < 0:
            inverse = 1 / mills
            return float((mills / ROOT_TWO_PI).ln() - s * s / 2), float(inverse), float(-inverse * (inverse - s))
        inverse = density / (1 - density * mills)
        logarithm = (1 - density * mills).ln() if s < 8 else -density * mills * (1 + density * mills / 2)
        return float(logarithm), float(inverse), float(-inverse * (inverse + s))


@pytest.mark.parametrize("point", POINTS)
def test_value_and_derivatives_are_exact_to_fourteen_digits(point: float) -> None:
    found = [float(f(point)) for f in (log_cdf, inverse_mills, log_cdf_curvature)]
    np.testing.assert_allclose(found, exact(point), rtol=1e-14)


def test_agrees_with_scipy_on_a_dense_grid() -> None:
    grid = np.linspace(-45.0, 35.0, 20001)
    # scipy's own error is some 1e-13 in places.
    np.testing.assert_allclose(log_cdf(grid), log_ndtr(grid), rtol=1e-12)
    np.testing.assert_allclose(cdf(grid), ndtr(grid), rtol=1e-12, atol=1e-300)


def test_limits_are_reached_without_warnings() -> None:
    ends = np.array([-np.inf, -1e300, 1e300, np.inf])
    assert log_cdf(ends).tolist() == [-np.inf, -np.inf, 0.0, 0.0]
    np.testing.assert_allclose(inverse_mills(ends), [np.inf, 1e300, 0.0, 0.0], rtol=1e-14)
    assert log_cdf_curvature(ends).tolist() == [-1.0, -1.0, 0.0, 0.0]
    assert cdf(ends).tolist() == [0.0, 0.0, 1.0, 1.0]


@given(st.floats(-1e100, 1e100))
def test_laws_hold_everywhere(t: float) -> None:
    assert log_cdf(t) <= 0.0
    assert inverse_mills(t) >= max(0.0, -t)
    assert -1.0 <= log_cdf_curvature(t) <= 0.0


def test_shape_is_kept() -> None:
    assert log_cdf(np.zeros((2, 3, 4))).shape == (2, 3, 4)
    assert inverse_mills(0.0).shape == ()


def test_polynomial_is_ascending() -> None:
    assert polynomial((1.0, 2.0, 3.0), np.array([2.0])).tolist() == [17.0]
