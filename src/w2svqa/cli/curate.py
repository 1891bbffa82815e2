"""``w2svqa curate``: choose the videos of a training pool by their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from w2svqa.cli import exits
from w2svqa.cli.stages import stage_progress

if TYPE_CHECKING:
    from w2svqa.core.metric_table import MetricTable
    from w2svqa.stages.mismatch import Mismatch
    from w2svqa.stages.primaries import Primaries
    from w2svqa.stages.selection_report import Selection

_MOST_LINES: Final = 10
"""Bins and videos that are listed; the tables have them all."""


def curate(
    metrics: Annotated[
        Path, typer.Argument(help="The pool's metric table, or the folder that has it.", metavar="METRICS")
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the tables that are written.")],
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many videos to choose.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|SPEC|uniform",
            help="What is wished: a metric table's histograms, those stated in a JSON or YAML file, or uniform.",
        ),
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(metavar="METRIC=W", help="Weight of a metric; 0 leaves it out. [default: 1]")
    ] = None,
    bins: Annotated[int, typer.Option(min=1, max=10_000, help="Bins per metric.")] = 50,
    clips: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Table of the clips: source, size, frame rate, bit rate.")
    ] = None,
    stratify: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Keep the share of each value: the target's, or the pool's.")
    ] = None,
    include: Annotated[Path | None, typer.Option(metavar="FILE", help="Ids that must be chosen, one per line.")] = None,
    exclude: Annotated[Path | None, typer.Option(metavar="FILE", help="Ids that must not.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice among equally good videos.")] = 0,
    seconds: Annotated[
        float, typer.Option(min=0, metavar="S", help="Time for improving the choice, once it is there.")
    ] = 60.0,
    mismatch: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Compare the pool to another metric table, such as the teachers' data."),
    ] = None,
    primaries: Annotated[
        bool, typer.Option("--primaries", help="Choose clean, sharp, well coded videos for the simulators.")
    ] = False,
) -> None:
    """Choose N videos whose metrics are distributed as wished, into DIR/chosen and DIR/histograms.

    With --mismatch also, or only, DIR/mismatch and DIR/outside: the pool beside another table, and its videos that lie
    outside that table's experience. With --primaries DIR/primaries. Needs the extra "train".
    """
    from w2svqa.core.metric_table import KIND, read_metric_table

    if count is None and mismatch is None:
        raise typer.BadParameter("how many videos are to be chosen?", param_hint="--count")
    if count is not None and target is None and not primaries:
        raise typer.BadParameter("what is wished? uniform, for example", param_hint="--target")
    weights = _weights(weight or ())
    metrics = metrics / KIND if (metrics / KIND).is_dir() else metrics
    pool = read_metric_table(metrics)
    inputs = {"metrics": _hash(metrics)}
    wide = pool if clips is None else pool.joined(read_metric_table(clips, kind=None))
    if mismatch is not None:
        _compare(wide, mismatch, output, bins, inputs)
    if count is not None and primaries:
        _pick_primaries(wide, count, target, output, seed, inputs)
    elif count is not None and target is not None:
        from w2svqa.core.metric_table import MetricTable
        from w2svqa.stages.curate import select, write_selection
        from w2svqa.stages.selection_bins import read_target
        from w2svqa.stages.selection_candidates import CurateConfig

        config = CurateConfig(
            count=count,
            weights=weights,
            bins=bins,
            stratify=stratify,
            include=_ids(include),
            exclude=_ids(exclude),
            seed=seed,
            seconds=seconds,
        )
        wished = read_target(target)
        table = MetricTable(wide.ids, pool.names, wide.only(pool.names).values, wide.labels)
        with stage_progress() as progress:
            selection = select(table, wished, config, progress=progress)
        write_selection(output, selection, config, inputs | {"target": _hash(Path(target))})
        _tell(selection, output)


def _weights(texts: Sequence[str]) -> dict[str, float]:
    weights = {}
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter(f"{text!r}: write METRIC=NUMBER", param_hint="--weight")
    return weights


def _ids(path: Path | None) -> tuple[str, ...]:
    """Return the ids of a file, one per line; what follows # is a comment."""
    from w2svqa.core.errors import InputError

    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", path=path, remedy="a text file with one id per line") from None
    found = [line.partition("#")[0].strip() for line in lines]
    return tuple(dict.fromkeys(each for each in found if each))


