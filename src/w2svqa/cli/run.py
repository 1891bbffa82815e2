"""``w2svqa run``: the whole loop, from unlabeled videos to a student of one's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2svqa.cli import exits

if TYPE_CHECKING:
    from w2svqa.pipeline import Progress

DATA_VARIABLE = "W2SVQA_DATA"
"""Environment variable that configurations use to name the data."""

_LINES_PER_STAGE = 20


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, such as configs/tiny-cpu.yaml.")],
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; runs/NAME if not given.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help=f"Folder of the videos: sets {DATA_VARIABLE} for this run.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that distort and label clips side by side.")] = 1,
) -> None:
    """Train a student from unlabeled videos: ingest, distort, label, pair, train, export.

    Interrupted or killed, the same command goes on where it stopped. Needs the extra "train".
    """
    if data is not None:
        if not data.is_dir():
            raise typer.BadParameter(f"the folder {str(data)!r} does not exist", param_hint="--data")
        os.environ[DATA_VARIABLE] = str(data)
    from w2svqa.core.extras import require

    # before the pipeline is loaded, so that a missing extra is said in one line
    require("torch", extra="train")
    from w2svqa import pipeline

    with _stage_progress() as progress:
        bundle = pipeline.run(config, output=output, workers=workers, progress=progress)
    exits.say(str(bundle))
    exits.note(f"the student is ready: w2svqa score --student {bundle} FILE")


@contextmanager
def _stage_progress() -> Iterator[Progress]:
    """Show each stage on stderr: a bar with the time left on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.fields[stage]:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True)) as bars:

        def show(stage: str, done: int, total: int, text: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task("", total=total, stage=stage)
            elif bars.tasks[tasks[stage]].finished:
                bars.console.print(f"{stage}: {escape(text)}", highlight=False)  # what is to stay on the screen
            bars.update(tasks[stage], completed=done, total=total, description=escape(text))

        yield show


class _Lines:
    """Progress for logs: about twenty lines per stage."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int, text: str) -> None:
        step = done * _LINES_PER_STAGE // max(total, 1)
        if step != self._shown.get(stage) or done >= total:
            self._shown[stage] = step
            exits.note(f"{stage} {done}/{total} {text}".rstrip())
