"""The journal: what is recorded stays, whatever happens to the process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.errors import StoreError
from w2svqa.core.journal import Journal


def finished(path: Path) -> dict[str, object]:
    with Journal(path, fingerprint="f") as journal:
        return dict(journal.finished)


def test_items_come_back_in_order_and_the_last_value_counts(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "journal.jsonl"
    with Journal(path, fingerprint="f") as journal:
        journal.add("b\udcff\n", [1.5, None])
        journal.add("a", {"x": "y"})
        journal.add("b\udcff\n", 2)
    assert list(finished(path).items()) == [("b\udcff\n", 2), ("a", {"x": "y"})]


entries = st.dictionaries(st.text(max_size=5), st.integers(), min_size=1, max_size=4)


@given(entries, st.data())
def test_a_file_torn_anywhere_keeps_every_whole_line(
    tmp_path_factory: pytest.TempPathFactory, items: dict[str, int], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path, fingerprint="f") as journal:
        for key, value in items.items():
            journal.add(key, value)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    kept = max(0, content[:cut].count(b"\n") - 1)  # the first line is the header
    assert finished(path) == dict(list(items.items())[:kept])
    with Journal(path, fingerprint="f") as journal:
        journal.add("next", 1)
    assert finished(path) == {**dict(list(items.items())[:kept]), "next": 1}


def test_a_killed_process_loses_nothing_it_recorded(tmp_path: Path) -> None:
    program = """
import sys
from w2svqa.core.journal import Journal
with Journal(sys.argv[1], fingerprint="f") as journal:
    for number in range(10**6):
        journal.add(str(number), number)
        print(number, flush=True)
"""
    path = tmp_path / "journal.jsonl"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(20):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in process.stdout if line.endswith(b"\n"))])
    found = finished(path)
    assert list(found)[: last + 1] == [str(number) for number in range(last + 1)]
    assert len(found) <= last + 2


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    finished(path)
    with pytest.raises(StoreError, match=r"another configuration \(f, now g\)"), Journal(path, fingerprint="g"):
        pytest.fail("entered")


def test_damage_before_the_end_is_reported_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, fingerprint="f") as journal:
        journal.add("a", 1)
        journal.add("b", 2)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{broken}\n" + lines[2])
    with pytest.raises(StoreError, match="line 2 is damaged"):
        finished(path)


@pytest.mark.parametrize("content", [b"a user's notes", b"a user's notes\n", b'{"a": 1}\n'])
def test_a_strange_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is no journal"):
        finished(path)
    assert path.read_bytes() == content


def test_a_full_disk_keeps_what_is_there(tmp_path: Path) -> None:
    program = """
import resource, sys
from w2svqa.core.errors import StoreError
from w2svqa.core.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with Journal(sys.argv[1], fingerprint="f") as journal:
    journal.add("a", 1)
    try:
        journal.add("b", "x" * 10_000)
    except StoreError as error:
        print(error.remedy)
"""
    path = tmp_path / "journal.jsonl"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "free some space or choose another folder"
    assert path.read_bytes().endswith(b"\n")
    assert finished(path) == {"a": 1}


def test_values_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, fingerprint="f") as journal:
        with pytest.raises(ValueError, match="not JSON compliant"):
            journal.add("a", float("nan"))
        with pytest.raises(TypeError):
            journal.add("a", {1, 2})
    with pytest.raises(ValueError, match="not open"):
        journal.add("a", 1)
    assert finished(path) == {}


def test_waiting_for_the_disk_can_be_made_rare_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    monkeypatch.setattr("w2svqa.core.journal.os.fsync", waits.append)
    for name, seconds, expected in (("each.jsonl", 0.0, 11), ("rare.jsonl", 3600.0, 1)):
        waits.clear()
        with Journal(tmp_path / name, fingerprint="f", sync_every=seconds) as journal:
            for number in range(10):
                journal.add(str(number), number)
            assert len(waits) == expected  # the header is the first
            assert finished(tmp_path / name) == {str(number): number for number in range(10)}
