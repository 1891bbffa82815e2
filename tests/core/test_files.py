"""Whole files or none, hashes, and the lock on a folder."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from w2svqa.core.errors import StoreError
from w2svqa.core.files import atomic_path, atomic_write, hold, sha256_file


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.bin"
    for content in (b"first", b"second"):
        with atomic_write(path) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == ["table.bin"]


def write_half(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(b"half")
        raise KeyError


def test_a_failing_block_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        write_half(path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["table.bin"]


def test_a_temporary_path_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"x")
    assert (tmp_path / "a.mp4").read_bytes() == b"x"


def test_the_file_is_readable_for_others_as_usual(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "atomic") as file:
        file.write(b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written") as caught, atomic_write(tmp_path / "file" / "x"):
        pytest.fail("the block must not run")
    assert caught.value.path == str(tmp_path / "file" / "x")


def test_errors_of_other_files_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "x"):
        (tmp_path / "missing").read_bytes()


def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    # The limit on a file's size stands in for the disk's: the kernel refuses the write in the same way.
    program = """
import resource, sys
from w2svqa.core.errors import StoreError
from w2svqa.core.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with atomic_write(sys.argv[1]) as file:
        file.write(b"x" * 100_000)
except StoreError as error:
    print(error.remedy)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "big")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "free some space or choose another folder"
    assert list(tmp_path.iterdir()) == []


def test_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_held_folder_names_its_holder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with hold(folder), pytest.raises(StoreError, match=f"held by process {os.getpid()} on ") as caught, hold(folder):
        pytest.fail("the folder was held twice")
    assert caught.value.remedy == "wait for it, or stop it"
    with hold(folder):
        assert json.loads((folder / ".lock").read_text())["pid"] == os.getpid()


def test_a_dead_holders_lock_is_taken_over(tmp_path: Path) -> None:
    program = """
import sys, time
from w2svqa.core.files import hold
with hold(sys.argv[1]):
    print(flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreError, match=f"held by process {holder.pid} on "), hold(tmp_path):
            pytest.fail("the folder was held twice")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / ".lock").read_text() != ""
    with hold(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
