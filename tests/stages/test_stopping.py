"""The stopping rule: gains of held-back contents, paired, and what they decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.errors import StoreError
from w2svqa.stages.stopping import (
    STOPPING,
    Decision,
    Gain,
    StopConfig,
    held_back_gain,
    read_decision,
    should_stop,
    write_decision,
)

NAN = float("nan")


def figures(values: list[float]) -> dict[str, float]:
    return {f"content {index}": value for index, value in enumerate(values)}


def gain_of(value: float, low: float, high: float) -> Gain:
    return Gain(value=value, low=low, high=high, level=0.9, contents=12)


def test_what_makes_a_content_hard_falls_out_of_the_gain() -> None:
    hard = np.random.default_rng(0).uniform(-1, 1, 20)
    gain = held_back_gain(figures(hard.tolist()), figures((hard + 0.01).tolist()), seed=1)
    assert gain.value == pytest.approx(0.01)
    assert gain.low == pytest.approx(0.01)
    assert gain.high == pytest.approx(0.01)
    assert gain.contents == 20
    assert not should_stop(gain).stop


def test_the_interval_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=30), rng.normal(0.2, size=30)
    gain = held_back_gain(
        figures(before.tolist()), figures(after.tolist()), StopConfig(level=0.8, resamples=4000), seed=1
    )
    gaps = after - before
    draws = [gaps[rng.integers(30, size=30)].mean() for _ in range(4000)]
    assert gain.value == pytest.approx(gaps.mean())
    assert (gain.low, gain.high) == pytest.approx(tuple(np.quantile(draws, [0.1, 0.9])), abs=0.03)
    assert gain.level == 0.8


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.integers(0, 5))
def test_the_interval_is_of_means_of_the_gaps_and_the_same_each_time(gaps: list[float], seed: int) -> None:
    before, after = figures([0.0] * len(gaps)), figures(gaps)
    gain = held_back_gain(before, after, StopConfig(resamples=50), seed=seed)
    assert gain.low is not None
    assert gain.high is not None
    assert min(gaps) - 1e-12 <= gain.low <= gain.high <= max(gaps) + 1e-12
    assert gain == held_back_gain(dict(reversed(before.items())), after, StopConfig(resamples=50), seed=seed)


@pytest.mark.parametrize(
    ("gain", "stop", "words"),
    [
        (gain_of(0.02, 0.001, 0.05), False, "is above 0: the run goes on"),
        (gain_of(0.02, 0.0, 0.05), True, "holds 0: no further stage"),
        (gain_of(0.02, -0.01, 0.05), True, "holds 0: no further stage"),
        (gain_of(-0.02, -0.03, 0.0), True, "holds 0: no further stage"),
        (gain_of(-0.02, -0.03, -0.01), True, "is below 0: no further stage"),
    ],
)
def test_it_stops_unless_the_interval_is_above_nothing(gain: Gain, stop: bool, words: str) -> None:
    decision = should_stop(gain)
    assert decision.stop is stop
    assert decision.reason.endswith(words)
    assert f"[{gain.low:.3f}, {gain.high:.3f}] on 12 held-back contents; the 90 % interval" in decision.reason


def test_a_minimum_asks_for_more() -> None:
    gain = gain_of(0.02, 0.01, 0.03)
    assert not should_stop(gain).stop
    assert should_stop(gain, 0.01).stop
    assert should_stop(gain, 0.05).reason.endswith("is below 0.05: no further stage")


@pytest.mark.parametrize(
    ("before", "after", "contents", "left_out"),
    [
        ({}, {}, 0, 0),
        ({"a": 1.0}, {"b": 1.0}, 0, 2),
        ({"a": 1.0}, {"a": 2.0}, 1, 0),
        ({"a": 1.0, "b": NAN, "c": 1.0}, {"a": 2.0, "b": 1.0, "d": 1.0}, 1, 3),
    ],
)
def test_too_few_contents_decide_nothing(
    before: dict[str, float], after: dict[str, float], contents: int, left_out: int
) -> None:
    gain = held_back_gain(before, after, seed=0)
    assert (gain.contents, gain.left_out, gain.low, gain.high) == (contents, left_out, None, None)
    decision = should_stop(gain)
    assert not decision.stop
    assert "too few" in decision.reason


def test_missing_contents_are_left_out_and_counted() -> None:
    gain = held_back_gain({"a": 0, "b": 0, "c": NAN}, {"a": 1, "b": 3, "c": 9, "d": 9}, seed=0)
    assert (gain.value, gain.contents, gain.left_out) == (2.0, 2, 2)


@pytest.mark.parametrize("wrong", [{"level": 0}, {"level": 1.0}, {"level": NAN}, {"resamples": 0}, {"minimum": NAN}])
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StopConfig(**wrong)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("gain", [gain_of(0.02, 0.001, 0.05), held_back_gain({}, {}, seed=0)])
def test_a_decision_is_kept(tmp_path: Path, gain: Gain) -> None:
    assert read_decision(tmp_path) is None
    write_decision(tmp_path, should_stop(gain))
    assert read_decision(tmp_path) == should_stop(gain)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stop": "maybe"}'])
def test_a_damaged_decision_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / STOPPING).write_text(text, encoding="ascii")
    with pytest.raises(StoreError, match="is damaged"):
        read_decision(tmp_path)


def test_the_sentence_is_one_line() -> None:
    decision = Decision(stop=True, reason=should_stop(gain_of(0.1, -0.1, 0.3)).reason, gain=gain_of(0.1, -0.1, 0.3))
    assert decision.reason == (
        "gained 0.100 [-0.100, 0.300] on 12 held-back contents; the 90 % interval holds 0: no further stage"
    )
