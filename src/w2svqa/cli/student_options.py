"""``--student`` and ``--option``: which student, and how it is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

StudentOption = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Folder of a student bundle, or OWNER/NAME on the hub; by default the shipped."),
]

OptionsOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="How a LLaVA student is run, as dtype=float32; docs/llava.md."),
]


def named_options(options: Sequence[str] | None) -> dict[str, str]:
    """Return options by name.

    Raises:
        BadParameter: one has no name or no ``=``, or comes twice.

    Example:
        >>> named_options(["dtype=float32", "prefix_file=a=b"])
        {'dtype': 'float32', 'prefix_file': 'a=b'}
    """
    named: dict[str, str] = {}
    for option in options or ():
        name, sign, value = option.partition("=")
        if not name or not sign:
            raise typer.BadParameter(f"{option!r} is not NAME=VALUE", param_hint="--option")
        if name in named:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--option")
        named[name] = value
    return named
