from __future__ import annotations

import numpy as np
import pytest
from teacher_fixtures import blurred, texture

from w2svqa.core.errors import InputError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers.cpbd import BLOCK, Cpbd, sharpness
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.whole import FramesVideo


def slopes(wide: int, low: int = 40, high: int = 200) -> np.ndarray:
    """Upright edges, 32 pixels apart, each an even number of pixels wide and steepest in its middle."""
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, wide + 1) / wide)
    period = np.concatenate([rise, np.ones(32 - wide)])
    row = low + (high - low) * np.concatenate([period, 1 - period])
    whole = np.roll(np.resize(row, 256), 8)  # no edge is cut by the border
    return np.tile(np.round(whole).astype(np.uint8), (128, 1))


@pytest.mark.parametrize(("wide", "expected"), [(2, 1.0), (4, 0.0), (6, 0.0), (12, 0.0)])
def test_edges_of_known_width_are_sharp_up_to_the_just_noticeable_one(wide: int, expected: float) -> None:
    """High contrast: 3 pixels are just noticed."""
    assert sharpness(slopes(wide)) == expected


@pytest.mark.parametrize(("wide", "expected"), [(2, 1.0), (4, 1.0), (6, 0.0), (12, 0.0)])
def test_low_contrast_forgives_wider_edges(wide: int, expected: float) -> None:
    """There 5 pixels are."""
    assert sharpness(slopes(wide, low=80, high=130)) == expected


def test_blur_lowers_it() -> None:
    teacher = Cpbd.load(None)
    frame = texture(200, 300)
    values = [teacher.score_frame(each) for each in (frame, *(blurred(frame, sigma) for sigma in (0.6, 1, 2)))]
    assert values == sorted(values, reverse=True)
    assert 1 >= values[0] > 2 * values[-1] >= 0


def test_what_lies_beyond_the_last_whole_block_does_not_count() -> None:
    frame = texture(BLOCK + 20, 2 * BLOCK + 30)[..., 0]
    # not even as contrast; but what finds edges looks at the whole picture
    other = frame.copy()
    other[BLOCK + 8 :, 2 * BLOCK + 8 :] = 255 - other[BLOCK + 8 :, 2 * BLOCK + 8 :]
    assert sharpness(other) == pytest.approx(sharpness(frame), abs=0.02)


def test_it_is_a_teacher_of_its_facts() -> None:
    teacher = load_teacher("cpbd", None)
    assert isinstance(teacher, Teacher)
    assert (teacher.name, teacher.higher_is_better, teacher.range) == ("cpbd", True, (0.0, 1.0))
    frames = [texture(80, 90, seed) for seed in range(2)]
    before = [frame.copy() for frame in frames]
    alone = [Cpbd.load(None).score_frame(frame) for frame in frames]
    assert teacher.score(FramesVideo(frames)) == pytest.approx(np.mean(alone), rel=1e-12)
    assert all(np.array_equal(*pair) for pair in zip(frames, before, strict=True))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_have_no_score(level: int) -> None:
    with pytest.raises(InputError, match="cpbd finds no texture"):
        Cpbd.load(None).score_frame(np.full((90, 90, 3), level, np.uint8))


def test_small_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="too small for cpbd"):
        Cpbd.load(None).score_frame(texture(BLOCK - 1, 200))
