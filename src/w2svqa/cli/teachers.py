"""``w2svqa teachers``: every teacher, what it needs, and whether it can run now."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2svqa.cli import exits

if TYPE_CHECKING:
    from rich.table import Table

    from w2svqa.teachers.listing import TeacherFacts


def teachers(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    parameters: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder to look for trained parameters in, and in its folders."),
    ] = None,
) -> None:
    """List the teachers: scale, direction, needs, and whether each can run now."""
    from w2svqa.core.errors import MissingInputError
    from w2svqa.stages.student_teacher import PREFIX, StudentTeacher
    from w2svqa.teachers.listing import facts_of, list_teachers

    folder = None if parameters is None else Path(parameters)
    if folder is not None and not folder.is_dir():
        raise MissingInputError("no such folder", path=folder, remedy="name the folder that holds the parameters")
    found = (*list_teachers(folder), facts_of(PREFIX, StudentTeacher))
    if as_json:
        from w2svqa.report.rows import to_json

        exits.say("[" + ",\n ".join(to_json(_row(facts)) for facts in found) + "]")
        return
    from w2svqa.cli.console import show, uses_ascii

    show(_table(found, ascii_only=uses_ascii(sys.stdout)))
    ready = sum(facts.runs and facts.problem is None for facts in found)
    exits.note(f"{ready} of {len(found)} can run now; docs/teachers.md says where their parameters come from")


def _row(facts: TeacherFacts) -> dict[str, object]:
    """Return what JSON can hold: ends of a range that are infinite are null, and so is what an argument decides."""
    scale = None if facts.range is None else [_finite(end) for end in facts.range]
    return {
        "name": facts.name,
        "range": scale,
        "higher_is_better": facts.higher_is_better,
        "needs_reference": facts.needs_reference,
        "needs_motion": facts.needs_motion,
        "needs_parameters": facts.needs_parameters,
        "files": list(facts.files),
        "uses_device": facts.uses_device,
        "batch": facts.batch,
        "options": {name: _finite(value) for name, value in facts.options.items()},
        "runs": facts.runs,
        "problem": facts.problem,
        "remedy": facts.remedy,
    }


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(found: Iterable[TeacherFacts], *, ascii_only: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    from w2svqa.report.terminal import plain_box

    table = Table(box=plain_box(ascii_only), header_style="bold")
    for name in ("teacher", "scale", "better", "needs", "now", "remedy"):
        table.add_column(name, overflow="fold")
    for facts in found:
        state, style = ("ok", "green") if facts.problem is None else (facts.problem, "yellow" if facts.runs else "red")
        cells = (_shown_name(facts.name), _scale(facts.range), _direction(facts.higher_is_better), _needs(facts))
        table.add_row(*map(Text, cells), Text(state, style=style), Text(facts.remedy or ""))
    return table


_ARGUMENTS = {"command:": "PROGRAM {path}", "pyiqa:": "NAME", "scores:": "FILE", "student:": "BUNDLE"}


def _shown_name(name: str) -> str:
    return name + (_ARGUMENTS.get(name, "...") if name.endswith(":") else "")


def _scale(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return "its own"
    low, high = (f"{end:g}" if math.isfinite(end) else None for end in ends)
    if low is None or high is None:
        return "no bounds" if low is high else f"up to {high}" if low is None else f"{low} upwards"
    return f"{low} to {high}"


def _direction(higher: bool | None) -> str:
    return "its own" if higher is None else "higher" if higher else "lower"


def _needs(facts: TeacherFacts) -> str:
    needs = [", ".join(facts.files) or "parameters"] if facts.needs_parameters else []
    needs += ["a reference"] if facts.needs_reference else []
    needs += ["motion"] if facts.needs_motion else []
    return "; ".join(needs) or "nothing"
