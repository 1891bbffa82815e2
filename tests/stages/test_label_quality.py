"""Quality of labels: against brute force, with ties, gaps and constants, and intervals by content."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from w2svqa.core.rows import LabelQualityRow, Measure, Truth
from w2svqa.stages.label_draws import MOST_BLOCKS, draw_sums, drawn_correlation
from w2svqa.stages.label_quality import (
    Contents,
    Labelling,
    agreement,
    ladder_quality,
    order_levels,
    pair_quality,
    rank_quality,
)
from w2svqa.stages.ladder_intervals import resample

NAN = float("nan")
LEVELS = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, NAN])
SAME = Contents(first=["a", "b", "c", "d", "e", "f"])


def labelling(against: Truth = "severity") -> Labelling:
    return Labelling(stage=2, source="student-1", against=against)


def only(rows: list[LabelQualityRow], measure: Measure, kind: str = "") -> LabelQualityRow:
    (row,) = (row for row in rows if (row.measure, row.kind) == (measure, kind))
    return row


def test_order_and_level_are_asked_of_different_pairs() -> None:
    # right level, right order, wrong order, undecided, truth similar and said so, truth similar and denied
    rows = pair_quality(labelling(), [4, 3, 0, 2, 2, 1], [4, 4, 3, 1, 2, 2], SAME)
    order, level = only(rows, "accuracy"), only(rows, "level_accuracy")
    assert (order.value, order.n, order.contents) == (2.5 / 4, 4, 4)
    assert (level.value, level.n, level.contents) == (2 / 6, 6, 6)
    assert (order.stage, order.source, order.against) == (2, "student-1", "severity")


@given(st.lists(st.tuples(LEVELS, LEVELS, st.sampled_from("abc"), st.sampled_from(["blur", ""])), min_size=1))
def test_accuracies_are_those_of_brute_force(pairs: list[tuple[float, float, str, str]]) -> None:
    labels, truth, contents, kinds = (list(each) for each in zip(*pairs, strict=True))
    rows = pair_quality(labelling(), labels, truth, Contents(first=contents, kinds=kinds))
    for kind in ("", "blur"):
        known = [(a, b) for a, b, _, name in pairs if a == a and b == b and name.startswith(kind)]
        ordered = [(a, b) for a, b in known if b != 2]
        points = [0.5 if a == 2 else float((a > 2) == (b > 2)) for a, b in ordered]
        found = [row for row in rows if row.kind == kind]
        if kind and not known:
            assert found == []
            continue
        assert only(rows, "level_accuracy", kind).n == len(known)
        if points:
            assert only(rows, "accuracy", kind).value == pytest.approx(np.mean(points))


def test_nothing_to_count_is_no_figure() -> None:
    for labels, truth in (([], []), ([NAN] * 2, [0, 4]), ([0, 4], [NAN] * 2)):
        rows = pair_quality(labelling(), labels, truth, Contents(first=["a", "b"][: len(labels)]))
        for row in rows:
            assert (row.value, row.low, row.high, row.n, row.contents) == (None, None, None, 0, 0)
    (order,) = pair_quality(labelling(), [0, 4], [2, 2], Contents(first=["a", "b"]), exact=False)
    assert (order.measure, order.value, order.n) == ("accuracy", None, 0)


@pytest.mark.parametrize("wrong", [5.0, -1.0, 2.5, float("inf")])
def test_a_level_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"truth holds {wrong:g}"):
        pair_quality(labelling(), [1.0], [wrong], Contents(first=["a"]))


def test_lengths_must_fit() -> None:
    with pytest.raises(ValueError, match="kinds has 2 entries, not 1"):
        pair_quality(labelling(), [1], [1], Contents(first=["a"], kinds=["blur", "noise"]))
    with pytest.raises(ValueError, match="before has 1 entries, not 2"):
        agreement(labelling(), [1, 2], [1], Contents(first=["a", "b"]))
    with pytest.raises(ValueError, match="truth has 1 entries, not 2"):
        rank_quality(labelling(), [1, 2], [1], ["a", "b"])


def test_one_content_that_labels_badly_widens_the_interval() -> None:
    """Twenty pairs are as good as one, where they are of one content."""
    truth = [4] * 40
    labels = [4] * 20 + [0] * 20
    many = only(pair_quality(labelling(), labels, truth, Contents(first=[str(i) for i in range(40)])), "accuracy")
    two = only(pair_quality(labelling(), labels, truth, Contents(first=["a"] * 20 + ["b"] * 20)), "accuracy")
    assert many.value == two.value == 0.5
    assert (two.low, two.high, two.contents) == (0.0, 1.0, 2)
    assert many.low is not None
    assert many.low > 0.3


def test_a_pair_of_two_contents_counts_by_both() -> None:
    first, second = ["a", "a", "b", "c", "a"], ["b", "c", "c", "c", "d"]
    values = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    drawn = draw_sums(np.stack([np.ones(5), values]), first, second, lambda sums: sums[:, 1] / sums[:, 0].clip(1e-9))
    counts = dict(zip("abcd", resample(4).T, strict=True))
    weights = [counts[a] * (counts[b] if a != b else 1) for a, b in zip(first, second, strict=True)]
    sums = np.stack(weights).T.astype(np.float64)
    expected = (sums @ values) / sums.sum(axis=1).clip(1e-9)
    assert (drawn.low, drawn.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))
    assert (drawn.value, drawn.contents) == (0.6, 4)


def test_many_contents_are_drawn_in_blocks_and_mean_the_same() -> None:
    contents = [f"{index:05}" for index in range(5 * MOST_BLOCKS)]
    hits = (np.random.default_rng(0).random(len(contents)) < 0.8).astype(np.float64)
    row = only(pair_quality(labelling(), 4 * hits, [4] * len(hits), Contents(first=contents)), "accuracy")
    spread = 1.96 * np.sqrt(0.8 * 0.2 / len(hits))
    assert row.value == pytest.approx(hits.mean())
    assert row.low == pytest.approx(hits.mean() - spread, abs=0.2 * spread)
    assert row.high == pytest.approx(hits.mean() + spread, abs=0.2 * spread)
    assert row.contents == len(contents)


def test_agreement_is_of_directions() -> None:
    rows = agreement(labelling("before"), [4, 3, 2, 2, 0, NAN], [3, 3, 2, 3, 4, 1], SAME)
    assert (only(rows, "agreement").value, only(rows, "agreement").n) == (3 / 5, 5)
    assert only(rows, "kappa").n == 5


def reference_kappa(new: NDArray[np.float64], old: NDArray[np.float64]) -> float:
    table = np.zeros((5, 5))
    for a, b in zip(new.astype(int), old.astype(int), strict=True):
        table[a, b] += 1 / len(new)
    gaps = np.subtract.outer(np.arange(5), np.arange(5)) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    return float(1 - (gaps * table).sum() / (gaps * expected).sum())


@given(st.integers(0, 1000), st.integers(3, 60))
def test_kappa_is_that_of_its_table(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    new, old = rng.integers(5, size=(2, count)).astype(np.float64)
    new[:2], old[:2] = [0, 4], [4, 1]
    names = [str(each) for each in rng.integers(9, size=count)]
    rows = agreement(labelling("before"), new, old, Contents(first=names))
    assert only(rows, "kappa").value == pytest.approx(reference_kappa(new, old))


@pytest.mark.parametrize(("new", "old", "kappa"), [([3, 1, 4], [3, 1, 4], 1.0), ([3, 3, 3], [3, 3, 3], None)])
def test_kappa_of_equal_labels(new: list[float], old: list[float], kappa: float | None) -> None:
    rows = agreement(labelling("before"), new, old, Contents(first=["a", "b", "c"]))
    assert only(rows, "agreement").value == 1
    assert only(rows, "kappa").value == (None if kappa is None else pytest.approx(kappa))


def test_rank_correlation_is_that_of_scipy_with_ties_and_gaps() -> None:
    rng = np.random.default_rng(0)
    scores, ratings = rng.integers(6, size=50).astype(float), rng.integers(6, size=50) / 2
    (expected,) = {stats.spearmanr(scores, ratings).statistic}
    scores, ratings = np.append(scores, [NAN, 1]), np.append(ratings, [1, NAN])
    (row,) = rank_quality(labelling("mos"), scores, ratings, [str(index) for index in range(52)])
    assert row.value == pytest.approx(expected)
    assert (row.n, row.contents, row.measure) == (50, 50, "srcc")
    assert row.low is not None
    assert row.high is not None
    assert row.low < expected < row.high


def test_drawn_correlations_are_those_of_repeated_things() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(4, size=(2, 12)).astype(np.float64)
    names = [str(index // 2) for index in range(12)]
    drawn = drawn_correlation(first, second, names)
    repeats = [np.repeat(np.arange(12), np.repeat(weights, 2)) for weights in resample(6)]
    expected = [
        stats.spearmanr(first[some], second[some]).statistic
        if min(len(set(first[some])), len(set(second[some]))) > 1
        else 0.0
        for some in repeats
    ]
    assert (drawn.low, drawn.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))


@pytest.mark.parametrize(("scores", "value", "n"), [([], None, 0), ([1.0], None, 1), ([3.0, 3.0, 3.0], 0.0, 3)])
def test_scores_that_order_nothing(scores: list[float], value: float | None, n: int) -> None:
    names = [str(index) for index in range(len(scores))]
    (row,) = rank_quality(labelling("mos"), scores, list(range(len(scores))), names)
    assert (row.value, row.n) == (value, n)


def test_ladders_are_ordered_within_their_content() -> None:
    """A clip that is always below another does not matter; a kind that nobody orders does."""
    scores = [90, 80, 70, 30, 20, 10, 5, 5, 5, 1, 2]
    severities = [0.2, 0.4, 0.6, 0.2, 0.4, 0.6, 0.2, 0.4, 0.6, 0.2, 0.4]
    contents = ["a"] * 3 + ["b"] * 3 + ["a"] * 3 + ["b"] * 2
    kinds = ["blur"] * 6 + ["noise"] * 5
    rows = ladder_quality(labelling(), scores, severities, contents, kinds)
    assert {row.kind: (row.value, row.n, row.contents) for row in rows} == {
        "": (2 / 3, 3, 2),
        "blur": (1.0, 2, 2),
        "noise": (0.0, 1, 1),
    }


def test_ladders_with_gaps() -> None:
    rows = ladder_quality(labelling(), [3, NAN, 2, 1], [0, 0.2, NAN, 0.6], ["a"] * 4, ["blur"] * 4)
    assert [(row.value, row.n) for row in rows] == [(None, 0)]
    rows = ladder_quality(labelling(), [1, 2, 3, 4], [0, 0.2, 0.6, NAN], ["a"] * 4, ["blur"] * 4)
    assert [(row.kind, row.value) for row in rows] == [("", -1.0), ("blur", -1.0)]


def test_order_levels_know_a_margin_and_what_is_unknown() -> None:
    found = order_levels([50, 50, 50, NAN], [45, 55.5, 50, 1], margin=5)
    np.testing.assert_array_equal(found, [2, 3, 2, NAN])
