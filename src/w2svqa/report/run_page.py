"""The page of a run: what it was told, what its labels were worth, how its students learned, and why it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Final

from w2svqa.core.errors import InputError, StrPath
from w2svqa.core.rows import LabelQualityRow
from w2svqa.report.charts import Series, bars, lines
from w2svqa.report.page import Column, Facts, Figure, Figures, Page, Provenance, Section, Table, Text, write_page
from w2svqa.report.run_figures import HEADLINES, direction, figures_of, quality_name
from w2svqa.report.runs import duration, part_counts, progress_of, remarks, seconds_of, start_facts
from w2svqa.report.terminal import squeeze
from w2svqa.stages.held_back import HeldBackMean, held_back_mean
from w2svqa.stages.run_folder import RunFacts, Stage, read_run

REPORT: Final = "report.html"

MOST_PLACES: Final = 400
"""Of a training curve; longer logs are averaged."""

_SHARES = ("lambda", "accuracy")
_NOT_LOSSES = ("step", "lr", "learning_rate", "seconds", "epoch", *_SHARES)


def write_run_page(folder: StrPath, *, holding: bool = False) -> Path:
    """Write ``report.html`` into a run's folder and return it; one that is there is replaced.

    Args:
        folder: of the run, in any state.
        holding: this process holds the folder; its end should be recorded already, for the page says how it ended.

    Raises:
        MissingInputError: there is no such folder.
        InputError: it is no folder of a run.
        MissingExtraError: Jinja or matplotlib is not installed.
        StoreError: the page cannot be written.
    """
    facts = read_run(folder, holding=holding)
    if facts.state == "foreign":
        raise InputError("is no folder of a run", path=folder, remedy="w2svqa runs FOLDER lists what there is")
    path = facts.folder / REPORT
    write_page(path, run_page(facts))
    return path


def run_page(facts: RunFacts) -> Page:
    """Return the page of a run; sections that have nothing to show are left out.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    makers = (_summary, _stages, _held_back, _quality, _training, _figures, _starts)
    last = facts.starts[-1] if facts.starts else None
    return Page(
        title=f"Run {facts.name}",
        lead=tuple(_lead(facts)),
        sections=tuple(section for make in makers if (section := make(facts)) is not None),
        provenance=Provenance(
            config=facts.config,
            inputs=last.inputs if last else {},
            versions=last.versions if last else {},
            seed=last.seed if last else None,
        ),
    )


def _lead(facts: RunFacts) -> Iterator[str]:
    time = duration(seconds_of(facts))
    yield f"The run is {facts.state}: {progress_of(facts)}." + (f" It was worked on for {time}." if time else "")
    ends = [stage for stage in facts.stages if stage.decision is not None]
    if ends and ends[-1].decision is not None:
        yield f"After stage {ends[-1].number}: {ends[-1].decision.reason}."
    decided = {f"stage {stage.number}: {stage.decision.reason}" for stage in ends if stage.decision}
    yield from (line for line in remarks(facts) if line not in decided)


def _summary(facts: RunFacts) -> Section | None:
    figures = figures_of(facts.card)
    chosen = [(name.replace("_", " "), figures[name].text) for name in HEADLINES if name in figures]
    items = (("state", facts.state), ("stages", str(len(facts.stages))), *chosen)
    return Section(title="Summary", blocks=(Facts(items=items),))


def _stages(facts: RunFacts) -> Section | None:
    rows = tuple(
        (f"stage {stage.number}: {part.name}", part.state, part.rows, part_counts(part.facts))
        for stage in facts.stages
        for part in stage.parts
        if part.state != "absent"
    )
    if not rows:
        return None
    columns = (Column(title="part"), Column(title="state"), Column(title="rows", form="d"), Column(title="of which"))
    decisions = tuple(f"Stage {stage.number} {stage.decision.reason}." for stage in facts.stages if stage.decision)
    text = (Text(paragraphs=decisions),) if decisions else ()
    return Section(title="Stages", blocks=(Table(caption="What each stage left.", columns=columns, rows=rows), *text))


def _held_back(facts: RunFacts) -> Section | None:
    found = [(stage, held_back_mean(stage.held_back)) for stage in facts.stages if stage.held_back is not None]
    if not found:
        return None
    measure = next(stage.held_back.measure for stage, _ in found if stage.held_back is not None)
    caption = f"{measure}, mean over held-back contents with its 90 % interval; higher is better."
    columns = (Column(title="student of"), *_interval_columns(), Column(title="contents", form="d"))
    rows = tuple((f"stage {stage.number}", mean.value, mean.low, mean.high, mean.contents) for stage, mean in found)
    blocks: tuple[Table | Figures, ...] = (Table(caption=caption, columns=columns, rows=rows),)
    known = [(stage, mean) for stage, mean in found if mean.value is not None]
    if len(known) > 1:
        blocks += (Figures(figures=(_held_back_figure(known, measure),)),)
    return Section(title="Held-back contents", blocks=blocks)


