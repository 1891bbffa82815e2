"""Metric tables: what was measured of each video of a pool, as columns, for millions of videos.

On disk: an artifact (:mod:`w2svqa.core.store`) whose Parquet table has the text column ``clip_id`` and a column of
numbers per metric, empty where a metric could not be measured. Text columns, such as a source, come along as labels.
Tables made elsewhere come in as a plain Parquet or CSV file with the same columns.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.core.errors import ConfigError, InputError, StoreError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.store import Manifest, checked_table, write_table
from w2svqa.core.tables import unescape

if TYPE_CHECKING:
    import pyarrow

KIND: Final = "metrics"
"""The artifact's kind."""

ID: Final = "clip_id"
"""The column of the videos' ids."""

_PLAIN: Final = (".parquet", ".csv")

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False, init=False)
class MetricTable:
    """Numbers and labels of videos.

    Attributes:
        ids: of the videos, text ``(videos,)``, each once.
        names: of the metrics, each once.
        values: float64 ``(videos, metrics)``, each in its metric's unit; NaN where it could not be measured.
        labels: further columns of text by name, ``(videos,)``, such as ``"source"``; empty where unknown.

    Raises:
        InputError: shapes do not fit, or an id or name is there twice.

    Example:
        >>> table = MetricTable(("a", "b"), ("noise", "blur"), [[1.0, 0.5], [2.0, float("nan")]])
        >>> table.column("noise").tolist(), len(table)
        ([1.0, 2.0], 2)
    """

    ids: Texts
    names: tuple[str, ...]
    values: Floats
    labels: Mapping[str, Texts]

    def __init__(
        self,
        ids: Sequence[str] | Texts,
        names: Sequence[str],
        values: ArrayLike,
        labels: Mapping[str, Sequence[str] | Texts] | None = None,
    ) -> None:
        # text by name, for numpy takes an empty list for numbers
        columns = {name: np.asarray(each, dtype=np.str_) for name, each in (labels or {}).items()}
        object.__setattr__(self, "ids", np.asarray(ids, dtype=np.str_))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "values", np.asarray(values, dtype=np.float64))
        object.__setattr__(self, "labels", columns)
        self._check()

    def _check(self) -> None:
        wanted = (len(self.ids), len(self.names))
        if self.values.shape != wanted:
            raise InputError(f"values of shape {self.values.shape}, where {wanted} (videos, metrics) are due")
        for name, each in self.labels.items():
            if each.shape != self.ids.shape:
                raise InputError(f"the label {name!r} has shape {each.shape}, where {self.ids.shape} is due")
        if len(set(self.names) | set(self.labels)) < len(self.names) + len(self.labels):
            raise InputError(f"a column is there twice: {', '.join([*self.names, *self.labels])}")
        if (twice := _first_twice(self.ids)) is not None:
            raise InputError(f"the video {twice!r} is there twice", remedy="keep one of its rows")

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> Floats:
        """Return the values of one metric, float64 ``(videos,)``.

        Raises:
            ConfigError: the table does not have it.
        """
        if name not in self.names:
            raise ConfigError(f"the table has no metric {name!r}", remedy=f"it has {', '.join(self.names) or 'none'}")
        column: Floats = self.values[:, self.names.index(name)]
        return column

    def label(self, name: str) -> Texts:
        """Return one column of text, ``(videos,)``.

        Raises:
            ConfigError: the table does not have it.
        """
        if name not in self.labels:
            raise ConfigError(
                f"the table has no column of text {name!r}", remedy=f"it has {', '.join(self.labels) or 'none'}"
            )
        return self.labels[name]

    def only(self, names: Sequence[str]) -> MetricTable:
        """Return the table with these metrics, in this order, and all labels.

        Raises:
            ConfigError: the table lacks one of them.
        """
        columns = [self.column(name) for name in names]
        values = np.column_stack(columns) if columns else np.empty((len(self), 0))
        return MetricTable(self.ids, tuple(names), values, self.labels)

    def rows(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> MetricTable:
        """Return the table with these rows only: indices or a mask."""
        labels = {name: each[which] for name, each in self.labels.items()}
        return MetricTable(self.ids[which], self.names, self.values[which], labels)

    def joined(self, other: MetricTable) -> MetricTable:
        """Return the table with the columns of ``other`` that it lacks; unknown for videos that ``other`` lacks."""
        order = np.argsort(other.ids, kind="stable")
        place = np.searchsorted(other.ids, self.ids, sorter=order)
        row = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(self), np.intp)
        known = other.ids[row] == self.ids if len(order) else np.zeros(len(self), np.bool_)
        fresh = [name for name in other.names if name not in self.names and name not in self.labels]
        added = np.full((len(self), len(fresh)), np.nan)
        added[known] = other.only(fresh).values[row[known]]
        labels = dict(self.labels)
        for name, each in other.labels.items():
            if name not in labels and name not in self.names:
                labels[name] = np.where(known, each[row], "") if len(order) else np.full(len(self), "")
        return MetricTable(self.ids, (*self.names, *fresh), np.hstack([self.values, added]), labels)


