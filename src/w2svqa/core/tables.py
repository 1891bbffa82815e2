"""Rows and tables: frozen dataclasses to Parquet and back, in bounded memory."""

from __future__ import annotations

import dataclasses
import itertools
import numbers
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from w2svqa.core.errors import StoreError, StrPath
from w2svqa.core.extras import require

if TYPE_CHECKING:
    import pyarrow

RowT = TypeVar("RowT")

BATCH_ROWS = 65_536
"""Rows that are held as Python objects at a time while a table is written."""

# Arrow text is UTF-8; a file name on POSIX is bytes, and Python shows a byte that is no UTF-8 as a lone surrogate
# (PEP 383). Such a character, and NUL itself, is stored as NUL and two hex digits; paths never contain NUL themselves.
_ESCAPED = re.compile("[\x00\udc80-\udcff]")
_STORED = re.compile("\x00([0-9a-f]{2})")

_KINDS: dict[str, type] = {"string": str, "int64": numbers.Integral, "double": numbers.Real, "bool": bool}


def write_rows(file: BinaryIO, rows: Iterable[RowT], row_type: type[RowT]) -> int:
    """Write rows as one Parquet table and return their number.

    Args:
        file: where to.
        rows: dataclass instances, all of ``row_type``; they may be more than memory holds.
        row_type: a dataclass whose fields are ``str``, ``int``, ``float``, ``bool``, literals of text, optionals of
            these, or tuples of one of these such as ``tuple[float, ...]``.

    Raises:
        TypeError: a row or a value is of another type.
        MissingExtraError: pyarrow is not installed.
    """
    parquet = require("pyarrow.parquet", extra="train")
    schema = schema_of(row_type)
    count = 0
    remaining = iter(rows)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(itertools.islice(remaining, BATCH_ROWS)):
            writer.write_table(_table(batch, row_type, schema))
            count += len(batch)
    return count


