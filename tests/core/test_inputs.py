"""What a user means by PATH..."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.errors import InputError, MediaError, MissingInputError, RefusedMediaError
from w2svqa.core.inputs import InputItem, expand_inputs


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Make a small tree of empty files."""
    folder = tmp_path / "clips"
    for name in ["b.mp4", "a.MOV", "notes.txt", ".hidden.mp4", "deep/er/c.png", "deep/d.webm", ".git/e.mp4", "[x].mp4"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def paths(*arguments: object, stdin: bytes = b"") -> list[str]:
    items = expand_inputs([str(argument) for argument in arguments], stdin=io.BytesIO(stdin))
    assert [item.error for item in items] == [None] * len(items)
    return [item.path for item in items]


def failure(argument: object) -> InputError:
    [item] = expand_inputs([str(argument)])
    assert item.error is not None
    assert item.path == item.error.path == str(argument)
    return item.error


def test_a_folder_gives_its_media_sorted(clips: Path) -> None:
    names = ["[x].mp4", "a.MOV", "b.mp4", "deep/d.webm", "deep/er/c.png"]
    assert paths(clips) == [f"{clips}/{name}" for name in names]


def test_a_file_that_is_named_may_have_any_suffix(clips: Path) -> None:
    assert paths(clips / "notes.txt", clips / ".hidden.mp4") == [f"{clips}/notes.txt", f"{clips}/.hidden.mp4"]


def test_order_and_repetition_are_the_users(clips: Path) -> None:
    given = [clips / "b.mp4", clips / "a.MOV", clips / "b.mp4"]
    assert paths(*given) == [str(path) for path in given]


def test_paths_stay_as_they_were_written(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clips)
    (clips / "-").touch()
    assert paths("./-", "deep//d.webm", "./deep/er") == ["./-", "deep//d.webm", "./deep/er/c.png"]


def test_patterns(clips: Path) -> None:
    assert paths(clips / "*.mp4") == [f"{clips}/[x].mp4", f"{clips}/b.mp4"]
    assert paths(clips / "**" / "*.webm") == [f"{clips}/deep/d.webm"]
    assert paths(clips / "de*") == [f"{clips}/deep/d.webm", f"{clips}/deep/er/c.png"]
    assert paths(clips / "deep" / "**") == [f"{clips}/deep/d.webm", f"{clips}/deep/er/c.png"]
    assert str(failure(clips / "*.avi")) == f"{clips}/*.avi: no file matches the pattern (check the pattern)"


def test_a_name_that_looks_like_a_pattern_is_itself_if_it_exists(clips: Path) -> None:
    assert paths(clips / "[x].mp4") == [f"{clips}/[x].mp4"]


@pytest.mark.parametrize(
    "listed", [b"%s/b.mp4\n%s/a.MOV\n", b"%s/b.mp4\n\n%s/a.MOV", b"%s/b.mp4\r\n%s/a.MOV\r\n", b"%s/b.mp4\0%s/a.MOV\0"]
)
def test_a_list_on_standard_input(clips: Path, listed: bytes) -> None:
    folder = os.fsencode(clips)
    assert paths("-", stdin=listed % (folder, folder)) == [f"{clips}/b.mp4", f"{clips}/a.MOV"]


def test_listed_paths_are_no_patterns_but_may_be_folders(clips: Path) -> None:
    listed = f"{clips}/deep\n{clips}/*.mp4\n".encode()
    items = expand_inputs(["-"], stdin=io.BytesIO(listed))
    assert [item.path for item in items] == [f"{clips}/deep/d.webm", f"{clips}/deep/er/c.png", f"{clips}/*.mp4"]
    assert isinstance(items[-1].error, MissingInputError)


def test_a_text_stream_is_read_below_its_decoding() -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"n\xff.mp4"), encoding="ascii")
    [item] = expand_inputs(["-"], stdin=stdin)
    assert os.fsencode(item.path) == b"n\xff.mp4"
    [item] = expand_inputs(["-"], stdin=io.StringIO("n.mp4"))
    assert item.path == "n.mp4"


@pytest.mark.parametrize("stdin", [None, io.BytesIO(b""), io.BytesIO(b"\n\n")])
def test_an_empty_list_is_a_row(stdin: io.BytesIO | None) -> None:
    [item] = expand_inputs(["-"], stdin=stdin)
    assert str(item.error) == "-: standard input lists no path (pipe one path per line into it)"


@pytest.mark.parametrize("name", ["with space.mp4", "quote's\".mp4", "two\nlines.mp4", "übung.mp4", "n\udcff.mp4"])
def test_any_name_survives(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert paths(tmp_path) == paths(tmp_path / name) == paths(f"{tmp_path}/*.mp4") == [f"{tmp_path}/{name}"]
    assert paths("-", stdin=os.fsencode(tmp_path / name) + b"\0") == [f"{tmp_path}/{name}"]


def test_what_cannot_be_used_is_a_row_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    expected = {
        "missing.mp4": (MissingInputError, "no such file or folder (check the path)"),
        "missing/a.mp4": (MissingInputError, "no such file or folder (check the path)"),
        "dangling.mp4": (MissingInputError, "the symbolic link points to nothing (check the link)"),
        "loop.mp4": (MissingInputError, "cannot be read: Too many levels of symbolic links (check the path)"),
        f"{'x' * 300}": (MissingInputError, "cannot be read: File name too long (check the path)"),
        "nul\0.mp4": (MissingInputError, "no such file or folder (check the path)"),
        "pipe.mp4": (MediaError, "is no regular file (save the video as a file first)"),
        "empty": (InputError, "the folder holds no video or image (name a file itself if its suffix is unusual)"),
    }
    for name, (kind, text) in expected.items():
        error = failure(tmp_path / name)
        assert (type(error), error.without_path) == (kind, text)
    assert isinstance(failure("http://example.org/a.mp4"), RefusedMediaError)


def test_one_bad_path_leaves_the_others(clips: Path) -> None:
    items = expand_inputs([str(clips / "b.mp4"), "missing.mp4", str(clips / "a.MOV")])
    assert [item.error is None for item in items] == [True, False, True]


def test_loops_of_links_end(clips: Path) -> None:
    (clips / "deep" / "up").symlink_to(clips)
    (clips / "deep" / "self").symlink_to(clips / "deep" / "self")
    (clips / "again").symlink_to(clips / "deep")
    assert sorted(Path(path).name for path in paths(clips)) == ["[x].mp4", "a.MOV", "b.mp4", "c.png", "d.webm"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission(clips: Path) -> None:
    (clips / "deep").chmod(0)
    try:
        items = expand_inputs([str(clips)])
    finally:
        (clips / "deep").chmod(0o755)
    assert [item.error is None for item in items] == [True, True, True, False]
    assert str(items[3].error) == f"{clips}/deep: cannot be read: Permission denied (check its permissions)"


def test_a_folder_that_cannot_be_listed_is_a_row(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def refuse(path: str) -> list[str]:
        if path.endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr("os.listdir", refuse)
    items = expand_inputs([str(clips)])
    assert [item.path.removeprefix(f"{clips}/") for item in items] == ["[x].mp4", "a.MOV", "b.mp4", "deep"]
    assert str(items[3].error) == f"{clips}/deep: cannot be read: Permission denied (check its permissions)"


@given(st.lists(st.text(max_size=20), max_size=5))
def test_anything_at_all_becomes_items(arguments: list[str]) -> None:
    items = expand_inputs([f"missing-{argument}" for argument in arguments])
    assert len(items) == len(arguments)
    assert all(isinstance(item, InputItem) and isinstance(item.error, InputError) for item in items)