def write_metric_table(
    folder: StrPath,
    table: MetricTable,
    *,
    config: object,
    inputs: Mapping[str, str] | None = None,
    version: int = 1,
    extra: Mapping[str, object] | None = None,
) -> Manifest:
    """Store a metric table as an artifact of the kind ``"metrics"``.

    Args:
        folder: where to; an artifact that is there is replaced.
        table: numbers and labels; NaN becomes an empty cell.
        config: how they were measured, a dataclass or plain values.
        inputs: hashes of what went in, by name.
        version: of the arithmetic.
        extra: further facts, plain values.

    Raises:
        StoreError: the disk is full or fails, or the folder may not be written to.
        MissingExtraError: pyarrow is not installed.
    """
    write = partial(_write, table)
    return write_table(folder, write, kind=KIND, config=config, inputs=inputs, version=version, extra=extra)


def read_metric_table(path: StrPath, *, kind: str | None = KIND, columns: Sequence[str] | None = None) -> MetricTable:
    """Read a metric table: an artifact's folder, or a plain Parquet or CSV file.

    Columns of numbers become metrics (yes and no: 1 and 0), columns of text labels; others, such as lists, are left
    out. In a CSV file a column is one of numbers if all its cells are numbers or empty.

    Args:
        path: the folder, or a file that ends in ``.parquet`` or ``.csv``.
        kind: of the artifact, for a folder; ``None`` takes any that has the column ``clip_id``.
        columns: those that are wanted beside ``clip_id``, as far as they are there; ``None`` for all.

    Raises:
        StoreError: the artifact is incomplete, damaged or of another kind, or a plain file cannot be read.
        InputError: there is no column ``clip_id``, or an id is there twice.
        MissingExtraError: pyarrow is not installed, for Parquet.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".csv" and not Path(path).is_dir():
        found = _csv_columns(path)
    else:
        plain = suffix in _PLAIN and not Path(path).is_dir()
        found = _parquet_columns(Path(path) if plain else checked_table(path, kind=kind)[0], columns)
    if columns is not None:
        found = {name: each for name, each in found.items() if name == ID or name in columns}
    labels = {name: each.astype(np.str_, copy=False) for name, each in found.items() if each.dtype.kind == "U"}
    numbers = {name: each for name, each in found.items() if each.dtype.kind == "f"}
    ids = labels.pop(ID, None)
    if ids is None:
        raise InputError(f"no column of text {ID!r}", path=path, remedy="it names the videos, the same in all tables")
    values = np.column_stack(list(numbers.values())) if numbers else np.empty((len(ids), 0))
    try:
        return MetricTable(ids, tuple(numbers), values, labels)
    except InputError as error:
        raise InputError(error.problem, path=path, remedy=error.remedy) from None


def _write(table: MetricTable, file: BinaryIO) -> int:
    arrow = require("pyarrow", extra="train")
    parquet = require("pyarrow.parquet", extra="train")
    columns = {ID: arrow.array(table.ids.tolist(), arrow.string())}
    for name in table.names:
        columns[name] = arrow.array(np.ascontiguousarray(table.column(name)), arrow.float64(), from_pandas=True)
    for name, each in table.labels.items():
        # a byte that is no UTF-8, in a name say, comes out escaped
        texts = [text.encode("utf-8", "backslashreplace").decode("utf-8") for text in each.tolist()]
        columns[name] = arrow.array(texts, arrow.string())
    parquet.write_table(arrow.table(columns), file, compression="zstd")
    return len(table)


def _parquet_columns(path: Path, wanted: Sequence[str] | None) -> dict[str, NDArray[np.generic]]:
    arrow = require("pyarrow", extra="train")
    parquet = require("pyarrow.parquet", extra="train")
    try:
        with parquet.ParquetFile(path) as file:
            there = file.schema_arrow.names
            table = file.read([name for name in there if wanted is None or name == ID or name in wanted])
    except (arrow.ArrowException, OSError) as error:
        raise StoreError(f"no readable table: {error}", path=path, remedy="make it again") from None
    made = {name: _column(table[name]) for name in table.column_names}
    return {name: each for name, each in made.items() if each is not None}


def _column(column: pyarrow.ChunkedArray) -> NDArray[np.generic] | None:
    """Return a column as numbers or text; ``None`` for any other type."""
    types = require("pyarrow.types", extra="train")
    if types.is_string(column.type) or types.is_large_string(column.type):
        return np.array([unescape(each or "") for each in column.to_pylist()], dtype=np.str_)
    if types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type):
        float64 = require("pyarrow", extra="train").float64()
        numbers: Floats = column.cast(float64).to_numpy().astype(np.float64)
        return numbers
    return None


def _csv_columns(path: StrPath) -> dict[str, NDArray[np.generic]]:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"no readable table: {error}", path=path, remedy="save it as CSV in UTF-8") from None
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise InputError(f"row {number} has {len(line)} cells, the header {len(header)}", path=path)
    return {name: _cells([line[place] for line in lines], name) for place, name in enumerate(header)}


def _cells(cells: Sequence[str], name: str) -> NDArray[np.generic]:
    if name != ID and any(cell.strip() for cell in cells):
        try:
            return np.array([float(cell) if cell.strip() else np.nan for cell in cells])
        except ValueError:
            pass  # some cell is no number: a column of text
    return np.array(cells, dtype=np.str_)


def _first_twice(ids: Texts) -> str | None:
    ordered = np.sort(ids)
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    return str(ordered[same[0]]) if len(same) else None
