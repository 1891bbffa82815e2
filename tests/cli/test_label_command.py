"""``w2svqa label`` from the outside: what it prints, its exit codes, and that it can be killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import PACKAGE, WriteClip

from w2svqa.cli.label import _places, split_names
from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.store import read_artifact

STAGES = Path(__file__).parents[1] / "stages"


class Label:
    """The command, with the fakes of ``label_fakes`` among the teachers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sys.path.insert(0, str(STAGES))
        try:
            from label_fakes import LOG, install
        finally:
            sys.path.remove(str(STAGES))
        places = [str(install(folder)), str(STAGES), str(PACKAGE)]
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(places), LOG: str(folder / "log")}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "w2svqa", "label", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def label(tmp_path: Path) -> Label:
    return Label(tmp_path)


def test_a_pool_is_labelled_and_what_was_found_is_printed(label: Label, write_clip: WriteClip, tmp_path: Path) -> None:
    for name, level in (("a.mkv", 40), ("b.mkv", 80)):
        write_clip(name, (level,))
    (tmp_path / "more.csv").write_text("title,rating\na.mkv,3.5\nc.mkv,1\n")
    words = ["a.mkv", "b.mkv", "--output", "out", "--teachers", "grey", "--options", "grey.shift=1"]
    words += ["--manifest", "more.csv", "--name-column", "title", "--mos-column", "rating"]
    done = label(*words)
    assert done.returncode == 0, done.stderr
    head, line = done.stdout.splitlines()
    assert head.split() == ["teacher", "version", "better", "scored", "failed", "least", "greatest", "new"]
    assert line.split() == ["grey", "1", "shift=1.0", "higher", "2", "0", "41", "81", "2"]
    assert "w2svqa: grey 2/2 2 scored, 0 failed" in done.stderr
    assert "the manifest does not name 1 of the videos, such as b.mkv" in done.stderr
    assert "1 lines of the manifest name no video of the pool, such as c.mkv" in done.stderr
    rows = read_artifact(tmp_path / "out" / "videos", VideoRow).rows
    assert [(row.name, row.mos) for row in rows] == [("a.mkv", 3.5), ("b.mkv", None)]
    scores = read_artifact(tmp_path / "out" / "scores", TeacherScoreRow).rows
    assert [round(row.value or 0) for row in scores] == [41, 81]


def test_a_failure_is_said_and_the_code_is_1(label: Label, write_clip: WriteClip) -> None:
    write_clip("a.mkv")
    done = label("a.mkv", "gone.mp4", "--output", "out", "--teachers", "grey,table:b")
    assert done.returncode == 1
    assert "grey: gone.mp4: no such file or folder (check the path)" in done.stderr
    assert "table:b: a.mkv: has no row" in done.stderr
    assert "table:b: 0 joined" in done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"grey +1 +higher +1 +1 ", done.stdout)


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--teachers", "grey", "--options", "grey.shift=much"], 2, "grey.shift is 'much'"),
        (["--teachers", "grey", "--options", "shift=1"], 2, "write NAME.OPTION=VALUE"),
        (["--teachers", "grey", "--parameters", "niqe=x"], 2, "write NAME=PATH, of grey, or a folder"),
        (["--teachers", "grey", "--mos-column", "x"], 2, "there is no manifest"),
        (["--teachers", "grey,grey"], 1, "a teacher is named twice: grey"),
        (["--teachers", ","], 1, "no teacher is named"),
        (["--teachers", "grey,broken"], 1, "1 of the teachers cannot run: broken: the teacher 'broken' ("),
    ],
)
def test_what_is_wrong_is_said_before_any_work(label: Label, words: list[str], code: int, problem: str) -> None:
    done = label("x.mkv", "--output", "out", *words)
    assert done.returncode == code
    assert problem in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_names_are_split_at_commas_but_commands_are_not() -> None:
    assert split_names(["a,b", " c ", "", "d,,command:x {path},y"]) == ["a", "b", "c", "d", "command:x {path},y"]


def test_parameters_are_found_in_a_folder_unless_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "niqe-live").mkdir()
    (tmp_path / "niqe-live" / "niqe_image_params.mat").touch()
    (tmp_path / "DOVER.pth").touch()
    names = ["niqe", "dover", "cpbd", "fast-vqa", "student:x"]
    found = {"niqe": str(tmp_path / "niqe-live"), "dover": str(tmp_path)}
    assert _places(names, [str(tmp_path)]) == found
    assert _places(names, [str(tmp_path), "niqe=elsewhere"]) == {**found, "niqe": "elsewhere"}
