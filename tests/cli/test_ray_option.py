"""``w2svqa --ray``: the same commands on a Ray of this machine, with the same results."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from w2svqa.video.scene import write_scene

Begin = Callable[..., subprocess.Popen[str]]
CLIPS = [f"{number}.mkv" for number in range(3)]


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Make a folder for Ray whose name is short enough for its sockets."""
    folder = Path(tempfile.mkdtemp(prefix="w2s", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def sessions(ray_folder: Path) -> int:
    """Return how often Ray was started."""
    return sum(path.is_dir() and not path.is_symlink() for path in ray_folder.glob("ray/session_*"))


@pytest.fixture
def begin(tmp_path: Path, ray_folder: Path) -> Iterator[Begin]:
    """Give a function that starts the command."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "w2svqa", *words],
            cwd=tmp_path,
            env=os.environ | {"RAY_TMPDIR": str(ray_folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:  # a failed test leaves nothing behind
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.slow
def test_ingest_finds_the_same_on_a_cluster(begin: Begin, tmp_path: Path, ray_folder: Path) -> None:
    for number, name in enumerate(CLIPS):
        write_scene(tmp_path / name, width=160, height=96, seconds=1, fps=5 + number)
    words = ["ingest", *CLIPS, "--workers", "2"]
    plain, cluster = finish(begin(*words, "--output", "a")), finish(begin("--ray", "local", *words, "--output", "b"))
    assert cluster[:2] == (0, plain[1])
    told, same = (text.replace(" a/", " b/").splitlines() for text in (cluster[2], plain[2]))
    assert (told[-1], len(told)) == (same[-1], len(same))  # between them, the order in which files were finished
    assert sessions(ray_folder) == 1
    assert journal(tmp_path / "b") == journal(tmp_path / "a")
    assert len(journal(tmp_path / "b")) == len(CLIPS)


def journal(folder: Path) -> dict[str, object]:
    [path] = folder.glob("checks-*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["key"]: line["value"] for line in lines if "key" in line}


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(begin: Begin, tmp_path: Path) -> None:
    write_scene(tmp_path / "clip.mkv", width=320, height=180, seconds=4, fps=10)
    for number in range(200):
        (tmp_path / f"{number}.mkv").hardlink_to(tmp_path / "clip.mkv")
    words = ["--json", "--output", "table.json", *(f"{number}.mkv" for number in range(200))]
    process = begin("--ray", "local", "score", *words)
    table = tmp_path / "table.json"
    wait_for(lambda: table.exists() and table.read_text().count(".mkv") >= 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the whole group
    code, out, err = finish(process)
    assert (code, err) == (130, "")
    assert 2 <= len(json.loads(out)) < 200
    wait_for(lambda: not group_is_there(process.pid))


def group_is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(1200):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("waited in vain")


def test_a_wrong_address_is_one_line(begin: Begin) -> None:
    code, out, err = finish(begin("--ray", "ray://head:10001", "score", "a.mkv"))
    assert (code, out) == (1, "")
    assert err.startswith("w2svqa: the Ray address 'ray://head:10001' cannot be used (")


def test_help_starts_no_cluster(begin: Begin, ray_folder: Path) -> None:
    code, out, err = finish(begin("--ray", "local", "score", "--help"))
    assert (code, err) == (0, "")
    assert "Usage: " in out
    assert sessions(ray_folder) == 0
