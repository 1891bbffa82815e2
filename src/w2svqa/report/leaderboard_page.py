"""Several evaluations beside each other: models by benchmarks, ranked, with the paper's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2svqa.core.errors import InputError, StrPath, printable
from w2svqa.core.evaluation_rows import AgreementRow
from w2svqa.core.store import package_versions, read_artifact
from w2svqa.report.charts import Series, bars
from w2svqa.report.evaluation_tables import ENOUGH, SHOWN, best_of, row_text
from w2svqa.report.page import Cell, Column, Figure, Figures, Mark, Page, Provenance, Section, Table, Text, write_page
from w2svqa.report.paper_tables import paper_tables, to_page_table
from w2svqa.report.terminal import plain_box
from w2svqa.stages.evaluate import FIGURES

if TYPE_CHECKING:
    from rich.table import Table as RichTable

_MOST_BARS: Final = 6  # as many colours as there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """Models by benchmarks.

    Attributes:
        models: best first: by the mean of their ranks on the benchmarks that all of them have; those without come last.
        benchmarks: names, groups last.
        figures: of whole benchmarks, by model, benchmark and measure.
        shared: the benchmarks that the order is by.
        inputs: hashes of the tables, by folder.
        notes: what differs between the evaluations.
    """

    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    figures: dict[tuple[str, str, str], AgreementRow]
    shared: tuple[str, ...]
    inputs: dict[str, str]
    notes: tuple[str, ...]

    def row(self, model: str, benchmark: str, measure: str) -> AgreementRow | None:
        """Return a figure; ``None`` where it was not measured."""
        return self.figures.get((model, benchmark, measure))


def read_leaderboard(folders: Sequence[StrPath]) -> Leaderboard:
    """Read evaluations.

    A model that two of them have is told apart by the folder, unless its figures are the same.

    Args:
        folders: that ``w2svqa evaluate`` wrote.

    Raises:
        StoreError: a folder holds no evaluation, or a damaged one.
        InputError: there is no folder.
        MissingExtraError: pyarrow is not installed.
    """
    if not folders:
        raise InputError("there is no evaluation", remedy="name folders that w2svqa evaluate wrote")
    rows: dict[tuple[str, str, str], AgreementRow] = {}
    inputs: dict[str, str] = {}
    for folder in folders:
        artifact = read_artifact(Path(folder) / FIGURES, AgreementRow, kind=FIGURES)
        inputs[str(folder)] = artifact.manifest.table_sha256
        for row in (row for row in artifact.rows if not row.facet):
            key = (row.model, row.benchmark, row.measure)
            if key in rows and rows[key] != row:
                key = (f"{row.model} ({Path(folder).name})", *key[1:])
            rows[key] = row
    models = tuple(dict.fromkeys(model for model, _, _ in rows))
    names = tuple(dict.fromkeys(benchmark for _, benchmark, _ in rows))
    ordered = tuple(sorted(names, key=lambda name: name.endswith("-overall")))
    shared = tuple(name for name in ordered if all(_value(rows, model, name) is not None for model in models))
    return Leaderboard(
        models=_ranked(models, shared or ordered, rows),
        benchmarks=ordered,
        figures=rows,
        shared=shared,
        inputs=inputs,
        notes=tuple(_uneven(rows, names)),
    )


def _value(rows: dict[tuple[str, str, str], AgreementRow], model: str, benchmark: str) -> float | None:
    row = rows.get((model, benchmark, "srcc"))
    return None if row is None else row.value


def _ranked(
    models: Sequence[str], benchmarks: Sequence[str], rows: dict[tuple[str, str, str], AgreementRow]
) -> tuple[str, ...]:
    places: dict[str, list[int]] = {model: [] for model in models}
    for benchmark in benchmarks:
        values = {model: value for model in models if (value := _value(rows, model, benchmark)) is not None}
        for model, value in values.items():
            places[model].append(sum(other > value for other in values.values()))
    mean = {model: sum(found) / len(found) if found else float(len(models)) for model, found in places.items()}
    return tuple(sorted(models, key=lambda model: mean[model]))


def _uneven(rows: dict[tuple[str, str, str], AgreementRow], benchmarks: Sequence[str]) -> list[str]:
    notes = []
    for benchmark in benchmarks:
        counts = sorted({row.n for (_, name, measure), row in rows.items() if name == benchmark and measure == "srcc"})
        if len(counts) > 1:
            notes.append(f"{benchmark}: models were measured on {counts[0]} to {counts[-1]} videos")
    return notes


def leaderboard_page(board: Leaderboard) -> Page:
    """Return the page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    by = ", ".join(board.shared) if board.shared else "those that each has, for none is shared"
    parts = [
        Section(title=SHOWN[measure], blocks=(_table(board, measure), *(_chart(board) if measure == "srcc" else ())))
        for measure in SHOWN
    ]
    if tables := paper_tables(board_rows(board)):
        notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
        text = (Text(paragraphs=notes),) if notes else ()
        blocks = (*(to_page_table(table) for table in tables), *text)
        parts.append(Section(title="Beside the paper", blocks=blocks))
    return Page(
        title=f"{len(board.models)} models on {len(board.benchmarks)} benchmarks",
        lead=(
            f"Ordered by the mean rank of SRCC on {by}. Best bold, second underlined,"
            " among models with about as many videos.",
            *board.notes,
        ),
        sections=tuple(parts),
        provenance=Provenance(inputs=board.inputs, versions=package_versions()),
    )


