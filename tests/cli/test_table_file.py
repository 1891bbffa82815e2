from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from w2svqa.cli.table_file import UNREACHABLE, FileStamp, TableFile, open_table
from w2svqa.core.errors import InputError
from w2svqa.core.records import Score

STUDENT = "brightness-1"
NAMES = ["t.csv", "t.json"]


@pytest.fixture
def clip(tmp_path: Path) -> str:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video")
    return str(path)


def row(path: str, **changes: object) -> Score:
    fields = {"path": path, "status": "ok", "value": 50.0, "seconds": (49.0, 51.0), "student": STUDENT} | changes
    return Score(**fields)  # type: ignore[arg-type]  # keyword by keyword


def fill(path: Path, *rows: Score) -> TableFile:
    table = open_table(path)
    table.start()
    for each in rows:
        table.add(each, FileStamp.of(each.path))
    table.close()
    return table


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_kept_while_file_and_student_are_the_same(tmp_path: Path, clip: str, name: str) -> None:
    fill(tmp_path / name, row(clip))
    table = open_table(tmp_path / name)
    assert table.kept(clip, STUDENT) == row(clip)
    assert table.kept(clip, "another-1") is None
    assert table.kept("another.mp4", STUDENT) is None
    Path(clip).write_bytes(b"another video")
    assert table.kept(clip, STUDENT) is None


@pytest.mark.parametrize("name", NAMES)
def test_touched_file_is_another(tmp_path: Path, clip: str, name: str) -> None:
    fill(tmp_path / name, row(clip))
    os.utime(clip, ns=(1, 1))
    assert open_table(tmp_path / name).kept(clip, STUDENT) is None


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_tried_again(tmp_path: Path, clip: str, name: str) -> None:
    fill(tmp_path / name, row(clip, status="error", value=None, message="not enough memory"))
    assert open_table(tmp_path / name).kept(clip, STUDENT) is None


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_torn_off_whole_rows_stay(tmp_path: Path, name: str) -> None:
    paths = [str(tmp_path / f'{index}\n,".mp4') for index in range(3)]
    for path in paths:
        Path(path).write_bytes(b"video")
    two = fill(tmp_path / name, *map(row, paths[:2])).path.read_bytes()
    three = fill(tmp_path / name, row(paths[2])).path.read_bytes()
    begin = len(two) - len("\n]\n") if name.endswith(".json") else len(two)
    # the third row is cut anywhere: inside its text, or just before its line end
    for length in range(begin, len(three)):
        (tmp_path / name).write_bytes(three[:length])
        table = open_table(tmp_path / name)
        assert [table.kept(path, STUDENT) for path in paths[:2]] == [row(path) for path in paths[:2]]
    table.start()
    table.add(row(paths[2]), FileStamp.of(paths[2]))
    table.finish(paths)
    assert (tmp_path / name).read_bytes() == three


def test_json_is_valid_after_every_row(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.json")
    table.start()
    for count in range(4):
        assert len(json.loads(table.path.read_text())) == count
        table.add(row(f"{count}.mp4"), UNREACHABLE)
    table.close()


def test_json_may_be_reformatted(tmp_path: Path, clip: str) -> None:
    table = fill(tmp_path / "t.json", row(clip))
    table.path.write_text(json.dumps(json.loads(table.path.read_text()), indent=4))
    assert open_table(table.path).kept(clip, STUDENT) == row(clip)


@pytest.mark.parametrize("name", NAMES)
def test_empty_table_is_a_table(tmp_path: Path, name: str) -> None:
    fill(tmp_path / name)
    fill(tmp_path / name)
    (tmp_path / f"new-{name}").touch()
    fill(tmp_path / f"new-{name}")


@pytest.mark.parametrize("name", NAMES)
def test_two_hours_fit_into_a_row(tmp_path: Path, clip: str, name: str) -> None:
    long = row(clip, seconds=tuple(50 + index / 7 for index in range(7200)))
    fill(tmp_path / name, long)
    assert open_table(tmp_path / name).kept(clip, STUDENT) == long


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", ["path,score\na.mp4,50\n", "{}", "[1, 2]", "some notes\n", "\x00\xff"])
def test_other_files_are_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="no table of scores"):
        open_table(tmp_path / name)
    assert (tmp_path / name).read_text() == content


def test_table_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(InputError, match="no regular file"):
        open_table(tmp_path / "t.csv")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
@pytest.mark.parametrize("name", NAMES)
def test_device_without_end_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no regular file"):
        open_table(tmp_path / name)


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.xlsx"):
        open_table(tmp_path / "t.xlsx")
