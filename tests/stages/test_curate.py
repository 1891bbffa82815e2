"""Selection: against brute force, its laws, and what is said of wishes that cannot be met."""

from __future__ import annotations

import errno
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2svqa.core.errors import ConfigError, StoreError
from w2svqa.core.metric_table import MetricTable
from w2svqa.core.store import read_artifact
from w2svqa.stages.curate import CHOSEN, HISTOGRAMS, select, write_selection
from w2svqa.stages.selection_bins import Stated, Target, make_bins
from w2svqa.stages.selection_candidates import CurateConfig
from w2svqa.stages.selection_problem import Floats
from w2svqa.stages.selection_report import ChosenRow, HistogramRow, Selection

pytest.importorskip("scipy")

NAMES = ("noise", "blur", "si")
NAN = float("nan")


def drawn(count: int, seed: int, shift: float = 0.0, metrics: int = 3) -> MetricTable:
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, metrics)) + shift
    values[:, 0] = np.exp(values[:, 0])  # a heavy tail
    sources = random.choice(["film", "phone", "screen"], count, p=[0.5, 0.3, 0.2])
    return MetricTable([f"v{place:05d}" for place in range(count)], NAMES[:metrics], values, {"source": sources})


def value_of(pool: MetricTable, target: Target, bins: int, chosen: list[int], weights: Floats) -> float:
    """Compute the value of a choice anew, from the bins alone."""
    total = 0.0
    for metric, weight in zip(make_bins(pool, target, bins=bins), weights, strict=True):
        counts = np.bincount(metric.places(pool.column(metric.name))[chosen], minlength=len(metric.shares))
        total += weight * float(np.abs(counts / len(chosen) - metric.shares).sum())
    return total


def places(pool: MetricTable, selection: Selection) -> list[int]:
    index = {clip_id: place for place, clip_id in enumerate(pool.ids.tolist())}
    return [index[row.clip_id] for row in selection.rows]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), videos=st.integers(4, 9), count=st.integers(1, 4), bins=st.integers(1, 5))
def test_small_cases_equal_brute_force(seed: int, videos: int, count: int, bins: int) -> None:
    pool, target = drawn(videos, seed), drawn(20, seed + 1, shift=0.5)
    weights = np.array([1.0, 2.0, 0.5])
    config = CurateConfig(count=count, bins=bins, weights=dict(zip(NAMES, weights.tolist(), strict=True)), seconds=20)
    found = select(pool, target, config)
    values = [
        value_of(pool, target, bins, list(each), weights) for each in itertools.combinations(range(videos), count)
    ]
    assert found.value == pytest.approx(min(values), abs=1e-9)
    assert found.value == pytest.approx(value_of(pool, target, bins, places(pool, found), weights), abs=1e-9)
    assert found.optimal
    assert found.lp_bound <= min(values) + 1e-9


def test_a_large_pool_comes_near_the_bound_and_far_below_chance() -> None:
    pool, target = drawn(4000, 0), drawn(3000, 1, shift=0.6)
    found = select(pool, target, CurateConfig(count=600, bins=12))
    chance = value_of(pool, target, 12, list(range(600)), np.ones(3))
    assert len(found.rows) == len({row.clip_id for row in found.rows}) == 600
    assert found.value == pytest.approx(value_of(pool, target, 12, places(pool, found), np.ones(3)))
    assert 0 <= found.gap < 0.05 < 0.5 < chance
    assert all(each.after < each.before for each in found.metrics)


def test_the_bound_holds_where_the_pool_lacks_what_is_wished() -> None:
    pool, target = drawn(4000, 2), drawn(3000, 3, shift=2.5)
    found = select(pool, target, CurateConfig(count=800, bins=12))
    assert found.lp_bound > 0.5
    assert found.value - found.lp_bound < 0.02
    lacking = sum(each.lacking for each in found.metrics)
    assert found.lp_bound >= 2 * lacking / 800 - 0.01  # what bins lack alone
    worst = found.lacks[0]
    assert worst.wished - worst.available == max(each.wished - each.available for each in found.lacks) > 1
    assert f"{worst.wished - worst.available:.0f} lacking" in str(worst)


