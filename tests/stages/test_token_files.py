"""Tokens on disk: what is written is read, also by the next process, and trouble is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from train_pool import version

from w2svqa.core.errors import StoreError, UnwritableError
from w2svqa.core.records import Tokens
from w2svqa.core.rows import VersionRow
from w2svqa.stages.token_files import TokenFile, on_disk


def tokens(seed: int, rows: int) -> Tokens:
    return np.random.default_rng(seed).normal(size=(rows, 3, 2)).astype(np.float32)


def test_rows_are_read_as_written_also_by_who_opens_the_file_later(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "deep" / "tokens.npy", 5)
    file.write(3, tokens(1, 2))
    again = TokenFile(tmp_path / "deep" / "tokens.npy", 5)
    assert (again.read(3, 5) == tokens(1, 2)).all()
    again.write(0, tokens(2, 3))
    assert (file.read(0, 3) == tokens(2, 3)).all()
    assert file.read(0, 3).dtype == np.float32


def test_a_file_of_other_rows_or_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokens.npy"
    TokenFile(path, 5).write(0, tokens(1, 5))
    with pytest.raises(StoreError, match="not 6 rows"):
        TokenFile(path, 6)
    path.write_bytes(b"no array")
    with pytest.raises(StoreError, match="cannot be read"):
        TokenFile(path, 5)


def test_a_disk_that_is_full_says_how_much_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "open_memmap", full)
    with pytest.raises(UnwritableError, match=r"no room for 2\.4 GB of tokens: No space left"):
        TokenFile(tmp_path / "tokens.npy", 100_000_000).write(0, tokens(1, 1))


def test_tokens_of_versions_are_on_disk_as_long_as_they_are_needed(tmp_path: Path) -> None:
    versions = [replace(version("a", level), seconds=2) for level in range(3)]
    asked: list[str] = []

    def encode(row: VersionRow) -> Tokens:
        asked.append(row.version_id)
        return tokens(row.level, 2)

    with on_disk(encode, versions, tmp_path) as encoded:
        found = [encoded(row) for row in versions]
        assert all((each == tokens(row.level, 2)).all() for each, row in zip(found, versions, strict=True))
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.npy")) >= 3 * 2 * 6 * 4
    assert asked == [row.version_id for row in versions]
    assert not list(tmp_path.iterdir())
