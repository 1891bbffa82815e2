"""Any program as a teacher: what it prints, every file name, and all the ways in which it can fail."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import ConfigError, InputError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.encode import write_lossless
from w2svqa.video.whole import FramesVideo, VideoFile

PYTHON = shlex.quote(sys.executable)
NAMES = ["plain.mkv", "two words.mkv", 'it\'s "quoted".mkv', "$HOME `id` ;#&|*.mkv", "-rf.mkv", "{path}{reference}.mkv"]
NAMES += ["ümläut ☃.mkv", "back\\slash.mkv", "new\nline.mkv", "%s%d.mkv"]


def clip(path: Path) -> VideoFile:
    write_lossless(path, [np.full((16, 16, 3), 90, np.uint8)] * 2, fps=2)
    return VideoFile(path)


@pytest.fixture
def video(tmp_path: Path) -> VideoFile:
    return clip(tmp_path / "a.mkv")


def program(code: str, *arguments: str, **options: object) -> Teacher:
    """A teacher that runs a line of Python with the path behind it."""
    return load_teacher(
        f"command:{PYTHON} -c {shlex.quote(code)} {' '.join(arguments) or '{path}'}", None, device="cpu", **options
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_file_name_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The program answers with the number of bytes of the name that it was given and could open."""
    clip(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    teacher = program("import os, sys; open(sys.argv[1][5:]); print(len(os.fsencode(sys.argv[1])))", "'--in={path}'")
    expected = len(b"--in=") + len(str(tmp_path).encode()) + 1 + len(name.encode())
    assert teacher.score(VideoFile(tmp_path / name)) == expected
    assert teacher.score(VideoFile(name)) == expected  # relative paths become absolute


@pytest.mark.parametrize(
    ("printed", "options", "expected"),
    [
        ("3.25", {}, 3.25),
        ("loading\nframe 7 of 7\n42\ndone", {}, 42),
        ("1\n2\n\n", {}, 2),
        ("-1e-3\r\n", {}, -0.001),
        ('{"score": 7, "frames": 3}', {}, 7),
        ('{"vmaf": 61.5, "model": "x"}', {}, 61.5),
        ('note\n{"result": {"list": [1, {"q": 0.5}]}}\n', {"key": "result.list.1.q"}, 0.5),
        ('{\n "pooled": {"mean": 3}\n}', {"key": "pooled.mean"}, 3),
        ("[5, 6]", {"key": "1"}, 6),
    ],
)
def test_numbers_are_found(video: VideoFile, printed: str, options: dict[str, object], expected: float) -> None:
    assert program(f"print({printed!r})", **options).score(video) == expected


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("print('good')", {}, "printed no number: good"),
        ("pass", {}, "printed no number: it says nothing"),
        ("print('nan')", {}, "printed nan"),
        ("print('-inf')", {}, "printed -inf"),
        ('print(\'{"a": 1, "b": 2}\')', {}, "printed no number"),
        ("print('{\"a\": 1}')", {"key": "b"}, "printed no b"),
        ("print('{\"a\": true}')", {"key": "a"}, "printed no a"),
        ("print('5')", {"key": "a"}, "printed no a: 5"),
        ("import sys; print(3); sys.exit('cannot read it')", {}, "failed with status 1: cannot read it"),
        ("import os; print(3, flush=True); os.kill(os.getpid(), 9)", {}, "was ended by signal 9"),
    ],
)
def test_failures_are_told_with_the_last_words(
    video: VideoFile, code: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        program(code, **options).score(video)
    assert caught.value.path == video.info.path
    assert caught.value.remedy


def test_a_program_that_hangs_is_ended_with_all_that_it_started(video: VideoFile, tmp_path: Path) -> None:
    late = tmp_path / "late"
    child = f"import time; time.sleep(3); open({str(late)!r}, 'w')"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    with pytest.raises(InputError, match=r"was ended after 1\.5 s"):
        program(code, timeout=1.5).score(video)
    time.sleep(3)
    assert not late.exists()


def test_a_reference_is_handed_on_and_missed(video: VideoFile, tmp_path: Path) -> None:
    source = clip(tmp_path / "the source.mkv")
    teacher = program("import sys; print(len(sys.argv[1]) * 1000 + len(sys.argv[2]))", "{reference} {path}")
    assert teacher.needs_reference
    assert not program("pass").needs_reference
    expected = len(source.info.path) * 1000 + len(video.info.path)
    assert teacher.score(video, source) == expected
    with pytest.raises(InputError, match="there is none"):
        teacher.score(video)


def test_frames_in_memory_are_no_file() -> None:
    with pytest.raises(InputError, match="is no file that a program could read"):
        program("print(1)").score(FramesVideo([np.zeros((8, 8, 3), np.uint8)]))


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        ("vqa --in", {}, "does not say where the file goes"),
        ("", {}, "needs an argument"),
        ("vqa 'open {path}", {}, "cannot be read: No closing quotation"),
        ("no-such-program-anywhere {path}", {}, "'no-such-program-anywhere' is not found"),
        (f"{PYTHON} {{path}}", {"timeout": 0.0}, "a time-out of 0.0 s is none"),
        (f"{PYTHON} {{path}}", {"low": 1.0, "high": 1.0}, "not below high"),
        (f"{PYTHON} {{path}}", {"shell": True}, "no option shell"),
    ],
)
def test_commands_that_cannot_be_are_refused(template: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_teacher(f"command:{template}", None, device="cpu", **options)


def test_facts_and_versions_follow_the_options() -> None:
    plain = program("print(1)")
    assert isinstance(plain, Teacher)
    assert plain.name.startswith("command:")
    assert (plain.higher_is_better, plain.range) == (True, (-np.inf, np.inf))
    other = program("print(1)", higher_is_better=False, low=0.0, high=5.0)
    assert (other.higher_is_better, other.range) == (False, (0.0, 5.0))
    versions = {plain.version, program("print(2)").version, program("print(1)", version="2").version}
    assert len({*versions, program("print(1)", key="a").version}) == 4
    assert other.version == plain.version == program("print(1)", timeout=5.0).version


def test_a_great_deal_of_output_is_no_trouble(video: VideoFile) -> None:
    code = "import json, sys; sys.stderr.write('x' * 10**7); print('y' * 10**7); print(json.dumps({'score': 4}))"
    assert json.loads("4") == program(code).score(video)
