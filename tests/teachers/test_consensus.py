"""Label-free calibration: teachers that agree come together, one that contradicts is named, and nothing is flipped."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import ConfigError
from w2svqa.core.statistics import spearman
from w2svqa.teachers.consensus import LEAST_SCORES, Calibrated, calibrate_pool
from w2svqa.teachers.pool_scale import LONE_DEVIATION, PoolCalibration, mos_ends, normal_scores, weighted_moments

Floats = NDArray[np.float64]
VIDEOS = 200


def truth(count: int = VIDEOS) -> Floats:
    return np.random.default_rng(1).normal(size=count)


def noisy(seed: int, noise: float = 0.5) -> Floats:
    return truth() + noise * np.random.default_rng(seed).normal(size=VIDEOS)


def table(**teachers: Floats) -> dict[str, dict[str, float]]:
    return {name: {f"v{index}": float(value) for index, value in enumerate(raw)} for name, raw in teachers.items()}


def rising(**teachers: Floats) -> Calibrated:
    return calibrate_pool(table(**teachers), higher_is_better=dict.fromkeys(teachers, True))


def aligned(found: Calibrated, name: str, raw: Floats) -> Floats:
    (fit,) = [fit for fit in found.calibration.fits if fit.teacher == name]
    return fit.curve(raw)


def test_scales_directions_and_outliers_of_teachers_do_not_matter() -> None:
    a, b = noisy(2), 5 - np.exp(noisy(3))
    b[:3] = (-1e9, -1e9, 1e9)
    found = calibrate_pool(table(a=a * 1e4, b=b), higher_is_better={"a": True, "b": False})
    assert [fit.teacher for fit in found.calibration.fits] == ["a", "b"]
    assert found.calibration.converged
    mean = (aligned(found, "a", a * 1e4) + aligned(found, "b", b)) / 2
    assert spearman(mean, truth()) > max(spearman(a, truth()), spearman(-b, truth())) - 0.005
    assert ((mean >= 0) & (mean <= 100)).all()


def test_the_gauge_is_the_pool_itself() -> None:
    found = rising(a=truth(), b=truth() ** 3)
    target = found.points["a"].target
    assert np.median(target) == pytest.approx(50)
    assert target.std() == pytest.approx(100 / 6, abs=0.3)
    assert found.calibration.fits[0].deviation < 2


def test_each_fit_says_how_good_it_is() -> None:
    found = rising(a=noisy(2), b=noisy(3), weak=noisy(4, 3.0))
    by_name = {fit.teacher: fit for fit in found.calibration.fits}
    assert by_name["a"].videos == VIDEOS
    assert by_name["weak"].spearman is not None
    assert by_name["a"].spearman is not None
    assert by_name["weak"].spearman < by_name["a"].spearman
    assert by_name["weak"].deviation > by_name["a"].deviation
    residual = by_name["a"].curve(found.points["a"].raw) - found.points["a"].target
    assert by_name["a"].deviation == pytest.approx(math.sqrt((residual**2).sum() / (VIDEOS - 4)))


def test_no_teacher_is_fitted_to_itself() -> None:
    """Noise that only one teacher has must not come back as its target."""
    a, b, c = noisy(2, 1.0), noisy(3, 1.0), noisy(4, 1.0)
    target = rising(a=a, b=b, c=c).points["a"].target
    assert abs(np.corrcoef(target - normal_scores(truth()), a - truth())[0, 1]) < 0.3


def test_a_contradicting_teacher_is_named_and_never_flipped() -> None:
    found = rising(a=noisy(2), liar=-noisy(3), b=noisy(4))
    assert [fit.teacher for fit in found.calibration.fits] == ["a", "b"]
    ((name, problem),) = found.calibration.refused
    assert name == "liar"
    assert "rank correlation -0" in problem


def test_its_presence_changes_nothing_for_the_others() -> None:
    others = rising(a=noisy(2), b=noisy(4)).calibration.fits
    assert rising(a=noisy(2), liar=-noisy(3), b=noisy(4)).calibration.fits == others


def test_of_two_that_contradict_each_other_none_is_kept() -> None:
    found = rising(a=noisy(2), b=-noisy(3))
    assert found.calibration.fits == ()
    assert {name for name, _ in found.calibration.refused} == {"a", "b"}


def test_a_teacher_that_knows_nothing_is_left_out() -> None:
    chance = np.random.default_rng(8).normal(size=VIDEOS)
    found = rising(a=noisy(2, 0.1), b=noisy(3, 0.1), chance=chance)
    assert [fit.teacher for fit in found.calibration.fits] == ["a", "b"]


def test_one_teacher_alone_has_its_ranks_and_is_not_verified() -> None:
    found = rising(a=noisy(2))
    (fit,) = found.calibration.fits
    assert (found.calibration.against, fit.spearman, fit.error) == ("itself", None, LONE_DEVIATION)
    assert spearman(aligned(found, "a", noisy(2)), noisy(2)) > 0.999
    assert "not verified" in str(fit)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (np.full(VIDEOS, 3.0), "the same score"),
        (np.where(truth() < -2, 1.0, 2.0), "the same score"),
        (truth(LEAST_SCORES - 1), f"scored {LEAST_SCORES - 1} videos"),
        (np.full(VIDEOS, np.nan), "scored 0 videos"),
    ],
)
def test_useless_teachers_are_left_out_with_the_reason(raw: Floats, problem: str) -> None:
    found = rising(a=noisy(2), useless=raw, b=noisy(3))
    assert [fit.teacher for fit in found.calibration.fits] == ["a", "b"]
    assert found.calibration.refused[0][0] == "useless"
    assert problem in found.calibration.refused[0][1]


def test_ties_are_no_trouble() -> None:
    found = rising(a=noisy(2), stars=np.clip(np.round(noisy(3)), -2, 2))
    assert len(found.calibration.fits) == 2
    low, high = aligned(found, "stars", np.array([-2.0, 2.0])).tolist()
    assert high - low > 30


def test_missing_scores_leave_the_scale_where_it_is() -> None:
    """A teacher that saw only the better half must not call the worst of it bad."""
    half = np.where(truth() > 0, noisy(3, 0.1), np.nan)
    found = rising(a=noisy(2, 0.1), half=half, b=noisy(4, 0.1))
    fit = {fit.teacher: fit for fit in found.calibration.fits}["half"]
    assert fit.videos == int((truth() > 0).sum())
    assert fit.curve(np.array([0.0])).item() == pytest.approx(50, abs=5)


def test_teachers_of_different_videos_share_nothing() -> None:
    scores = {"a": {f"a{i}": float(i) for i in range(50)}, "b": {f"b{i}": float(i) for i in range(50)}}
    found = calibrate_pool(scores, higher_is_better={"a": True, "b": True}).calibration
    assert found.fits == ()
    assert "shares 0 videos" in found.refused[0][1]


def test_opinion_scores_take_the_place_of_the_consensus() -> None:
    mos = {f"v{index}": float(value) for index, value in enumerate(np.clip(3 + truth(), 1, 5))}
    scores = table(a=noisy(2), liar=-noisy(3))
    found = calibrate_pool(scores, higher_is_better={"a": True, "liar": True}, mos=mos)
    (fit,) = found.calibration.fits
    assert (fit.teacher, fit.against, found.calibration.mos_range) == ("a", "mos", (1, 5))
    assert found.calibration.refused[0][0] == "liar"
    assert found.points["a"].target == pytest.approx([25 * (mos[clip] - 1) for clip in sorted(mos)])


@pytest.mark.parametrize(
    ("values", "given", "ends"),
    [
        ((0.2, 0.9), None, (0, 1)),
        ((1.2, 4.4), None, (1, 5)),
        ((20.0, 80.0), None, (0, 100)),
        ((-6.5, 93.0), None, (-6.5, 93.0)),
        ((1.2, 4.4), (0.0, 10.0), (0, 10)),
    ],
)
def test_ends_of_opinion_scores(values: tuple[float, ...], given: tuple[float, float] | None, ends: object) -> None:
    assert mos_ends({str(value): value for value in values}, given) == ends


def test_opinion_scores_outside_their_scale_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 to 7 do not lie within 1 to 5"):
        mos_ends({"a": 1.0, "b": 7.0}, (1, 5))


@pytest.mark.parametrize(("weight", "problem"), [(-1.0, "is -1"), (math.nan, "is nan"), (math.inf, "is inf")])
def test_weights_that_cannot_be_are_refused(weight: float, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        calibrate_pool(table(a=noisy(2)), higher_is_better={"a": True}, weights={"a": weight})


def test_a_weight_for_nobody_names_who_was_meant() -> None:
    with pytest.raises(ConfigError, match="did you mean 'dover'"):
        calibrate_pool(table(dover=noisy(2)), higher_is_better={"dover": True}, weights={"dovr": 1})


def test_weight_zero_leaves_a_teacher_out() -> None:
    scores = table(a=noisy(2), b=noisy(3), c=noisy(4))
    found = calibrate_pool(scores, higher_is_better=dict.fromkeys("abc", True), weights={"c": 0, "b": 2})
    assert [(fit.teacher, fit.weight) for fit in found.calibration.fits] == [("a", 1), ("b", 2)]
    assert found.calibration.refused == (("c", "its weight is 0"),)


def test_the_calibration_survives_a_manifest() -> None:
    found = rising(a=noisy(2), liar=-noisy(3), b=noisy(4)).calibration
    assert from_mapping(PoolCalibration, to_mapping(found)) == found


def test_nothing_gives_nothing() -> None:
    assert calibrate_pool({}, higher_is_better={}).calibration == PoolCalibration(against="consensus")


columns = st.lists(
    st.lists(
        st.one_of(st.just(math.nan), st.floats(-1e6, 1e6), st.sampled_from((0.0, 1.0, 2.0))), min_size=0, max_size=30
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=25, deadline=None)
@given(columns)
def test_any_scores_are_calibrated_or_refused_with_a_reason(raw: list[list[float]]) -> None:
    names = "abc"[: len(raw)]
    scores = {name: {f"v{i}": value for i, value in enumerate(column)} for name, column in zip(names, raw, strict=True)}
    found = calibrate_pool(scores, higher_is_better=dict.fromkeys(names, True)).calibration
    assert sorted([fit.teacher for fit in found.fits] + [name for name, _ in found.refused]) == list(names)
    assert all(reason for _, reason in found.refused)
    for fit in found.fits:
        values = fit.curve(np.array([value for value in scores[fit.teacher].values() if math.isfinite(value)]))
        assert ((values >= 0) & (values <= 100)).all()
        assert math.isfinite(fit.deviation)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_normal_scores_keep_order_and_ties(values: list[float]) -> None:
    scores = normal_scores(np.array(values))
    for one, first in zip(values, scores, strict=True):
        for other, second in zip(values, scores, strict=True):
            assert (one < other) == (first < second)
    assert scores.mean() == pytest.approx(50, abs=1e-6 if len(set(values)) == len(values) else 12)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 4)), min_size=2, max_size=6))
def test_moments_with_equal_weights_are_the_sample_moments(drawn: list[tuple[float, int]]) -> None:
    values = np.array([[value] for value, _ in drawn])
    for weight in (1.0, 7.0):
        mean, variance = weighted_moments(values, np.full(len(drawn), weight))
        assert mean.item() == pytest.approx(values.mean())
        assert variance.item() == pytest.approx(values.var(ddof=1), abs=1e-9)
    weights = np.array([weight for _, weight in drawn], dtype=np.float64)
    mean, variance = weighted_moments(values, weights)
    assert mean.item() == pytest.approx(np.average(values[:, 0], weights=weights))
    assert variance.item() >= -1e-12


def test_moments_of_nobody_and_of_one() -> None:
    values = np.array([[1.0, math.nan, 4.0], [math.nan, math.nan, 8.0]])
    mean, variance = weighted_moments(values, np.array([1.0, 3.0]))
    assert mean[[0, 2]].tolist() == [1.0, 7.0]
    assert np.isnan(mean[1])
    assert np.isnan(variance[:2]).all()
    assert variance[2] == pytest.approx((9 + 3) / (4 - 10 / 4))
