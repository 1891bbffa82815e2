"""What holds for every teacher that looks at single pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from teacher_fixtures import chunks, texture, write_brisque, write_cnniqa, write_niqe

from w2svqa.core.errors import InputError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers.frames import FrameTeacher
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.whole import FramesVideo

WRITERS = {"brisque": write_brisque, "cnniqa": write_cnniqa, "niqe": write_niqe}


@pytest.fixture(scope="module", params=sorted(WRITERS))
def teacher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FrameTeacher:
    name = str(request.param)
    made = load_teacher(name, WRITERS[name](tmp_path_factory.mktemp(name)))
    assert isinstance(made, FrameTeacher)
    return made


def test_it_has_the_facts_of_the_protocol(teacher: FrameTeacher) -> None:
    assert isinstance(teacher, Teacher)
    assert teacher.name in WRITERS
    assert not teacher.higher_is_better
    assert not teacher.needs_reference
    assert not teacher.needs_motion
    assert teacher.range[0] < teacher.range[1]


def test_a_video_has_the_mean_of_its_key_frames(teacher: FrameTeacher) -> None:
    frames = [texture(100, 130, seed) for seed in range(3)]
    alone = [teacher.score_frame(frame) for frame in frames]
    assert len(set(alone)) == 3
    assert teacher.score_chunks(iter(chunks(frames))) == pytest.approx(np.mean(alone), rel=1e-12)
    assert teacher.score(FramesVideo(frames)) == teacher.score_chunks(chunks(frames))


def test_a_score_is_the_same_each_time_and_in_any_memory_order(teacher: FrameTeacher) -> None:
    frame = texture(100, 130)
    turned = np.ascontiguousarray(frame.transpose(1, 0, 2)).transpose(1, 0, 2)
    before = frame.copy()
    assert teacher.score_frame(frame) == teacher.score_frame(frame) == teacher.score_frame(turned)
    assert np.array_equal(frame, before)


def test_flat_frames_are_left_out_of_the_mean(teacher: FrameTeacher) -> None:
    frame = texture(100, 130)
    black = np.zeros_like(frame)
    assert teacher.score_chunks(chunks([black, frame, black])) == teacher.score_frame(frame)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_video_is_an_error_and_no_nan(teacher: FrameTeacher, level: int) -> None:
    flat = np.full((100, 130, 3), level, np.uint8)
    with pytest.raises(InputError, match=f"{teacher.name} finds no texture to judge in any of 2 key frames"):
        teacher.score_chunks(chunks([flat, flat]))
    with pytest.raises(InputError, match="1 key frame "):
        teacher.score_frame(flat)


def test_a_frame_too_small_is_refused_by_name(teacher: FrameTeacher) -> None:
    least = teacher.least_size
    assert np.isfinite(teacher.score_frame(texture(least, least)))
    for height, width in ((least - 1, 200), (200, least - 1)):
        message = f"frame of {width}x{height} is too small for {teacher.name} .*at least {least}x{least}"
        with pytest.raises(InputError, match=message):
            teacher.score_chunks(chunks([texture(height, width)]))


def test_no_frames_are_refused(teacher: FrameTeacher) -> None:
    with pytest.raises(InputError, match="given no frames"):
        teacher.score_chunks([])


@pytest.mark.parametrize(
    "frame", [np.zeros((200, 200), np.uint8), np.zeros((200, 200, 4), np.uint8), np.zeros((200, 200, 3), np.float32)]
)
def test_what_is_no_rgb_frame_is_refused(teacher: FrameTeacher, frame: np.ndarray) -> None:
    with pytest.raises(InputError, match="was given a frame of"):
        teacher.score_frame(frame)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_the_version_follows_the_parameters(name: str, tmp_path: Path) -> None:
    folder = WRITERS[name](tmp_path)
    first = load_teacher(name, folder).version
    assert load_teacher(name, folder).version == first
    path = min(folder.iterdir())
    if name == "brisque":  # text may grow by an empty line
        path.write_bytes(path.read_bytes() + b"\n")
    elif name == "niqe":  # the comment at the head of the format
        path.write_bytes(path.read_bytes().replace(b"MATLAB 5.0 MAT-file", b"MATLAB 5.0 Mat-file"))
    else:
        import torch

        torch.save({key: 2 * value for key, value in torch.load(path).items()}, path)
    assert load_teacher(name, folder).version != first
