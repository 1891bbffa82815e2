"""Versions of a clip: rows and views agree, equal ones are dropped, nothing depends on chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.errors import MediaError
from w2svqa.core.rows import ClipRow, Split, VersionRow
from w2svqa.distort import SIMULATORS, distort_frame
from w2svqa.stages.distort import DistortConfig, distort_clip
from w2svqa.students.views import VIEW_SIZE, VIEWS, make_views
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless
from w2svqa.video.scene import scene_frames, write_scene

SIZE = (64, 80)
CONFIG = DistortConfig(train_seconds=2, held_out_seconds=3, margin=4)


def clip_row(path: Path, *, split: Split = "train", is_still: bool = False, primary: bool = True) -> ClipRow:
    return ClipRow(
        clip_id="0123456789abcdef",
        path=str(path),
        name=path.name,
        source="s",
        license="CC0",
        primary=primary,
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
def made(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[VersionRow], NDArray[np.uint8]]:
    """All versions of a training clip, once for the whole file."""
    folder = tmp_path_factory.mktemp("made")
    rows = distort_clip(clip_row(scene), CONFIG, folder, seed=0)
    return rows, np.load(folder / rows[0].views)


def test_rows_and_views_agree(made: tuple[list[VersionRow], NDArray[np.uint8]]) -> None:
    rows, views = made
    side = VIEW_SIZE + CONFIG.margin
    assert views.shape == (len(rows), 2, VIEWS, side, side, 3)
    assert views.dtype == np.uint8
    assert [row.row for row in rows] == list(range(len(rows)))
    assert {row.views for row in rows} == {"views/0123456789abcdef.npy"}
    assert {(row.clip_id, row.split, row.primary, row.seconds) for row in rows} == {
        ("0123456789abcdef", "train", True, 2)
    }
    assert len({row.version_id for row in rows}) == len(rows)
    assert all(row.version_id == f"{row.clip_id}-{row.kind}-{row.level}" for row in rows)


def test_the_untouched_clip_comes_first_then_every_kind_mild_to_severe(
    made: tuple[list[VersionRow], NDArray[np.uint8]],
) -> None:
    rows, _ = made
    assert (rows[0].kind, rows[0].level, rows[0].severity) == ("none", 0, 0)
    assert list(dict.fromkeys(row.kind for row in rows[1:])) == list(SIMULATORS)
    for kind, simulator in SIMULATORS.items():
        levels = [row.level for row in rows if row.kind == kind]
        assert levels == sorted(set(levels))
        assert levels[-1] == len(simulator.levels)
    assert all(row.severity == row.level / len(SIMULATORS[row.kind].levels) for row in rows[1:])


def test_a_level_that_changes_no_pixel_is_dropped(made: tuple[list[VersionRow], NDArray[np.uint8]]) -> None:
    rows, views = made
    blurred = [row.level for row in rows if row.kind == "blur"]
    assert blurred == [2, 3, 4, 5]  # sigma 0.1 moves no 8-bit value
    assert len({views[row.row].tobytes() for row in rows}) == len(rows)


def test_views_are_those_of_the_distorted_key_frames(
    scene: Path, made: tuple[list[VersionRow], NDArray[np.uint8]]
) -> None:
    rows, views = made
    with open_clip(scene) as clip:
        frames = [chunk.key_frame for chunk in clip.chunks()][:2]
    assert len(frames) == 2
    for row in rows:
        if row.kind == "none" or SIMULATORS[row.kind].on_frame is not None:
            for index, frame in enumerate(frames):
                shown = frame if row.kind == "none" else distort_frame(frame, row.kind, row.level, index=index)
                assert (views[row.row, index] == make_views(shown, margin=CONFIG.margin)).all()


def test_codec_versions_get_worse_with_the_level(made: tuple[list[VersionRow], NDArray[np.uint8]]) -> None:
    rows, views = made
    clean = views[0].astype(float)
    errors = [float(np.abs(views[row.row] - clean).mean()) for row in rows if row.kind == "h264"]
    assert len(errors) == len(SIMULATORS["h264"].levels)
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_noise(scene: Path, tmp_path: Path) -> None:
    config = DistortConfig(kinds=("noise", "h264"), train_seconds=1, margin=0)
    rows, stored = [], []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        rows.append(distort_clip(clip_row(scene), config, tmp_path / name, seed=seed))
        stored.append(np.load(tmp_path / name / rows[-1][0].views))
    assert rows[0] == rows[1] == rows[2]
    assert (stored[0] == stored[1]).all()
    changed = [row.kind for row in rows[0] if (stored[0][row.row] != stored[2][row.row]).any()]
    assert changed == ["noise"] * 5


@pytest.mark.parametrize("split", ["anchor", "calibration"])
def test_held_out_clips_have_their_own_length_and_no_margin(scene: Path, tmp_path: Path, split: Split) -> None:
    config = DistortConfig(kinds=("noise",), train_seconds=1, held_out_seconds=3, margin=4)
    rows = distort_clip(clip_row(scene, split=split, primary=False), config, tmp_path, seed=0)
    views = np.load(tmp_path / rows[0].views)
    assert views.shape == (6, 3, VIEWS, VIEW_SIZE, VIEW_SIZE, 3)
    assert {(row.split, row.primary, row.seconds) for row in rows} == {(split, False, 3)}


def test_a_clip_shorter_than_asked_gives_what_it_has(scene: Path, tmp_path: Path) -> None:
    config = DistortConfig(kinds=("noise", "h264"), train_seconds=9, margin=0)
    rows = distort_clip(clip_row(scene), config, tmp_path, seed=0)
    assert {row.seconds for row in rows} == {3}
    assert np.load(tmp_path / rows[0].views).shape[:2] == (len(rows), 3)


def test_a_photograph_has_one_second_and_no_codec(tmp_path: Path) -> None:
    frame = next(scene_frames(seed=2, height=SIZE[0], width=SIZE[1], frames=1))
    path = tmp_path / "photo.mkv"
    write_lossless(path, [frame], fps=1)
    rows = distort_clip(clip_row(path, is_still=True), CONFIG, tmp_path, seed=0)
    assert {row.kind for row in rows} == {"none", *SIMULATORS} - {"h264"}
    assert {row.seconds for row in rows} == {1}


def test_a_flat_clip_has_no_blurred_versions(tmp_path: Path) -> None:
    path = tmp_path / "flat.mkv"
    write_lossless(path, [np.full((*SIZE, 3), 90, np.uint8)] * 3, fps=3)
    config = DistortConfig(kinds=("blur", "resizing"), train_seconds=1, margin=0)
    assert [row.kind for row in distort_clip(clip_row(path), config, tmp_path, seed=0)] == ["none"]


def test_a_clip_that_is_gone_or_broken_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video")
    with pytest.raises(MediaError):
        distort_clip(clip_row(broken), CONFIG, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()