def read_rows(path: StrPath, row_type: type[RowT], *, keep: tuple[str, Collection[str]] | None = None) -> list[RowT]:
    """Read the rows of a Parquet table that :func:`write_rows` wrote.

    Args:
        path: the table.
        row_type: the dataclass its rows become.
        keep: a column of text, and the values whose rows are wanted; ``None`` for all rows. Only these become Python
            objects, so a few rows of millions cost little.

    Raises:
        StoreError: the file is no Parquet table, or has other columns than ``row_type``.
        MissingExtraError: pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="train")
    parquet = require("pyarrow.parquet", extra="train")
    schema = schema_of(row_type)
    try:
        with parquet.ParquetFile(path) as file:
            _check_schema(file.schema_arrow, schema, path)
            table = file.read()
        if keep is not None:
            wanted = arrow.array([_escape(value) for value in keep[1]], arrow.string())
            table = table.filter(require("pyarrow.compute", extra="train").is_in(table[keep[0]], value_set=wanted))
        columns = [_decoded(column.to_pylist(), field) for column, field in zip(table, schema, strict=True)]
    except (arrow.ArrowException, OSError) as error:
        raise StoreError(f"no readable table: {error}", path=path, remedy="run the stage again") from None
    return [row_type(**dict(zip(schema.names, values, strict=True))) for values in zip(*columns, strict=True)]


def schema_of(row_type: type) -> pyarrow.Schema:
    """Return the Arrow schema of a row dataclass; a field that may be ``None`` is nullable, no other.

    Raises:
        TypeError: a field has a type that a table cannot hold.
    """
    arrow = require("pyarrow", extra="train")
    hints = get_type_hints(row_type)
    return arrow.schema([_field(arrow, each.name, hints[each.name]) for each in dataclasses.fields(row_type)])


def _field(arrow: Any, name: str, kind: object) -> pyarrow.Field:  # noqa: ANN401 - a lazily imported module
    nullable = False
    if get_origin(kind) in (Union, UnionType):
        choices = [each for each in get_args(kind) if each is not NoneType]
        nullable = len(choices) < len(get_args(kind))
        kind = choices[0] if len(choices) == 1 else kind
    return arrow.field(name, _arrow_type(arrow, kind), nullable=nullable)


def _arrow_type(arrow: Any, kind: object) -> pyarrow.DataType:  # noqa: ANN401 - a lazily imported module
    simple = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    if kind in simple:
        return simple[kind]
    if get_origin(kind) is Literal and all(isinstance(each, str) for each in get_args(kind)):
        return arrow.string()
    if get_origin(kind) is tuple and len(get_args(kind)) == 2 and get_args(kind)[1] is Ellipsis:
        return arrow.list_(arrow.field("item", _arrow_type(arrow, get_args(kind)[0]), nullable=False))
    raise TypeError(f"a table cannot hold values of type {kind!r}")


def _table(batch: Sequence[object], row_type: type, schema: pyarrow.Schema) -> pyarrow.Table:
    arrow = require("pyarrow", extra="train")
    for row in batch:
        if type(row) is not row_type:
            raise TypeError(f"a row is of type {type(row).__name__}, not {row_type.__name__}")
    columns = [_column(arrow, [getattr(row, field.name) for row in batch], field) for field in schema]
    return arrow.Table.from_arrays(columns, schema=schema)


def _column(arrow: Any, values: list[Any], field: pyarrow.Field) -> pyarrow.Array:  # noqa: ANN401 - as above
    kind = _element_type(field)
    for value in values:
        _check(value, kind, field)
    if kind == "string":
        values = [_each(value, _escape) for value in values]
    try:
        return arrow.array(values, type=field.type)
    except (arrow.ArrowInvalid, OverflowError) as error:
        raise TypeError(f"the column {field.name!r} holds a value that is no {field.type}: {error}") from None


def _check(value: object, kind: str, field: pyarrow.Field) -> None:
    """Refuse what Arrow would convert without a word: it cuts 1.5 to 1 for a column of whole numbers."""
    if value is None:
        if not field.nullable:
            raise TypeError(f"the column {field.name!r} may not be empty: a value is None")
        return
    for each in value if isinstance(value, list | tuple) else (value,):
        right = isinstance(each, _KINDS[kind]) and isinstance(each, bool) == (kind == "bool")
        if not right:
            raise TypeError(f"the column {field.name!r} holds a value that is no {kind}: {each!r}")


def _decoded(values: list[Any], field: pyarrow.Field) -> list[Any]:
    if _element_type(field) == "string":
        values = [_each(value, unescape) for value in values]
    return [tuple(value) if isinstance(value, list) else value for value in values]


def _element_type(field: pyarrow.Field) -> str:
    """Return the Arrow name of a column's type, or of what its lists hold."""
    return str(getattr(field.type, "value_type", field.type))


def _each(value: str | Sequence[str] | None, change: Callable[[str], str]) -> str | list[str] | None:
    if value is None:
        return None
    return change(value) if isinstance(value, str) else [change(each) for each in value]


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda match: f"\x00{ord(match[0]) & 0xFF:02x}", text)


def unescape(text: str) -> str:
    """Return a text of a stored table as it was before: bytes that are no UTF-8 come back as surrogates."""
    return _STORED.sub(lambda match: "\x00" if match[1] == "00" else chr(0xDC00 + int(match[1], 16)), text)


def _check_schema(found: pyarrow.Schema, wanted: pyarrow.Schema, path: StrPath) -> None:
    if found.equals(wanted):
        return
    there, due = _columns(found), _columns(wanted)
    differing = [
        f"{name} is {there.get(name, 'missing')}, not {due.get(name, 'expected')}"
        for name in {**there, **due}
        if there.get(name) != due.get(name)
    ]
    raise StoreError(
        f"the table has other columns: {'; '.join(differing) or 'in another order'}",
        path=path,
        remedy="it is from another stage or version: run the stage again",
    )


def _columns(schema: pyarrow.Schema) -> dict[str, str]:
    return {field.name: f"{field.type}{'' if field.nullable else ' not null'}" for field in schema}
