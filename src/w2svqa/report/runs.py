"""Runs as people and programs read them: a row of a list, one run in full, both as JSON and in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from w2svqa.core.config import leaves
from w2svqa.core.errors import printable
from w2svqa.core.provenance import Start
from w2svqa.report.run_figures import HEADLINES, RunFigure, figures_of, quality_figure, quality_name
from w2svqa.report.terminal import plain_box, sparkline
from w2svqa.stages.run_folder import TRAIN, Part, RunFacts, Stage

if TYPE_CHECKING:
    from rich.table import Table

_STATE_STYLES: Final = {
    "finished": "green",
    "running": "cyan",
    "stopped": "yellow",
    "failed": "red",
    "damaged": "red",
    "foreign": "dim",
}
_CURVE_WIDTH = 40


def run_row(facts: RunFacts) -> dict[str, object]:
    """Return a run as one JSON object of a list; absent is ``None``."""
    figures = figures_of(facts.card)
    return {
        "name": facts.name,
        "folder": str(facts.folder),
        "state": facts.state,
        "at": progress_of(facts),
        "holder": None if facts.holder is None else asdict(facts.holder),
        "started": facts.starts[0].started if facts.starts else None,
        "starts": len(facts.starts),
        "seconds": seconds_of(facts),
        "figures": {name: figures[name].value if name in figures else None for name in HEADLINES},
        "problems": list(facts.problems),
    }


def run_object(facts: RunFacts) -> dict[str, object]:
    """Return everything known of a run as one JSON object."""
    return {
        **run_row(facts),
        "config": dict(facts.config),
        "provenance": [asdict(start) for start in facts.starts],
        "stages": [
            {
                "stage": stage.number,
                "parts": [asdict(part) for part in stage.parts],
                "log": [dict(record) for record in stage.log],
                "held_back": None if stage.held_back is None else asdict(stage.held_back),
                "stopping": None if stage.decision is None else asdict(stage.decision),
            }
            for stage in facts.stages
        ],
        "quality": [asdict(row) for row in facts.quality],
        "figures": {name: asdict(figure) for name, figure in figures_of(facts.card).items()},
    }


def progress_of(facts: RunFacts) -> str:
    """Say how far a run is: the last folder that is complete or begun, and the step of a training.

    Example: ``"stage 2: train, step 300 of 600"``.
    """
    if facts.state == "foreign":
        return "no run"
    if facts.state == "finished":
        return f"{len(facts.stages)} stage{'s' if len(facts.stages) > 1 else ''}"
    there = [(stage, part) for stage in facts.stages for part in stage.parts if part.state != "absent"]
    if not there:
        return "nothing yet"
    stage, part = there[-1]
    return f"stage {stage.number}: {_part_progress(facts, stage, part)}"


def _part_progress(facts: RunFacts, stage: Stage, part: Part) -> str:
    if part.name != TRAIN:
        return part.name + ("" if part.state == "complete" else f" {part.state}")
    if not stage.log:
        return "train begun"
    steps = _steps(facts.config, stage.number)
    return f"train, step {stage.log[-1]['step']:.0f}" + (f" of {steps}" if isinstance(steps, int) else "")


def _steps(config: Mapping[str, object], number: int) -> object:
    """How many steps a stage has; later ones may have a number of their own."""
    first, later = (config.get(name) for name in ("train", "later"))
    own = later.get("steps") if number > 1 and isinstance(later, dict) else None
    return own if own is not None else first.get("steps") if isinstance(first, dict) else None


def seconds_of(facts: RunFacts) -> float | None:
    """Return how long a run was worked on, over all starts; ``None`` if no start was recorded.

    A start that was killed has no end and counts nothing; of one that still runs the time up to now.
    """
    if not facts.starts:
        return None
    running = facts.starts[-1:] if facts.state == "running" else ()
    return sum(_seconds(start, now=start in running) for start in facts.starts)


def _seconds(start: Start, *, now: bool) -> float:
    try:
        begun = datetime.fromisoformat(start.started)
        end = datetime.now(UTC) if now else datetime.fromisoformat(start.ended or start.started)
        return max(0.0, (end - begun).total_seconds())
    except (ValueError, TypeError):  # a time that somebody wrote by hand
        return 0.0


def duration(seconds: float | None) -> str:
    """Return seconds in words; empty if unknown.

    Example:
        >>> duration(3723), duration(59)
        ('1 h 02 min', '59 s')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def runs_table(runs: Iterable[RunFacts], *, ascii_only: bool = False) -> Table:
    """Lay out runs as a table: name, state, how far, when, how long, headline figures, remarks."""
    from rich.text import Text

    titles = ("run", "state", "at", "started", "worked", *(name.replace("_", " ") for name in HEADLINES), "remarks")
    table = _table(titles, ascii_only=ascii_only)
    for facts in runs:
        figures = figures_of(facts.card)
        started = facts.starts[0].started.replace("T", " ")[:16] if facts.starts else ""
        table.add_row(
            Text(printable(facts.name)),
            Text(facts.state, style=_STATE_STYLES[facts.state]),
            Text(progress_of(facts)),
            Text(started),
            Text(duration(seconds_of(facts))),
            *(Text(f"{figures[name].value:.3f}" if name in figures else "") for name in HEADLINES),
            Text(printable("; ".join(remarks(facts)))),
        )
    return table


