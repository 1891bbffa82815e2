"""Records and levels: the few laws they keep by themselves."""

from __future__ import annotations

import dataclasses

import pytest

from w2svqa.core import records
from w2svqa.core.levels import LEVEL_WEIGHTS, LEVELS, opposite
from w2svqa.core.records import Comparison

CLASSES = [each for each in vars(records).values() if dataclasses.is_dataclass(each) and isinstance(each, type)]


@pytest.mark.parametrize("kind", CLASSES)
def test_records_are_frozen_and_keyword_only(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]  # every dataclass has it
    assert all(each.kw_only for each in dataclasses.fields(kind))
    assert all(each.name in (kind.__doc__ or "") for each in dataclasses.fields(kind))


def test_a_comparison_has_one_of_the_five_levels() -> None:
    probabilities = (0.1, 0.2, 0.3, 0.3, 0.1)
    for level in LEVELS:
        assert (
            Comparison(first="a", second="b", level=level, probabilities=probabilities, preference=0.5).level == level
        )
    with pytest.raises(ValueError, match="'equal' is not one of inferior, worse, similar, better, superior"):
        Comparison(first="a", second="b", level="equal", probabilities=probabilities, preference=0.5)


def test_levels_mirror() -> None:
    for level, weight in enumerate(LEVEL_WEIGHTS):
        assert LEVEL_WEIGHTS[opposite(level)] == pytest.approx(1 - weight)
        assert opposite(opposite(level)) == level
    assert sorted(LEVEL_WEIGHTS) == list(LEVEL_WEIGHTS)