def _held_back_figure(known: Sequence[tuple[Stage, HeldBackMean]], measure: str) -> Figure:
    values, low, high = (
        [nan if (each := getattr(mean, name)) is None else each for _, mean in known]
        for name in ("value", "low", "high")
    )
    names = [f"stage {stage.number}" for stage, _ in known]
    svg = bars(
        names,
        [Series(name=measure, values=values, low=low, high=high)],
        label=measure,
        alt=f"{measure} of the students: "
        + ", ".join(f"{name} {value:.3f}" for name, value in zip(names, values, strict=True)),
    )
    return Figure(title="Stage by stage", svg=svg)


def _interval_columns(form: str = ".3f") -> tuple[Column, ...]:
    return tuple(Column(title=title, form=form) for title in ("value", "low", "high"))


def _quality(facts: RunFacts) -> Section | None:
    if not facts.quality:
        return None
    groups: dict[tuple[str, str], list[LabelQualityRow]] = {}
    for row in facts.quality:
        if not row.kind and row.value is not None:
            groups.setdefault((row.measure, row.against), []).append(row)
    figures = Figures(figures=tuple(_quality_figure(rows) for rows in groups.values()))
    columns = (Column(title="labels"), *_interval_columns(), Column(title="n", form="d"))
    table = Table(
        caption="Quality of the labels of each stage, with 95 % intervals by the bootstrap over contents.",
        columns=(*columns, Column(title="contents", form="d")),
        rows=tuple((quality_name(row), row.value, row.low, row.high, row.n, row.contents) for row in facts.quality),
    )
    return Section(title="Label quality", blocks=(figures, table) if groups else (table,))


def _quality_figure(rows: Sequence[LabelQualityRow]) -> Figure:
    title = quality_name(rows[0]).partition(", ")[2]
    names = [f"{row.stage}: {row.source}" for row in rows]
    values, low, high = (
        [nan if (each := getattr(row, name)) is None else each for row in rows] for name in ("value", "low", "high")
    )
    svg = bars(
        names,
        [Series(name=title, values=values, low=low, high=high)],
        label=title,
        alt=f"{title}: " + ", ".join(f"{name} {value:.3f}" for name, value in zip(names, values, strict=True)),
    )
    return Figure(title=title.capitalize(), svg=svg, caption="Stage and source of the labels; whiskers: 95 %.")


def _training(facts: RunFacts) -> Section | None:
    figures = tuple(figure for stage in facts.stages for figure in _curves(stage))
    return Section(title="Training", blocks=(Figures(figures=figures),)) if figures else None


def _curves(stage: Stage) -> Iterator[Figure]:
    if len(stage.log) < 2:
        return
    names = list(dict.fromkeys(name for record in stage.log for name in record))
    losses = [name for name in names if name not in _NOT_LOSSES]
    shares = [name for name in names if name in _SHARES]
    for title, chosen, unit in (("loss and its terms", losses, "loss"), ("lambda and accuracy", shares, "share")):
        curves = [_curve(stage, name) for name in chosen]
        if curves:
            svg = lines(
                curves[0].steps,
                [Series(name=curve.name, values=curve.values) for curve in curves],
                labels=("step", unit),
                alt=f"stage {stage.number}, {title} over {len(stage.log)} records; last: "
                + ", ".join(f"{name} {stage.log[-1].get(name, nan):.3f}" for name in chosen),
            )
            yield Figure(title=f"Stage {stage.number}: {title}", svg=svg)


@dataclass(frozen=True, slots=True)
class _Curve:
    name: str
    steps: Sequence[float]
    values: Sequence[float]


def _curve(stage: Stage, name: str) -> _Curve:
    steps = squeeze([record["step"] for record in stage.log], MOST_PLACES)
    return _Curve(name, steps, squeeze([record.get(name, nan) for record in stage.log], MOST_PLACES))


def _figures(facts: RunFacts) -> Section | None:
    figures = figures_of(facts.card)
    if not figures:
        return None
    better = {1: "higher", -1: "lower", 0: ""}
    table = Table(
        caption="What the card of the run's student says.",
        columns=(
            Column(title="figure"),
            *_interval_columns(".4g"),
            Column(title="n", form="d"),
            Column(title="better"),
        ),
        rows=tuple(
            (name, each.value, each.low, each.high, each.n, better[direction(name)]) for name, each in figures.items()
        ),
    )
    return Section(title="The student", blocks=(table,))


def _starts(facts: RunFacts) -> Section | None:
    if not facts.starts:
        return None
    return Section(title="Provenance", blocks=tuple(_start_tables(facts)))


def _start_tables(facts: RunFacts) -> Iterable[Table]:
    titles = ("started", "ended", "how", "by", "command", "problem")
    rows = tuple(
        (each.started, each.ended or "", each.outcome or "", each.user, each.command, each.problem)
        for each in facts.starts
    )
    yield Table(caption="Starts of the run.", columns=tuple(Column(title=title) for title in titles), rows=rows)
    yield Table(
        caption="The last start.",
        columns=(Column(title="what"), Column(title="value")),
        rows=tuple(start_facts(facts)),
    )
