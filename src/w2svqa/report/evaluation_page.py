"""The page of an evaluation: figures with intervals, the paper's tables, fits, differences, and what has no score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, nan
from typing import Final

import numpy as np

from w2svqa.core.errors import StrPath
from w2svqa.core.evaluation_rows import AgreementRow, DifferenceRow, Facet, JoinedRow
from w2svqa.core.store import package_versions
from w2svqa.report.charts import Series, bars, scatter
from w2svqa.report.evaluation_tables import DIFFERENCE_COLUMNS, difference_cells, figures_table, interval_text, row_text
from w2svqa.report.page import (
    Block,
    Cell,
    Column,
    Facts,
    Figure,
    Figures,
    Page,
    Provenance,
    Section,
    Table,
    Text,
    write_page,
)
from w2svqa.report.paper_tables import paper_tables, to_page_table
from w2svqa.stages.evaluate import EvaluateConfig, Evaluated, Evaluation

REPORT: Final = "evaluation.html"

MOST_FITS: Final = 12
"""Models of one benchmark that have their scatter on the page, the first ones asked for."""

_MOST_ROWS: Final = 50
_LEAST_CONTENTS: Final = 5  # shown of the contents that a model orders worst


def write_evaluation_page(path: StrPath, evaluation: Evaluation, config: EvaluateConfig) -> None:
    """Write the page of an evaluation as one HTML file; the same evaluation gives the same bytes.

    Raises:
        MissingExtraError: the extra ``plot`` is not installed.
        StoreError: the file cannot be written.
    """
    write_page(path, evaluation_page(evaluation, config))


def evaluation_page(evaluation: Evaluation, config: EvaluateConfig) -> Page:
    """Return the page of an evaluation; sections that have nothing to show are left out.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = evaluation.figures
    parts: list[tuple[str, Sequence[Block]]] = [("Figures", _summary(evaluation))]
    if tables := paper_tables(figures):
        notes = tuple(note for table in tables for note in table.notes)
        text = (Text(paragraphs=tuple(dict.fromkeys(notes))),) if notes else ()
        parts.append(("Beside the paper", (*(to_page_table(table) for table in tables), *text)))
    parts += [(f"{each.benchmark.shown}: fits", tuple(_fits(each))) for each in evaluation.sets]
    parts.append(("Differences between models", tuple(_differences(evaluation.differences))))
    parts.append(("By distortion", tuple(_facet(figures, "distortion"))))
    parts.append(("By content", tuple(_contents(figures))))
    parts.append(("Without a score", tuple(_missing(evaluation.joined))))
    parts.append(("What the benchmarks are", (_benchmarks(evaluation),)))
    return Page(
        title=f"{_counted(len(evaluation.models), 'model')} on {_counted(len(evaluation.sets), 'benchmark')}",
        lead=tuple(_lead(evaluation)),
        sections=tuple(Section(title=title, blocks=tuple(blocks)) for title, blocks in parts if blocks),
        provenance=Provenance(
            config={"resamples": config.resamples},
            inputs=evaluation.inputs,
            versions=package_versions(),
            seed=config.seed,
        ),
    )


def _lead(evaluation: Evaluation) -> Iterator[str]:
    for each in evaluation.sets:
        if not each.agreements:
            continue
        ranked = sorted(each.agreements.items(), key=lambda item: -_or_least(item[1].figures["srcc"].value))
        name, best = ranked[0]
        if isfinite(best.figures["srcc"].value):
            found = best.figures["srcc"]
            told = interval_text(found.value, found.low, found.high)
            counts = f"{best.videos} of {each.rated.ratings.expected} videos"
            yield f"{each.benchmark.shown}: {name} has the highest SRCC, {told}, over {counts}."
    yield from (note for note in evaluation.notes if "fall where ratings rise" in note)


