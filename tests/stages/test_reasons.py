"""Which reasons a video gets, and for which seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.records import Reason
from w2svqa.stages.reasons import gather_reasons

KINDS = ("blur", "noise", "jitter")


def reason(distortion: str, severity: float = 0.5, probability: float = 0.5) -> Reason:
    return Reason(distortion=distortion, severity=severity, probability=probability)


BLUR, NOISE = reason("blur", 0.4, 0.6), reason("noise", 0.9, 0.8)

some = st.lists(st.builds(reason, st.sampled_from(KINDS), st.floats(0, 1), st.floats(0.1, 1)), max_size=3)
diagnoses = some.map(lambda found: tuple({one.distortion: one for one in found}.values()))


@given(diagnoses, st.lists(st.tuples(diagnoses, st.floats(-50, 150)), min_size=1, max_size=12))
def test_each_distortion_once_most_probable_first_where_it_was_seen(
    whole: tuple[Reason, ...], seconds: list[tuple[tuple[Reason, ...], float]]
) -> None:
    each, scores = [found for found, _ in seconds], [score for _, score in seconds]
    found = gather_reasons(whole, each, scores)
    names = [one.distortion for one in found]
    assert len(set(names)) == len(names)
    assert {one.distortion for one in whole} <= set(names)
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)
    for one in found:
        assert list(one.seconds) == sorted(set(one.seconds))
        assert all(one.distortion in {own.distortion for own in each[second]} for second in one.seconds)
        assert one.seconds or one in whole


def test_reason_of_most_seconds_is_one_of_the_whole() -> None:
    assert gather_reasons([BLUR], [[BLUR]] * 4 + [[]], [50.0] * 5) == (BLUR,)


def test_reason_of_few_seconds_speaks_of_them_alone() -> None:
    mild, strong = reason("blur", 0.5, 0.7), reason("blur", 0.7, 0.9)
    [found] = gather_reasons([BLUR], [[], [mild], [strong], []], [50.0] * 4)
    assert found.seconds == (1, 2)
    assert (found.severity, found.probability) == pytest.approx((0.6, 0.8))


def test_reason_that_no_second_gives_is_one_of_the_whole() -> None:
    assert gather_reasons([BLUR], [[], []], [50.0, 50.0]) == (BLUR,)


@pytest.mark.parametrize(("depth", "told"), [(9.0, False), (11.0, True)])
def test_reason_of_a_second_that_the_whole_hides(depth: float, told: bool) -> None:
    found = gather_reasons([], [[], [NOISE], [], []], [80.0, 80.0 - depth, 82.0, 80.0])
    assert [one.seconds for one in found] == ([(1,)] if told else [])


def test_good_second_does_not_add_its_reason_to_a_bad_one() -> None:
    [found] = gather_reasons([], [[NOISE], [NOISE], [], []], [40.0, 80.0, 80.0, 80.0])
    assert found.seconds == (0,)


def test_clean_video_has_no_reasons() -> None:
    assert gather_reasons([], [[], []], [90.0, 40.0]) == ()


def test_as_many_diagnoses_as_scores() -> None:
    with pytest.raises(ValueError, match="2 seconds"):
        gather_reasons([], [[]], [1.0, 2.0])
