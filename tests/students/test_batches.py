"""Batches: the same step is the same batch, versions of a group stay comparable, labels are right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.levels import INFERIOR, SIMILAR, SUPERIOR, WORSE
from w2svqa.core.rows import Origin, PairRow, VersionRow
from w2svqa.students.batches import Batch, BatchConfig, Batches
from w2svqa.students.views import VIEW_SIZE, VIEWS

KINDS = ("blur", "noise")
MARGIN = 4
SECONDS = 3
SIDE = VIEW_SIZE + MARGIN
CODE = {"none": 0, "blur": 1, "noise": 2}


def version(clip: str, kind: str, level: int, row: int, *, primary: bool = True) -> VersionRow:
    return VersionRow(
        version_id=f"{clip}-{kind}-{level}",
        clip_id=clip,
        kind=kind,
        level=level,
        severity=level / 5,
        primary=primary,
        split="train",
        views=f"views/{clip}.npy",
        row=row,
        seconds=SECONDS,
    )


def pair(first: VersionRow, second: VersionRow, level: int, origin: Origin, group: str) -> PairRow:
    return PairRow(
        first=first.version_id, second=second.version_id, level=level, origin=origin, kind=second.kind, group=group
    )


CLIPS = {
    name: [
        version(name, "none", 0, 0, primary=name != "found"),
        version(name, "blur", 2, 1, primary=name != "found"),
        version(name, "blur", 5, 2, primary=name != "found"),
        version(name, "noise", 4, 3, primary=name != "found"),
    ]
    for name in ("clean", "other", "found")
}
VERSIONS = [row for rows in CLIPS.values() for row in rows]


def severity_pairs() -> list[PairRow]:
    pairs = []
    for name, (untouched, mild, heavy, _) in CLIPS.items():
        if untouched.primary:
            pairs += [
                pair(untouched, mild, WORSE, "severity", f"{name}-blur"),
                pair(heavy, untouched, SUPERIOR, "severity", f"{name}-blur"),
            ]
        pairs.append(pair(mild, heavy, WORSE, "severity", f"{name}-blur"))
    return pairs


def same_pairs() -> list[PairRow]:
    return [pair(row, row, SIMILAR, "same", f"{row.clip_id}-same") for row in VERSIONS]


def cross_pairs() -> list[PairRow]:
    return [pair(CLIPS["clean"][0], CLIPS["other"][2], INFERIOR, "cross", "cross-0")]


def picture() -> NDArray[np.uint8]:
    """Red tells the row, green the column: a view shows how it was shifted and flipped."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.uint8)
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views whose blue tells the second (tens) and the view (ones): what was drawn can be read off a pixel."""
    root = tmp_path_factory.mktemp("versions")
    (root / "views").mkdir()
    for name, rows in CLIPS.items():
        views = np.empty((len(rows), SECONDS, VIEWS, SIDE, SIDE, 3), np.uint8)
        views[:] = picture()
        views[..., 2] = (10 * np.arange(SECONDS)[:, None] + np.arange(VIEWS))[None, :, :, None, None]
        np.save(root / "views" / f"{name}.npy", views)
    return root


def make(folder: Path, pairs: Sequence[PairRow], *, seed: int = 0, **config: int) -> Batches:
    return Batches(VERSIONS, pairs, folder, kinds=KINDS, config=BatchConfig(**config), seed=seed)


def look(view: NDArray[np.uint8]) -> tuple[int, int, bool, int]:
    """Row, column and flip of a view, and its blue."""
    flipped = bool(view[0, 0, 1] > view[0, -1, 1])
    return int(view[0, 0, 0]), int(view[0, :, 1].min()), flipped, int(view[0, 0, 2])


def looks(batch: Batch) -> list[list[tuple[int, int, bool, int]]]:
    return [[look(view) for view in second] for second in batch.views]


def equal(one: Batch, other: Batch) -> bool:
    names = ("views", "kinds", "severities", "first", "second", "levels")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


ALL = [*severity_pairs(), *same_pairs(), *cross_pairs()]


def test_a_step_gives_the_same_batch_again_whatever_was_asked_between(folder: Path) -> None:
    batches = make(folder, ALL)
    before = batches.at(7)
    for step in (8, 3, 100):
        assert not equal(batches.at(step), before)
    assert equal(batches.at(7), before)


def test_a_new_object_gives_the_same_batch_and_another_seed_another(folder: Path) -> None:
    assert equal(make(folder, ALL).at(5), make(folder, ALL).at(5))
    assert not equal(make(folder, ALL).at(5), make(folder, ALL, seed=1).at(5))


def test_shapes_and_types(folder: Path) -> None:
    batch = make(folder, ALL, severity_groups=2, same_groups=1, cross_groups=1).at(0)
    count, pairs = len(batch.views), len(batch.levels)
    assert batch.views.shape == (count, 4, VIEW_SIZE, VIEW_SIZE, 3)
    assert batch.views.dtype == np.uint8
    assert batch.kinds.shape == batch.severities.shape == (count,)
    assert batch.first.shape == batch.second.shape == (pairs,)
    assert batch.severities.dtype == np.float32
    assert {array.dtype for array in (batch.kinds, batch.first, batch.second, batch.levels)} == {np.dtype(np.int64)}
    assert set(batch.first.tolist()) | set(batch.second.tolist()) == set(range(count))


@pytest.mark.parametrize("step", range(5))
def test_versions_of_a_group_are_encoded_once(folder: Path, step: int) -> None:
    pairs = [row for row in severity_pairs() if row.group == "clean-blur"]
    batch = make(folder, pairs, severity_groups=1).at(step)
    assert len(batch.levels) == 3
    assert len(batch.views) == 3
    batch = make(folder, pairs, severity_groups=4).at(step)
    assert len(batch.levels) == len(batch.views) == 12


def test_pairs_point_at_their_versions_with_the_right_level(folder: Path) -> None:
    by_name = {row.version_id: row for row in VERSIONS}
    pairs = severity_pairs()
    for step in range(6):
        batch = make(folder, pairs, severity_groups=3).at(step)
        start = 0
        while start < len(batch.levels):
            # a group is told by the severities of its first pair: 0 and 0.4 for primaries, 0.4 and 1 for the other
            primary = batch.severities[batch.first[start]] == 0
            wanted = [row for row in pairs if row.group == ("clean-blur" if primary else "found-blur")]
            for offset, row in enumerate(wanted):
                first, second = int(batch.first[start + offset]), int(batch.second[start + offset])
                assert batch.severities[first] == np.float32(by_name[row.first].severity)
                assert batch.severities[second] == np.float32(by_name[row.second].severity)
                assert batch.kinds[first] == CODE[by_name[row.first].kind]
                assert batch.kinds[second] == CODE[by_name[row.second].kind]
                assert batch.levels[start + offset] == row.level
            start += len(wanted)


def test_kinds_are_counted_from_one_and_unknown_for_untouched_clips_that_are_no_primaries(folder: Path) -> None:
    pairs = same_pairs()
    seen: dict[str, set[tuple[int, float]]] = {}
    for name in CLIPS:
        batch = make(folder, [row for row in pairs if row.group == f"{name}-same"]).at(0)
        seen[name] = set(zip(batch.kinds.tolist(), batch.severities.tolist(), strict=True))
    blur = {(1, float(np.float32(0.4))), (1, 1.0), (2, float(np.float32(0.8)))}
    assert seen["clean"] == seen["other"] == {(0, 0.0), *blur}
    assert seen["found"] == {(-1, 0.0), *blur}


def test_a_version_is_compared_with_itself_by_two_different_looks(folder: Path) -> None:
    pairs = same_pairs()
    differing = []
    for step in range(8):
        batch = make(folder, pairs, same_groups=2).at(step)
        assert (batch.levels == SIMILAR).all()
        assert (batch.first != batch.second).all()
        assert len(batch.views) == 2 * len(batch.levels)
        seen = looks(batch)
        differing += [seen[one] != seen[two] for one, two in zip(batch.first, batch.second, strict=True)]
        assert (batch.severities[batch.first] == batch.severities[batch.second]).all()
    assert np.mean(differing) > 0.9  # they are drawn apart, so now and then they agree


def test_versions_of_a_group_share_their_look_or_at_least_the_flip(folder: Path) -> None:
    pairs = [row for row in severity_pairs() if row.group == "clean-blur"]
    batches = make(folder, pairs, severity_groups=1)
    seen = [looks(batches.at(step)) for step in range(40)]
    common = [all(each == versions[0] for each in versions) for versions in seen]
    assert 8 <= sum(common) <= 32  # half of the groups, give or take
    for versions in seen:
        assert len({flip for views in versions for _, _, flip, _ in views}) == 1
    assert {views[0][2] for versions in seen for views in versions} == {False, True}


def test_shifts_stay_in_the_margin_and_are_one_per_version(folder: Path) -> None:
    batches = make(folder, ALL)
    seen = [views for step in range(20) for views in looks(batches.at(step))]
    assert all(len({(top, left) for top, left, _, _ in views}) == 1 for views in seen)
    tops, lefts = {views[0][0] for views in seen}, {views[0][1] for views in seen}
    assert tops == lefts == set(range(MARGIN + 1))


def test_views_are_cut_from_the_stored_ones(folder: Path) -> None:
    full = picture()
    for second in make(folder, ALL).at(3).views:
        for view in second:
            top, left, flipped, _ = look(view)
            cut = full[top : top + VIEW_SIZE, left : left + VIEW_SIZE]
            assert (view[..., :2] == (cut[:, ::-1] if flipped else cut)[..., :2]).all()


@pytest.mark.parametrize("details", [1, 3, VIEWS - 1])
def test_details_are_drawn_without_repeats_and_the_whole_picture_comes_last(folder: Path, details: int) -> None:
    batches = make(folder, ALL, details=details)
    drawn: set[int] = set()
    seconds: set[int] = set()
    for step in range(12):
        for views in looks(batches.at(step)):
            numbers = [blue % 10 for *_, blue in views]
            assert len(numbers) == details + 1
            assert len(set(numbers)) == details + 1
            assert numbers[-1] == VIEWS - 1
            assert len({blue // 10 for *_, blue in views}) == 1
            drawn |= set(numbers[:-1])
            seconds.add(views[0][3] // 10)
    assert drawn == set(range(VIEWS - 1))
    assert seconds == set(range(SECONDS))


def test_origins_come_in_their_numbers_and_none_is_needed(folder: Path) -> None:
    batch = make(folder, ALL, severity_groups=0, same_groups=0, cross_groups=3).at(0)
    assert batch.levels.tolist() == [INFERIOR] * 3
    only_cross = make(folder, cross_pairs(), severity_groups=5, same_groups=5, cross_groups=2).at(0)
    assert only_cross.levels.tolist() == [INFERIOR] * 2