def test_videos_of_one_cell_are_interchangeable() -> None:
    pool = MetricTable([f"v{place}" for place in range(40)], ["noise"], np.repeat([[1.0], [2.0]], 20, axis=0))
    wish = {"noise": Stated(edges=(0.5, 1.5, 2.5), shares=(0.25, 0.75))}
    found = {seed: select(pool, wish, CurateConfig(count=8, seed=seed)) for seed in (1, 2)}
    for each in found.values():
        assert Counter(place < 20 for place in places(pool, each)) == {True: 2, False: 6}
        assert each.value == pytest.approx(0.0, abs=1e-12)
        assert each.optimal
    assert found[1].rows != found[2].rows
    assert found[1].rows == select(pool, wish, CurateConfig(count=8, seed=1)).rows


def test_stated_bins_have_their_ends_and_nothing_is_wished_beyond() -> None:
    pool = MetricTable(
        [f"v{place}" for place in range(7)], ["blur"], [[-5.0], [0.0], [0.5], [1.0], [1.5], [2.0], [9.0]]
    )
    found = select(pool, {"blur": Stated(edges=(0.0, 1.0, 2.0), shares=(2, 3))}, CurateConfig(count=5))
    assert [row.clip_id for row in found.rows] == ["v1", "v2", "v3", "v4", "v5"]
    assert [(row.available, row.chosen, row.target) for row in found.histograms] == [
        (1, 0, 0.0),
        (2, 2, 0.4),
        (3, 3, 0.6),
        (1, 0, 0.0),
    ]


def test_uniform_is_flat_over_the_robust_range() -> None:
    pool = drawn(5000, 4, metrics=1)
    found = select(pool, "uniform", CurateConfig(count=100, bins=10))
    middle = [row.chosen for row in found.histograms if row.available >= 10]
    assert middle == [10] * len(middle)
    assert found.histograms[-1].available >= 25  # the open bin has the tail
    assert sum(row.available for row in found.histograms) == 5000


def test_a_weight_of_nought_leaves_a_metric_out() -> None:
    pool, target = drawn(300, 5), drawn(300, 6, metrics=2)
    with pytest.raises(ConfigError, match=r"the target has no metric si .*--weight si=0"):
        select(pool, target, CurateConfig(count=10))
    found = select(pool, target, CurateConfig(count=10, bins=5, weights={"si": 0.0}, seconds=1))
    assert [each.metric for each in found.metrics] == ["noise", "blur"]


def test_must_includes_and_excludes_are_kept() -> None:
    pool, target = drawn(500, 7), drawn(500, 8)
    config = CurateConfig(
        count=20, bins=8, include=("v00003", "v00400"), exclude=("v00001", "gone"), seconds=1, stratify="source"
    )
    found = select(pool, target, config)
    included = [row.clip_id for row in found.rows if row.reason == "included"]
    assert included == ["v00003", "v00400"]
    assert "v00001" not in {row.clip_id for row in found.rows}
    assert (found.left_out, found.candidates) == ({"excluded": 1}, 499)
    assert "1 of the videos that must not be chosen are not in the pool" in found.notes
    assert found.value == pytest.approx(
        value_of(pool.rows(pool.ids != "v00001"), target, 8, [p - (p > 1) for p in places(pool, found)], np.ones(3))
    )


def test_all_can_be_must_includes() -> None:
    pool = drawn(10, 9)
    found = select(pool, "uniform", CurateConfig(count=2, include=("v00003", "v00004")))
    assert [row.clip_id for row in found.rows] == ["v00003", "v00004"]
    assert found.optimal


def test_groups_get_the_share_of_the_target_or_keep_their_own() -> None:
    pool, target = drawn(2000, 10), drawn(500, 11)
    other = MetricTable(target.ids, target.names, target.values, {"source": ["film"] * 250 + ["screen"] * 250})
    asked = CurateConfig(count=100, bins=10, stratify="source", seconds=1)
    by_target = select(pool, other, asked)
    assert {each.group: each.chosen for each in by_target.groups} == {"film": 50, "phone": 0, "screen": 50}
    assert Counter(row.group for row in by_target.rows) == {"film": 50, "screen": 50}
    own = select(pool, MetricTable(target.ids, target.names, target.values), asked)
    for each in own.groups:
        assert each.chosen == pytest.approx(100 * each.available / 2000, abs=1)


