"""``w2svqa train``: one stage of training in a run's folder, in one process or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2svqa.cli import exits
from w2svqa.cli.launch_options import AccelerateConfig, Launcher, Processes
from w2svqa.cli.stages import stage_progress


def train(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run whose pairs are made.", exists=True, file_okay=False)
    ],
    stage: Annotated[int, typer.Option(min=1, metavar="K", help="Stage of weak-to-strong training.")] = 1,
    processes: Processes = 1,
    launcher: Launcher = None,
    accelerate_config: AccelerateConfig = None,
) -> None:
    """Train one stage of a run, or what is left of it.

    This is what "w2svqa run" does for each stage, and what its processes run if there are several. Interrupted or
    killed, the same command goes on from the last checkpoint. Needs the extra "train".
    """
    from w2svqa.core.extras import require

    # before the pipeline is loaded, so that a missing extra is said in one line
    require("torch", extra="train")
    from w2svqa.stages.launch import end_with_caller, launch_training, process_index

    end_with_caller()
    with stage_progress() as progress:

        def show(done: int, total: int, text: str) -> None:
            progress("train", done, total, text)

        if processes > 1 or launcher is not None or accelerate_config is not None:
            launch_training(
                folder,
                stage,
                processes=processes,
                launcher=launcher,
                accelerate_config=accelerate_config,
                progress=show,
            )
        else:
            from w2svqa.pipeline import train_stage

            train_stage(folder, stage, show)
    if process_index() == 0:
        exits.note(f"stage {stage} is trained: w2svqa run goes on from here")