def remarks(facts: RunFacts) -> list[str]:
    """Return what there is to say of a run: who works on it, what is wrong, what to do."""
    lines = [] if facts.holder is None else [f"held by {facts.holder}"]
    lines += facts.problems
    lines += [stage.problem for stage in facts.stages if stage.problem]
    lines += [part.problem for stage in facts.stages for part in stage.parts if part.problem]
    lines += [f"stage {stage.number}: {stage.decision.reason}" for stage in facts.stages if stage.decision]
    if facts.state == "stopped":
        lines.append("start it again to go on")
    return lines


def run_tables(facts: RunFacts, *, ascii_only: bool = False) -> Iterator[tuple[str, Table]]:
    """Yield one run in full as tables with their headings; what it does not have is left out."""
    yield "configuration", _rows(("setting", "value"), _settings(facts.config), ascii_only)
    if facts.starts:
        yield f"provenance ({len(facts.starts)} starts)", _rows(("what", "value"), start_facts(facts), ascii_only)
    if facts.stages:
        yield "stages", _stages_table(facts.stages, ascii_only=ascii_only)
    curves = list(_curves(facts.stages, ascii_only))
    if curves:
        yield "training", _rows(("stage", "", "first", "last", "over the steps"), curves, ascii_only)
    if facts.quality:
        rows = [(quality_name(row), _text(quality_figure(row)), str(row.n), str(row.contents)) for row in facts.quality]
        yield "label quality [95 %]", _rows(("labels", "value", "n", "contents"), rows, ascii_only)
    figures = [(name, figure.text) for name, figure in figures_of(facts.card).items()]
    if figures:
        yield "figures of the student", _rows(("figure", "value"), figures, ascii_only)


def _settings(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in leaves(dict(config)).items():
        yield key, value if isinstance(value, str) else json.dumps(value)


def start_facts(facts: RunFacts) -> Iterator[tuple[str, str]]:
    """Yield what made a run, from its last start."""
    if not facts.starts:
        return
    start = facts.starts[-1]
    machine = start.machine
    memory = "" if machine.memory_bytes is None else f", {machine.memory_bytes / 2**30:.1f} GiB"
    yield "started", start.started
    yield "ended", f"{start.ended or 'not known'} {start.outcome or ''}".rstrip()
    yield "by", f"{start.user or 'unknown'} on {machine.host}, process {start.pid}"
    yield "command", start.command
    yield "machine", f"{machine.processors} x {machine.processor}{memory}, {machine.system}"
    yield "GPUs", ", ".join(machine.gpus) or "none"
    yield "seed", "none" if start.seed is None else str(start.seed)
    yield "configuration", start.config
    yield "code", f"commit {start.commit or 'unknown'}, source {start.source}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in start.versions.items())
    for name, value in start.inputs.items():
        yield f"input {name}", value


def _stages_table(stages: Sequence[Stage], *, ascii_only: bool) -> Table:
    rows = []
    for stage in stages:
        for part in (part for part in stage.parts if part.state != "absent"):
            count = "" if part.rows is None else str(part.rows)
            if part.name == TRAIN and stage.log:
                count = f"step {stage.log[-1]['step']:.0f}"
            rows.append((str(stage.number), part.name, part.state, count, part_counts(part.facts)))
    return _rows(("stage", "part", "state", "rows", "of which"), rows, ascii_only)


def part_counts(facts: Mapping[str, object]) -> str:
    """Say the plain counts of a manifest, such as pairs by origin."""
    return ", ".join(f"{value} {name}" for name, value in facts.items() if type(value) is int)


def _curves(stages: Sequence[Stage], ascii_only: bool) -> Iterator[tuple[str, ...]]:
    for stage in stages:
        names = dict.fromkeys(name for record in stage.log for name in record if name != "step")
        for name in names:
            values = [record[name] for record in stage.log if name in record]
            line = sparkline(_scaled(values), width=_CURVE_WIDTH, ascii_only=ascii_only)
            yield str(stage.number), name, f"{values[0]:.4g}", f"{values[-1]:.4g}", line


def _scaled(values: Sequence[float]) -> list[float]:
    """Stretch values to 0-100; constant ones lie in the middle."""
    low, high = min(values), max(values)
    return [100 * (value - low) / (high - low) if high > low else 50.0 for value in values]


def _text(figure: RunFigure | None) -> str:
    return "-" if figure is None else figure.text


def _rows(titles: Sequence[str], rows: Iterable[Sequence[str]], ascii_only: bool) -> Table:
    from rich.text import Text

    table = _table(titles, ascii_only=ascii_only)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _table(titles: Sequence[str], *, ascii_only: bool) -> Table:
    from rich.table import Table

    table = Table(box=plain_box(ascii_only), header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
