"""Rows to Parquet and back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core import tables
from w2svqa.core.errors import StoreError
from w2svqa.core.tables import read_rows, write_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    path: str
    count: int
    value: float
    good: bool
    split: Literal["train", "test"] = "train"
    fps: float | None = None
    note: str | None = None
    seconds: tuple[float, ...] = ()
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Other:
    path: str
    count: float


def stored(path: Path, rows: Sequence[Row]) -> Path:
    with path.open("wb") as file:
        assert write_rows(file, rows, Row) == len(rows)
    return path


# File names as os.fsdecode gives them: any text, and bytes that are no UTF-8 as lone surrogates.
names = st.text(st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF))
finite = st.floats(allow_nan=False)
rows = st.builds(
    Row,
    path=names,
    count=st.integers(-(2**63), 2**63 - 1),
    value=finite,
    good=st.booleans(),
    split=st.sampled_from(["train", "test"]),
    fps=st.none() | finite,
    note=st.none() | names,
    seconds=st.lists(finite).map(tuple),
    names=st.none() | st.lists(names).map(tuple),
)


@given(st.lists(rows))
def test_rows_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, content: list[Row]) -> None:
    path = stored(tmp_path_factory.mktemp("tables") / "table.parquet", content)
    assert read_rows(path, Row) == content


def test_more_rows_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 7)
    content = [Row(path=str(number), count=number, value=0.5, good=True) for number in range(50)]
    assert read_rows(stored(tmp_path / "table.parquet", content), Row) == content


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row(path="a", count=2**63, value=0, good=True), "'count' holds a value that is no int64"),
        (Row(path="a", count="1", value=0, good=True), "'count' holds a value that is no int64"),  # type: ignore[arg-type]  # on purpose
        (Row(path="a", count=1.5, value=0, good=True), "'count' holds a value that is no int64"),  # type: ignore[arg-type]  # on purpose
        (Row(path=None, count=1, value=0, good=True), "'path' may not be empty"),  # type: ignore[arg-type]  # on purpose
        (Row(path="a", count=True, value=0, good=True), "'count' holds a value that is no int64: True"),
        (Row(path="a", count=1, value=0, good=True, seconds=(1, "2")), "'seconds' holds a value that is no double"),  # type: ignore[arg-type]  # on purpose
        (Other("a", 1.0), "a row is of type Other, not Row"),
    ],
)
def test_a_value_of_another_type_is_refused(row: Row, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        write_rows(io.BytesIO(), [row], Row)


def test_a_field_of_an_impossible_type_is_refused() -> None:
    @dataclass(frozen=True)
    class Wrong:
        names: dict[str, str]

    with pytest.raises(TypeError, match="a table cannot hold"):
        write_rows(io.BytesIO(), [], Wrong)


def test_other_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with path.open("wb") as file:
        write_rows(file, [Other("a", 1.0)], Other)
    with pytest.raises(StoreError, match="count is double not null, not int64 not null; value is missing, not double"):
        read_rows(path, Row)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(StoreError, match="no readable table"):
        read_rows(tmp_path / "table.parquet", Row)
    with pytest.raises(StoreError, match="no readable table"):
        read_rows(tmp_path / "missing.parquet", Row)


@given(st.lists(rows, max_size=6), st.lists(names, max_size=3))
def test_only_wanted_rows_are_read(tmp_path_factory: pytest.TempPathFactory, given: list[Row], more: list[str]) -> None:
    path = stored(tmp_path_factory.mktemp("t") / "t.parquet", given)
    wanted = {row.path for row in given[::2]} | set(more)
    assert read_rows(path, Row, keep=("path", wanted)) == [row for row in given if row.path in wanted]