def _or_least(value: float) -> float:
    return value if isfinite(value) else -2.0


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _summary(evaluation: Evaluation) -> tuple[Block, ...]:
    blocks: list[Block] = [
        _facts(evaluation),
        Text(
            paragraphs=(
                "SRCC, KRCC: rank correlations. PLCC, RMSE: after the logistic fit of four parameters; RMSE in units of"
                " the ratings. 95 % intervals: bootstrap over contents; the curve is fitted once. The best value of a"
                " benchmark is bold, the second underlined, among models with about as many videos.",
            )
        ),
        *(figures_table(each, evaluation.figures) for each in evaluation.sets),
    ]
    overall = [row for row in evaluation.figures if row.measure == "srcc" and row.benchmark.endswith("-overall")]
    if overall:
        columns = (Column(title="model"), Column(title="group"), Column(title="SRCC"), Column(title="videos", form="d"))
        rows = tuple((row.model, row.benchmark, row_text(row), row.n) for row in overall)
        blocks.append(Table(caption="Means weighted by the number of videos.", columns=columns, rows=rows))
    chart = _bars(evaluation)
    return (*blocks, *((Figures(figures=(chart,)),) if chart else ()))


def _facts(evaluation: Evaluation) -> Facts:
    rows = evaluation.joined
    return Facts(
        items=(
            ("benchmarks", str(len(evaluation.sets))),
            ("models", str(len(evaluation.models))),
            ("ratings", f"{sum(len(each.rated.ratings.rows) for each in evaluation.sets):,}"),
            ("scores", f"{sum(row.score is not None for row in rows):,}"),
            ("missing scores", f"{sum(row.score is None for row in rows):,}"),
        )
    )


def _bars(evaluation: Evaluation) -> Figure | None:
    """SRCC of each model on each benchmark; the paper's picture of a table."""
    models = evaluation.models
    sets = [each for each in evaluation.sets if each.agreements]
    if len(models) * len(sets) < 2:
        return None
    series = []
    for model in models[:6]:  # as many colours as there are
        found = [each.agreements[model].figures["srcc"] if model in each.agreements else None for each in sets]
        values = [nan if each is None else each.value for each in found]
        ends = [
            (value, value) if each is None else (each.low, each.high) for each, value in zip(found, values, strict=True)
        ]
        series.append(Series(name=model, values=values, low=[low for low, _ in ends], high=[high for _, high in ends]))
    names = [each.benchmark.shown for each in sets]
    alt = f"SRCC with 95 % intervals of {', '.join(models[:6])} on {', '.join(names)}; the numbers are in the tables"
    left_out = f"The first 6 of {len(models)} models." if len(models) > 6 else ""
    return Figure(title="SRCC", svg=bars(names, series, label="SRCC", alt=alt), caption=left_out)


def _fits(each: Evaluated) -> Iterator[Block]:
    """Scatter with its curve, and residuals, of each model."""
    ratings = each.rated.ratings
    higher = each.benchmark.higher_is_better
    rated = np.array([row.value for row in ratings.rows]) * (1 if higher else -1)
    label = (
        f"{'MOS' if higher else '-DMOS'} ({each.benchmark.scale})" if each.benchmark.scale != "unknown" else "rating"
    )
    figures: list[Figure] = []
    for scores in each.scores[:MOST_FITS]:
        agreement = each.agreements[scores.model]
        curve = agreement.curves.get("four")
        if agreement.figures["srcc"].problem:
            continue
        said, target = scores.oriented[agreement.known], rated[agreement.known]
        places = np.linspace(said.min(), said.max(), 200)
        alt = f"{label} over the score of {scores.model}, {agreement.videos} videos"
        fit = None if curve is None else (places, curve(places))
        axis = f"score of {scores.model}" + ("" if scores.higher_is_better else ", sign changed")
        caption = "; ".join(agreement.notes)
        figures.append(
            Figure(
                title=scores.model, svg=scatter(said, target, labels=(axis, label), alt=alt, fit=fit), caption=caption
            )
        )
        if curve is not None:
            fitted = curve(said)
            svg = scatter(
                fitted,
                target - fitted,
                labels=("rating as the curve has it", "rating minus curve"),
                alt=f"Residuals of the fit of {scores.model} over the fitted rating",
                fit=(np.array([fitted.min(), fitted.max()]), np.zeros(2)),
            )
            figures.append(Figure(title=f"{scores.model}: residuals", svg=svg))
    if figures:
        yield Figures(figures=tuple(figures))
    if len(each.scores) > MOST_FITS:
        yield Text(paragraphs=(f"The first {MOST_FITS} of {len(each.scores)} models.",))


