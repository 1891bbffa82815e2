"""The list of commands, in flow order."""

from __future__ import annotations

from typing import Annotated

import typer

from w2svqa import __version__
from w2svqa.cli.compare import compare
from w2svqa.cli.curate import curate
from w2svqa.cli.demo import demo
from w2svqa.cli.distort import distort
from w2svqa.cli.doctor import doctor
from w2svqa.cli.exits import say, silent_on_broken_pipe
from w2svqa.cli.ingest import ingest
from w2svqa.cli.label import label
from w2svqa.cli.pair import pair
from w2svqa.cli.run import run
from w2svqa.cli.runs import runs
from w2svqa.cli.score import score
from w2svqa.cli.teachers import teachers

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # plain words instead of panels: usage errors stay short, and help starts faster
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"w2svqa {__version__}")
        raise typer.Exit


@app.callback()
def w2svqa(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Score and compare the quality of videos without a reference, and train students that do so."""
    del version  # acted on in its callback


for command in (ingest, curate, run, score, compare, distort, label, pair, teachers, doctor, demo):
    app.command()(silent_on_broken_pipe(command))
app.add_typer(runs, name="runs")