def _hash(path: Path) -> str:
    """Return the hash of a table or file; of a word itself where there is none of that name."""
    from w2svqa.core.files import sha256_file
    from w2svqa.core.store import TABLE_NAME

    file = path / TABLE_NAME if path.is_dir() else path
    return sha256_file(file) if file.is_file() else str(path)


def _compare(pool: MetricTable, other: Path, output: Path, bins: int, inputs: dict[str, str]) -> None:
    from w2svqa.core.metric_table import read_metric_table
    from w2svqa.stages.mismatch import compare_tables, write_mismatch

    found = compare_tables(pool, read_metric_table(other, kind=None), bins=bins)
    write_mismatch(output, found, inputs | {"other": _hash(other)})
    _tell_mismatch(found, output)


def _pick_primaries(
    pool: MetricTable, count: int, target: str | None, output: Path, seed: int, inputs: dict[str, str]
) -> None:
    from w2svqa.stages.primaries import PrimaryConfig, pick_primaries, write_primaries
    from w2svqa.stages.selection_bins import read_target

    config = PrimaryConfig(count=count, seed=seed)
    found = pick_primaries(pool, config, target=read_target(target or "uniform"))
    write_primaries(output, found, config, inputs)
    _tell_primaries(found, output)


def _tell(selection: Selection, output: Path) -> None:
    """Print a line per metric on stdout; on stderr what could not be had."""
    rows = [
        (each.metric, f"{each.weight:g}", f"{each.before:.4f}", f"{each.after:.4f}", f"{each.lacking:.0f}")
        for each in selection.metrics
    ]
    _table(("metric", "weight", "L1 before", "L1 after", "lacking"), rows)
    for group in selection.groups:
        exits.note(f"{group.group or '(empty)'}: {group.chosen} chosen of {group.available}, wished {group.wished:.1%}")
    for reason, number in selection.left_out.items():
        exits.note(f"{number} videos were left out: {reason}")
    for text in selection.notes:
        exits.note(text)
    if selection.lacks:
        exits.note(f"{len(selection.lacks)} bins cannot be filled from this pool:")
        for lack in selection.lacks[:_MOST_LINES]:
            exits.note(f"  {lack}")
    proof = "no choice is better" if selection.optimal else f"at most {selection.gap:.4f} above the least possible"
    exits.note(
        f"the sum of the distances is {selection.value:.4f}, the linear programme's bound {selection.lp_bound:.4f}:"
        f" {proof}"
    )
    exits.note(f"{len(selection.rows)} of {selection.candidates} videos are in {output / 'chosen'}")


def _tell_mismatch(mismatch: Mismatch, output: Path) -> None:
    rows = [
        (
            each.metric,
            f"{each.l1:.3f}",
            f"{each.emd:.4g}",
            "" if each.emd_spread is None else f"{each.emd_spread:.2f}",
            f"{each.outside:.1%}",
            f"{each.thin:.1%}",
            f"{each.pool_median:.4g}",
            f"{each.other_median:.4g}",
        )
        for each in mismatch.rows
    ]
    _table(("metric", "L1", "EMD", "in spreads", "outside", "thin", "median", "other's"), rows)
    for row in mismatch.strangers[:_MOST_LINES]:
        exits.note(f"{row.clip_id}: {row.reason}")
    share = len(mismatch.strangers) / mismatch.videos
    exits.note(
        f"{len(mismatch.strangers)} of {mismatch.videos} videos ({share:.1%}) lie outside the other table's experience;"
        f" of its own videos the same rule says so of {mismatch.usual:.1%}; all are in {output / 'outside'}"
    )


def _tell_primaries(primaries: Primaries, output: Path) -> None:
    _table(("primary", "rank", "reason"), [(row.clip_id, f"{row.rank:.2f}", row.reason) for row in primaries.rows])
    if primaries.missing:
        exits.note(f"the table lacks {', '.join(primaries.missing)}, so they did not count")
    exits.note(
        f"{len(primaries.rows)} of {primaries.candidates} clean videos (no worse rank than {primaries.limit:.2f})"
        f" are in {output / 'primaries'}"
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    from w2svqa.cli.console import show

    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place and heading != "reason" else "left")
    for row in rows:
        table.add_row(*row)
    show(table)
