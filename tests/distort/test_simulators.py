"""The simulators: what they leave alone, how they grow worse, and what they refuse."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from w2svqa.core.errors import InputError
from w2svqa.distort import SIMULATORS, distort_frame, distort_video
from w2svqa.video.decode import open_clip
from w2svqa.video.frames import read_frames
from w2svqa.video.scene import scene_frames, write_scene

SPATIAL = [kind for kind, simulator in SIMULATORS.items() if simulator.family == "spatial"]


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    return next(scene_frames(width=160, height=96, frames=1))


def test_levels_are_those_of_the_paper() -> None:
    assert {kind: simulator.levels for kind, simulator in SIMULATORS.items()} == {
        "resizing": (2, 3, 4, 8, 16),
        "blur": (0.1, 0.5, 1, 2, 5),
        "noise": (0.001, 0.002, 0.003, 0.005, 0.01),
        "h264": (24, 36, 48, 51),
    }


@pytest.mark.parametrize("kind", SPATIAL)
def test_error_grows_with_level(kind: str, scene: NDArray[np.uint8]) -> None:
    levels = range(len(SIMULATORS[kind].levels) + 1)
    errors = [float(np.square(distort_frame(scene, kind, level).astype(float) - scene).mean()) for level in levels]
    visible = errors if kind != "blur" else [errors[0], *errors[2:]]  # a sigma of 0.1 changes no 8-bit pixel
    assert errors[0] == 0
    assert all(worse > better for better, worse in itertools.pairwise(visible))


@pytest.mark.parametrize("kind", SPATIAL)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3)])
def test_tiny_frames_keep_their_shape(kind: str, size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 90, np.uint8)
    for level in range(1, len(SIMULATORS[kind].levels) + 1):
        assert distort_frame(frame, kind, level).shape == frame.shape


@pytest.mark.parametrize("kind", ["blur", "resizing"])
def test_flat_frames_stay_flat(kind: str) -> None:
    frame = np.full((40, 56, 3), (10, 128, 250), np.uint8)
    assert (distort_frame(frame, kind, 5) == frame).all()


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_blur_is_a_gaussian(level: int, scene: NDArray[np.uint8]) -> None:
    sigma = SIMULATORS["blur"].value(level)
    expected = gaussian_filter(scene.astype(np.float64), (sigma, sigma, 0), mode="mirror", truncate=4)
    # both round a value that float32 sums can move across a half
    assert np.abs(distort_frame(scene, "blur", level) - expected).max() <= 0.51


@pytest.mark.parametrize("level", [1, 5])
def test_noise_has_the_stated_variance_and_no_bias(level: int) -> None:
    frame = np.full((200, 200, 3), 128, np.uint8)
    difference = (distort_frame(frame, "noise", level).astype(float) - 128) / 255
    assert difference.var() == pytest.approx(SIMULATORS["noise"].value(level), rel=0.03)
    assert abs(difference.mean()) < 0.001


def test_noise_is_fixed_by_seed_and_differs_between_frames(scene: NDArray[np.uint8]) -> None:
    once = distort_frame(scene, "noise", 3, seed=5, index=2)
    assert (once == distort_frame(scene, "noise", 3, seed=5, index=2)).all()
    assert (once != distort_frame(scene, "noise", 3, seed=5, index=3)).any()
    assert (once != distort_frame(scene, "noise", 3, seed=6, index=2)).any()


def test_spatial_versions_of_a_video_are_lossless(tmp_path: Path) -> None:
    source, target = tmp_path / "scene.mkv", tmp_path / "blur.mkv"
    write_scene(source, width=64, height=48, seconds=0.5, fps=10)
    distort_video(source, target, "blur", 4)
    frames = zip(read_frames(source), read_frames(target), strict=True)
    assert all((distort_frame(clean, "blur", 4) == blurred).all() for clean, blurred in frames)


def test_h264_grows_worse_and_keeps_the_frames(tmp_path: Path) -> None:
    source = tmp_path / "scene.mkv"
    write_scene(source, width=160, height=96, seconds=1, fps=10)
    clean = np.stack(list(read_frames(source))).astype(float)
    errors = []
    for level in range(1, 5):
        target = tmp_path / f"{level}.mp4"
        distort_video(source, target, "h264", level)
        decoded = np.stack(list(read_frames(target)))
        assert decoded.shape == clean.shape
        errors.append(float(np.square(decoded - clean).mean()))
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]


def test_only_so_many_seconds(tmp_path: Path) -> None:
    source, target = tmp_path / "scene.mkv", tmp_path / "short.mp4"
    write_scene(source, width=64, height=48, seconds=3, fps=10)
    distort_video(source, target, "h264", 1, max_seconds=1.6)
    assert len(list(open_clip(target).chunks())) == 2
    assert len(list(read_frames(target))) == 16


@pytest.mark.parametrize(("kind", "level", "words"), [("blurr", 1, "resizing, blur"), ("blur", 6, "1 (mild) to 5")])
def test_unknown_kinds_and_levels_are_refused(
    kind: str, level: int, words: str, tmp_path: Path, scene: NDArray[np.uint8]
) -> None:
    with pytest.raises(InputError) as caught:
        distort_frame(scene, kind, level)
    assert words in str(caught.value)
    with pytest.raises(InputError):
        distort_video(tmp_path / "none.mp4", tmp_path / "out.mkv", kind, level)


def test_codecs_do_not_work_on_frames(scene: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="distort_video"):
        distort_frame(scene, "h264", 2)
