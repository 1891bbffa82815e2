"""Teachers on one scale: a known curve comes back, contradictions are refused, and two teachers are never certain."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import W2SVQAError
from w2svqa.core.rows import ScoreRow, VersionRow
from w2svqa.teachers import calibration
from w2svqa.teachers.calibration import (
    LEAST_VERSIONS,
    Calibration,
    Logistic,
    TeacherFit,
    calibrate_teachers,
    fit_logistic,
    pseudo_label,
    pseudo_labels,
)

Floats = NDArray[np.float64]

KINDS = ("blur",)


def known(*, higher_is_better: bool = True, unit: float = 1.0) -> Logistic:
    sign = 1 if higher_is_better else -1
    return Logistic(low=12, high=95, centre=sign * 30 * unit, width=4 * unit, higher_is_better=higher_is_better)


def raws(unit: float = 1.0) -> Floats:
    return np.linspace(5, 60, 120) * unit


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_a_known_curve_comes_back_whatever_the_teachers_unit(higher_is_better: bool, unit: float) -> None:
    truth = known(higher_is_better=higher_is_better, unit=unit)
    found = fit_logistic(raws(unit), truth(raws(unit)), higher_is_better=higher_is_better)
    assert (found.low, found.high) == pytest.approx((truth.low, truth.high), abs=0.1)
    assert (found.centre / unit, found.width / unit) == pytest.approx((truth.centre / unit, 4), abs=0.05)


def test_a_known_curve_comes_back_from_noisy_targets_with_the_deviation_of_the_noise() -> None:
    random = np.random.default_rng(0)
    raw = np.tile(raws(), 5)
    target = np.clip(known()(raw) + random.normal(scale=4, size=len(raw)), 0, 100)
    found = fit_logistic(raw, target, higher_is_better=True)
    assert np.abs(found(raws()) - known()(raws())).max() < 2
    rows, scores = table(raw, target)
    (fit,) = calibrate_teachers(scores, rows, higher_is_better={"t": True}, kinds=KINDS).fits
    assert fit.deviation == pytest.approx(4, rel=0.1)
    assert fit.versions == len(raw)


def test_outliers_of_a_teacher_do_not_spoil_the_start() -> None:
    raw = raws()
    raw[-2:] = 1e6
    found = fit_logistic(raw, known()(raw), higher_is_better=True)
    assert np.abs(found(raw) - known()(raw)).max() < 1


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_teacher_that_contradicts_its_declared_direction_is_refused(higher_is_better: bool) -> None:
    word = "higher" if higher_is_better else "lower"
    target = known(higher_is_better=not higher_is_better)(raws())
    with pytest.raises(W2SVQAError, match=f"declares that {word} is better, but its better scores go with lower VMAF"):
        fit_logistic(raws(), target, higher_is_better=higher_is_better, name="liar")


def test_a_teacher_that_knows_nothing_is_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(W2SVQAError, match="guess knows nothing of VMAF"):
        fit_logistic(random.random(4000), 100 * random.random(4000), higher_is_better=True, name="guess")


def test_a_constant_teacher_is_refused() -> None:
    with pytest.raises(W2SVQAError, match="the same score"):
        fit_logistic(np.ones(50), np.linspace(0, 100, 50), higher_is_better=True)


@pytest.mark.parametrize("count", [0, LEAST_VERSIONS - 1])
def test_too_few_scores_are_refused(count: int) -> None:
    with pytest.raises(W2SVQAError, match=f"scored {count} versions"):
        fit_logistic(np.arange(count, dtype=float), np.arange(count, dtype=float), higher_is_better=True)


def test_a_fit_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = SimpleNamespace(cost=1.0, success=False, x=np.ones(4), message="ran out of steps")
    optimize = SimpleNamespace(least_squares=lambda *_, **__: lost)
    monkeypatch.setattr(calibration, "require", lambda *_, **__: optimize)
    with pytest.raises(W2SVQAError, match="does not converge: ran out of steps"):
        fit_logistic(raws(), known()(raws()), higher_is_better=True)


def test_values_that_are_not_finite_are_a_fault_of_the_caller() -> None:
    raw = raws()
    raw[3] = math.nan
    with pytest.raises(ValueError, match="finite"):
        fit_logistic(raw, known()(raws()), higher_is_better=True)


curves = st.builds(
    Logistic,
    low=st.floats(0, 45),
    high=st.floats(55, 100),
    centre=st.floats(-50, 50),
    width=st.floats(0.01, 100),
    higher_is_better=st.booleans(),
)


@given(curves, st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20))
def test_a_curve_stays_on_the_scale_and_never_turns(curve: Logistic, raw: list[float]) -> None:
    ordered = np.sort(np.array(raw))
    values = curve(ordered if curve.higher_is_better else ordered[::-1])
    assert values.min() >= curve.low
    assert values.max() <= curve.high
    assert (np.diff(values) >= 0).all()


# --- tables -----------------------------------------------------------------------------------------------------------


def version(name: str, vmaf: float | None, *, primary: bool = True) -> VersionRow:
    return VersionRow(
        version_id=name,
        clip_id=name.split("-")[0],
        kind="blur",
        level=1,
        severity=0.2,
        primary=primary,
        split="train",
        is_still=False,
        vmaf=vmaf,
        views="",
        row=0,
        stored=False,
        seconds=1,
    )


def table(raw: Floats, target: Floats, teacher: str = "t") -> tuple[list[VersionRow], list[ScoreRow]]:
    rows = [version(f"c{number % 7}-blur-{number}", value) for number, value in enumerate(target.tolist())]
    return rows, [
        ScoreRow(version_id=row.version_id, clip_id=row.clip_id, teacher=teacher, value=value)
        for row, value in zip(rows, raw.tolist(), strict=True)
    ]


def test_only_versions_of_primaries_with_vmaf_and_finite_scores_are_fitted() -> None:
    rows, scores = table(raws(), known()(raws()))
    more = [version("c9-blur-1", None), version("c9-blur-2", 0.0, primary=False), version("c9-blur-3", 0.0)]
    strange = [
        ScoreRow(version_id=row.version_id, clip_id="c9", teacher="t", value=value)
        for row, value in zip([*more, version("c9-blur-4", 1)], (1e3, 1e3, math.nan, 1e3), strict=True)
    ]
    expected = calibrate_teachers(scores, rows, higher_is_better={"t": True}, kinds=KINDS)
    assert calibrate_teachers(scores + strange, rows + more, higher_is_better={"t": True}, kinds=KINDS) == expected
    assert expected.fits[0].contents == 7
    assert expected.refused == ()


def test_a_refused_teacher_leaves_the_others() -> None:
    rows, good = table(raws(), known()(raws()))
    bad = [ScoreRow(version_id=row.version_id, clip_id=row.clip_id, teacher="bad", value=-row.value) for row in good]
    found = calibrate_teachers(
        good + bad, rows, higher_is_better={"bad": True, "t": True, "silent": False}, kinds=KINDS
    )
    assert [fit.teacher for fit in found.fits] == ["t"]
    assert [teacher for teacher, _ in found.refused] == ["bad", "silent"]
    assert "declares" in found.refused[0][1]
    assert "scored 0 versions" in found.refused[1][1]


def test_empty_tables_give_nothing() -> None:
    assert calibrate_teachers([], [], higher_is_better={}, kinds=KINDS) == Calibration()
    assert pseudo_labels([], Calibration()) == {}


def test_the_calibration_survives_a_manifest() -> None:
    rows, scores = table(raws(), known()(raws()))
    found = calibrate_teachers(scores, rows, higher_is_better={"t": True, "silent": True}, kinds=KINDS)
    assert from_mapping(Calibration, to_mapping(found)) == found
    line = str(found.fits[0])
    assert line.startswith("t: 12.0 to 95.0, residuals deviate by 0.0 points from VMAF, rank correlation 1.000 ")
    assert line.endswith("(N=120 versions of 7 contents)")


# --- the teachers together --------------------------------------------------------------------------------------------


def fit(teacher: str, deviation: float) -> TeacherFit:
    """A teacher whose scores are nearly on the scale already, between 20 and 80."""
    curve = Logistic(low=0, high=100, centre=50, width=25, higher_is_better=True)
    return TeacherFit(
        teacher=teacher, curve=curve, worst=-200, deviation=deviation, spearman=0.5, versions=99, contents=9
    )


def together(correlation: float, **deviations: float) -> Calibration:
    """Teachers whose residuals all have the same correlation."""
    return Calibration(
        fits=tuple(fit(teacher, deviation) for teacher, deviation in deviations.items()),
        covariance=tuple(
            tuple(one * other * (1 if name == another else correlation) for another, other in deviations.items())
            for name, one in deviations.items()
        ),
    )


def aligned(value: float) -> float:
    return float(fit("", 1).curve(np.array(value)))


@pytest.mark.parametrize(("correlation", "variance"), [(0.0, (36 + 64) / 4), (1.0, 49.0), (0.5, (36 + 64 + 48) / 4)])
def test_two_teachers_that_agree_are_as_uncertain_as_their_mean_has_been(correlation: float, variance: float) -> None:
    label = pseudo_label({"a": 60.0, "b": 60.0}, together(correlation, a=6, b=8))
    assert label is not None
    assert label.mean == pytest.approx(aligned(60))
    assert label.variance == pytest.approx(variance)
    assert label.teachers == 2


def test_teachers_that_disagree_are_as_uncertain_as_they_differ() -> None:
    label = pseudo_label({"a": 10.0, "b": 90.0}, together(0.5, a=6, b=8))
    assert label is not None
    assert label.mean == pytest.approx(50)
    assert label.variance == pytest.approx((aligned(90) - aligned(10)) ** 2 / 2)


def test_one_teacher_alone_has_the_variance_of_its_fit() -> None:
    label = pseudo_label({"a": 70.0}, together(0.5, a=6, b=8))
    assert label is not None
    assert (label.variance, label.teachers) == (36, 1)


def test_even_perfect_teachers_are_not_certain() -> None:
    label = pseudo_label({"a": 70.0}, together(0, a=0.0))
    assert label is not None
    assert label.variance == 1


@pytest.mark.parametrize("values", [{}, {"other": 3.0}, {"a": math.nan, "b": math.inf}])
def test_nobody_heard_is_no_label(values: dict[str, float]) -> None:
    assert pseudo_label(values, together(0, a=6, b=8)) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_a_teacher_is_not_heard_where_it_finds_worse_than_the_worst_distortion(sign: int) -> None:
    rows, scores = table(sign * raws(), known()(raws()))
    found = calibrate_teachers(scores, rows, higher_is_better={"t": sign > 0}, kinds=KINDS)
    assert found.fits[0].worst == sign * 5
    assert pseudo_label({"t": sign * 4.9}, found) is None
    assert pseudo_label({"t": sign * 5.0}, found) is not None
    best = pseudo_label({"t": sign * 1e6}, found)
    assert best is not None
    assert best.mean == pytest.approx(95, abs=0.1)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from("abc"), st.floats(-200, 300), min_size=1), st.floats(0, 1))
def test_labels_lie_among_the_teachers(values: dict[str, float], correlation: float) -> None:
    label = pseudo_label(values, together(correlation, a=5, b=7, c=9))
    assert label is not None
    single = [aligned(value) for value in values.values()]
    assert min(single) - 1e-9 <= label.mean <= max(single) + 1e-9
    assert label.variance >= 25 / len(values)


def test_residuals_of_the_mean_are_measured_on_what_all_teachers_scored() -> None:
    random = np.random.default_rng(0)
    raw = np.tile(raws(), 8)
    target = known()(raw)
    shared, own, others = (random.normal(scale=3, size=len(raw)) for _ in range(3))
    rows, _ = table(raw, target)
    scores = [
        ScoreRow(version_id=row.version_id, clip_id=row.clip_id, teacher=teacher, value=value)
        for teacher, noise in (("a", shared + own), ("b", shared + others))
        for row, value in zip(rows, (raw + noise).tolist(), strict=True)
    ]
    found = calibrate_teachers(scores, rows, higher_is_better={"a": True, "b": True}, kinds=KINDS)
    values = {row.version_id: row.value for row in scores if row.teacher == "a"}
    second = {row.version_id: row.value for row in scores if row.teacher == "b"}
    one, other = found.fits
    mean = [
        (float(one.curve(np.array(values[name]))) + float(other.curve(np.array(second[name])))) / 2 for name in values
    ]
    assert found.residual_variance(["a", "b"]) == pytest.approx(np.mean((np.array(mean) - target) ** 2), rel=0.01)
    assert found.residual_variance(["b"]) == pytest.approx(other.deviation**2)
    assert found.residual_variance(["a", "b"]) < max(one.deviation, other.deviation) ** 2
    with pytest.raises(ValueError, match="no teachers"):
        found.residual_variance([])


def test_teachers_that_share_no_versions_are_taken_to_err_as_one() -> None:
    rows, scores = table(raws(), np.clip(known()(raws()) + np.tile([4.0, -4.0], 60), 0, 100))
    halves = [replace(row, teacher="ab"[number % 4 // 2]) for number, row in enumerate(scores)]
    found = calibrate_teachers(halves, rows, higher_is_better={"a": True, "b": True}, kinds=KINDS)
    one, other = found.fits
    assert found.residual_variance(["a", "b"]) == pytest.approx(((one.deviation + other.deviation) / 2) ** 2)


def test_only_the_kinds_asked_for_and_untouched_sources_are_fitted() -> None:
    rows, scores = table(raws(), known()(raws()))
    strange = [replace(row, kind="noise", vmaf=50.0) if number % 2 else row for number, row in enumerate(rows)]
    untouched = [replace(row, kind="none") if row.kind == "blur" else row for row in strange]
    for versions, kinds in ((strange, KINDS), (untouched, ())):
        (found,) = calibrate_teachers(scores, versions, higher_is_better={"t": True}, kinds=kinds).fits
        assert found.versions == 60
        assert found.deviation < 0.1


def test_only_untouched_clips_are_labelled() -> None:
    names = {"c0-none-0": 60.0, "c0-blur-1": 20.0, "c1-blur-1": 20.0}
    scores = [ScoreRow(version_id=name, clip_id=name[:2], teacher="a", value=value) for name, value in names.items()]
    labels = pseudo_labels(scores, together(0, a=5))
    assert set(labels) == {"c0"}
    assert labels["c0"].mean == pytest.approx(aligned(60))
