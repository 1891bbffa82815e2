"""``w2svqa report``: the page of a run or the card of a student, written anew from what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2svqa.cli import exits


def report(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A run, or a student: a bundle's folder or a shipped one's name.")
    ],
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload the student to the Hugging Face hub.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A repository that is made is private.")] = False,
    license_name: Annotated[
        str, typer.Option("--license", metavar="ID", help="Of the student, for its card: apache-2.0, ...")
    ] = "",
) -> None:
    """Write the page of a run, or the card (README.md) of a student; upload a student.

    A shipped student's card is printed. Uploading needs huggingface_hub, which comes with the extra "llm".
    """
    from w2svqa.students.bundle import CARD, SHIPPED, bundle_folder, read_card
    from w2svqa.students.model_card import model_card

    if folder in SHIPPED and push is None:
        exits.say(model_card(read_card(bundle_folder(folder)), license=license_name).rstrip())
        return
    place = bundle_folder(folder) if folder in SHIPPED else Path(folder)
    if not (place / CARD).is_file():
        if push is not None or license_name:
            raise typer.BadParameter(f"{folder} is no student: it has no {CARD}", param_hint="FOLDER")
        from w2svqa.report.run_page import write_run_page

        exits.say(str(write_run_page(place)))
        return
    from w2svqa.report.hub import push_bundle, write_model_card

    if folder not in SHIPPED:
        exits.say(str(write_model_card(place, license=license_name)))
    if push is not None:
        exits.say(push_bundle(place, push, private=private))