def write_leaderboard(path: StrPath, board: Leaderboard) -> None:
    """Write the page as one HTML file.

    Raises:
        MissingExtraError: the extra ``plot`` is not installed.
        StoreError: the file cannot be written.
    """
    write_page(path, leaderboard_page(board))


def board_rows(board: Leaderboard) -> list[AgreementRow]:
    """Return the figures under the names that the leaderboard gives the models."""
    return [replace(row, model=model) for (model, _, _), row in board.figures.items()]


def _table(board: Leaderboard, measure: str) -> Table:
    columns = (Column(title="model"), *(Column(title=name) for name in board.benchmarks))
    rows: list[tuple[Cell, ...]] = []
    marks: dict[tuple[int, int], Mark] = {}
    for model in board.models:
        found = (board.row(model, name, measure) for name in board.benchmarks)
        rows.append((model, *("" if row is None else row_text(row) for row in found)))
    for place, name in enumerate(board.benchmarks, start=1):
        found_rows = [board.row(model, name, measure) for model in board.models]
        most = max((row.n for row in found_rows if row is not None), default=0)
        values = [None if row is None or row.n < ENOUGH * most else row.value for row in found_rows]
        marks |= {(number, place): mark for number, mark in enumerate(best_of(values, measure)) if mark is not None}
    return Table(caption=f"{SHOWN[measure]} with 95 % intervals.", columns=columns, rows=tuple(rows), marks=marks)


def _chart(board: Leaderboard) -> tuple[Figures, ...]:
    models = board.models[:_MOST_BARS]
    series = [_series(model, [board.row(model, name, "srcc") for name in board.benchmarks]) for model in models]
    alt = f"SRCC with intervals of {', '.join(models)} on {', '.join(board.benchmarks)}; the numbers are in the table"
    caption = f"The first {len(models)} of {len(board.models)} models." if len(models) < len(board.models) else ""
    svg = bars(board.benchmarks, series, label="SRCC", alt=alt)
    return (Figures(figures=(Figure(title="SRCC by benchmark", svg=svg, caption=caption),)),)


def _series(model: str, rows: Sequence[AgreementRow | None]) -> Series:
    known = [None if row is None or row.value is None else row for row in rows]
    values = [nan if row is None or row.value is None else row.value for row in known]
    low = [value if row is None or row.low is None else row.low for row, value in zip(known, values, strict=True)]
    high = [value if row is None or row.high is None else row.high for row, value in zip(known, values, strict=True)]
    return Series(name=model, values=values, low=low, high=high)


def leaderboard_terminal(board: Leaderboard, *, ascii_only: bool) -> RichTable:
    """Return SRCC for a terminal, a row per model."""
    from rich.table import Table as RichTable

    table = RichTable(box=plain_box(ascii_only), header_style="bold")
    for name in ("model", *board.benchmarks):
        table.add_column(printable(name), justify="left" if name == "model" else "right")
    for model in board.models:
        found = (board.row(model, name, "srcc") for name in board.benchmarks)
        table.add_row(printable(model), *("" if row is None else row_text(row) for row in found))
    return table
