"""What made a run: one record per start, appended whole, and what became of it."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

import w2svqa
from w2svqa.core import provenance
from w2svqa.core.config import config_hash
from w2svqa.core.errors import InputError, StoreError
from w2svqa.core.provenance import (
    PROVENANCE,
    installed_versions,
    read_starts,
    record_end,
    record_start,
    recorded,
    source_hash,
    this_machine,
)

CONFIG = {"steps": 3}


def test_a_start_says_what_makes_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/w2svqa", "run", "my config.yaml"])
    start = record_start(tmp_path / "run", config=CONFIG, seed=5, inputs={"manifest": "abc"})
    assert start.command == "w2svqa run 'my config.yaml'"
    assert (start.seed, start.config, start.inputs) == (5, config_hash(CONFIG), {"manifest": "abc"})
    assert start.versions["w2svqa"] == w2svqa.__version__
    assert start.versions["python"] == platform.python_version()
    assert start.pid == os.getpid()
    assert start.machine.processors >= 1
    assert (start.ended, start.outcome) == (None, None)
    assert read_starts(tmp_path / "run") == (start,)


def test_starts_are_appended_and_only_the_last_one_ends(tmp_path: Path) -> None:
    first = record_start(tmp_path, config=CONFIG)
    second = record_start(tmp_path, config={"steps": 4})
    record_end(tmp_path, "failed", "no space")
    one, two = read_starts(tmp_path)
    assert one == first
    assert (two.outcome, two.problem, two.config) == ("failed", "no space", second.config)
    assert two.ended is not None
    assert two.ended >= two.started
    assert [path.name for path in tmp_path.iterdir()] == [PROVENANCE]


def failing(folder: Path, error: BaseException) -> None:
    with recorded(folder, config=CONFIG):
        raise error


@pytest.mark.parametrize(
    ("error", "outcome", "problem"),
    [
        (InputError("is no video", path="a.mp4"), "failed", "a.mp4: is no video"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "interrupted", ""),
        (SystemExit(1), "interrupted", ""),
    ],
)
def test_the_end_of_a_block_is_recorded(tmp_path: Path, error: BaseException, outcome: str, problem: str) -> None:
    with pytest.raises(type(error)):
        failing(tmp_path, error)
    (start,) = read_starts(tmp_path)
    assert (start.outcome, start.problem) == (outcome, problem)
    with recorded(tmp_path, config=CONFIG) as second:
        assert read_starts(tmp_path)[1] == second
    assert [each.outcome for each in read_starts(tmp_path)] == [outcome, "finished"]


def test_a_record_that_cannot_be_written_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    def work() -> None:
        with recorded(tmp_path, config=CONFIG):
            monkeypatch.setattr(provenance, "_write", full)
            raise InputError("is no video")

    with pytest.raises(InputError, match="is no video"):
        work()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is damaged: no valid JSON"),
        ("[]", "is damaged: no mapping"),
        ("{}", "is damaged: .*starts"),
        ('{"format": 1, "starts": [{"started": 3}]}', "is damaged: "),
        ('{"format": 2, "starts": []}', "format 2 is of a later version"),
    ],
)
def test_a_damaged_record_is_refused_and_left_as_it_is(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / PROVENANCE).write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=problem) as caught:
        record_start(tmp_path, config=CONFIG)
    assert caught.value.path == str(tmp_path / PROVENANCE)
    assert caught.value.remedy
    assert (tmp_path / PROVENANCE).read_text(encoding="utf-8") == text


def test_no_record_is_no_start_and_has_no_end(tmp_path: Path) -> None:
    assert read_starts(tmp_path) == read_starts(tmp_path / "missing") == ()
    with pytest.raises(StoreError, match="no start was recorded"):
        record_end(tmp_path, "finished")


def test_the_file_is_json_that_people_can_read(tmp_path: Path) -> None:
    record_start(tmp_path, config=CONFIG)
    assert json.loads((tmp_path / PROVENANCE).read_text(encoding="ascii"))["starts"][0]["machine"]["processors"] >= 1


def test_versions_are_of_what_the_package_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda _: ["numpy>=1.26", "not-there-at-all>=1; extra == 'train'", "pytest>=8.3; extra == 'dev'"],
    )
    assert set(installed_versions()) == {"w2svqa", "python", "numpy"}


def test_a_package_that_was_never_installed_has_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert set(installed_versions()) == {"w2svqa", "python"}


def test_the_source_hash_sees_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGE", tmp_path)
    found = {source_hash()}
    for name, text in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", "x = 2")):
        (tmp_path / name).write_text(text, encoding="ascii")
        found.add(source_hash())
    assert len(found) == 4
    (tmp_path / "notes.txt").write_text("no module", encoding="ascii")
    assert source_hash() in found


def test_gpus_are_asked_of_pytorch_only_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert this_machine().gpus == ()
    assert "torch" not in sys.modules
    cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, get_device_name=lambda index: f"card {index}"
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert this_machine().gpus == ("card 0", "card 1")
