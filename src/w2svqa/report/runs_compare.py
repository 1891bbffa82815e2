"""Runs beside each other: what they were told differently, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from w2svqa.core.config import leaves
from w2svqa.core.errors import printable
from w2svqa.report.run_figures import RunFigure, direction, figures_of, quality_figure, quality_name
from w2svqa.report.terminal import plain_box
from w2svqa.stages.run_folder import RunFacts

if TYPE_CHECKING:
    from rich.table import Table

Mark = Literal["", "best", "best?"]
"""``best``: the best value, and every other lies outside of its interval and it outside of theirs, as far as there are
intervals; ``best?``: the best value, but an interval reaches another, or there are none."""

_SIGNS = {"": "", "best": " *", "best?": " (*)"}
LEGEND = "*: best, beyond the intervals; (*): best, but within an interval, or without one"

_ABSENT = "(absent)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure of all runs.

    Attributes:
        name: of the figure.
        figures: one per run; ``None`` where it has none.
        marks: one per run; all empty for counts, for equal values and where fewer than two runs have the figure.
    """

    name: str
    figures: tuple[RunFigure | None, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Runs beside each other.

    Attributes:
        runs: their names, unambiguous: the folder where two have one name.
        settings: the value of each setting that differs, by key, one per run; settings that a run lacks are ``None``
            and those that are null are the text ``"null"``.
        figures: of the students.
        quality: of the labels.
        notes: what is to be kept in mind.
    """

    runs: tuple[str, ...]
    settings: Mapping[str, tuple[str | None, ...]]
    figures: tuple[FigureRow, ...]
    quality: tuple[FigureRow, ...]
    notes: tuple[str, ...]


def compare_runs(runs: Sequence[RunFacts]) -> RunComparison:
    """Compare runs.

    Args:
        runs: two or more, in any state.
    """
    names = [facts.name for facts in runs]
    settings = [{key: json.dumps(value) for key, value in leaves(dict(facts.config)).items()} for facts in runs]
    keys = sorted({key for each in settings for key in each})
    differing = {key: tuple(each.get(key) for each in settings) for key in keys}
    figures = [figures_of(facts.card) for facts in runs]
    quality = [
        {quality_name(row): figure for row in facts.quality if (figure := quality_figure(row))} for facts in runs
    ]
    return RunComparison(
        runs=tuple(str(facts.folder) if names.count(facts.name) > 1 else facts.name for facts in runs),
        settings={key: values for key, values in differing.items() if len(set(values)) > 1},
        figures=tuple(_figure_rows(figures)),
        quality=tuple(_figure_rows(quality)),
        notes=tuple(_notes(runs)),
    )


def _figure_rows(runs: Sequence[Mapping[str, RunFigure]]) -> Iterable[FigureRow]:
    for name in dict.fromkeys(name for each in runs for name in each):
        figures = tuple(each.get(name) for each in runs)
        yield FigureRow(name=name, figures=figures, marks=_marks(figures, direction(name)))


def _marks(figures: Sequence[RunFigure | None], sign: int) -> tuple[Mark, ...]:
    known = [figure for figure in figures if figure is not None]
    if not sign or len({figure.value for figure in known}) < 2:
        return tuple("" for _ in figures)
    best = max(known, key=lambda figure: sign * figure.value)
    others = [figure for figure in known if figure.value != best.value]
    sure: Mark = "best" if all(_apart(best, other) for other in others) else "best?"
    return tuple(sure if figure is not None and figure.value == best.value else "" for figure in figures)


def _apart(one: RunFigure, other: RunFigure) -> bool:
    """Whether neither value lies in the interval of the other; ``False`` where either has none."""
    return all(
        a.low is not None and a.high is not None and not a.low <= b.value <= a.high
        for a, b in ((one, other), (other, one))
    )


def _notes(runs: Sequence[RunFacts]) -> Iterable[str]:
    for facts in runs:
        if facts.state != "finished":
            yield f"{facts.name} is {facts.state}" + (f": {'; '.join(facts.problems)}" if facts.problems else "")
    held_back = [held for facts in runs if (held := _held_back(facts.card))]
    if len(set(held_back)) > 1:
        yield "the students were calibrated on different clips, so that their figures are not of the same contents"


def _held_back(card: Mapping[str, Any] | None) -> frozenset[str]:
    data = (card or {}).get("data")
    clips = data.get("clips") if isinstance(data, Mapping) else None
    return frozenset(
        str(clip.get("sha256_16"))
        for clip in (clips if isinstance(clips, list) else [])
        if isinstance(clip, Mapping) and clip.get("split") == "calibration"
    )


def comparison_object(found: RunComparison) -> dict[str, object]:
    """Return a comparison as one JSON object; absent is ``None``."""
    return {
        "runs": list(found.runs),
        "settings": {
            key: [None if value is None else json.loads(value) for value in values]
            for key, values in found.settings.items()
        },
        "figures": [_row_object(row) for row in found.figures],
        "quality": [_row_object(row) for row in found.quality],
        "notes": list(found.notes),
    }


def _row_object(row: FigureRow) -> dict[str, object]:
    figures = [None if figure is None else asdict(figure) for figure in row.figures]
    return {"name": row.name, "figures": figures, "marks": list(row.marks)}


def comparison_tables(found: RunComparison, *, ascii_only: bool = False) -> Iterable[tuple[str, Table]]:
    """Yield a comparison as tables with their headings; those without rows are left out."""
    settings = [(key, *(_ABSENT if value is None else value for value in row)) for key, row in found.settings.items()]
    yield "settings that differ", _table("setting", found.runs, settings, ascii_only)
    for title, rows in (("figures of the students", found.figures), ("label quality", found.quality)):
        if rows:
            yield f"{title} ({LEGEND})", _table("figure", found.runs, map(_cells, rows), ascii_only)


def _cells(row: FigureRow) -> tuple[str, ...]:
    shown = zip(row.figures, row.marks, strict=True)
    return (row.name, *("" if figure is None else figure.text + _SIGNS[mark] for figure, mark in shown))


def _table(first: str, runs: Sequence[str], rows: Iterable[Sequence[str]], ascii_only: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=plain_box(ascii_only), header_style="bold")
    for name in (first, *runs):
        table.add_column(Text(printable(name)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
