"""The lock's text: who holds a folder, and whether that process still lives."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.errors import StoreError
from w2svqa.core.files import hold
from w2svqa.core.holder import LOCK_NAME, MOST_BYTES, Holder, from_bytes, is_alive, read_holder, this_process, to_bytes

HOLDING = """
import sys
from w2svqa.core.files import hold
with hold(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@given(
    st.builds(
        Holder,
        pid=st.integers(1),
        host=st.text(max_size=64),
        user=st.text(max_size=32),
        command=st.text(max_size=500),
        born=st.none() | st.integers(0, 1 << 62),
    )
)
def test_a_holder_survives_its_text(holder: Holder) -> None:
    text = to_bytes(holder)
    assert len(text) <= MOST_BYTES
    assert from_bytes(text) in (holder, replace(holder, command=""))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b'{"pid": "1", "host": "a"}', b'{"pid": 1}', b"\xff"])
def test_a_damaged_text_names_nobody(text: bytes) -> None:
    assert from_bytes(text) is None


def test_what_an_older_version_wrote_is_understood() -> None:
    assert from_bytes(b'{"pid": 7, "host": "lab"}') == Holder(pid=7, host="lab")
    assert str(Holder(pid=7, host="lab")) == "process 7 on lab"


def test_the_refused_process_is_told_who_holds_the_folder_and_with_what_command(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, tmp_path, "an argument"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"LOGNAME": "ann"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreError) as caught, hold(tmp_path):
            pytest.fail("two hold the folder")
        holder = read_holder(tmp_path)
        assert holder is not None
        assert is_alive(holder) is True
        process.communicate()
    message = str(caught.value)
    assert f"held by process {process.pid} on {socket.gethostname()} of ann since 20" in message
    assert "'an argument'" in message
    assert "(wait for it, or stop it)" in message
    assert read_holder(tmp_path) is None
    assert is_alive(holder) is False


def test_reading_takes_no_lock_and_makes_nothing(tmp_path: Path) -> None:
    assert read_holder(tmp_path) is None
    assert read_holder(tmp_path / "missing") is None
    assert list(tmp_path.iterdir()) == []
    with hold(tmp_path):
        before = (tmp_path / LOCK_NAME).read_bytes()
        assert read_holder(tmp_path) == this_process()
        assert (tmp_path / LOCK_NAME).read_bytes() == before


def test_the_lock_of_a_run_that_failed_keeps_the_name_of_a_process_that_still_lives(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold(tmp_path):
        raise KeyError
    holder = read_holder(tmp_path)
    assert holder is not None
    assert holder.pid == os.getpid()


def test_a_later_process_of_the_same_number_is_another() -> None:
    me = this_process()
    assert is_alive(me) is True
    if me.born is not None:
        assert is_alive(replace(me, born=me.born - 1)) is False
    assert is_alive(replace(me, host="elsewhere")) is None
    assert is_alive(replace(me, pid=1 << 70)) is False


def test_a_command_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    holder = Holder(pid=1, host="lab", command="\U0001f3a5" * 500)
    assert json.loads(to_bytes(holder))["command"] == ""
    assert tmp_path.is_dir()