def test_a_group_that_is_too_small_gives_all_and_it_is_said() -> None:
    pool = MetricTable(list("abcdef"), ["si"], [[1], [2], [3], [4], [5], [6]], {"source": list("xyyyyy")})
    target = MetricTable(list("gh"), ["si"], [[1], [6]], {"source": list("xx")})
    found = select(pool, target, CurateConfig(count=3, bins=2, stratify="source"))
    assert {each.group: each.chosen for each in found.groups} == {"x": 1, "y": 2}
    assert any("do not allow the wished groups: 'x': 3 wished, 1 can be" in each for each in found.notes)


def test_videos_without_a_value_are_left_out_and_counted() -> None:
    pool = drawn(50, 12)
    values = pool.values.copy()
    values[:5, 1], values[5:7, 2] = NAN, np.inf
    holes = MetricTable(pool.ids, pool.names, values)
    found = select(holes, "uniform", CurateConfig(count=10, bins=4, seconds=1))
    assert (found.left_out, found.candidates) == ({"no blur": 5, "no si": 2}, 43)
    assert min(places(pool, found)) >= 7
    with pytest.raises(ConfigError, match=r"45 videos are to be chosen of 43 \(no blur: 5, no si: 2\)"):
        select(holes, "uniform", CurateConfig(count=45))
    with pytest.raises(ConfigError, match="v00001 must be chosen, but has no blur"):
        select(holes, "uniform", CurateConfig(count=10, include=("v00001",)))


CONSTANT = MetricTable(list("abcd"), ["si", "ti"], [[1, 0], [2, 0], [3, 0], [4, 0]])


def test_a_constant_metric_is_an_error_where_it_cannot_match_and_a_note_where_it_can() -> None:
    moving = MetricTable(list("xy"), ["si", "ti"], [[1, 5], [4, 9]])
    with pytest.raises(ConfigError, match=r"ti is 0 for the whole pool.*--weight ti=0"):
        select(CONSTANT, moving, CurateConfig(count=2))
    found = select(CONSTANT, "uniform", CurateConfig(count=2, bins=2))
    assert "ti is in one bin for the whole pool: it tells no videos apart" in found.notes
    assert found.value == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (CurateConfig(count=5), "5 videos are to be chosen of 4"),
        (CurateConfig(count=2, weights={"hue": 1}), "the pool has no metric hue"),
        (CurateConfig(count=2, weights={"si": 0, "ti": 0}), "no metric is left"),
        (CurateConfig(count=2, stratify="source"), "no column of text 'source'"),
        (CurateConfig(count=2, include=("q",)), "q must be chosen, but is not in the pool"),
        (CurateConfig(count=1, include=("a", "b")), "2 videos must be chosen, but only 1 may"),
    ],
)
def test_what_cannot_be_asked_is_told(asked: CurateConfig, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        select(CONSTANT, "uniform", asked)


def test_a_configuration_is_checked() -> None:
    with pytest.raises(ConfigError, match="0 videos are to be chosen"):
        CurateConfig(count=0)
    with pytest.raises(ConfigError, match="a must and must not be chosen"):
        CurateConfig(count=1, include=("a",), exclude=("a",))
    with pytest.raises(ConfigError, match="the weight of si is -1"):
        CurateConfig(count=1, weights={"si": -1.0})


def test_a_full_disk_leaves_no_half_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    asked = CurateConfig(count=2, bins=2)
    found = select(CONSTANT, "uniform", asked)
    write_selection(tmp_path, found, asked)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("w2svqa.core.files.os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot be written: No space left .*free some space"):
        write_selection(tmp_path, found, asked)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.rglob("*.part*")] == []
    with pytest.raises(StoreError, match="no complete artifact"):
        read_artifact(tmp_path / HISTOGRAMS, HistogramRow)
    write_selection(tmp_path, found, asked)
    assert tuple(read_artifact(tmp_path / CHOSEN, ChosenRow).rows) == found.rows


def test_a_selection_is_stored_with_its_facts(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    asked = CurateConfig(count=2, bins=2, weights={"ti": 0.0})
    found = select(CONSTANT, "uniform", asked)
    write_selection(tmp_path, found, asked, {"metrics": "00"})
    chosen = read_artifact(tmp_path / CHOSEN, ChosenRow, kind="chosen")
    assert tuple(chosen.rows) == found.rows
    assert chosen.manifest.extra["lp_bound"] == found.lp_bound
    assert chosen.manifest.inputs == {"metrics": "00"}
    assert tuple(read_artifact(tmp_path / HISTOGRAMS, HistogramRow).rows) == found.histograms
