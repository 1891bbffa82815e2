"""``w2svqa compare``: which of two files looks better, in five levels."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from w2svqa.cli import exits
from w2svqa.cli.student_options import OptionsOption, StudentOption, named_options
from w2svqa.core.errors import InputError


def compare(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A video or image.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="The one to compare with it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    student: StudentOption = None,
    option: OptionsOption = None,
) -> None:
    """Say how the quality of the second file compares with the first: inferior, worse, similar, better, superior."""
    from w2svqa.report.rows import comparison_to_dict, failed_comparison, to_json
    from w2svqa.stages.score import Scorer

    scorer = Scorer.load(student, options=named_options(option))
    try:
        comparison = scorer.compare(first, second)
    except InputError as error:
        if as_json:
            exits.say(to_json(failed_comparison(first, second, str(error), scorer.name)))
        raise typer.Exit(exits.fail(str(error))) from None
    if as_json:
        exits.say(to_json(comparison_to_dict(comparison)))
        return
    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.report.terminal import comparison_table, sentence

    exits.say(sentence(comparison))
    show(comparison_table(comparison, ascii_only=uses_ascii(sys.stdout)))
    for remark in (comparison.message, *comparison.notes):
        if remark is not None:
            exits.note(remark)
