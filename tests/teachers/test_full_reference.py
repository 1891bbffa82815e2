"""VMAF, SSIM, PSNR and XPSNR of whole videos beside their references."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from teacher_fixtures import blurred, noisy, texture

from w2svqa.core.errors import InputError, MediaError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers.frames import luma
from w2svqa.teachers.full_reference import MOST_DECIBELS
from w2svqa.teachers.registry import load_teacher
from w2svqa.teachers.vmaf import VmafReference
from w2svqa.video.encode import write_lossless, write_video
from w2svqa.video.resize import resize_rgb
from w2svqa.video.whole import FramesVideo, VideoFile

NAMES = ("psnr", "ssim", "vmaf", "xpsnr")
BEST = {"psnr": MOST_DECIBELS, "ssim": 1.0, "vmaf": 97.0, "xpsnr": MOST_DECIBELS}


def panning(height: int = 96, width: int = 128, count: int = 4) -> list[np.ndarray]:
    """A picture moving by three pixels per frame."""
    wide = texture(height, width + 3 * count)
    return [np.ascontiguousarray(wide[:, 3 * index : 3 * index + width]) for index in range(count)]


@pytest.fixture(params=NAMES)
def teacher(request: pytest.FixtureRequest) -> Teacher:
    return load_teacher(request.param, None)


def test_identical_videos_have_the_best_score_and_degradation_lowers_it(teacher: Teacher) -> None:
    frames = panning()
    source = FramesVideo(frames, fps=25)
    low, high = teacher.range
    same = teacher.score(FramesVideo(frames, fps=25), source)
    assert same >= BEST[teacher.name]
    assert same <= high
    for worsen, amounts in ((blurred, (0.7, 1.5, 4)), (noisy, (4, 12, 40))):
        values = [teacher.score(FramesVideo([worsen(frame, a) for frame in frames], fps=25), source) for a in amounts]
        assert same > values[0] > values[1] > values[2] >= low


def test_it_needs_a_reference_and_says_so_in_its_facts(teacher: Teacher) -> None:
    assert teacher.needs_reference
    assert teacher.needs_motion
    assert teacher.higher_is_better
    with pytest.raises(InputError, match=f"{teacher.name} compares a video with its untouched source"):
        teacher.score(FramesVideo(panning()))


def test_psnr_is_that_of_its_definition() -> None:
    """On grey pictures luma is the picture, but for the limited range: 219 levels instead of 255."""
    rng = np.random.default_rng(0)
    frames = [np.repeat(rng.integers(50, 200, (64, 64, 1)), 3, axis=2).astype(np.uint8) for _ in range(3)]
    worse = [
        np.clip(frame.astype(int) + step, 0, 255).astype(np.uint8)
        for frame, step in zip(frames, (2, 8, 20), strict=True)
    ]
    errors = [((luma(a).astype(float) - luma(b)) * 219 / 255) ** 2 for a, b in zip(frames, worse, strict=True)]
    expected = 10 * math.log10(255**2 / np.mean(errors))
    found = load_teacher("psnr", None).score(FramesVideo(worse), FramesVideo(frames))
    assert found == pytest.approx(expected, abs=0.15)


def test_vmaf_is_that_of_the_stages() -> None:
    frames = panning()
    worse = [blurred(frame, 1) for frame in frames]
    with VmafReference(frames) as reference:
        expected = reference.score(worse)
    assert load_teacher("vmaf", None).score(FramesVideo(worse), FramesVideo(frames)) == pytest.approx(
        expected, abs=1e-6
    )


def test_xpsnr_weighs_by_the_reference_not_by_the_version() -> None:
    """Its weights come from one of the two, so exchanging them changes the score."""
    frames = panning()
    worse = [blurred(frame, 2) for frame in frames]
    teacher = load_teacher("xpsnr", None)
    right = teacher.score(FramesVideo(worse, fps=25), FramesVideo(frames, fps=25))
    wrong = teacher.score(FramesVideo(frames, fps=25), FramesVideo(worse, fps=25))
    # a busy reference hides errors, so that they count less than beside a smooth one
    assert right > wrong + 0.5


def test_another_size_is_brought_to_that_of_the_reference(teacher: Teacher) -> None:
    frames = panning()
    small = [resize_rgb(frame, (48, 64)) for frame in frames]
    by_hand = [resize_rgb(frame, (96, 128), method="bicubic") for frame in small]
    source = FramesVideo(frames, fps=25)
    found = teacher.score(FramesVideo(small, fps=25), source)
    assert found == teacher.score(FramesVideo(by_hand, fps=25), source)
    assert found < BEST[teacher.name]


def test_odd_sizes_lose_their_last_row_and_column(teacher: Teacher) -> None:
    frames = panning(65, 97)
    worse = [blurred(frame, 1) for frame in frames]
    found = teacher.score(FramesVideo(worse), FramesVideo(frames))
    even = [[np.ascontiguousarray(frame[:64, :96]) for frame in each] for each in (worse, frames)]
    assert found == teacher.score(FramesVideo(even[0]), FramesVideo(even[1]))


def test_one_frame_more_or_less_is_left_out_and_two_are_an_error(teacher: Teacher) -> None:
    frames = panning(count=5)
    worse = [blurred(frame, 1) for frame in frames]
    expected = teacher.score(FramesVideo(worse[:4]), FramesVideo(frames[:4]))
    assert teacher.score(FramesVideo(worse[:4]), FramesVideo(frames)) == expected
    assert teacher.score(FramesVideo(worse), FramesVideo(frames[:4])) == expected
    with pytest.raises(InputError, match="has 3 frames and its reference 5"):
        teacher.score(FramesVideo(worse[:3]), FramesVideo(frames))


def test_small_references_are_refused(teacher: Teacher) -> None:
    frames = panning(31, 64)
    with pytest.raises(InputError, match=f"a reference of 64x31 is too small for {teacher.name}"):
        teacher.score(FramesVideo(frames), FramesVideo(frames))


def test_stills_and_files_are_compared_as_well(teacher: Teacher, tmp_path: Path) -> None:
    frames = panning()
    write_lossless(tmp_path / "source.mkv", frames, fps=Fraction(25))
    write_video(
        tmp_path / "worse.mp4",
        frames,
        fps=25,
        codec="libx264",
        pixel_format="yuv420p",
        options={"crf": "40", "threads": "1"},
    )
    source, worse = VideoFile(tmp_path / "source.mkv"), VideoFile(tmp_path / "worse.mp4")
    assert teacher.score(worse, source) == teacher.score(worse, source) < BEST[teacher.name]
    still = FramesVideo(frames[:1])
    assert teacher.score(FramesVideo([blurred(frames[0], 2)]), still) < teacher.score(still, still)


def test_a_video_that_breaks_off_is_named(teacher: Teacher, tmp_path: Path) -> None:
    frames = panning()
    path = tmp_path / "gone.mkv"
    write_lossless(path, frames, fps=Fraction(25))
    video = VideoFile(path)
    assert video.count() == 4
    path.write_bytes(b"no longer a video")
    with pytest.raises(MediaError, match=r"gone\.mkv"):
        teacher.score(video, FramesVideo(frames))
