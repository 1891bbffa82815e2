"""Labels and pairs of a pool: the paper's rule at its borders, what is drawn, and that nothing is drawn twice."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2svqa.core.config import from_mapping
from w2svqa.core.errors import ConfigError, InputError, StoreError
from w2svqa.core.levels import BETTER, INFERIOR, SUPERIOR, WORSE, opposite
from w2svqa.core.rows import PoolPairRow, PseudoLabelRow, TeacherScoreRow, VideoRow
from w2svqa.core.store import Manifest, read_artifact, write_artifact
from w2svqa.stages.pair import uncertain_level
from w2svqa.stages.pool_labels import PoolLabelConfig, PoolLabels, directions, label_pool, make_labels
from w2svqa.stages.pool_pairs import (
    PoolPairConfig,
    _unrank,
    level_counts,
    make_pool_pairs,
    pair_pool,
    severity_pairs,
    uncertain_levels,
)
from w2svqa.teachers.pool_scale import PoolCalibration

VIDEOS = 60


def video(clip: str, *, primary: str = "", kind: str = "", level: int = 0, mos: float | None = None) -> VideoRow:
    return VideoRow(
        clip_id=clip,
        path=f"/p/{clip}.mp4",
        name=clip,
        sha256=clip * 4,
        primary=primary,
        kind=kind,
        level=level,
        mos=mos,
    )


def said(teacher: str, clip: str, value: float | None) -> TeacherScoreRow:
    return TeacherScoreRow(clip_id=clip, teacher=teacher, version="1", value=value)


def label(clip: str, mean: float, variance: float = 4.0) -> PseudoLabelRow:
    return PseudoLabelRow(clip_id=clip, mean=mean, variance=variance, teachers=2)


def pool(count: int = VIDEOS) -> tuple[list[TeacherScoreRow], list[VideoRow]]:
    random = np.random.default_rng(0)
    quality = random.normal(size=count)
    videos = [video(f"v{index:03}", mos=float(np.clip(3 + quality[index], 1, 5))) for index in range(count)]
    rows = [
        said(teacher, row.clip_id, float(sign * (quality[index] + 0.3 * random.normal())))
        for teacher, sign in (("up", 1), ("down", -1))
        for index, row in enumerate(videos)
    ]
    return rows, videos


BOTH = {"up": True, "down": False}


def labels_of(scores: list[TeacherScoreRow], videos: list[VideoRow], **options: object) -> PoolLabels:
    return make_labels(scores, videos, higher_is_better=BOTH, config=from_mapping(PoolLabelConfig, options))


# --- labels -----------------------------------------------------------------------------------------------------------


def test_mean_and_variance_are_those_over_the_calibrated_teachers() -> None:
    scores, videos = pool()
    found = labels_of(scores, videos, weights={"up": 3.0})
    up, down = ({row.clip_id: row.value for row in scores if row.teacher == name} for name in BOTH)
    curves = {fit.teacher: fit.curve for fit in found.calibration.fits}
    for row in found.rows:
        one = float(curves["up"](np.array(up[row.clip_id])))
        other = float(curves["down"](np.array(down[row.clip_id])))
        mean = (3 * one + other) / 4
        spread = (3 * (one - mean) ** 2 + (other - mean) ** 2) / (4 - 10 / 4)
        assert row.mean == pytest.approx(mean)
        assert row.variance == pytest.approx(max(spread, 1.0))
        assert row.teachers == 2


def test_floored_variance_is_at_least_the_pools_mean() -> None:
    scores, videos = pool()
    spread = [row.variance for row in labels_of(scores, videos).rows]
    floored = [row.variance for row in labels_of(scores, videos, variance="floored").rows]
    assert min(floored) > min(spread)
    assert min(floored) == pytest.approx(np.mean(spread), rel=0.1)
    assert max(floored) == max(spread)


def test_too_few_teachers_give_no_label() -> None:
    scores, videos = pool()
    scores[0] = said("up", videos[0].clip_id, None)
    scores[1] = said("up", videos[1].clip_id, math.nan)
    assert len(labels_of(scores, videos).rows) == VIDEOS - 2
    alone = labels_of(scores, videos, least_teachers=1)
    assert len(alone.rows) == VIDEOS
    (row,) = [row for row in alone.rows if row.clip_id == videos[0].clip_id]
    (fit,) = [fit for fit in alone.calibration.fits if fit.teacher == "down"]
    assert row.teachers == 1
    assert row.variance == pytest.approx(fit.deviation**2)


def test_two_scores_of_one_video_are_refused_and_a_repeated_one_is_not() -> None:
    scores, videos = pool()
    assert labels_of([*scores, scores[0]], [*videos, videos[0]]).rows == labels_of(scores, videos).rows
    with pytest.raises(InputError, match="up gives the video v000 two scores"):
        labels_of([*scores, said("up", "v000", 99.0)], videos)


def test_scores_of_unlisted_videos_are_counted_only() -> None:
    scores, videos = pool()
    found = labels_of([*scores, said("up", "other", 99.0)], videos)
    assert found.strangers == 1
    assert found.rows == labels_of(scores, videos).rows


def test_opinion_scores_are_asked_for() -> None:
    scores, videos = pool()
    assert labels_of(scores, videos).calibration.against == "consensus"
    assert labels_of(scores, videos, use_mos=True).calibration.mos_range == (1, 5)
    with pytest.raises(InputError, match="no video has an opinion score"):
        labels_of(scores, [video(row.clip_id) for row in videos], use_mos=True)


def manifest(extra: dict[str, object]) -> Manifest:
    return Manifest(
        kind="scores", fingerprint="", config={}, inputs={}, seed=None, rows=0, table_bytes=0, table_sha256="",
        versions={}, extra=extra,
    )  # fmt: skip


def test_directions_come_from_the_user_then_the_manifest_then_the_registry() -> None:
    told = manifest({"teachers": {"mine": {"higher_is_better": False}, "yours": {"higher_is_better": True}}})
    config = PoolLabelConfig(lower_is_better=("yours",))
    names = ["mine", "niqe", "student:a", "yours"]
    assert directions(names, told, config) == {"mine": False, "niqe": False, "student:a": True, "yours": False}
    with pytest.raises(ConfigError, match="whether higher scores of 'scores:x' are better"):
        directions(["scores:x"], told, PoolLabelConfig())
    with pytest.raises(ConfigError, match="direction is given for nobody"):
        directions(["mine"], told, PoolLabelConfig(higher_is_better=("nobody",)))


# --- the rule ---------------------------------------------------------------------------------------------------------

differences = st.floats(-100, 100)
deviations = st.floats(0.01, 50)


@given(differences, deviations)
def test_the_rule_is_antisymmetric_but_on_its_borders(difference: float, deviation: float) -> None:
    level = uncertain_level(difference, deviation)
    mirrored = uncertain_level(-difference, deviation)
    on_border = abs(difference) in (deviation, 2 * deviation)
    assert mirrored == (opposite(level) - 1 if on_border else opposite(level))


@given(differences, differences, deviations)
def test_the_level_never_falls_as_the_difference_rises(one: float, other: float, deviation: float) -> None:
    low, high = sorted((one, other))
    assert uncertain_level(low, deviation) <= uncertain_level(high, deviation)


@given(st.lists(st.tuples(differences, deviations), min_size=1, max_size=20))
def test_many_at_once_are_as_one_by_one(drawn: list[tuple[float, float]]) -> None:
    difference, deviation = (np.array(column) for column in zip(*drawn, strict=True))
    assert uncertain_levels(difference, deviation).tolist() == [uncertain_level(*each) for each in drawn]


def test_the_borders_belong_to_the_lower_level() -> None:
    assert uncertain_levels(np.array([-2, -1, 1, 2]) * 3.0, np.full(4, 3.0)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("difference", "deviation"), [(0.0, 0.0), (math.nan, 1.0), (1.0, math.nan), (1.0, -1.0)])
def test_no_level_without_a_deviation(difference: float, deviation: float) -> None:
    with pytest.raises(ValueError, match="finite differences and deviations above 0"):
        uncertain_levels(np.array([difference]), np.array([deviation]))


# --- pairs ------------------------------------------------------------------------------------------------------------


def ladder_of_labels(count: int, step: float = 1.0) -> list[PseudoLabelRow]:
    return [label(f"c{index:05}", step * index) for index in range(count)]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 40), st.integers(0, 200), st.booleans(), st.one_of(st.none(), st.integers(1, 5)), st.integers(0, 3)
)
def test_pairs_are_different_true_to_the_rule_and_no_more_than_asked(
    videos: int, count: int, balance: bool, most: int | None, seed: int
) -> None:
    labels = ladder_of_labels(videos)
    config = PoolPairConfig(count=count, balance=balance, most_per_video=most, seed=seed)
    found = make_pool_pairs(labels, [], config)
    mean = {row.clip_id: row.mean for row in labels}
    assert len(found.rows) <= found.wanted <= count
    assert len({frozenset((row.first, row.second)) for row in found.rows}) == len(found.rows)
    for row in found.rows:
        assert row.first != row.second
        assert row.uncertainty == pytest.approx(math.sqrt(8))
        assert row.level == uncertain_level(mean[row.second] - mean[row.first], math.sqrt(8))
    uses = Counter(clip for row in found.rows for clip in (row.first, row.second))
    assert most is None or max(uses.values(), default=0) <= most
    if not balance and most is None:
        assert len(found.rows) == min(count, math.comb(videos, 2))


def test_all_pairs_of_a_small_pool_are_found() -> None:
    found = make_pool_pairs(ladder_of_labels(9), [], PoolPairConfig(count=10_000))
    assert found.wanted == len(found.rows) == 36


@given(st.integers(2, 60))
def test_places_in_the_list_of_pairs(videos: int) -> None:
    first, second = _unrank(np.arange(math.comb(videos, 2)), videos)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert pairs == [(one, other) for one in range(videos) for other in range(one + 1, videos)]


def test_a_large_pool_is_never_listed() -> None:
    found = make_pool_pairs(ladder_of_labels(200_000, 0.001), [], PoolPairConfig(count=500, balance=True))
    assert [each.counts for each in level_counts(found.rows)] == [(100, 100, 100, 100, 100)]


def test_balance_gives_as_many_of_each_level_and_says_what_is_missing() -> None:
    found = make_pool_pairs(ladder_of_labels(100), [], PoolPairConfig(count=200, balance=True))
    assert [each.counts for each in level_counts(found.rows)] == [(40, 40, 40, 40, 40)]
    rare = make_pool_pairs(ladder_of_labels(20, 50), [], PoolPairConfig(count=100, balance=True))
    assert rare.wanted == 100
    assert [each.counts for each in level_counts(rare.rows)] == [(20, 0, 0, 0, 20)]


def test_the_seed_fixes_everything() -> None:
    labels = ladder_of_labels(50)
    first = make_pool_pairs(labels, [], PoolPairConfig(count=50, seed=1))
    assert make_pool_pairs(labels, [], PoolPairConfig(count=50, seed=1)) == first
    assert make_pool_pairs(labels, [], PoolPairConfig(count=50, seed=2)) != first


def ladder(*levels: int, kind: str = "blur", primary: str = "clean") -> list[VideoRow]:
    return [video(f"{primary}-{kind}-{level}", primary=primary, kind=kind, level=level) for level in levels]


def test_severity_pairs_follow_the_gap() -> None:
    rows = severity_pairs([video("clean"), *ladder(1, 2, 4)], PoolPairConfig())
    level = {"clean": 0, "clean-blur-1": 1, "clean-blur-2": 2, "clean-blur-4": 4}
    assert len(rows) == 6
    for row in rows:
        gap = level[row.second] - level[row.first]
        expected = {1: WORSE, -1: BETTER}.get(gap, INFERIOR if gap > 0 else SUPERIOR)
        assert (row.level, row.source, row.uncertainty) == (expected, "severity", 0.0)
    assert len({row.first == "clean" for row in rows if "clean" in (row.first, row.second)}) == 2


def test_severities_of_other_primaries_kinds_and_the_same_level_are_not_joined() -> None:
    videos = [
        *ladder(1),
        *ladder(2, kind="noise"),
        *ladder(3, primary="other"),
        video("again", primary="clean", kind="blur", level=1),
    ]
    assert severity_pairs(videos, PoolPairConfig()) == []


def test_the_untouched_one_takes_part_only_where_stated() -> None:
    assert len(severity_pairs([video("clean"), *ladder(1, 2)], PoolPairConfig(untouched=False))) == 1


def test_a_level_that_changes_nothing_is_its_source() -> None:
    same = VideoRow(clip_id="clean", path="x", name="x", sha256="", primary="clean", kind="blur", level=1)
    rows = severity_pairs([video("clean"), same, *ladder(2)], PoolPairConfig())
    assert [{row.first, row.second} for row in rows] == [{"clean", "clean-blur-2"}]
    assert rows[0].level in (INFERIOR, SUPERIOR)


def test_fewer_severity_pairs_are_drawn() -> None:
    assert len(severity_pairs(ladder(1, 2, 3, 4), PoolPairConfig(severity_count=2))) == 2


def test_distorted_versions_have_no_pairs_by_labels() -> None:
    versions = ladder(1, 2)
    labels = [label(row.clip_id, 50) for row in versions] + [label("a", 10), label("b", 90)]
    rows = make_pool_pairs(labels, [*versions, video("a"), video("b")], PoolPairConfig()).rows
    assert [{row.first, row.second} for row in rows if row.source == "ensemble"] == [{"a", "b"}]


@pytest.mark.parametrize("options", [{"count": -1}, {"most_per_video": 0}, {"stage": 0}, {"severity_count": -1}])
def test_numbers_that_cannot_be_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        PoolPairConfig(**options)  # type: ignore[arg-type]  # one of several integer fields


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_from_scores_on_disk_to_pairs_on_disk(tmp_path: Path) -> None:
    scores, videos = pool()
    write_artifact(tmp_path / "videos", videos, VideoRow, kind="videos", config={})
    facts = {"teachers": {name: {"higher_is_better": up} for name, up in BOTH.items()}}
    write_artifact(tmp_path / "scores", scores, TeacherScoreRow, kind="scores", config={}, extra=facts)
    labels = label_pool(tmp_path, PoolLabelConfig())
    pairs = pair_pool(tmp_path, PoolPairConfig(count=30, stage=2))
    stored = read_artifact(tmp_path / "labels", PseudoLabelRow, kind="labels")
    assert stored.rows == labels.rows
    found = stored.manifest.extra["calibration"]
    assert isinstance(found, dict)
    assert from_mapping(PoolCalibration, found) == labels.calibration
    artifact = read_artifact(tmp_path / "pairs", PoolPairRow, kind="pairs")
    assert artifact.rows == pairs.rows
    assert artifact.manifest.extra["levels"] == {"ensemble": list(level_counts(pairs.rows)[0].counts)}
    assert {row.stage for row in pairs.rows} == {2}


def test_nobody_to_trust_is_said_with_the_reasons(tmp_path: Path) -> None:
    scores, videos = pool()
    write_artifact(tmp_path / "videos", videos, VideoRow, kind="videos", config={})
    write_artifact(tmp_path / "scores", scores, TeacherScoreRow, kind="scores", config={})
    with pytest.raises(ConfigError, match="whether higher scores of 'down'"):
        label_pool(tmp_path, PoolLabelConfig())
    with pytest.raises(InputError, match="contradict each other"):
        label_pool(tmp_path, PoolLabelConfig(higher_is_better=("up", "down")))
    with pytest.raises(StoreError, match="no complete artifact"):
        pair_pool(tmp_path, PoolPairConfig())
