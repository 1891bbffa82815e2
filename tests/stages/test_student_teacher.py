"""A student as a teacher gives the score of the student."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from w2svqa.core.errors import BundleError
from w2svqa.core.protocols import Teacher
from w2svqa.stages.pool_teachers import PoolTeacher, load_pool_teacher
from w2svqa.stages.score import Scorer
from w2svqa.students.bundle import bundle_folder
from w2svqa.video.scene import write_scene
from w2svqa.video.whole import VideoFile


def test_it_gives_the_score_before_clipping(tmp_path: Path) -> None:
    write_scene(tmp_path / "clip.mkv", width=160, height=96, seconds=1, fps=5)
    teacher = load_pool_teacher(PoolTeacher(name="student:compact"))
    assert isinstance(teacher, Teacher)
    assert teacher.score(VideoFile(tmp_path / "clip.mkv")) == Scorer.load().score(tmp_path / "clip.mkv").raw
    assert (teacher.higher_is_better, teacher.range) == (True, (-math.inf, math.inf))


def test_its_version_is_that_of_the_bundle(tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_folder(), copy)
    shipped = load_pool_teacher(PoolTeacher(name="student:compact")).version
    assert load_pool_teacher(PoolTeacher(name=f"student:{copy}")).version == shipped
    card = copy / "card.json"
    card.write_text(card.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert load_pool_teacher(PoolTeacher(name=f"student:{copy}")).version != shipped


def test_a_bundle_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such student"):
        load_pool_teacher(PoolTeacher(name=f"student:{tmp_path / 'nowhere'}"))
