from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import Run, Start, WriteClip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SLOW = 0.4  # seconds per clip: long enough to be interrupted in
CLIPS = 8


def interrupt(process: subprocess.Popen[bytes], number: int = signal.SIGINT) -> tuple[str, str]:
    """Send a signal to the whole group, as a terminal does, and return stdout and stderr to the end."""
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=30)
    return out.decode(), err.decode()


def wait_for_rows(table: Path, count: int) -> None:
    """Wait until a table has rows, one per line after the first line."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if table.exists() and table.read_text().count(".mkv") >= count:
            return
        time.sleep(0.02)
    pytest.fail("no row came")


def group_is_gone(group: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_finished_rows_survive_ctrl_c(
    start: Start, run: Run, write_clip: WriteClip, tmp_path: Path, workers: str
) -> None:
    paths = [write_clip(f"{index}.mkv", [10 * index]) for index in range(CLIPS)]
    arguments = ("score", "--json", "--workers", workers, "--output", "table.json", *paths)
    process = start(*arguments, delay=SLOW, start_new_session=True)
    wait_for_rows(tmp_path / "table.json", 2)
    out, err = interrupt(process)
    assert (process.returncode, err) == (130, "")
    rows, table = json.loads(out), json.loads((tmp_path / "table.json").read_text())
    assert 2 <= len(rows) < CLIPS
    assert {row["path"] for row in rows} == {row["path"] for row in table}
    assert [row["path"] for row in rows] == [str(path) for path in paths if str(path) in {row["path"] for row in rows}]
    assert group_is_gone(process.pid)
    everything = json.loads(run(*arguments).out)
    assert len(everything) == CLIPS
    assert [row for row in everything if row["path"] in {row["path"] for row in rows}] == rows


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_csv_and_table_are_kept_too(start: Start, write_clip: WriteClip, number: int, code: int) -> None:
    paths = [write_clip(f"{index}.mkv") for index in range(CLIPS)]
    process = start("score", "--csv", *paths, delay=SLOW, start_new_session=True)
    assert process.stdout is not None
    head = [process.stdout.readline() for _ in range(2)]
    out, err = interrupt(process, number)
    assert (process.returncode, err) == (code, "")
    assert head[0].startswith(b"path,")
    assert all(line.count(",") == 10 for line in out.splitlines())


def test_interrupt_before_the_first_row(start: Start, write_clip: WriteClip, tmp_path: Path) -> None:
    clip = write_clip("a.mkv")
    process = start("score", "--json", clip, "--output", "table.json", delay=5, start_new_session=True)
    wait_for_rows(tmp_path / "table.json", 0)  # an empty table: scoring is about to begin
    out, err = interrupt(process)
    assert (process.returncode, err) == (130, "")
    assert out.split() in ([], ["[]"])  # before or after the array was begun
    assert json.loads((tmp_path / "table.json").read_text()) == []


def test_reader_that_goes_away_is_no_error(start: Start, write_clip: WriteClip) -> None:
    paths = [write_clip("a.mkv")] * 3
    for form in ("--csv", "--json"):
        process = start("score", form, *paths, delay=0.3)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(timeout=30) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("form", ["--csv", "--json", "--timeline"])
def test_full_disk_behind_stdout_is_one_line(start: Start, write_clip: WriteClip, form: str) -> None:
    clip = write_clip("a.mkv")
    with Path("/dev/full").open("wb") as full:
        process = start("score", form, clip, stdout=full)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.decode().count("\n") == 1
    assert "No space left" in err.decode()
