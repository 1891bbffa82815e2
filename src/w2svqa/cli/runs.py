"""``w2svqa runs``: what runs there are, one in full, several beside each other. Nothing is changed or locked."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from w2svqa.cli import exits

if TYPE_CHECKING:
    from rich.table import Table

_DEFAULT: Final = "list"
_JSON = typer.Option("--json", help="Print JSON.")


class _Listing(TyperGroup):
    """Commands of which ``list`` is meant where none is named: ``w2svqa runs FOLDER``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (click's own, or the one in typer)
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [_DEFAULT, *args])


runs = typer.Typer(
    cls=_Listing,
    rich_markup_mode=None,
    help="List runs; show one, or compare several. Without a command: list.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def list_runs(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="A folder of runs.")] = Path("runs"),
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List the runs in a folder: state, how far, when, headline figures. The default."""
    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.report.runs import run_row, runs_table
    from w2svqa.stages.run_folder import find_runs

    found = find_runs(folder)
    if as_json:
        from w2svqa.report.rows import to_json

        exits.say("[" + ",\n ".join(to_json(run_row(facts)) for facts in found) + "]")
        return
    if found:
        show(runs_table(found, ascii_only=uses_ascii(sys.stdout)))
    else:
        exits.note(f"{folder}: no runs yet; w2svqa run CONFIG makes one")


def show_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show a run: configuration, provenance, stages, training, label quality, figures."""
    from w2svqa.report.runs import progress_of, remarks, run_object, run_tables
    from w2svqa.stages.run_folder import read_run

    facts = read_run(run)
    if as_json:
        from w2svqa.report.rows import to_json

        exits.say(to_json(run_object(facts)))
        return
    from w2svqa.cli.console import uses_ascii

    lines = [f"{facts.name}: {facts.state}, {progress_of(facts)}", *remarks(facts)]
    _show(lines, run_tables(facts, ascii_only=uses_ascii(sys.stdout)))


def compare_runs(
    found: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of two runs or more.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Compare runs: settings that differ, figures with the better marked, label quality."""
    from w2svqa.report import runs_compare
    from w2svqa.stages.run_folder import read_run

    if len(found) < 2:
        raise typer.BadParameter("give two runs or more", param_hint="RUN")
    comparison = runs_compare.compare_runs([read_run(folder) for folder in found])
    if as_json:
        from w2svqa.report.rows import to_json

        exits.say(to_json(runs_compare.comparison_object(comparison)))
        return
    from w2svqa.cli.console import uses_ascii

    _show(comparison.notes, runs_compare.comparison_tables(comparison, ascii_only=uses_ascii(sys.stdout)))


def _show(lines: Iterable[str], tables: Iterable[tuple[str, Table]]) -> None:
    from w2svqa.cli.console import show
    from w2svqa.core.errors import printable

    for line in lines:
        exits.say(printable(line))
    for title, table in tables:
        exits.say(f"\n{title}")
        show(table)


for name, command in ((_DEFAULT, list_runs), ("show", show_run), ("compare", compare_runs)):
    runs.command(name)(exits.silent_on_broken_pipe(command))
