"""Figures and differences of an evaluation as rows, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, nan
from typing import TYPE_CHECKING, Final

from w2svqa.core.errors import printable
from w2svqa.core.evaluation_rows import AgreementRow, DifferenceRow
from w2svqa.report.page import Cell, Column, Mark, Table
from w2svqa.report.terminal import plain_box
from w2svqa.stages.evaluate import Evaluated, Evaluation
from w2svqa.stages.evaluation_statistics import LOWER_IS_BETTER

if TYPE_CHECKING:
    from rich.table import Table as RichTable

SHOWN: Final = {"srcc": "SRCC", "krcc": "KRCC", "plcc": "PLCC", "rmse": "RMSE"}
"""Measures of a table of figures, and their headings; all others are in the stored table."""

ENOUGH: Final = 0.95
"""Share of videos that a figure must be of to be called best: others are of other videos."""

SIGNIFICANT: Final = 0.05

DIFFERENCE_COLUMNS: Final = (
    Column(title="first"),
    Column(title="second"),
    Column(title="benchmark"),
    Column(title="measure"),
    Column(title="difference"),
    Column(title="p", form=".4f"),
    Column(title="p (Holm)", form=".4f"),
    Column(title="p (Meng, Holm)", form=".4f"),
    Column(title="F", form=".3f"),
    Column(title="p (F)", form=".4f"),
    Column(title="videos", form="d"),
)
"""Of :func:`difference_cells`."""


def interval_text(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Return a figure with its interval.

    Example:
        >>> interval_text(0.8125, 0.8, 0.8251), interval_text(0.5, float("nan"), float("nan"))
        ('0.812 [0.800, 0.825]', '0.500')
    """
    if not isfinite(value):
        return "-"
    return f"{value:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if isfinite(low) else "")


def row_text(row: AgreementRow | DifferenceRow) -> str:
    """Return the figure of a row with its interval; of a missing one a dash."""
    value, low, high = (nan if each is None else each for each in (row.value, row.low, row.high))
    return interval_text(value, low, high)


def best_of(values: Iterable[float | None], measure: str) -> list[Mark | None]:
    """Return which of several values of one measure is best and which second, as written with three decimals.

    Example:
        >>> best_of([0.5, 0.8, None, 0.7], "srcc")
        [None, 'best', None, 'second']
    """
    written = [None if value is None else round(value, 3) for value in values]
    ranked = sorted({value for value in written if value is not None}, reverse=measure not in LOWER_IS_BETTER)
    if sum(value is not None for value in written) < 2:
        return [None] * len(written)
    places: dict[float | None, Mark] = dict(zip(ranked, ("best", "second"), strict=False))
    return [places.get(value) for value in written]


def figures_table(each: Evaluated, figures: Iterable[AgreementRow]) -> Table:
    """Return the figures of one benchmark, a row per model, for a page."""
    found = _by_model(each, figures)
    columns = (
        Column(title="model"),
        *(Column(title=title) for title in SHOWN.values()),
        Column(title="videos", form="d"),
        Column(title="expected", form="d"),
        Column(title="remarks"),
    )
    rows: list[tuple[Cell, ...]] = []
    marks: dict[tuple[int, int], Mark] = {}
    for model, rows_of in found.items():
        any_row = next(iter(rows_of.values()))
        told = "; ".join(dict.fromkeys(row.message for row in rows_of.values() if row.message))
        texts = (row_text(rows_of[measure]) for measure in SHOWN)
        rows.append((model, *texts, any_row.n, any_row.expected, told))
    most = max((row["srcc"].n for row in found.values()), default=0)
    for place, measure in enumerate(SHOWN, start=1):
        values = (row[measure].value if row[measure].n >= ENOUGH * most else None for row in found.values())
        for number, mark in enumerate(best_of(values, measure)):
            if mark is not None:
                marks[number, place] = mark
    contents = max((row["srcc"].contents for row in found.values()), default=0)
    caption = f"{each.benchmark.shown}, {contents} contents."
    return Table(caption=caption, columns=columns, rows=tuple(rows), marks=marks)


def _by_model(each: Evaluated, figures: Iterable[AgreementRow]) -> dict[str, dict[str, AgreementRow]]:
    found: dict[str, dict[str, AgreementRow]] = {}
    for row in figures:
        if row.benchmark == each.benchmark.name and not row.facet and row.measure in SHOWN:
            found.setdefault(row.model, {})[row.measure] = row
    return found


def difference_cells(row: DifferenceRow) -> tuple[Cell, ...]:
    """Return a difference as the cells of :data:`DIFFERENCE_COLUMNS`."""
    return (
        row.first,
        row.second,
        row.benchmark,
        SHOWN[row.measure],
        row_text(row),
        row.p,
        row.p_holm,
        row.p_meng_holm,
        row.f,
        row.p_f,
        row.n,
    )


def figures_terminal(evaluation: Evaluation, *, ascii_only: bool) -> RichTable:
    """Return the figures for a terminal: a row per benchmark and model, then the means over groups."""
    from rich.table import Table as RichTable

    table = RichTable(box=plain_box(ascii_only), header_style="bold")
    for name in ("benchmark", "model", *SHOWN.values(), "N"):
        table.add_column(name, no_wrap=name not in ("benchmark", "model"))
    groups: dict[tuple[str, str], dict[str, AgreementRow]] = {}
    for row in evaluation.figures:
        if not row.facet:
            groups.setdefault((row.benchmark, row.model), {})[row.measure] = row
    for (benchmark, model), rows in groups.items():
        texts = (row_text(rows[measure]) if measure in rows else "-" for measure in SHOWN)
        counts = rows["srcc"]
        table.add_row(printable(benchmark), printable(model), *texts, f"{counts.n}/{counts.expected}")
    return table
