"""What the checks of a video find, and that the sampled one sees what the full one sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import MediaError
from w2svqa.video import check as check_module
from w2svqa.video.check import PLACES, SIDE, check_video
from w2svqa.video.encode import write_video
from w2svqa.video.scene import scene_frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds, a key frame each, with B-frames."""
    path = tmp_path_factory.mktemp("check") / "clip.mp4"
    frames = scene_frames(seed=3, width=96, height=64, frames=200)
    write_video(path, frames, fps=20, options={"preset": "veryfast", "g": "20", "bf": "2", "threads": "1"})
    return path


def refuse_full(*_: object) -> None:
    raise AssertionError("decoded in full")


def test_the_sampled_check_sees_the_frames_of_the_full_one(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = check_video(clip, "full")
    monkeypatch.setattr(check_module, "_full", refuse_full)
    sampled = check_video(clip, "sampled")
    assert full.frames.shape == (PLACES, SIDE, SIDE)
    assert np.array_equal(sampled.frames, full.frames)
    assert len({frame.tobytes() for frame in full.frames}) == PLACES
    assert (sampled.problem, full.problem) == (None, None)
    assert sampled.info == full.info


@pytest.mark.parametrize("mode", ["full", "sampled"])
@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_file_that_was_cut_off_is_found_out(tmp_path: Path, suffix: str, mode: check_module.CheckMode) -> None:
    whole = tmp_path / f"whole{suffix}"
    write_video(whole, scene_frames(width=96, height=64, frames=120), fps=20, options={"g": "20", "threads": "1"})
    assert check_video(whole, mode).problem is None
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    problem = check_video(cut, mode).problem
    # a transport stream has no end to miss, so only a torn packet tells
    assert problem == check_video(cut, "full").problem
    assert suffix == ".ts" or (problem is not None and "ended early" in problem)


def test_no_check_opens_the_file_and_no_more(clip: Path, tmp_path: Path) -> None:
    checked = check_video(clip, "none")
    assert (checked.info.width, checked.info.height, checked.info.duration) == (96, 64, 10.0)
    assert checked.frames.shape == (0, SIDE, SIDE)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError):
        check_video(tmp_path / "text.mp4", "none")


def test_of_a_still_image_all_frames_are_the_same(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(next(scene_frames(width=80, height=60, frames=1))).save(tmp_path / "still.png")
    checked = check_video(tmp_path / "still.png", "sampled")
    assert checked.info.is_still
    assert all(np.array_equal(frame, checked.frames[0]) for frame in checked.frames)
    assert checked.frames.std() > 1


def test_where_nothing_says_how_long_it_is_that_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"
    write_video(path, scene_frames(width=64, height=48, frames=50), fps=25, options={"threads": "1"})
    checked = check_video(path, "sampled")
    assert checked.info.duration == pytest.approx(2.0, abs=0.3)
