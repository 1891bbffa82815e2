"""YAML files: what is refused, and how environment variables come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from w2svqa.core.document import read_document
from w2svqa.core.errors import ConfigError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice, first in line 1"),
        ("a:\n  b: 1\n  b: 1", "line 3: the key 'b' is there twice, first in line 2"),
        ("- 1\n- 2", "line 1: the top level must be a mapping of keys to values"),
        ("a: &x [*x]", "line 1: an alias stands inside the value it names"),
        ("base: &x {a: 1}\nb:\n  <<: *x", "line 3: keys must be plain words"),
        ("? [a, b]\n: 1", "line 1: keys must be plain words"),
        ("a: !!python/object:os.system x", "line 1: the value 'x' cannot be read"),
        ("a: !!int many", "line 1: the value 'many' cannot be read"),
        ("a: [1, 2", "line 1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_document(path)
    assert str(caught.value) == f"{path}: {expected}"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_document(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_document(tmp_path)
    with pytest.raises(ConfigError, match="no regular file"):
        read_document("/dev/zero")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match="byte 3 is not UTF-8"):
        read_document(tmp_path / "latin.yaml")
    (tmp_path / "nul.yaml").write_bytes(b"a: \0")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_document(tmp_path / "nul.yaml")


def test_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPS", "clips $$ ${HOME}")
    monkeypatch.delenv("ABSENT", raising=False)
    path = written(tmp_path, "a: ${CLIPS}/x\nb: ${ABSENT:-there}\nc: $${ABSENT}\nd: ${ABSENT:-}\ne: $5")
    # A value is filled in once: what it holds itself is not looked at.
    assert read_document(path).mapping == {
        "a": "clips $$ ${HOME}/x",
        "b": "there",
        "c": "${ABSENT}",
        "d": "",
        "e": "$5",
    }


def test_a_missing_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABSENT", raising=False)
    with pytest.raises(ConfigError, match="line 2: the environment variable ABSENT is not set") as caught:
        read_document(written(tmp_path, "a: 1\nb: [x, '${ABSENT}']"))
    assert caught.value.remedy == "set it, or give a default: ${ABSENT:-value}"


def test_plain_values_and_their_lines(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "a: 2024-01-31\nb:\n  - 1\n  - x: yes\nc: &one [1]\nd: *one"))
    assert document.mapping == {"a": "2024-01-31", "b": [1, {"x": True}], "c": [1], "d": [1]}
    assert document.lines[("b", 1, "x")] == 4
    assert document.lines[("d",)] == 6
    assert read_document(written(tmp_path, "# nothing")).mapping == {}
