"""Batches: the same step is the same batch, versions of a group stay comparable, labels are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, StoreError
from w2svqa.core.levels import INFERIOR, SIMILAR, SUPERIOR, WORSE
from w2svqa.core.rows import Origin, PairRow, VersionRow
from w2svqa.distort import SIMULATORS, distort_frame, distort_reduced, shown_indices
from w2svqa.stages import batches as module
from w2svqa.stages.batches import UNKNOWN, Batch, BatchConfig, Batches
from w2svqa.students.crops import MARGIN, SIDE, Crops, Rendition, write_crops
from w2svqa.students.views import MOTION_SIZE, VIEW_SIZE, make_motion

KINDS = tuple(SIMULATORS)
SIZE = (360, 640)
FRAMES = 25
DETAILS, CODEC_DETAILS = 4, 3
WHOLE = 9  # stands for the whole picture where details are numbered
ALONE = {f"{name}_groups": 0 for name in ("severity", "same", "cross", "peer", "vmaf", "teacher")}

LADDERS = {
    "resizing": (1, 4),
    "blur": (3, 5),
    "noise": (1, 5),
    "darkening": (2, 5),
    "brightening": (1, 5),
    "jitter": (1, 3),
    "stuttering": (1, 3),
    "h264": (2, 4),
}


def ladder(clip: str, *, primary: bool = True, is_still: bool = False) -> list[VersionRow]:
    """The versions of a clip; those of the codec are renditions 1 and 2 of its file."""
    rows = []
    for kind, levels in {"none": (0,), **LADDERS}.items():
        if is_still and kind in SIMULATORS and SIMULATORS[kind].family == "temporal":
            continue
        for place, level in enumerate(levels):
            rows.append(
                VersionRow(
                    version_id=f"{clip}-{kind}-{level}",
                    clip_id=clip,
                    kind=kind,
                    level=level,
                    severity=level / len(SIMULATORS[kind].levels) if level else 0,
                    primary=primary,
                    split="train",
                    is_still=is_still,
                    vmaf=None,
                    views=f"crops/{clip}.npz",
                    row=1 + place if kind == "h264" else 0,
                    stored=kind in ("none", "h264"),
                    seconds=1,
                )
            )
    return rows


CLIPS = {
    "clean": ladder("clean"),
    "other": ladder("other"),
    "found": ladder("found", primary=False),
    "photo": ladder("photo", is_still=True),
}
VERSIONS = {row.version_id: row for rows in CLIPS.values() for row in rows}


def pair(first: str, second: str, level: int, origin: Origin, group: str) -> PairRow:
    kind = VERSIONS[second].kind
    return PairRow(first=first, second=second, level=level, origin=origin, kind=kind, group=group)


def severity_pairs(clip: str, kind: str) -> list[PairRow]:
    untouched, group = f"{clip}-none-0", f"{clip}-{kind}"
    mild, heavy = (f"{clip}-{kind}-{level}" for level in LADDERS[kind])
    return [
        pair(untouched, mild, WORSE, "severity", group),
        pair(heavy, untouched, SUPERIOR, "severity", group),
        pair(mild, heavy, WORSE, "severity", group),
    ]


SAME = [
    pair(name, name, SIMILAR, "same", f"{row.clip_id}-same")
    for name, row in VERSIONS.items()
    if row.kind in ("none", "blur", "noise", "h264")
]
CROSS = [pair("clean-none-0", "other-blur-5", INFERIOR, "cross", "cross-0")]
SEVERITY = [
    row
    for clip in ("clean", "other", "photo")
    for kind in LADDERS
    if f"{clip}-{kind}-{LADDERS[kind][0]}" in VERSIONS
    for row in severity_pairs(clip, kind)
]
ALL = [*SEVERITY, *SAME, *CROSS]


def picture(number: int, rendition: int) -> NDArray[np.uint8]:
    """Red tells the row, green the column, blue the picture: a view shows how it was chosen, shifted and flipped."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.uint8)
    return np.stack([rows, columns, np.full_like(rows, 100 + 10 * rendition + number)], axis=2)


