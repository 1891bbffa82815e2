"""Intervals that draw whole sources."""

from __future__ import annotations

import numpy as np
import pytest

from w2svqa.stages.ladder_intervals import (
    RESAMPLES,
    Counted,
    difference,
    estimate,
    mean,
    resample,
)


def test_resamples_draw_as_many_sources_as_there_are_and_always_the_same() -> None:
    drawn = resample(7)
    assert drawn.shape == (RESAMPLES, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert (drawn == resample(7)).all()


def test_an_interval_is_as_wide_as_the_sources_differ_not_as_the_items_are_many() -> None:
    few: Counted[float] = Counted(items=[0.0] * 200 + [1.0] * 200, owners=["a"] * 200 + ["b"] * 200)
    figure = mean("share", few)
    assert (figure.value, figure.low, figure.high) == (0.5, 0.0, 1.0)
    assert (figure.n, figure.sources) == (400, ("a", "b"))
    many: Counted[float] = Counted(items=few.items, owners=[str(index) for index in range(400)])
    assert mean("share", many).high - mean("share", many).low < 0.12


def test_a_figure_of_nothing_is_no_number() -> None:
    figure = mean("share", Counted())
    assert figure.n == 0
    assert np.isnan([figure.value, figure.low, figure.high]).all()


def test_differences_are_paired() -> None:
    owners = [f"source{index}" for index in range(20)]
    scores = np.random.default_rng(0).normal(0, 5, 20)
    one = mean("score", Counted(items=(scores + 1).tolist(), owners=owners))
    other = mean("score", Counted(items=scores.tolist(), owners=owners))
    value, low, high = difference(one, other)
    # by themselves the intervals overlap widely; the difference is the same in every resample
    assert one.low < other.high
    assert (value, low, high) == pytest.approx((1.0, 1.0, 1.0))


def test_differences_of_other_sources_are_refused() -> None:
    one, other = (mean("score", Counted(items=[1.0], owners=[owner])) for owner in "ab")
    with pytest.raises(ValueError, match="other sources"):
        difference(one, other)


def test_a_statistic_sees_every_item_once_for_the_value() -> None:
    figure = estimate("size", ["a", "a", "b"], lambda weights: weights.sum(axis=1).astype(np.float64))
    assert figure.value == 3
    assert set(figure.draws.tolist()) <= {2.0, 3.0, 4.0}
