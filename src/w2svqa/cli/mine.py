"""``w2svqa mine``: from a labelled pool to the hard pairs of the next stage."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from w2svqa.cli import exits
from w2svqa.cli.label import split_names
from w2svqa.cli.stages import stage_progress

if TYPE_CHECKING:
    from w2svqa.stages.mine import MineConfig, MinedPool

_MOST_LINES: Final = 20
"""Videos that could not be encoded that are listed; the manifest has them all."""


def mine(
    labelled: Annotated[Path, typer.Argument(metavar="LABELLED_DIR", help="Folder that `w2svqa label` wrote.")],
    student: Annotated[
        str, typer.Option(metavar="student:PATH", help="The student, as `w2svqa label --teachers` was given it.")
    ],
    count: Annotated[int, typer.Option(min=0, help="gMAD pairs wanted.")],
    misclassified: Annotated[
        int | None, typer.Option(min=0, help="Severity pairs wanted; all that the student gets wrong if not given.")
    ] = None,
    random: Annotated[int, typer.Option(min=0, help="Random pairs of the pool, the control, into DIR/control.")] = 0,
    teachers: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Who takes part; all who scored the pool if not given.")
    ] = None,
    labels: Annotated[
        Literal["direct", "scores", "ensemble"],
        typer.Option(
            help="Who labels: the student by comparing, or by its scores and their deviations, or its scores and the "
            "teachers' together."
        ),
    ] = "direct",
    student_weight: Annotated[float, typer.Option(min=0, help="Of the student in the ensemble; teachers count 1.")] = 1,
    wrong: Annotated[
        Literal["level", "order"], typer.Option(help="A severity pair is wrong if its level is, or only its order.")
    ] = "level",
    bins: Annotated[int, typer.Option(min=1, help="Bins of quality.")] = 10,
    most_per_video: Annotated[int, typer.Option(min=0, help="Pairs that one video may be in; 0 for no limit.")] = 10,
    balance: Annotated[
        bool, typer.Option("--balance", help="At most an equal share of the gMAD pairs from each pair of models.")
    ] = False,
    higher: Annotated[
        list[str] | None, typer.Option("--higher-is-better", metavar="NAME", help="Direction of a teacher.")
    ] = None,
    lower: Annotated[
        list[str] | None, typer.Option("--lower-is-better", metavar="NAME", help="Direction of a teacher.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that encode videos.")] = 1,
    stage: Annotated[int, typer.Option(min=2, help="Stage of training that the pairs are for.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Settles ties, and which video is first.")] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; into LABELLED_DIR if not given.")
    ] = None,
) -> None:
    """Mine pairs where the student and the teachers of a labelled pool disagree most, and label them.

    Writes DIR/hard: gMAD pairs, and pairs of severities that the student gets wrong. Interrupted or killed, the same
    command goes on. Exit code 1 if there is none, or if a video cannot be decoded. Needs the extra "train".
    """
    from w2svqa.stages.mine import MineConfig, mine_pool

    config = MineConfig(
        student=student,
        count=count,
        misclassified=misclassified,
        random=random,
        teachers=tuple(split_names(teachers or ())),
        labels=labels,
        student_weight=student_weight,
        wrong=wrong,
        bins=bins,
        most_per_video=most_per_video or None,
        balance=balance,
        workers=workers,
        stage=stage,
        seed=seed,
        higher_is_better=tuple(higher or ()),
        lower_is_better=tuple(lower or ()),
    )
    with stage_progress() as progress:
        mined = mine_pool(labelled, config, output=output, progress=progress)
    _show_roles(mined)
    _show_levels(mined)
    _tell(mined, config)
    raise typer.Exit(exits.FAILED if mined.failed else exits.OK)


def _show_roles(mined: MinedPool) -> None:
    from rich.table import Table

    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.core.errors import printable
    from w2svqa.report.terminal import plain_box

    table = Table(box=plain_box(uses_ascii(sys.stdout)), header_style="bold")
    for name in ("bins by", "attacked", "pairs", "largest", "smallest", "opposite order", "at random"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("bins by", "attacked") else "right")
    for each in mined.roles:
        shares = ("-" if math.isnan(share) else f"{share:.1%}" for share in (each.disordered, each.at_random))
        sizes = (str(each.pairs), f"{each.largest:.2f}", f"{each.smallest:.2f}")
        table.add_row(printable(each.by), printable(each.attacked), *sizes, *shares)
    show(table)


def _show_levels(mined: MinedPool) -> None:
    from rich.table import Table

    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.core.levels import LEVELS
    from w2svqa.report.terminal import plain_box

    table = Table(box=plain_box(uses_ascii(sys.stdout)), header_style="bold")
    for name in ("pairs", *LEVELS, "all"):
        table.add_column(name, no_wrap=True)
    for origin in ("gmad", "misclassified", "random"):
        levels = [row.level for row in (*mined.rows, *mined.control) if row.origin == origin]
        if levels:
            table.add_row(origin, *(str(levels.count(level)) for level in range(len(LEVELS))), str(len(levels)))
    show(table)


def _tell(mined: MinedPool, config: MineConfig) -> None:
    for name, reason in mined.skipped.items():
        exits.note(f"left out: {name}: {reason}")
    found = mined.counted("gmad")
    if found < config.count:
        exits.note(f"{found} of {config.count} gMAD pairs were found: no more in one bin differ, or videos used up")
    if mined.possible:
        exits.note(f"{mined.possible} severity pairs are in the pool; {mined.counted('misclassified')} were taken")
    if mined.agreement is not None:
        exits.note(f"comparing and scores give {mined.agreement:.1%} of the gMAD pairs the same level")
    if mined.unlabelled:
        exits.note(f"{mined.unlabelled} pairs were left out: a video of theirs has no label")
    for clip, reason in list(mined.failed.items())[:_MOST_LINES]:
        exits.note(f"{clip}: {reason}")
    if len(mined.failed) > _MOST_LINES:
        exits.note(f"{len(mined.failed) - _MOST_LINES} more in the manifest of the pairs")
