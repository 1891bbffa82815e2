"""Batches: the same step is the same batch, pairs point at their versions, labels are right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batch_pool import (
    ALL,
    ALONE,
    CLIPS,
    CROSS,
    FRAMES,
    KINDS,
    SAME,
    VERSIONS,
    make,
    only,
    severity_pairs,
    write_pool,
)
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, StoreError
from w2svqa.core.levels import INFERIOR
from w2svqa.core.rows import PairRow
from w2svqa.distort import SIMULATORS
from w2svqa.stages import renditions
from w2svqa.stages.batches import UNKNOWN, Batch, BatchConfig
from w2svqa.students.views import MOTION_SIZE, VIEW_SIZE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pool(tmp_path_factory.mktemp("versions"))


def equal(one: Batch, other: Batch) -> bool:
    arrays = ("views", "motion", "counts", "kinds", "severities", "first", "second", "levels", "weights")
    same = all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in arrays[4:5])
    return same and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in (*arrays[:4], *arrays[5:]))


def test_a_step_gives_the_same_batch_again_whatever_was_asked_between(folder: Path) -> None:
    batches = make(folder, ALL, severity_groups=2, mixtures=0.5)
    before = batches.at(7)
    for step in (8, 3, 100):
        assert not equal(batches.at(step), before)
    assert equal(batches.at(7), before)


def test_a_new_object_gives_the_same_batch_and_another_seed_another(folder: Path) -> None:
    one, again, other = (make(folder, ALL, severity_groups=2, mixtures=0.5, seed=seed).at(5) for seed in (0, 0, 1))
    assert equal(one, again)
    assert not equal(one, other)


def test_shapes_and_types(folder: Path) -> None:
    batch = make(folder, ALL, severity_groups=2, details=2).at(0)
    count, pairs = len(batch.names), len(batch.levels)
    assert batch.views.shape == (count, 3, VIEW_SIZE, VIEW_SIZE, 3)
    assert batch.motion.shape == (count, FRAMES, *MOTION_SIZE)
    assert batch.kinds.shape == batch.counts.shape == (count,)
    assert batch.severities.shape == (count, len(KINDS))
    assert batch.first.shape == batch.second.shape == (pairs,)
    assert batch.views.dtype == batch.motion.dtype == np.uint8
    assert batch.severities.dtype == np.float32
    indices = (batch.kinds, batch.counts, batch.first, batch.second, batch.levels)
    assert {array.dtype for array in indices} == {np.dtype(np.int64)}
    assert set(batch.first.tolist()) | set(batch.second.tolist()) == set(range(count))


@pytest.mark.parametrize("mixtures", [0, 1])
def test_versions_of_a_group_are_encoded_once(folder: Path, mixtures: int) -> None:
    pairs = severity_pairs("clean", "blur")
    batch = only(folder, pairs, mixtures=mixtures).at(0)
    assert sorted(batch.names) == ["clean-blur-3", "clean-blur-5", "clean-none-0"]
    assert len(batch.levels) == 3
    several = make(folder, pairs, severity_groups=4, mixtures=mixtures).at(0)
    assert len(several.levels) == len(several.views) == 12


def test_groups_count_alike_however_many_pairs_they_have(folder: Path) -> None:
    batch = make(folder, ALL, severity_groups=1, same_groups=1, cross_groups=1).at(0)
    assert batch.weights.dtype == np.float32
    groups = [set(batch.weights[:3].tolist()), set(batch.weights[3:-1].tolist()), set(batch.weights[-1:].tolist())]
    assert all(len(values) == 1 for values in groups)
    assert batch.weights.sum() == pytest.approx(3)
    assert batch.weights[0] == pytest.approx(1 / 3)


def test_pairs_point_at_their_versions_with_the_right_level(folder: Path) -> None:
    wanted = {(row.first, row.second, row.level) for row in ALL}
    batches = make(folder, ALL, severity_groups=3, mixtures=0.5)
    for step in range(4):
        batch = batches.at(step)
        found = zip(batch.first, batch.second, batch.levels, strict=True)
        assert {(batch.names[one], batch.names[two], int(level)) for one, two, level in found} <= wanted


def test_kinds_are_counted_from_one_and_what_nobody_knows_is_marked(folder: Path) -> None:
    for clip in CLIPS:
        batch = only(folder, [row for row in SAME if row.group == f"{clip}-same"]).at(0)
        for name, kind, severities in zip(batch.names, batch.kinds, batch.severities, strict=True):
            row = VERSIONS[name]
            rest = 0.0 if row.primary else np.nan
            expected = [np.float32(row.severity) if row.kind == each else rest for each in KINDS]
            assert np.array_equal(severities, np.array(expected, np.float32), equal_nan=True)
            if row.kind == "none":
                assert kind == (0 if row.primary else UNKNOWN)
            else:
                assert KINDS[kind - 1] == row.kind


def test_of_mixtures_nothing_is_claimed_but_their_order(folder: Path) -> None:
    pairs = severity_pairs("clean", "blur")
    mixed, plain = only(folder, pairs, mixtures=1).at(0), only(folder, pairs).at(0)
    assert (mixed.kinds == UNKNOWN).all()
    assert np.isnan(mixed.severities).all()
    assert mixed.levels.tolist() == plain.levels.tolist()
    assert (plain.kinds != UNKNOWN).all()
    same = only(folder, [row for row in SAME if row.group == "clean-same"], mixtures=1).at(0)
    assert (same.kinds != UNKNOWN).all()  # only severities are mixed


@pytest.mark.parametrize("kind", ["darkening", "blur", "h264", "jitter"])
def test_a_mixture_is_one_mild_spatial_kind_that_the_pair_is_not_about(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    calls: list[tuple[str, int, int]] = []

    def spying(pictures: NDArray[np.uint8], name: str, level: int, **options: object) -> NDArray[np.uint8]:
        seed = options["seed"]
        assert isinstance(seed, int)
        calls.append((name, level, seed))
        return pictures

    monkeypatch.setattr(renditions, "distort_frame", spying)
    monkeypatch.setattr(renditions, "distort_reduced", spying)
    batches = only(folder, severity_pairs("clean", kind), mixtures=1)
    bases = set()
    for step in range(40):
        calls.clear()
        batches.at(step)
        base = {(name, level) for name, level, _ in calls if name != kind}
        assert len(base) == 1  # the same for all versions of the group
        assert len({seed for *_, seed in calls}) == 1  # so that levels are nested
        bases |= base
    undone = {"darkening": "brightening", "blur": "noise"}.get(kind)
    spatial = {name for name, simulator in SIMULATORS.items() if simulator.family == "spatial"} - {kind, undone}
    assert {name for name, _ in bases} == spatial
    assert {level for _, level in bases} == {1, 2}


def test_origins_come_in_their_numbers_and_none_is_needed(folder: Path) -> None:
    batch = make(folder, ALL, **{**ALONE, "cross_groups": 3}).at(0)
    assert batch.levels.tolist() == [INFERIOR] * 3
    only_cross = make(folder, CROSS, severity_groups=5, same_groups=5, cross_groups=2).at(0)
    assert only_cross.levels.tolist() == [INFERIOR] * 2
    everything = [replace(CROSS[0], origin=origin) for origin in BatchConfig().groups]
    assert len(make(folder, everything).at(0).levels) == sum(BatchConfig().groups.values())


@pytest.mark.parametrize("pairs", [[], CROSS])
def test_pairs_of_no_wanted_origin_are_refused(folder: Path, pairs: list[PairRow]) -> None:
    with pytest.raises(ConfigError, match=f"none of the {len(pairs)} pairs"):
        make(folder, pairs, **{**ALONE, "severity_groups": 1})


def test_a_missing_file_of_the_cache_is_named(tmp_path: Path) -> None:
    batches = only(tmp_path, severity_pairs("clean", "blur"))
    with pytest.raises(StoreError, match=r"clean\.npz"):
        batches.at(0)


@pytest.mark.parametrize(
    "wrong",
    [ALONE, {"severity_groups": -1}, {"details": 0}, {"mixtures": 1.5}, {"mixtures": -0.1}, {"mixture_level": 0}],
)
def test_steps_that_hold_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|needs groups"):
        BatchConfig(**wrong)  # type: ignore[arg-type]  # some are meant to be wrong
