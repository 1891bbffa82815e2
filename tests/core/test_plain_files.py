"""Small JSON files of one dataclass: there and back, and what damage says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from w2svqa.core.errors import StoreError
from w2svqa.core.plain_files import read_plain, write_plain


@dataclass(frozen=True)
class Note:
    text: str
    value: float | None = None
    format: int = 1


def read(path: Path) -> Note | None:
    return read_plain(path, Note, remedy="write it again", newest=1)


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.json"
    assert read(path) is None
    write_plain(path, Note("caf\u00e9", 0.1))
    assert read(path) == Note("caf\u00e9", 0.1)
    assert [each.name for each in path.parent.iterdir()] == ["note.json"]


def test_a_number_that_is_none_is_not_written(tmp_path: Path) -> None:
    write_plain(tmp_path / "note.json", Note("a"))
    with pytest.raises(ValueError, match="nan"):
        write_plain(tmp_path / "note.json", Note("b", float("nan")))
    assert read(tmp_path / "note.json") == Note("a")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is damaged: no valid JSON .write it again."),
        (b"\xff", "is damaged: no valid JSON"),
        (b"[1]", "is damaged: no mapping"),
        (b"{}", "is damaged: .*text"),
        (b'{"text": "a", "more": 1}', "is damaged: .*more"),
        (b'{"text": "a", "format": 2}', "format 2 is of a later version .update w2svqa."),
    ],
)
def test_damage_names_the_file_and_the_remedy(tmp_path: Path, text: bytes, problem: str) -> None:
    path = tmp_path / "note.json"
    path.write_bytes(text)
    with pytest.raises(StoreError, match=problem) as caught:
        read(path)
    assert caught.value.path == str(path)


@pytest.mark.skipif(os.name != "posix", reason="Windows says otherwise that a folder is no file")
def test_what_is_no_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        read(tmp_path)
