"""Counts of a pool by what its videos are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.metric_table import MetricTable
from w2svqa.report.facets import MOST_GROUPS, UNKNOWN, by_class, by_text, facets

NAN = float("nan")


def table(**labels: list[str]) -> MetricTable:
    values: list[list[float]] = [[1920, 1080, 29.97], [1080, 1920, 60], [640, 360, 25], [NAN, NAN, NAN]]
    return MetricTable(["a", "b", "c", "d"], ["width", "height", "fps"], values, labels)


@given(st.lists(st.tuples(st.text("abcdefghijklmnopqrstuv", max_size=1), st.booleans()), max_size=80))
def test_counts_equal_those_one_by_one(videos: list[tuple[str, bool]]) -> None:
    values = np.array([value for value, _ in videos], dtype=np.str_)
    chosen = np.array([is_chosen for _, is_chosen in videos], dtype=np.bool_)
    facet = by_text("Letter", values, chosen)
    assert sum(facet.before) == len(videos)
    assert sum(facet.after) == int(chosen.sum())
    alone = len(facet.groups) - bool(facet.rest)
    assert alone <= MOST_GROUPS
    for group, before, after in list(zip(facet.groups, facet.before, facet.after, strict=True))[:alone]:
        those = [is_chosen for value, is_chosen in videos if (value or UNKNOWN) == group]
        assert (before, after) == (len(those), sum(those))
    assert list(facet.before[:alone]) == sorted(facet.before[:alone], reverse=True)


def test_a_turned_video_has_the_lines_of_an_upright_one() -> None:
    found = {each.title: each for each in facets(table(), np.array([True, False, True, False]))}
    lines = found["Resolution (shorter side)"]
    assert lines.groups == ("360 to below 480 lines", "1080 to below 1440 lines", UNKNOWN)
    assert (lines.before, lines.after) == ((1, 2, 1), (1, 1, 0))
    assert found["Frame rate"].groups == ("20 to below 27 fps", "27 to below 40 fps", "55 to below 90 fps", UNKNOWN)


@given(st.floats(1, 1e5))
def test_a_class_holds_what_its_name_says(value: float) -> None:
    facet = by_class("x", np.array([value]), (10, 20, 40), "{}", np.array([True]))
    names = {"below 10": value < 10, "10 to below 20": 10 <= value < 20, "20 to below 40": 20 <= value < 40}
    assert facet.groups == (next((name for name, holds in names.items() if holds), "40 and more"),)


def test_columns_come_where_they_are_and_tell_something() -> None:
    everything = np.ones(4, np.bool_)
    labels = {"source": ["x", "x", "y", ""], "license": ["", "", "", ""], "camera": ["p", "p", "q", "q"]}
    titles = [each.title for each in facets(table(**labels), everything)]
    assert titles == ["Source", "Resolution (shorter side)", "Frame rate"]
    assert "camera" in [each.title for each in facets(table(**labels), everything, also="camera")]
    assert facets(MetricTable(["a"], [], np.empty((1, 0))), np.array([True])) == []


def test_the_table_has_what_the_chart_leaves_out() -> None:
    pytest.importorskip("matplotlib")
    values = np.array([f"s{place:02d}" for place in range(MOST_GROUPS + 5)])
    facet = by_text("Source", values, np.zeros(len(values), np.bool_))
    assert facet.rest == 5
    assert facet.table().rows[-1] == ("5 others", 5, 5 / len(values), 0, 0.0)
    assert "others" not in facet.figure().svg
    assert facet.figure().caption == "5 more are in the table"
