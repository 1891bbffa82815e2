"""Held-back figures: kept by content, averaged with an interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import StoreError
from w2svqa.stages.held_back import HELD_BACK, HeldBack, held_back_mean, read_held_back, write_held_back


def test_what_is_kept_comes_back_without_what_is_no_number(tmp_path: Path) -> None:
    assert read_held_back(tmp_path) is None
    kept = write_held_back(tmp_path, "srcc", {"b": 0.5, "a": float("nan"), "c": 1})
    assert kept == read_held_back(tmp_path) == HeldBack(measure="srcc", values={"b": 0.5, "c": 1.0})


def test_the_mean_has_the_interval_of_brute_force() -> None:
    values = np.random.default_rng(0).normal(size=25)
    found = held_back_mean(
        HeldBack(measure="srcc", values={str(index): value for index, value in enumerate(values.tolist())}),
        resamples=4000,
    )
    rng = np.random.default_rng(1)
    draws = [values[rng.integers(25, size=25)].mean() for _ in range(4000)]
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.05, 0.95])), abs=0.03)
    assert found.contents == 25


def test_nothing_has_no_mean() -> None:
    found = held_back_mean(HeldBack(measure="srcc", values={}))
    assert (found.value, found.low, found.high, found.contents) == (None, None, None, 0)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / HELD_BACK).write_text("{}", encoding="ascii")
    with pytest.raises(StoreError, match="is damaged"):
        read_held_back(tmp_path)
