"""Whether one model agrees with people better than another: tests on the same videos, and many of them at once.

Three tests, for nobody agrees on one. The **paired bootstrap** draws contents for both models alike and asks how far
the difference is from 0 in units of its spread; videos of one content may be alike, and it is the one to quote. **Meng,
Rosenthal and Rubin's Z** compares two correlations with the same ratings, given how far the models correlate with each
other; it takes videos to be independent. The **F-test** of VQEG compares the variances of the two fits' residuals; it
takes residuals to be normal and the two models' to be independent, which they are not, so it is careful. All are
two-sided. Of several comparisons p-values are raised by Holm's rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require
from w2svqa.stages.evaluation_draws import percentiles

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of two figures with its 95 % interval.

    Attributes:
        value: first minus second.
        low: lower end.
        high: upper end.
        p: two-sided; NaN where it is not known.
    """

    value: float
    low: float
    high: float
    p: float


def paired_bootstrap(value: float, first: Floats, second: Floats) -> Difference:
    """Return the difference of two figures whose resamples were drawn alike.

    The interval is that of the resamples' percentiles. The p-value is that of a normal law with the resamples' standard
    deviation: shares of resamples on one side of 0 never fall below 1 / D, so that of a hundred pairs of models none
    could ever be told apart by a thousand resamples.

    Args:
        value: first minus second of the figures themselves.
        first: in each resample, ``(D,)``.
        second: in the same resamples.

    Raises:
        ValueError: the numbers of resamples differ.

    Source: A. C. Davison, D. V. Hinkley, "Bootstrap methods and their application", 1997, sections 2.4 (normal law) and
    5.3 (percentiles).

    Example:
        >>> draws = np.random.default_rng(0).normal(0.5, 0.01, 1000)
        >>> found = paired_bootstrap(0.02, draws, np.full(1000, 0.48))
        >>> round(found.low, 2), round(found.high, 2), round(found.p, 2)
        (0.0, 0.04, 0.04)
    """
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} resamples")
    gaps = first - second
    gaps = gaps[np.isfinite(gaps)]
    low, high = percentiles(gaps)
    if len(gaps) < 2 or not math.isfinite(value):
        return Difference(value=value, low=low, high=high, p=math.nan)
    deviation = float(gaps.std(ddof=1))
    if not deviation:  # two forms of one model, or nothing to draw
        return Difference(value=value, low=low, high=high, p=math.nan if value else 1.0)
    return Difference(value=value, low=low, high=high, p=2 * NormalDist().cdf(-abs(value) / deviation))


def meng_test(first: float, second: float, between: float, videos: int) -> tuple[float, float]:
    """Return Z and p of two correlations with the same ratings being equal.

    Args:
        first: correlation of one model with the ratings, between -1 and 1.
        second: of the other.
        between: of the two models with each other.
        videos: N.

    Returns:
        ``(Z, p)``, Z above 0 where the first is higher; NaN for fewer than 4 videos and where a correlation is -1 or 1.

    Source: X.-L. Meng, R. Rosenthal, D. B. Rubin, "Comparing correlated correlation coefficients", Psychological
    Bulletin 111, 1992, equations 1-3.

    Example:
        >>> z, p = meng_test(0.63, 0.51, 0.72, 103)
        >>> round(z, 2), round(p, 3)
        (2.03, 0.043)
    """
    if videos < 4 or not all(abs(each) < 1 for each in (first, second, between)):
        return math.nan, math.nan
    square = (first**2 + second**2) / 2
    factor = min(1.0, (1 - between) / (2 * (1 - square)))
    height = (1 - factor * square) / (1 - square)
    z = (math.atanh(first) - math.atanh(second)) * math.sqrt((videos - 3) / (2 * (1 - between) * height))
    return z, 2 * NormalDist().cdf(-abs(z))


def variance_test(first: Floats, second: Floats) -> tuple[float, float]:
    """Return F and p of two sets of residuals having the same variance.

    Args:
        first: residuals of one model's fit, ``(N,)``.
        second: of the other's.

    Returns:
        ``(F, p)``, F below 1 where the first model misses less; NaN where one has no variance or fewer than two videos.

    Source: VQEG, "Final report on the validation of objective models, phase II", 2003, section 4.5.2.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    if min(len(first), len(second)) < 2 or not (first.var() > 0 and second.var() > 0):
        return math.nan, math.nan
    ratio = float(first.var(ddof=1) / second.var(ddof=1))
    law = require("scipy.stats", extra="train").f(len(first) - 1, len(second) - 1)
    return ratio, float(min(1.0, 2 * min(law.cdf(ratio), law.sf(ratio))))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values raised so that, of all comparisons together, one is wrongly called different as rarely as told.

    Args:
        values: p-values; NaN are no comparisons and stay.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6, 1979.

    Example:
        >>> [round(each, 3) for each in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    known = [place for place, value in enumerate(values) if not math.isnan(value)]
    raised = list(values)
    highest = 0.0
    for rank, place in enumerate(sorted(known, key=lambda place: values[place])):
        highest = max(highest, min(1.0, (len(known) - rank) * values[place]))
        raised[place] = highest
    return raised