def track(frames: int) -> NDArray[np.uint8]:
    """The left half tells the number of the frame; the right half is dark."""
    motion = np.zeros((frames, *MOTION_SIZE), np.uint8)
    motion[:, :, : MOTION_SIZE[1] // 2] = (100 + 3 * np.arange(frames))[:, None, None]
    return motion


def crops_of(clip: str) -> Crops:
    renditions = []
    for index in range(3):
        details = [picture(number, index) for number in range(CODEC_DETAILS if index else DETAILS)]
        whole, frames = picture(WHOLE, index), 0 if clip == "photo" else FRAMES
        renditions.append(Rendition(details=np.stack(details), whole=whole, motion=track(frames)))
    return Crops(size=SIZE, renditions=tuple(renditions))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("versions")
    for clip in CLIPS:
        write_crops(root / "crops" / f"{clip}.npz", crops_of(clip))
    return root


def make(folder: Path, pairs: Sequence[PairRow], *, seed: int = 0, mixtures: float = 0, **config: int) -> Batches:
    chosen = BatchConfig(mixtures=mixtures, **config)
    return Batches(list(VERSIONS.values()), pairs, folder, kinds=KINDS, config=chosen, seed=seed)


def only(folder: Path, pairs: Sequence[PairRow], *, mixtures: float = 0, details: int = 2) -> Batches:
    """Batches of one group."""
    return make(folder, pairs, mixtures=mixtures, **{**ALONE, f"{pairs[0].origin}_groups": 1, "details": details})


@dataclass(frozen=True)
class Look:
    """How a version was looked at, read off its views."""

    top: int
    left: int
    flipped: bool
    numbers: tuple[int, ...]


def look(views: NDArray[np.uint8]) -> Look:
    """Read the look off the views of a stored version."""
    seen = set()
    for view in views:
        flipped = bool(view[0, 0, 1] > view[0, -1, 1])
        seen.add((int(view[0, 0, 0]), int(view[0, :, 1].min()), flipped))
    assert len(seen) == 1  # one shift and flip for all views of a version
    return Look(*seen.pop(), tuple(int(view[0, 0, 2]) % 10 for view in views))


def shown(pictures: NDArray[np.uint8], how: Look) -> NDArray[np.uint8]:
    cut = pictures[:, how.top : how.top + VIEW_SIZE, how.left : how.left + VIEW_SIZE]
    return cut[:, :, ::-1] if how.flipped else cut


def stored_row(batch: Batch, name: str) -> int:
    return batch.names.index(name)


def frame_numbers(batch: Batch, row: int) -> list[int]:
    """Read off which motion frames a version of undistorted grey shows."""
    frames = batch.motion[row, : batch.counts[row]]
    brightest = frames.max(axis=(1, 2)).astype(int)
    assert ((brightest - 100) % 3 == 0).all()
    return [int(number) for number in (brightest - 100) // 3]


def equal(one: Batch, other: Batch) -> bool:
    arrays = ("views", "motion", "counts", "kinds", "severities", "first", "second", "levels")
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
    batch = make(folder, ALL, severity_groups=2).at(0)
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

    monkeypatch.setattr(module, "distort_frame", spying)
    monkeypatch.setattr(module, "distort_reduced", spying)
    batches = only(folder, severity_pairs("clean", kind), mixtures=1)
    bases = set()
    for step in range(40):
        calls.clear()
        batches.at(step)
        base = {(name, level) for name, level, _ in calls if name != kind}
        assert len(base) == 1  # the same for all versions of the group
        assert len({seed for *_, seed in calls}) == 1  # so that levels are nested
        bases |= base
    undone = {"darkening": "brightening"}.get(kind)
    spatial = {name for name, simulator in SIMULATORS.items() if simulator.family == "spatial"} - {kind, undone}
    assert {name for name, _ in bases} == spatial
    assert {level for _, level in bases} == {1, 2}


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
        assert one.flipped == other.flipped
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
        details = [distort_frame(stored.details[number], kind, level) for number in how.numbers[:-1]]
        whole = distort_reduced(stored.whole[None], kind, level, size=SIZE)
        row = stored_row(batch, f"{clip}-{kind}-{level}")
        assert (batch.views[row] == shown(np.concatenate([np.stack(details), whole]), how)).all()
        if clip == "clean":
            frames = stored.motion
            if batch.counts[row] < FRAMES:
                frames = frames[::2]
            expected = distort_reduced(frames, kind, level, size=SIZE)
            expected = expected[:, :, ::-1] if how.flipped else expected
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
                pictures = np.stack([picture(number, row.row) for number in how.numbers])
                assert (views == shown(pictures, how)).all()
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


def test_versions_of_a_group_share_their_look_or_at_least_flip_and_frame_rate(folder: Path) -> None:
    batches = only(folder, severity_pairs("clean", "h264"))
    common, flips, counts = 0, set(), []
    for step in range(40):
        batch = batches.at(step)
        looks = [look(views) for views in batch.views]
        common += len(set(looks)) == 1
        assert len({how.flipped for how in looks}) == 1
        assert len(set(batch.counts.tolist())) == 1
        numbers = frame_numbers(batch, 0)
        assert all(frame_numbers(batch, row) == numbers for row in range(len(looks)))
        dark = batch.motion[0, :, 0, 0 if looks[0].flipped else -1]
        assert not dark.any()  # motion is flipped with the pictures
        flips.add(looks[0].flipped)
        counts.append(int(batch.counts[0]))
    assert 8 <= common <= 32  # half of the groups, give or take
    assert flips == {False, True}
    assert set(counts) == {FRAMES, (FRAMES + 1) // 2}


def test_common_looks_take_any_details_that_all_versions_have(folder: Path) -> None:
    drawn = {number for _, how in common_looks(folder, severity_pairs("clean", "h264"), 30) for number in how.numbers}
    assert drawn == {*range(CODEC_DETAILS), WHOLE}


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
            *numbers, last = look(views).numbers
            there = CODEC_DETAILS if VERSIONS[name].row else DETAILS
            assert last == WHOLE
            assert len(numbers) == details
            assert len(set(numbers)) == min(details, there)
            drawn |= set(numbers)
    assert drawn == set(range(DETAILS))


def test_stills_have_no_motion_frames_and_a_batch_of_them_is_short(folder: Path) -> None:
    photos = only(folder, severity_pairs("photo", "blur")).at(0)
    assert photos.counts.tolist() == [0, 0, 0]
    assert photos.motion.shape == (3, 3, *MOTION_SIZE)
    assert not photos.motion.any()
    both = make(folder, SAME, **{**ALONE, "same_groups": 4}).at(0)
    counts: dict[bool, set[int]] = {True: set(), False: set()}
    for name, count, motion in zip(both.names, both.counts, both.motion, strict=True):
        counts[VERSIONS[name].is_still].add(int(count))
        assert not motion[count:].any()
    assert counts[True] == {0}
    assert counts[False] <= {FRAMES, (FRAMES + 1) // 2}


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
