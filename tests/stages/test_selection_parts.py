"""The parts of the selection: lookups, the dual bound, quotas, targets from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2svqa.core.errors import ConfigError
from w2svqa.core.metric_table import MetricTable
from w2svqa.stages.selection_bins import Stated, make_bins, read_target
from w2svqa.stages.selection_bound import lower_bound, relax
from w2svqa.stages.selection_exact import relax_exactly
from w2svqa.stages.selection_problem import Lookup, Problem, make_problem
from w2svqa.stages.selection_quotas import quotas
from w2svqa.stages.selection_rounding import improve, round_memberships

pytest.importorskip("scipy")


def made(seed: int, videos: int = 300, bins: tuple[int, ...] = (7, 5, 90, 80), groups: int = 2) -> Problem:
    random = np.random.default_rng(seed)
    return make_problem(
        [random.integers(0, size, videos) for size in bins],
        [random.dirichlet(np.ones(size)) for size in bins],
        weights=random.uniform(0.5, 2, len(bins)).tolist(),
        quotas=np.array([20] * groups),
        groups=np.arange(videos) % groups,
        base=[np.bincount([0, 0, 1], minlength=size) for size in bins],
    )


def test_cells_hold_every_video_once() -> None:
    problem = made(0, bins=(3, 2, 2))
    assert len(problem.sizes) < 24 + 1
    assert problem.sizes.sum() == 300
    assert np.array_equal(np.bincount(problem.cell_of), problem.sizes)
    assert problem.count == 43
    assert problem.wish.sum() == pytest.approx(3 * 43)


def test_many_wide_metrics_do_not_overflow_the_cells() -> None:
    random = np.random.default_rng(0)
    column = random.integers(0, 5000, 200)
    problem = make_problem([column] * 9, [np.full(5000, 1 / 5000)] * 9, weights=[1.0] * 9, quotas=np.array([3]))
    assert len(problem.sizes) == len(np.unique(column))


def test_joint_lookups_are_sums_and_histograms() -> None:
    problem = made(1)
    random = np.random.default_rng(1)
    prices, chosen = random.normal(size=len(problem.wish)), random.random(len(problem.sizes))
    lookup = Lookup(problem)
    assert lookup.sums(prices) == pytest.approx(prices[problem.rows].sum(axis=1))
    assert lookup.totals(chosen) + problem.base == pytest.approx(problem.totals(chosen))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_prices_prove_more_than_any_choice_has(seed: int) -> None:
    problem, random = made(seed % 7), np.random.default_rng(seed)
    chosen = round_memberships(problem, _random_memberships(problem), random)
    prices = random.normal(size=len(problem.wish)) * 3
    assert lower_bound(problem, prices) <= problem.value(problem.totals(chosen)) + 1e-9


def _random_memberships(problem: Problem) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    there = np.bincount(problem.groups, weights=problem.sizes)
    return np.asarray(problem.sizes * (problem.quotas / there)[problem.groups], dtype=np.float64).reshape(-1)


def test_the_smoothed_dual_comes_to_the_linear_programme() -> None:
    problem = made(0, bins=(7, 5, 30))
    relaxed, exact = relax(problem, tolerance=5e-3), relax_exactly(problem)
    total = problem.weights[problem.starts[:-1]].sum()
    assert exact - 5e-3 * total < relaxed.bound <= exact + 1e-9
    assert exact - 1e-9 <= relaxed.value < relaxed.bound + 5e-3 * total
    assert np.bincount(problem.groups, weights=relaxed.memberships) == pytest.approx(problem.quotas)
    assert (relaxed.memberships <= problem.sizes + 1e-9).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rounding_and_swaps_keep_the_quotas_and_lower_the_value(seed: int) -> None:
    problem, random = made(seed), np.random.default_rng(seed)
    rounded = round_memberships(problem, _random_memberships(problem), random)
    better = improve(problem, rounded, random, seconds=10)
    for chosen in (rounded, better):
        assert np.bincount(problem.groups, weights=chosen).tolist() == problem.quotas.tolist()
        assert ((chosen >= 0) & (chosen <= problem.sizes)).all()
    assert problem.value(problem.totals(better)) <= problem.value(problem.totals(rounded))
    again = improve(problem, better, random, seconds=10)
    assert problem.value(problem.totals(again)) <= problem.value(problem.totals(better))


@given(
    wished=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    spare=st.lists(st.integers(0, 20), min_size=6, max_size=6),
    least=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    part=st.floats(0, 1),
)
@settings(deadline=None)
def test_quotas_keep_their_limits(wished: list[int], spare: list[int], least: list[int], part: float) -> None:
    low = np.array(least[: len(wished)])
    high = low + np.array(spare[: len(wished)])
    count = int(low.sum() + part * (high - low).sum())
    if count == 0:
        return
    found = quotas(np.array(wished, float), count, least=low, most=high)
    assert found.sum() == count
    assert ((low <= found) & (found <= high)).all()


def test_a_stated_target_is_read_from_yaml_and_json(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("noise: {edges: [0, 1, 4], shares: [3, 1]}\nblur: {edges: [0, 0.5, 1]}\n")
    (tmp_path / "a.json").write_text('{"noise": {"edges": [0, 1, 4], "shares": [3, 1]}}')
    target = read_target(str(tmp_path / "a.yaml"))
    assert target == {"noise": Stated(edges=(0, 1, 4), shares=(3, 1)), "blur": Stated(edges=(0, 0.5, 1))}
    assert isinstance(read_target(str(tmp_path / "a.json")), dict)
    assert read_target("uniform") == "uniform"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("noise: 3", "noise: 3 is no distribution"),
        ("noise: {edges: [1, 0]}", "edges: two or more finite numbers that ascend"),
        ("noise: {edges: [0, 1], shares: [1, 2]}", "shares: 2 for 1 bins"),
        ("noise: {edges: [0, 1], shares: [-1]}", "numbers of 0 or more"),
        ("noise: {edge: [0, 1]}", "unknown key 'edge'"),
        ("{}", "no distribution is stated"),
    ],
)
def test_a_wrong_statement_is_named(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=problem) as caught:
        read_target(str(tmp_path / "a.yaml"))
    assert caught.value.path == str(tmp_path / "a.yaml")


def test_heavy_tails_do_not_stretch_the_bins() -> None:
    values = np.append(np.linspace(0, 1, 1000), [1e9, -1e9])[:, None]
    pool = MetricTable([str(place) for place in range(1002)], ["noise"], values)
    [metric] = make_bins(pool, pool, bins=10)
    assert metric.inner.max() < 1
    assert metric.shares.min() > 0.05


def test_a_metric_of_few_values_has_few_bins_and_one_outlier_counts() -> None:
    pool = MetricTable([str(place) for place in range(1000)], ["ti"], np.append(np.zeros(999), 1.0)[:, None])
    [metric] = make_bins(pool, "uniform", bins=4)
    assert np.bincount(metric.places(pool.column("ti"))).tolist() == [999, 0, 0, 1]


def test_a_target_must_know_what_the_pool_knows() -> None:
    pool = MetricTable(["a", "b"], ["noise"], [[1.0], [2.0]])
    with pytest.raises(ConfigError, match="the target has no value of noise"):
        make_bins(pool, MetricTable(["c"], ["noise"], [[np.nan]]), bins=3)
    with pytest.raises(ConfigError, match="the target states blur"):
        make_bins(pool, {"blur": Stated(edges=(0, 1))}, bins=3)
