"""Looks: what scoring sees of a video, second by second, and the files that hold it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.errors import StoreError
from w2svqa.students.looks import Looks, load_looks, look_at, save_looks
from w2svqa.students.views import MOTION_FRAMES, MOTION_SIZE, MOTION_SPEC, VIEW_SIZE, VIEWS, make_views
from w2svqa.video.decode import open_clip
from w2svqa.video.scene import write_scene

PARTS = ("views", "motion", "counts")


def frames(*counts: int, size: tuple[int, int] = (50, 71)) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """A key frame per second, and as many motion frames as ``counts`` says."""
    random = np.random.default_rng(sum(counts))
    keys = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in counts]
    return keys, [random.integers(0, 256, (count, *MOTION_SIZE), dtype=np.uint8) for count in counts]


def equal(one: Looks, other: Looks) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in PARTS)


@pytest.fixture
def versions() -> list[Looks]:
    return [look_at(*frames(25, 3 + index)) for index in range(3)]


def test_a_look_holds_the_views_and_motion_of_each_second() -> None:
    keys, motion = frames(25, 0, 70)
    looks = look_at(keys, motion)
    assert len(looks) == 3
    assert looks.views.shape == (3, VIEWS, VIEW_SIZE, VIEW_SIZE, 3)
    assert looks.motion.shape == (3, MOTION_FRAMES, *MOTION_SIZE)
    assert looks.counts.tolist() == [25, 0, MOTION_FRAMES]
    assert looks.counts.dtype == np.int64
    assert looks.views.dtype == looks.motion.dtype == np.uint8
    assert (looks.views[1] == make_views(keys[1])).all()
    assert (looks.motion[0, :25] == motion[0]).all()


@pytest.mark.parametrize("counts", [(), (1,)])
def test_key_frames_and_motion_must_go_together(counts: tuple[int, ...]) -> None:
    keys, motion = frames(*counts)
    with pytest.raises(ValueError, match="cannot go with"):
        look_at(keys, [*motion, *motion])


def test_looks_of_a_decoded_video_are_those_of_its_seconds(tmp_path: Path) -> None:
    path = tmp_path / "scene.mkv"
    write_scene(path, height=48, width=64, seconds=2, fps=5)
    with open_clip(path, MOTION_SPEC) as clip:
        chunks = list(clip.chunks())
    seen = [look_at([chunk.key_frame], [chunk.motion]) for chunk in chunks]
    together = look_at([chunk.key_frame for chunk in chunks], [chunk.motion for chunk in chunks])
    assert [looks.counts.tolist() for looks in seen] == [[5], [5]]
    assert all(equal(looks, together[index : index + 1]) for index, looks in enumerate(seen))


def test_saved_versions_come_back_as_they_were(tmp_path: Path, versions: list[Looks]) -> None:
    stem = tmp_path / "made" / "clip.v1"  # a point in the name is no ending
    save_looks(stem, versions)
    back = load_looks(stem)
    assert {path.name for path in stem.parent.iterdir()} == {f"clip.v1.{part}.npy" for part in PARTS}
    assert len(back) == 3
    assert all(equal(back[index], looks) for index, looks in enumerate(versions))
    assert all(isinstance(getattr(back, part), np.memmap) for part in PARTS)
    assert equal(back[1][:1], versions[1][:1])


def test_versions_of_other_lengths_are_no_versions_of_one_clip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same shape"):
        save_looks(tmp_path / "clip", [look_at(*frames(3)), look_at(*frames(3, 3))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no numbers"),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:60]),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_named(
    tmp_path: Path, versions: list[Looks], part: str, damage: Callable[[Path], object]
) -> None:
    save_looks(tmp_path / "clip", versions)
    path = tmp_path / f"clip.{part}.npy"
    damage(path)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        load_looks(tmp_path / "clip")
    assert caught.value.path == str(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_full_disk_is_named_and_no_part_of_a_file_stays(
    tmp_path: Path, versions: list[Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        save_looks(tmp_path / "clip", versions)
    assert caught.value.path == str(tmp_path / "clip.views.npy")
    assert list(tmp_path.iterdir()) == []


_LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from w2svqa.core.errors import StoreError
from w2svqa.students.looks import look_at, save_looks

looks = look_at([np.zeros((9, 9, 3), np.uint8)], [np.zeros((3, 32, 32), np.uint8)])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_looks(Path(sys.argv[1]) / "clip", [looks])
except StoreError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_a_disk_that_fills_up_within_an_array_is_named(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "told: " in done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