def _differences(rows: Sequence[DifferenceRow]) -> Iterator[Block]:
    if not rows:
        return
    yield Text(
        paragraphs=(
            "First minus second, on the videos that both have scored. p: paired bootstrap over contents, two-sided;"
            " Holm: raised for all pairs of models of a benchmark. Meng: test of Meng, Rosenthal and Rubin, raised"
            " likewise. F: ratio of the variances of residuals, as VQEG has it.",
        )
    )
    shown = sorted(rows, key=lambda row: (row.benchmark, row.measure != "srcc"))
    more = "" if len(shown) <= 4 * _MOST_ROWS else f" The first {4 * _MOST_ROWS} of {len(shown)}; the table has all."
    yield Table(
        caption=f"Every two models.{more}",
        columns=DIFFERENCE_COLUMNS,
        rows=tuple(difference_cells(row) for row in shown[: 4 * _MOST_ROWS]),
    )


def _facet(rows: Sequence[AgreementRow], facet: Facet) -> Iterator[Block]:
    found = [row for row in rows if row.facet == facet and row.measure == "srcc"]
    if not found:
        return
    columns = (
        Column(title="benchmark"),
        Column(title="distortion"),
        Column(title="model"),
        Column(title="SRCC"),
        Column(title="videos", form="d"),
        Column(title="contents", form="d"),
    )
    cells = tuple((row.benchmark, row.part, row.model, row_text(row), row.n, row.contents) for row in found)
    yield Table(caption="Rank correlation within each distortion.", columns=columns, rows=cells)


def _contents(rows: Sequence[AgreementRow]) -> Iterator[Block]:
    """How models order the videos of single contents: middle, and the worst."""
    groups: dict[tuple[str, str], list[AgreementRow]] = {}
    for row in rows:
        if row.facet == "content" and row.measure == "srcc" and row.value is not None:
            groups.setdefault((row.benchmark, row.model), []).append(row)
    if not groups:
        return
    cells: list[tuple[Cell, ...]] = []
    for (benchmark, model), found in groups.items():
        ranked = sorted(found, key=lambda row: row.value or 0.0)
        values = [row.value for row in ranked if row.value is not None]
        worst = ", ".join(f"{row.part} {row.value:.2f}" for row in ranked[:_LEAST_CONTENTS])
        cells.append((benchmark, model, float(np.median(values)), values[0], values[-1], len(values), worst))
    columns = (
        Column(title="benchmark"),
        Column(title="model"),
        *(Column(title=title, form=".3f") for title in ("median", "least", "greatest")),
        Column(title="contents", form="d"),
        Column(title="worst ordered"),
    )
    yield Table(
        caption="Rank correlation within each content of three videos or more.", columns=columns, rows=tuple(cells)
    )


def _missing(rows: Sequence[JoinedRow]) -> Iterator[Block]:
    found = [row for row in rows if row.score is None]
    if not found:
        return
    columns = tuple(Column(title=title) for title in ("video", "benchmark", "model", "why"))
    cells = tuple((row.video, row.benchmark, row.model, row.message) for row in found[:_MOST_ROWS])
    more = f"the first {_MOST_ROWS}; the table joined/ has all" if len(found) > _MOST_ROWS else "all of them"
    yield Table(caption=f"{len(found)} scores are missing: {more}.", columns=columns, rows=cells)


def _benchmarks(evaluation: Evaluation) -> Block:
    columns = tuple(
        Column(title=title)
        for title in ("benchmark", "group", "split", "rated", "expected", "scale", "from", "licence", "citation")
    )
    rows = []
    for each in evaluation.sets:
        known, ratings = each.benchmark, each.rated.ratings
        scale = known.scale + ("" if known.higher_is_better else ", lower is better")
        expected = str(known.videos) if known.videos else "unknown"
        counts = (str(len(ratings.rows)), expected)
        rows.append((known.shown, known.group, known.split, *counts, scale, known.page, known.license, known.citation))
    return Table(caption="As far as known.", columns=columns, rows=tuple(rows))
