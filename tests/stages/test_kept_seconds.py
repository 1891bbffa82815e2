"""What the distort stage keeps for students with a vision tower: the key frames and the motion of every version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from w2svqa.core.errors import InputError
from w2svqa.core.rows import ClipRow, Split
from w2svqa.stages.distort import DistortConfig, Distorted, cache_size, distort_clip
from w2svqa.stages.kept_seconds import FramesConfig, load_slowfast
from w2svqa.stages.versions import Source, make_versions
from w2svqa.students.llava.pictures import key_picture
from w2svqa.students.seconds import Seconds, read_seconds
from w2svqa.video.scene import scene_frames, write_scene

pytestmark = pytest.mark.llm

SIZE = (96, 128)
KINDS = ("blur", "stuttering", "h264")
FRAMES = FramesConfig(slowfast="random-tiny", seconds=2, side=24, motion_side=32)
CONFIG = DistortConfig(kinds=KINDS, vmaf_frames=0, held_out_seconds=3, frames=FRAMES)


def clip_row(path: Path, *, split: Split = "train", is_still: bool = False) -> ClipRow:
    return ClipRow(
        clip_id="0123456789abcdef",
        path=str(path),
        name=path.name,
        source="s",
        license="CC0",
        primary=True,
        split=split,
        width=SIZE[1],
        height=SIZE[0],
        fps=None if is_still else 6,
        duration=None if is_still else 3,
        codec="ffv1",
        is_still=is_still,
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.mkv"
    write_scene(path, seed=1, height=SIZE[0], width=SIZE[1], seconds=3, fps=6)
    return path


@pytest.fixture(scope="module")
def made(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Distorted, Path]:
    folder = tmp_path_factory.mktemp("versions")
    return distort_clip(clip_row(scene), CONFIG, folder, seed=5), folder


def kept(made: tuple[Distorted, Path]) -> dict[str, Seconds]:
    return {row.version_id: read_seconds(made[1] / row.views, row.row) for row in made[0].rows}


def test_every_version_is_stored_with_all_its_seconds(made: tuple[Distorted, Path]) -> None:
    rows = made[0].rows
    assert {row.kind for row in rows} == {"none", *KINDS}
    assert [row.row for row in rows] == list(range(len(rows)))
    assert all(row.stored and row.seconds == 2 and row.views == "seconds/0123456789abcdef.npz" for row in rows)
    for seconds in kept(made).values():
        assert seconds.frames.shape == (2, 24, 24, 3)
        assert seconds.motion.shape == (2, 256)
        assert np.isfinite(seconds.motion).all()
    assert cache_size(made[1]) == (made[1] / rows[0].views).stat().st_size


def test_key_frames_are_squeezed_and_motion_is_of_the_distorted_frames(
    made: tuple[Distorted, Path], scene: Path
) -> None:
    found = kept(made)
    clean = found["0123456789abcdef-none-0"]
    first = next(iter(scene_frames(seed=1, width=SIZE[1], height=SIZE[0], frames=18)))
    assert (clean.frames[0] == key_picture(first, 24)).all()
    encoder = load_slowfast("random-tiny", "second")
    source = Source(path=str(scene), is_still=False, seconds=2, spec=FRAMES.spec)
    [version] = make_versions(source, [], seed=0)
    assert [frames.shape for frames in version.motion] == [(6, 32, 32, 3)] * 2
    assert np.allclose(encoder.features(version.motion), clean.motion)
    for name, seconds in found.items():
        if name != "0123456789abcdef-none-0":
            assert not np.allclose(seconds.motion, clean.motion), name


def test_the_same_versions_are_told_apart_as_for_the_compact_student(
    made: tuple[Distorted, Path], scene: Path, tmp_path: Path
) -> None:
    compact = distort_clip(clip_row(scene), replace(CONFIG, frames=None, first_seconds=1), tmp_path, seed=5)
    of_frames, of_both = ({row.version_id for row in each.rows if row.kind != "h264"} for each in (made[0], compact))
    assert of_frames == of_both


def test_a_held_out_clip_has_its_own_number_of_seconds(scene: Path, tmp_path: Path) -> None:
    rows = distort_clip(clip_row(scene, split="anchor"), CONFIG, tmp_path, seed=5).rows
    assert {row.seconds for row in rows} == {3}


def test_a_photograph_has_one_second_without_motion(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    rows = distort_clip(clip_row(tmp_path / "photo.png", is_still=True), CONFIG, tmp_path, seed=5).rows
    assert {row.kind for row in rows} == {"none", "blur", "h264"}
    for row in rows:
        seconds = read_seconds(tmp_path / row.views, row.row)
        assert len(seconds) == row.seconds == 1
        assert not seconds.motion.any()


def test_weights_that_are_not_there_are_named(scene: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, frames=replace(FRAMES, slowfast=str(tmp_path / "SLOWFAST.pyth")))
    with pytest.raises(InputError) as caught:
        distort_clip(clip_row(scene), config, tmp_path, seed=5)
    assert "SLOWFAST.pyth" in str(caught.value)


@pytest.mark.parametrize("changes", [{"seconds": 0}, {"side": 0}, {"motion_side": 0}, {"seconds": 43, "side": 384}])
def test_sizes_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        FramesConfig(slowfast="x", **changes)
