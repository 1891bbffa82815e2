"""Tables that others made, in whatever form: CSV, Parquet or JSON, as named columns."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from w2svqa.core.errors import InputError, MissingInputError, StrPath
from w2svqa.core.extras import require

_REMEDY = "give CSV, Parquet, or JSON: a list of objects, one object per line, or an object of names and numbers"
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns of one length, at least one row.

    Attributes:
        path: of the file.
        sha256: of its content, hex.
        columns: by name, in the order of the file; ``None`` where a row has nothing there.
    """

    path: str
    sha256: str
    columns: Mapping[str, list[object]]


def read_table(path: StrPath) -> Table:
    """Return the table in a file; its suffix says which form it has, ``.csv``, ``.tsv`` and ``.txt`` being one.

    Raises:
        MissingInputError: there is no such file, or it may not be read.
        InputError: it is empty, damaged or of another form.
        MissingExtraError: it is Parquet and pyarrow is not installed.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise MissingInputError(f"cannot be read: {error.strerror}", path=path, remedy="check the path") from None
    suffix = Path(path).suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            columns = _parquet(content)
        elif suffix in (".json", ".jsonl", ".ndjson"):
            columns = _json(content.decode("utf-8-sig"))
        else:
            columns = _csv(content.decode("utf-8-sig"))
    except (ValueError, TypeError, RecursionError, csv.Error) as error:  # pyarrow's errors are ValueErrors, too
        raise InputError(f"is no table: {str(error)[:200]}", path=path, remedy=_REMEDY) from None
    if not columns or not next(iter(columns.values())):
        raise InputError("has no rows", path=path, remedy=_REMEDY)
    return Table(path=str(path), sha256=hashlib.sha256(content).hexdigest(), columns=columns)


def _parquet(content: bytes) -> dict[str, list[object]]:
    parquet = require("pyarrow.parquet", extra="train")
    arrow = require("pyarrow", extra="train")
    table = parquet.read_table(arrow.BufferReader(content))
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _csv(text: str) -> dict[str, list[object]]:
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    if not rows:
        return {}
    names, *body = rows
    for number, row in enumerate(body, 1):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} cells below {len(names)} columns")
    return _columns(dict(zip(names, row, strict=True)) for row in body)


def _json(text: str) -> dict[str, list[object]]:
    try:
        found: object = json.loads(text)
    except ValueError:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(found, dict):
        inner = [value for value in found.values() if isinstance(value, list)]
        if len(inner) == 1:  # such as {"scores": [...]}
            found = inner[0]
        elif all(not isinstance(value, dict | list) for value in found.values()):
            found = [{"name": name, "score": value} for name, value in found.items()]
    if not (isinstance(found, list) and all(isinstance(row, dict) for row in found)):
        raise ValueError("neither objects nor names and numbers")
    return _columns(found)


def _columns(rows: Iterable[Mapping[str, object]]) -> dict[str, list[object]]:
    kept = list(rows)
    names = dict.fromkeys(name for row in kept for name in row)
    return {name: [row.get(name) for row in kept] for name in names}
