"""The distort stage: rows and files agree, each split gets what it needs, nothing depends on chance."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from w2svqa.core.errors import MediaError, StoreError
from w2svqa.core.random import generator
from w2svqa.core.rows import ClipRow, Split, VersionRow
from w2svqa.distort import SIMULATORS
from w2svqa.stages.distort import DistortConfig, cache_size, crop_files, distort_clip
from w2svqa.stages.versions import Source, Version, make_versions
from w2svqa.students.crops import MARGIN, Rendition, read_crops
from w2svqa.students.looks import load_looks, look_at
from w2svqa.students.views import MOTION_SIZE, VIEWS, make_details, make_whole
from w2svqa.video.scene import scene_frames, write_scene

SIZE = (96, 128)  # a width that x264 codes alike each time (docs/distortions.md)
FPS = 6
KINDS = ("resizing", "blur", "stuttering", "h264", "h265")
CONFIG = DistortConfig(
    kinds=KINDS, first_seconds=3, codec_details=3, codecs_per_clip=1, vmaf_frames=0, held_out_seconds=2
)
ID = "0123456789abcdef"


def clip_row(path: Path, *, split: Split = "train", is_still: bool = False, primary: bool = True) -> ClipRow:
    return ClipRow(
        clip_id=ID,
        path=str(path),
        name=path.name,
        source="s",
        license="CC0",
        primary=primary,
        split=split,
        width=SIZE[1],
        height=SIZE[0],
        fps=None if is_still else FPS,
        duration=None if is_still else 3,
        codec="ffv1",
        is_still=is_still,
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.mkv"
    write_scene(path, seed=1, height=SIZE[0], width=SIZE[1], seconds=3, fps=FPS)
    return path


@pytest.fixture(scope="module")
def made(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[VersionRow, ...], Path]:
    """A training primary."""
    folder = tmp_path_factory.mktemp("made")
    return distort_clip(clip_row(scene), CONFIG, folder, seed=0).rows, folder


def versions_of(scene: Path, seconds: int) -> dict[tuple[str, int], Version]:
    source = Source(path=str(scene), is_still=False, seconds=seconds)
    seed = int(generator(0, "versions", ID).integers(1 << 30))
    versions = make_versions(source, [SIMULATORS[kind] for kind in KINDS], seed=seed)
    return {(version.kind, version.level): version for version in versions}


def same(one: Rendition, other: Rendition) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("details", "whole", "motion"))


def test_rows_of_a_training_clip_say_what_it_is(made: tuple[tuple[VersionRow, ...], Path]) -> None:
    rows, _ = made
    assert (rows[0].kind, rows[0].level, rows[0].severity, rows[0].stored) == ("none", 0, 0, True)
    assert {(row.clip_id, row.split, row.primary, row.is_still, row.seconds) for row in rows} == {
        (ID, "train", True, False, 1)
    }
    assert len({row.version_id for row in rows}) == len(rows)
    assert all(row.version_id == f"{ID}-{row.kind}-{row.level}" for row in rows)
    assert all(row.severity == row.level / len(SIMULATORS[row.kind].levels) for row in rows[1:])
    assert list(dict.fromkeys(row.kind for row in rows)) == ["none", *KINDS]
    assert [row.level for row in rows if row.kind == "blur"] == [2, 3, 4, 5]


def test_rows_of_a_training_clip_agree_with_its_crops(made: tuple[tuple[VersionRow, ...], Path]) -> None:
    rows, folder = made
    assert {row.views for row in rows} == {f"crops/{ID}.npz"}
    crops = read_crops(folder / rows[0].views)
    assert crops.size == SIZE
    stored = [row for row in rows if row.stored]
    assert {row.kind for row in stored} == {"none", "h264", "h265"}
    assert [row.row for row in stored] == list(range(len(crops.renditions)))
    assert {row.row for row in rows if not row.stored} == {0}  # made from the untouched one
    for row in stored:
        assert len(crops.renditions[row.row].details) == (VIEWS - 1 if row.kind == "none" else 3)
        assert crops.renditions[row.row].motion.shape == (FPS, *MOTION_SIZE)


def test_crops_are_the_last_of_the_seconds_and_details_are_those_of_the_frame(
    scene: Path, made: tuple[tuple[VersionRow, ...], Path]
) -> None:
    rows, folder = made
    crops = read_crops(folder / rows[0].views)
    for seconds in (1, 2, 3):
        versions = versions_of(scene, seconds)
        if np.array_equal(versions["none", 0].motion[-1], crops.renditions[0].motion):
            break
    clean = make_details(versions["none", 0].key_frames[-1], margin=MARGIN)
    chosen = [
        next(number for number, view in enumerate(clean) if np.array_equal(view, detail))
        for detail in crops.renditions[0].details
    ]
    for row in rows:
        if row.stored:
            version = versions[row.kind, row.level]
            frame = version.key_frames[-1]
            numbers = chosen if row.kind == "none" else chosen[: CONFIG.codec_details]
            details = make_details(frame, margin=MARGIN)[numbers]
            wanted = Rendition(details=details, whole=make_whole(frame), motion=version.motion[-1])
            assert same(crops.renditions[row.row], wanted)


def test_the_crop_cache_is_listed_and_measured(made: tuple[tuple[VersionRow, ...], Path]) -> None:
    rows, folder = made
    assert list(crop_files(folder)) == [folder / rows[0].views]
    assert cache_size(folder) == (folder / rows[0].views).stat().st_size
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*")} == {"crops", f"crops/{ID}.npz"}
    assert cache_size(folder / "nowhere") == 0


def test_the_same_seed_gives_the_same_bytes(
    scene: Path, made: tuple[tuple[VersionRow, ...], Path], tmp_path: Path
) -> None:
    rows = distort_clip(clip_row(scene), CONFIG, tmp_path, seed=0).rows
    assert rows == made[0]
    assert (tmp_path / rows[0].views).read_bytes() == (made[1] / rows[0].views).read_bytes()


def test_seed_and_clip_fix_which_second_and_details_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"  # larger than a crop, or all details would be alike
    write_scene(path, seed=1, height=180, width=320, seconds=2, fps=3)
    config = replace(CONFIG, kinds=("darkening",), first_seconds=2, codec_details=1)
    clips = [replace(clip_row(path), clip_id=f"{number:016x}", duration=2) for number in range(3)]
    drawn = []
    for seed in range(3):
        for clip in clips:
            rows = distort_clip(clip, config, tmp_path / str(seed), seed=seed).rows
            stored = read_crops(tmp_path / str(seed) / rows[0].views).renditions[0]
            drawn.append((stored.whole.tobytes(), stored.details.tobytes()))
    assert len({whole for whole, _ in drawn}) == 2
    assert len(set(drawn)) > 3
    assert len(set(drawn[:3])) > 1


@pytest.mark.parametrize("codecs", [0, 1, 2])
def test_a_clip_that_is_no_primary_takes_few_codecs_and_no_vmaf(scene: Path, tmp_path: Path, codecs: int) -> None:
    config = replace(CONFIG, kinds=("darkening", "h264", "h265"), codecs_per_clip=codecs, vmaf_frames=2)
    rows = distort_clip(clip_row(scene, primary=False), config, tmp_path, seed=0).rows
    assert len({row.kind for row in rows if row.kind.startswith("h26")}) == codecs
    assert len([row for row in rows if row.kind == "darkening"]) == 5
    assert {(row.primary, row.vmaf) for row in rows} == {(False, None)}
    assert len(read_crops(tmp_path / rows[0].views).renditions) == 1 + 4 * codecs


def test_clips_that_are_no_primaries_take_one_codec_or_the_other(scene: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, kinds=("h264", "h265"), first_seconds=1)
    found = set()
    for seed in range(8):
        rows = distort_clip(clip_row(scene, primary=False), config, tmp_path, seed=seed).rows
        found |= {row.kind for row in rows[1:]}
        if len(found) == 2:
            break
    assert found == {"h264", "h265"}


def test_vmaf_is_measured_for_training_primaries_alone(scene: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, kinds=("blur", "darkening"), vmaf_frames=2)
    rows = distort_clip(clip_row(scene), config, tmp_path, seed=0).rows
    assert rows[0].vmaf == 100
    assert {row.kind for row in rows if row.vmaf is None} == {"darkening"}
    held_out = distort_clip(clip_row(scene, split="anchor"), config, tmp_path, seed=0).rows
    assert {row.vmaf for row in held_out} == {None}


@pytest.mark.parametrize(("split", "primary"), [("anchor", True), ("calibration", False)])
def test_of_held_out_clips_every_version_is_kept_as_scoring_sees_it(
    scene: Path, tmp_path: Path, split: Split, primary: bool
) -> None:
    rows = distort_clip(clip_row(scene, split=split, primary=primary), CONFIG, tmp_path, seed=0).rows
    versions = versions_of(scene, CONFIG.held_out_seconds)
    assert [(row.kind, row.level) for row in rows] == list(versions)
    assert [row.row for row in rows] == list(range(len(rows)))
    assert {(row.views, row.stored, row.seconds, row.split, row.primary) for row in rows} == {
        (f"views/{ID}", True, 2, split, primary)
    }
    looks = load_looks(tmp_path / rows[0].views)
    assert len(looks) == len(rows)
    for row, version in zip(rows, versions.values(), strict=True):
        wanted, found = look_at(version.key_frames, version.motion), looks[row.row]
        assert (found.views == wanted.views).all()
        assert (found.motion == wanted.motion).all()
        assert found.counts.tolist() == [FPS] * 2
    assert not (tmp_path / "crops").exists()


def test_a_held_out_clip_shorter_than_asked_gives_what_it_has(scene: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, kinds=("blur", "h264"), held_out_seconds=9)
    rows = distort_clip(clip_row(scene, split="anchor"), config, tmp_path, seed=0).rows
    assert {row.seconds for row in rows} == {3}
    assert load_looks(tmp_path / rows[0].views).views.shape[:3] == (len(rows), 3, VIEWS)


@pytest.mark.parametrize("split", ["train", "anchor"])
def test_a_photograph_of_odd_sides(tmp_path: Path, split: Split) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(next(scene_frames(seed=2, height=81, width=115, frames=1))).save(path)
    rows = distort_clip(clip_row(path, split=split, is_still=True), CONFIG, tmp_path, seed=0).rows
    kinds = {row.kind for row in rows}
    assert kinds >= {"none", "resizing", "blur"}
    assert len(kinds & {"h264", "h265"}) == (CONFIG.codecs_per_clip if split == "train" else 2)
    assert "stuttering" not in kinds
    assert {(row.seconds, row.is_still) for row in rows} == {(1, True)}
    if split == "train":
        crops = read_crops(tmp_path / rows[0].views)
        assert crops.size == (81, 115)  # as decoded, whatever the row of the clip says
        assert {len(rendition.motion) for rendition in crops.renditions} == {0}
    else:
        assert not load_looks(tmp_path / rows[0].views).counts.any()


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_a_broken_clip_is_named_and_leaves_nothing_behind(tmp_path: Path, split: Split) -> None:
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video")
    with pytest.raises(MediaError) as caught:
        distort_clip(clip_row(broken, split=split), CONFIG, tmp_path / "out", seed=0)
    assert caught.value.path == str(broken)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_a_kind_that_a_clip_is_too_small_for_is_named_and_the_others_are_made(tmp_path: Path, split: Split) -> None:
    path = tmp_path / "small.mkv"
    write_scene(path, height=48, width=64, seconds=1, fps=3)
    config = replace(CONFIG, codecs_per_clip=2)
    made = distort_clip(clip_row(path, split=split), config, tmp_path / "out", seed=0)
    [(kind, problem)] = made.problems
    assert kind == "h265"
    assert "64 x 48 pixels, too small" in problem
    assert {row.kind for row in made.rows} >= {"none", "blur", "h264"}
    assert "h265" not in {row.kind for row in made.rows}
    stored = [row for row in made.rows if row.stored]
    if split == "train":
        assert [row.row for row in stored] == list(
            range(len(read_crops(tmp_path / "out" / stored[0].views).renditions))
        )
    else:
        assert len(load_looks(tmp_path / "out" / stored[0].views)) == len(made.rows)


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_a_full_disk_is_named_and_no_part_of_a_file_stays(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: Split
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        distort_clip(clip_row(scene, split=split), replace(CONFIG, kinds=("blur",)), tmp_path, seed=0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_a_folder_that_cannot_be_made_is_named(scene: Path, tmp_path: Path, split: Split) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        distort_clip(clip_row(scene, split=split), replace(CONFIG, kinds=("blur",)), tmp_path / "file", seed=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"codec_details": 0},
        {"codec_details": VIEWS},
        {"first_seconds": 0},
        {"held_out_seconds": 0},
        {"kinds": ("blur", "vp9")},
        {"kinds": ("fog",)},
        {"kinds": ("blur", "blur")},
        {"vmaf_frames": -1},
        {"codecs_per_clip": -1},
    ],
)
def test_configurations_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DistortConfig(**wrong)  # type: ignore[arg-type]  # meant to be wrong
