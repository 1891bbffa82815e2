"""Segments hold the very frames of their part, and decode by themselves."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from w2svqa.core.errors import MediaError, UnwritableError
from w2svqa.video.check import check_video
from w2svqa.video.encode import write_video
from w2svqa.video.frames import read_frames
from w2svqa.video.packets import survey_packets
from w2svqa.video.probe import probe
from w2svqa.video.scene import scene_frames
from w2svqa.video.segment import copy_segments
from w2svqa.video.sink import Sink
from w2svqa.video.source import open_source

if TYPE_CHECKING:
    from typing_extensions import Buffer


def video(path: Path, options: str = "", codec: str = "libx264", **more: str) -> Path:
    parameters = (
        {"x264-params": f"keyint=20:min-keyint=20:scenecut=0:bframes=3:{options}"} if codec == "libx264" else {}
    )
    frames = scene_frames(seed=1, width=96, height=64, frames=100)
    write_video(path, frames, fps=20, codec=codec, options={"threads": "1", **parameters, **more})
    return path


def surveyed(path: Path) -> tuple[tuple[float, ...], float, float]:
    with open_source(path) as source:
        survey = survey_packets(source, 0.05)
    return survey.key_times, survey.origin, survey.end


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_the_frames_are_the_same_bit_for_bit(tmp_path: Path, name: str) -> None:
    path = video(tmp_path / name)
    keys, origin, end = surveyed(path)
    assert [*keys, end] == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    files = copy_segments(path, [(keys[1], keys[3]), (keys[3], end)], tmp_path, "part", origin=origin)
    assert [file.name for file in files] == [
        f"part-00{index}{'.mp4' if name == 'a.mp4' else '.mkv'}" for index in (0, 1)
    ]
    frames = list(read_frames(path))
    for file, first in zip(files, (20, 60), strict=True):
        assert np.array_equal(list(read_frames(file)), frames[first : first + 40])
        checked = check_video(file)
        assert checked.problem is None
        assert checked.info.duration == pytest.approx(2.0, abs=0.06)


def test_the_same_cut_gives_the_same_bytes(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mkv")
    keys, origin, _ = surveyed(path)
    [first] = copy_segments(path, [(keys[0], keys[2])], tmp_path, "first", origin=origin)
    [second] = copy_segments(path, [(keys[0], keys[2])], tmp_path, "second", origin=origin)
    assert first.read_bytes() == second.read_bytes()


def test_of_open_groups_the_pictures_that_need_both_sides_are_left_out(tmp_path: Path) -> None:
    path = video(tmp_path / "open.mkv", "open-gop=1")
    keys, origin, end = surveyed(path)
    assert len(keys) > 2
    files = copy_segments(path, [(keys[1], keys[2]), (keys[2], end)], tmp_path, "part", origin=origin)
    frames = [frame.tobytes() for frame in read_frames(path)]
    for file in files:
        found = [frame.tobytes() for frame in read_frames(file)]
        assert check_video(file).problem is None
        assert set(found) <= set(frames)
        assert len(found) >= 16


def test_vp9_stays_in_webm(tmp_path: Path) -> None:
    path = video(tmp_path / "a.webm", codec="libvpx-vp9", g="20", deadline="realtime")
    keys, origin, _ = surveyed(path)
    [file] = copy_segments(path, [(keys[1], keys[2])], tmp_path, "part", origin=origin)
    assert file.suffix == ".webm"
    assert probe(file).codec == probe(path).codec


def test_a_part_without_a_key_frame_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match=r"no key frame at 9\.00 s"):
        copy_segments(path, [(9.0, 12.0)], tmp_path / "out", "part", origin=0.0)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullSink(Sink):
        def write(self, data: Buffer, /) -> int:
            if self.error is None:
                self.error = OSError(errno.ENOSPC, "No space left on device")
                raise self.error
            return len(bytes(data))

    path = video(tmp_path / "a.mkv")
    monkeypatch.setattr("w2svqa.video.segment.Sink", FullSink)
    with pytest.raises(UnwritableError, match="No space left on device"):
        copy_segments(path, [(0.0, 2.0)], tmp_path / "out", "part", origin=0.0)
    assert list((tmp_path / "out").iterdir()) == []
