"""``w2svqa run``: the whole loop, from unlabeled videos to a student of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from w2svqa.cli import exits
from w2svqa.cli.launch_options import AccelerateConfig, Launcher, Processes
from w2svqa.cli.stages import stage_progress

DATA_VARIABLE = "W2SVQA_DATA"
"""Environment variable that configurations use to name the data."""


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, such as configs/tiny-cpu.yaml.")],
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; runs/NAME if not given.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help=f"Folder of the videos: sets {DATA_VARIABLE} for this run.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that distort, label and score clips side by side.")
    ] = 1,
    processes: Processes = 1,
    launcher: Launcher = None,
    accelerate_config: AccelerateConfig = None,
) -> None:
    """Train a student from unlabeled videos: ingest, distort, label, then stage after stage pair, train, export, mine.

    Interrupted or killed, the same command goes on where it stopped. `w2svqa runs show DIR` tells how far it is, and
    DIR/report.html what came out. Needs the extra "train".
    """
    if data is not None:
        if not data.is_dir():
            raise typer.BadParameter(f"the folder {str(data)!r} does not exist", param_hint="--data")
        os.environ[DATA_VARIABLE] = str(data)
    from w2svqa.core.extras import require

    # before the pipeline is loaded, so that a missing extra is said in one line
    require("torch", extra="train")
    from w2svqa import pipeline
    from w2svqa.pipeline import Launch
    from w2svqa.report.run_page import write_run_page

    with stage_progress() as progress:
        bundle = pipeline.run(
            config,
            output=output,
            workers=workers,
            launch=Launch(processes=processes, launcher=launcher, accelerate_config=accelerate_config),
            progress=progress,
        )
    exits.say(str(bundle))
    exits.note(f"what came out: {write_run_page(bundle.parent)}")
    exits.note(f"the student is ready: w2svqa score --student {bundle} FILE")
