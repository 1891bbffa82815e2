"""The list of commands, in flow order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from w2svqa import __version__
from w2svqa.cli.compare import compare
from w2svqa.cli.curate import curate
from w2svqa.cli.demo import demo
from w2svqa.cli.distort import distort
from w2svqa.cli.doctor import doctor
from w2svqa.cli.evaluate import evaluate
from w2svqa.cli.exits import say, silent_on_broken_pipe
from w2svqa.cli.export import export
from w2svqa.cli.ingest import ingest
from w2svqa.cli.label import label
from w2svqa.cli.mine import mine
from w2svqa.cli.pair import pair
from w2svqa.cli.run import run
from w2svqa.cli.runs import runs
from w2svqa.cli.score import score
from w2svqa.cli.teachers import teachers
from w2svqa.cli.train import train


class _InFlowOrder(TyperGroup):
    """Lists groups of commands, of which typer knows only that they are no commands, where they belong."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 (click's own, or the one in typer)
        names = [name for name in super().list_commands(ctx) if name != _RUNS]
        place = names.index(doctor.__name__)
        return [*names[:place], _RUNS, *names[place:]]


_RUNS: Final = "runs"

app = typer.Typer(
    cls=_InFlowOrder,
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
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            envvar="W2SVQA_RAY",
            help="Let the workers of COMMAND run on a Ray cluster: auto, HOST:PORT, or local for this machine.",
        ),
    ] = None,
) -> None:
    """Score and compare the quality of videos without a reference, and train students that do so."""
    del version  # acted on in its callback
    if ray:
        context.with_resource(_on_cluster(ray))


@contextmanager
def _on_cluster(address: str) -> Iterator[None]:
    from w2svqa.core.cluster import RayEngine
    from w2svqa.core.executor import use_engine

    with closing(RayEngine(address)) as engine, use_engine(engine):
        yield


COMMANDS: Final = (
    ingest,
    curate,
    distort,
    label,
    pair,
    train,
    mine,
    run,
    export,
    score,
    compare,
    evaluate,
    teachers,
    doctor,
    demo,
)
for command in COMMANDS:
    app.command()(silent_on_broken_pipe(command))
app.add_typer(runs, name=_RUNS)
