from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from preference_fakes import LinearStudent, tokens_of

from w2svqa.preference.anchors import choose_anchors, locate_candidates
from w2svqa.preference.soft import preference_matrix

candidates = st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 1)), min_size=5, max_size=40).filter(
    lambda rows: len({place for place, _ in rows}) > 1
)


def names_of(count: int) -> list[str]:
    return [f"clip-{number:03d}" for number in range(count)]


@given(candidates, st.integers(2, 5))
def test_anchors_are_distinct_rising_and_reach_both_ends(rows: list[tuple[float, float]], count: int) -> None:
    latents, doubts = np.array(rows).T
    chosen = choose_anchors(names_of(len(rows)), latents, doubts, count=count)
    places = [anchor.latent for anchor in chosen]
    assert len({anchor.index for anchor in chosen}) == count
    assert places == sorted(places)
    assert (places[0], places[-1]) == (latents.min(), latents.max())
    assert all(anchor.reason and anchor.name == f"clip-{anchor.index:03d}" for anchor in chosen)


@given(candidates, st.integers(0, 1000))
def test_the_order_of_the_candidates_does_not_matter(rows: list[tuple[float, float]], seed: int) -> None:
    latents, doubts = np.array(rows).T
    names = names_of(len(rows))
    order = np.random.default_rng(seed).permutation(len(rows))
    straight = choose_anchors(names, latents, doubts)
    shuffled = choose_anchors([names[i] for i in order], latents[order], doubts[order])
    assert [anchor.name for anchor in straight] == [anchor.name for anchor in shuffled]


def test_each_inner_interval_gives_its_most_certain_candidate() -> None:
    latents = [0.0, 1.2, 1.5, 1.8, 2.1, 2.9, 5.0]
    chosen = choose_anchors(names_of(7), latents, [9.0, 0.3, 0.1, 0.2, 0.4, 0.5, 9.0], count=5)
    # The intervals are one wide; the fourth, 3 to 4, is empty and takes the nearest that is free.
    assert [anchor.index for anchor in chosen] == [0, 2, 4, 5, 6]
    assert chosen[1].reason == "most certain of 3 in interval 2 of 5 (1.000 to 2.000)"
    assert chosen[3].reason == "nearest to the empty interval 4 of 5 (3.000 to 4.000)"


def test_ties_go_to_the_name_that_sorts_first() -> None:
    chosen = choose_anchors(["d", "c", "b", "a"], [0.0, 1.0, 1.0, 2.0], [0.1] * 4, count=3)
    assert [anchor.name for anchor in chosen] == ["d", "b", "a"]


def test_candidates_come_out_in_their_order_of_quality() -> None:
    qualities = np.random.default_rng(6).normal(size=120)
    matrix = preference_matrix(LinearStudent(slope=1.0), [tokens_of(quality) for quality in qualities])
    found = locate_candidates(matrix)
    assert np.array_equal(np.argsort(found.latent), np.argsort(qualities))
    assert abs(found.latent.sum()) < 1e-9
    assert np.all((found.deviation > 0.0) & (found.deviation < 0.3))


def test_a_candidate_that_is_judged_at_random_is_the_least_certain() -> None:
    qualities = np.linspace(-1.0, 1.0, 30)
    matrix = preference_matrix(LinearStudent(slope=1.0), [tokens_of(quality) for quality in qualities])
    coin = np.random.default_rng(0).random(30)
    matrix[14], matrix[:, 14] = coin, 1.0 - coin
    matrix[14, 14] = 0.5
    assert locate_candidates(matrix).misfit.argmax() == 14


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="different"):
        choose_anchors(["a", "a"], [0.0, 1.0], [0.1, 0.1], count=2)
    with pytest.raises(ValueError, match="cannot take 5 anchors from 2"):
        choose_anchors(["a", "b"], [0.0, 1.0], [0.1, 0.1])
    with pytest.raises(ValueError, match="same quality"):
        choose_anchors(["a", "b"], [1.0, 1.0], [0.1, 0.1], count=2)
    with pytest.raises(ValueError, match="finite"):
        choose_anchors(["a", "b"], [1.0, float("nan")], [0.1, 0.1], count=2)
    with pytest.raises(ValueError, match="2 names"):
        choose_anchors(["a", "b"], [1.0], [0.1, 0.1], count=2)
    with pytest.raises(ValueError, match="two candidates"):
        locate_candidates([[0.5]])
