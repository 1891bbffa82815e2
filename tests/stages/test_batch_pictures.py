"""What a batch shows: versions of a group stay comparable, and look as their distortion says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batch_pool import (
    ALL,
    ALONE,
    CODEC_DETAILS,
    DETAILS,
    FRAMES,
    LADDERS,
    SAME,
    SIZE,
    VERSIONS,
    Look,
    crops_of,
    frame_numbers,
    look,
    make,
    mirrored,
    mirrored_back,
    only,
    pair,
    picture,
    severity_pairs,
    shown,
    stored_row,
    write_pool,
)

from w2svqa.core.levels import SIMILAR, WORSE
from w2svqa.core.rows import PairRow
from w2svqa.distort import distort_frame, distort_reduced, shown_indices
from w2svqa.stages.batches import Batch
from w2svqa.students.crops import MARGIN
from w2svqa.students.views import MOTION_SIZE, make_motion


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pool(tmp_path_factory.mktemp("versions"))


def common_looks(folder: Path, pairs: Sequence[PairRow], steps: int = 14) -> list[tuple[Batch, Look]]:
    """Batches in which all versions got the look of the untouched one, told by a codec version beside it."""
    codec = next(f"{row.first.split('-')[0]}-h264-2" for row in pairs)
    group = [replace(row, group="g") for row in [*pairs, pair(codec, pairs[0].second, WORSE, "severity", "g")]]
    batches = only(folder, group)
    found = []
    for step in range(steps):
        batch = batches.at(step)
        clean = next(row for row, name in enumerate(batch.names) if VERSIONS[name].kind == "none")
        one, other = look(batch.views[clean]), look(batch.views[stored_row(batch, codec)])
        assert one.mirror == other.mirror
        if one == other:
            found.append((batch, one))
    assert found
    return found


@pytest.mark.parametrize("kind", [kind for kind in LADDERS if kind not in ("noise", "jitter", "stuttering", "h264")])
@pytest.mark.parametrize("clip", ["clean", "photo"])
def test_versions_made_on_the_spot_are_the_stored_pictures_distorted(folder: Path, clip: str, kind: str) -> None:
    stored = crops_of(clip).renditions[0]
    batch, how = common_looks(folder, severity_pairs(clip, kind))[0]
    for level in LADDERS[kind]:
        details = [distort_frame(stored.details[number], kind, level) for number in how.numbers]
        [whole] = distort_reduced(stored.whole[None], kind, level, size=SIZE)
        row = stored_row(batch, f"{clip}-{kind}-{level}")
        assert (batch.views[row] == shown(details, whole, how)).all()
        if clip == "clean":
            frames = stored.motion
            if batch.counts[row] < FRAMES:
                frames = frames[::2]
            expected = distort_reduced(frames, kind, level, size=SIZE)
            expected = mirrored(expected, how.mirror)
            assert (batch.motion[row] == make_motion(expected)[0][: batch.motion.shape[1]]).all()


def test_noise_of_a_group_is_the_same_grain_scaled(folder: Path) -> None:
    batch, _ = common_looks(folder, severity_pairs("clean", "noise"))[0]
    clean, mild, heavy = (
        batch.views[stored_row(batch, f"clean-{name}"), :-1, 40:90, 40:90].astype(float)
        for name in ("none-0", "noise-1", "noise-5")
    )
    weak, strong = mild - clean, heavy - clean
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.99
    assert strong.std() == pytest.approx(255 * 0.1, rel=0.05)
    assert strong.std() / weak.std() == pytest.approx(10**0.5, rel=0.05)


def test_stuttering_repeats_motion_frames_and_leaves_the_pictures(folder: Path) -> None:
    for batch, how in common_looks(folder, severity_pairs("clean", "stuttering")):
        clean = stored_row(batch, "clean-none-0")
        stored = frame_numbers(batch, clean)
        assert stored == list(range(0, FRAMES, 2 if len(stored) < FRAMES else 1))
        held = []
        for level in LADDERS["stuttering"]:
            row = stored_row(batch, f"clean-stuttering-{level}")
            assert (batch.views[row] == batch.views[clean]).all()
            numbers = frame_numbers(batch, row)
            assert len(numbers) == len(stored)
            assert numbers == sorted(numbers)
            assert set(numbers) <= set(stored)
            held.append({place for place, number in enumerate(numbers) if number != stored[place]})
        assert held[0] <= held[1]  # nested, as by one seed
        assert look(batch.views[clean]) == how
    assert shown_indices(FRAMES, "stuttering", 3).shape == (FRAMES,)


def test_jitter_moves_details_and_motion(folder: Path) -> None:
    batch, _ = common_looks(folder, severity_pairs("clean", "jitter"))[0]
    clean, mild, heavy = (stored_row(batch, f"clean-{name}") for name in ("none-0", "jitter-1", "jitter-3"))
    changes = [float(np.abs(batch.motion[row].astype(int) - batch.motion[clean]).mean()) for row in (mild, heavy)]
    assert 0 < changes[0] < changes[1]
    assert (batch.views[heavy, :-1] != batch.views[clean, :-1]).any()


def test_stored_versions_are_shown_as_they_are(folder: Path) -> None:
    batches = make(folder, ALL)
    seen = set()
    for step in range(4):
        batch = batches.at(step)
        for name, views in zip(batch.names, batch.views, strict=True):
            row = VERSIONS[name]
            if row.stored:
                how = look(views)
                pictures = [picture(number, row.row) for number in how.numbers]
                assert (views == shown(pictures, crops_of(row.clip_id).renditions[row.row].whole, how)).all()
                seen.add(row.row)
    assert seen == {0, 1, 2}


def test_a_version_is_compared_with_itself_by_two_different_looks(folder: Path) -> None:
    group = [row for row in SAME if row.group == "clean-same"]
    for step in range(4):
        batch = only(folder, group).at(step)
        assert (batch.levels == SIMILAR).all()
        assert len(batch.names) == 2 * len(batch.levels)
        for one, two in zip(batch.first, batch.second, strict=True):
            assert one != two
            assert batch.names[one] == batch.names[two]
            assert (batch.views[one] != batch.views[two]).any()
            assert np.array_equal(batch.severities[one], batch.severities[two])


def test_versions_of_a_group_share_their_look_or_at_least_orientation_and_frame_rate(folder: Path) -> None:
    batches = only(folder, severity_pairs("clean", "h264"))
    common, mirrors, counts = 0, set(), []
    for step in range(40):
        batch = batches.at(step)
        looks = [look(views) for views in batch.views]
        common += len(set(looks)) == 1
        assert len({how.mirror for how in looks}) == 1
        assert len(set(batch.counts.tolist())) == 1
        numbers = frame_numbers(batch, 0)
        assert all(frame_numbers(batch, row) == numbers for row in range(len(looks)))
        straight = mirrored_back(batch.motion[0], looks[0].mirror)
        assert not straight[:, :, -1].any()  # motion is mirrored with the pictures
        assert straight[:, :, 0].all()
        mirrors.add(looks[0].mirror)
        counts.append(int(batch.counts[0]))
    assert 8 <= common <= 32  # half of the groups, give or take
    assert mirrors == set(itertools.product((False, True), repeat=3))
    assert set(counts) == {FRAMES, (FRAMES + 1) // 2}


def test_common_looks_take_any_details_that_all_versions_have(folder: Path) -> None:
    drawn = {number for _, how in common_looks(folder, severity_pairs("clean", "h264"), 30) for number in how.numbers}
    assert drawn == set(range(CODEC_DETAILS))


def test_shifts_stay_in_the_margin(folder: Path) -> None:
    batches = only(folder, [row for row in SAME if VERSIONS[row.first].stored])
    seen = [look(views) for step in range(40) for views in batches.at(step).views]
    assert {how.top for how in seen} == {how.left for how in seen} == set(range(MARGIN + 1))


@pytest.mark.parametrize("details", [1, 4, 6])
def test_details_are_drawn_without_repeats_while_there_are_any(folder: Path, details: int) -> None:
    stored = [row for row in SAME if VERSIONS[row.first].stored]
    batches = only(folder, stored, details=details)
    drawn: set[int] = set()
    for step in range(12):
        batch = batches.at(step)
        for name, views in zip(batch.names, batch.views, strict=True):
            numbers = look(views).numbers
            there = CODEC_DETAILS if VERSIONS[name].row else DETAILS
            assert len(numbers) == details
            assert len(set(numbers)) == min(details, there)
            drawn |= set(numbers)
    assert drawn == set(range(DETAILS))


def test_stills_have_no_motion_frames_and_a_batch_of_them_is_short(folder: Path) -> None:
    photos = only(folder, severity_pairs("photo", "blur")).at(0)
    assert photos.counts.tolist() == [0, 0, 0]
    assert photos.motion.shape == (3, 3, *MOTION_SIZE)
    assert not photos.motion.any()
    both = make(folder, SAME, **{**ALONE, "same_groups": 12}).at(0)
    counts: dict[bool, set[int]] = {True: set(), False: set()}
    for name, count, motion in zip(both.names, both.counts, both.motion, strict=True):
        counts[VERSIONS[name].is_still].add(int(count))
        assert not motion[count:].any()
    assert counts[True] == {0}
    assert counts[False] <= {FRAMES, (FRAMES + 1) // 2}
