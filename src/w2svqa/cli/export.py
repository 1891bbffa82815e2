"""``w2svqa export``: the student of a run, or a checkpoint of the released code, as a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2svqa.cli import exits
from w2svqa.cli.student_options import OptionsOption, named_options


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of a run; with --from-released, of a checkpoint.",
            exists=True,
            file_okay=False,
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Folder to write: new, or empty.")],
    stage: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Stage of the run; by default the student it ended with.")
    ] = None,
    from_released: Annotated[
        bool, typer.Option("--from-released", help="SOURCE is a checkpoint of the paper's released code: convert it.")
    ] = False,
    slowfast: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="PyTorchVideo's SLOWFAST_8x8_R50.pyth, for its motion features.", exists=True
        ),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make a student of the converted checkpoint as well, here.")
    ] = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An anchor of that student; once for each, worst first.", exists=True),
    ] = None,
    rating: Annotated[
        list[float] | None, typer.Option(metavar="X", help="Rating of an anchor, 0 to 100; once for each.")
    ] = None,
    option: OptionsOption = None,
) -> None:
    """Copy the student of a run to a folder of its own, or convert a checkpoint of the released code.

    A bundle is what "w2svqa score --student" takes; docs/llava.md tells about checkpoints. Converting needs the extra
    "llm".
    """
    if not from_released:
        if slowfast or bundle or anchor or rating or option:
            raise typer.BadParameter("only with --from-released: --slowfast --bundle --anchor --rating --option")
        from w2svqa.stages.export_folder import export_student

        name = export_student(source, target, stage=stage)
        exits.note(f"{name} is in {target}")
        return
    if stage is not None:
        raise typer.BadParameter("--stage is of a run, not of a checkpoint")
    if bool(bundle) != bool(anchor):
        raise typer.BadParameter("a bundle needs anchors, and anchors a bundle: give --bundle and --anchor")
    _convert(source, target, slowfast)
    if bundle is not None:
        _bundle(target, bundle, anchor or [], rating, named_options(option))


def _convert(source: Path, target: Path, slowfast: Path | None) -> None:
    from w2svqa.core.extras import require

    for package, extra in (("torch", "train"), ("transformers", "llm")):
        require(package, extra=extra)
    from w2svqa.students.llava.convert import convert_released

    made = convert_released(source, target, slowfast=slowfast)
    exits.note(f"{made.weights} weights are in {target}, {len(made.left_out)} that nothing uses were left out")
    origin = {
        "file": "SlowFast is from its own file",
        "checkpoint": "SlowFast is the copy in the checkpoint; give --slowfast for the one its features were made with",
        "none": "SlowFast is not there: give --slowfast",
    }
    exits.note(origin[made.slowfast])


def _bundle(
    checkpoint: Path, target: Path, anchors: list[Path], ratings: list[float] | None, named: dict[str, str]
) -> None:
    from w2svqa.stages.export_released import export_released
    from w2svqa.students.llava.options import parse_options

    export_released(
        checkpoint,
        anchors,
        target,
        name=target.name,
        ratings=ratings or None,
        options=parse_options(named),
        progress=lambda done, total, text: exits.note(f"{done} of {total}: {text}"),
    )
    exits.note(f"the student {target.name} is in {target}")
