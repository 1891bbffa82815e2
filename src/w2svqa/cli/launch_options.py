"""The options that ``w2svqa run`` and ``w2svqa train`` share: how many processes train, and what starts them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Processes: TypeAlias = Annotated[int, typer.Option(min=1, metavar="N", help="Processes that train side by side.")]

Launcher: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="LINE", help='What starts them instead of torchrun, such as "srun torchrun ...".'),
]

AccelerateConfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Let Accelerate start them, by a configuration such as FSDP's.", exists=True),
]
