"""The paper's tables with ours beside: in-domain, OOD, ablation, in Markdown, LaTeX and HTML.

The best value of a column is bold and the second underlined (in Markdown, which has no underline, in italics), over the
paper's rows and ours together, as they are written: with three decimals. Equal values share a mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2svqa.core.evaluation_rows import AgreementRow
from w2svqa.report.evaluation_tables import ENOUGH
from w2svqa.report.page import Column, Mark, Table, render_block
from w2svqa.report.published import Published, published
from w2svqa.stages.benchmark_table import BENCHMARKS
from w2svqa.stages.evaluation_figures import OVERALL

MEASURES: Final = ("srcc", "plcc")
_TITLES: Final = {"srcc": "SRCC", "plcc": "PLCC"}
_ABLATION: Final = "ablation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of a table of results.

    Attributes:
        name: of the method.
        ours: measured here, not published.
        values: by set and measure; what is missing has no key.
        partial: sets that too few of the videos were scored of for a mark, see
            :data:`w2svqa.report.evaluation_tables.ENOUGH`.
    """

    name: str
    ours: bool
    values: Mapping[tuple[str, str], float]
    partial: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """Methods by sets and measures.

    Attributes:
        name: short, for file names.
        caption: what it shows.
        sets: titles of benchmarks and groups, from the left.
        lines: from the top.
        notes: what a reader should know of our rows.
    """

    name: str
    caption: str
    sets: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Set and measure of each column of numbers."""
        return [(title, measure) for title in self.sets for measure in MEASURES]

    def marks(self) -> dict[tuple[int, int], Mark]:
        """Return best and second of each column that has two values or more, by row and column of numbers from 0."""
        found: dict[tuple[int, int], Mark] = {}
        for place, column in enumerate(self.columns):
            values = {
                row: round(line.values[column], 3)
                for row, line in enumerate(self.lines)
                if column in line.values and column[0] not in line.partial
            }
            ranked = sorted(set(values.values()), reverse=True)
            if len(values) < 2:
                continue
            for row, value in values.items():
                if value in ranked[:2]:
                    found[row, place] = "best" if value == ranked[0] else "second"
        return found

    def cells(self, best: str, second: str) -> list[list[str]]:
        """Return the numbers as text, marked by two forms such as ``"**{}**"``; nothing where there is none."""
        forms = {"best": best, "second": second}
        marks = self.marks()
        return [
            [
                forms.get(marks.get((row, place), ""), "{}").format(f"{line.values[column]:.3f}")
                if column in line.values
                else ""
                for place, column in enumerate(self.columns)
            ]
            for row, line in enumerate(self.lines)
        ]


def paper_tables(figures: Iterable[AgreementRow]) -> list[ResultTable]:
    """Return the paper's tables that our figures have a part in, with ours as further rows.

    Args:
        figures: of an evaluation.
    """
    ours = [row for row in figures if not row.facet and row.measure in MEASURES and row.value is not None]
    titles = {benchmark.name: benchmark.shown for benchmark in BENCHMARKS}
    tables = []
    for group, overall in OVERALL.items():
        sets = tuple(benchmark.shown for benchmark in BENCHMARKS if benchmark.group == group)
        theirs = _their_lines([each for each in published() if each.group != _ABLATION], (*sets, overall))
        lines, notes = _our_lines(ours, titles, (*sets, overall))
        if lines:
            caption = f"{group.capitalize() if group.islower() else group} benchmarks: the paper's rows, and ours."
            tables.append(
                ResultTable(
                    name=group.lower(), caption=caption, sets=(*sets, overall), lines=(*theirs, *lines), notes=notes
                )
            )
    both = tuple(OVERALL.values())
    lines, notes = _our_lines(ours, titles, both)
    if lines:
        theirs = _their_lines([each for each in published() if each.group == _ABLATION], both)
        caption = "Ablation: the paper's rows, and ours; means weighted by the number of videos."
        tables.append(ResultTable(name=_ABLATION, caption=caption, sets=both, lines=(*theirs, *lines), notes=notes))
    return tables


def _their_lines(rows: Sequence[Published], sets: Sequence[str]) -> list[Line]:
    methods = dict.fromkeys(row.method for row in rows)
    return [
        Line(
            name=method,
            ours=False,
            values={
                (row.dataset, measure): value
                for row in rows
                if row.method == method and row.dataset in sets
                for measure, value in (("srcc", row.srcc), ("plcc", row.plcc))
                if value is not None
            },
        )
        for method in methods
    ]


def _our_lines(
    rows: Sequence[AgreementRow], titles: Mapping[str, str], sets: Sequence[str]
) -> tuple[list[Line], tuple[str, ...]]:
    mine = [row for row in rows if titles.get(row.benchmark, row.benchmark) in sets]
    lines = [
        Line(
            name=model,
            ours=True,
            values={
                (titles.get(row.benchmark, row.benchmark), row.measure): float(row.value)
                for row in mine
                if row.model == model and row.value is not None
            },
            partial=frozenset(
                titles.get(row.benchmark, row.benchmark)
                for row in mine
                if row.model == model and row.n < ENOUGH * row.expected
            ),
        )
        for model in dict.fromkeys(row.model for row in mine)
    ]
    notes = tuple(
        f"{row.model} on {titles.get(row.benchmark, row.benchmark)}: {row.n} of {row.expected} videos"
        for row in mine
        if row.measure == "srcc" and row.n != row.expected
    )
    return lines, notes


def to_page_table(table: ResultTable) -> Table:
    """Return a table for a page."""
    columns = (
        Column(title="method"),
        Column(title="from"),
        *(Column(title=f"{title} {_TITLES[measure]}", form=".3f") for title, measure in table.columns),
    )
    rows = tuple(
        (line.name, "here" if line.ours else "paper", *(line.values.get(column) for column in table.columns))
        for line in table.lines
    )
    marks = {(row, place + 2): mark for (row, place), mark in table.marks().items()}
    return Table(caption=table.caption, columns=columns, rows=rows, marks=marks)


def to_markdown(table: ResultTable) -> str:
    """Return a table in Markdown; our rows are marked by an asterisk."""
    head = ["method", *(f"{title} {_TITLES[measure]}" for title, measure in table.columns)]
    lines = [_joined(head), _joined(["---", *("---:" for _ in table.columns)])]
    for line, cells in zip(table.lines, table.cells("**{}**", "_{}_"), strict=True):
        name = line.name.replace("|", "\\|")
        lines.append(_joined([f"{name} *" if line.ours else name, *cells]))
    foot = ["\\* measured here; **best**, _second_", *table.notes]
    return "\n".join([table.caption, "", *lines, "", *(f"{each}  " for each in foot)]) + "\n"


def _joined(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def to_latex(table: ResultTable) -> str:
    """Return a table in LaTeX, with the rules of the package booktabs; our rows are set apart by a rule."""
    head = " & ".join(f"\\multicolumn{{{len(MEASURES)}}}{{c}}{{{_latex(title)}}}" for title in table.sets)
    measures = " & ".join(_TITLES[measure] for _, measure in table.columns)
    lines = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{l{'c' * len(table.columns)}}}", "\\toprule"]
    lines += [f"Method & {head} \\\\", f" & {measures} \\\\", "\\midrule"]
    theirs = sum(not line.ours for line in table.lines)
    cells = table.cells("\\textbf{{{}}}", "\\underline{{{}}}")
    for number, (line, numbers) in enumerate(zip(table.lines, cells, strict=True)):
        if number == theirs and theirs:
            lines.append("\\midrule")
        lines.append(f"{_latex(line.name)} & {' & '.join(each or '--' for each in numbers)} \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", *(f"% {each}" for each in table.notes)]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    special |= {each: f"\\{each}" for each in "&%$#_{}"}
    return "".join(special.get(each, each) for each in " ".join(text.split()))


def to_html(table: ResultTable) -> str:
    """Return a table as a piece of HTML.

    Raises:
        MissingExtraError: Jinja is not installed.
    """
    return render_block(to_page_table(table))


FORMATS: Final[Mapping[str, tuple[str, Callable[[ResultTable], str]]]] = {
    "md": (".md", to_markdown),
    "latex": (".tex", to_latex),
    "html": (".html", to_html),
}
"""Suffix and writer of each format, by name."""
