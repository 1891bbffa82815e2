"""``w2svqa pair``: from teachers' scores to one calibrated label per video, and to labelled pairs."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2svqa.cli import exits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from w2svqa.stages.pool_labels import PoolLabelConfig, PoolLabels
    from w2svqa.stages.pool_pairs import LevelCounts, PoolPairConfig
    from w2svqa.teachers.pool_scale import PoolCalibration


def pair(
    labelled: Annotated[
        Path | None, typer.Argument(metavar="[LABELLED_DIR]", help="Folder that `w2svqa label` wrote.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=0, help="Pairs by the teachers' labels; ten per video if not given.")
    ] = None,
    balance: Annotated[bool, typer.Option("--balance", help="As many of each level as of the others.")] = False,
    most_per_video: Annotated[int | None, typer.Option(min=1, help="Pairs that one video may be in.")] = None,
    weights: Annotated[
        list[str] | None, typer.Option("--weight", metavar="NAME=W", help="Weight of a teacher; 1 if not given.")
    ] = None,
    least_teachers: Annotated[int, typer.Option(min=1, help="Teachers that must have scored a video.")] = 2,
    mos: Annotated[
        bool,
        typer.Option("--mos", help="Calibrate against the manifest's opinion scores, not the teachers' consensus."),
    ] = False,
    variance: Annotated[
        str,
        typer.Option(metavar="spread|floored", help="Over teachers as in the paper, or at least the pool's mean."),
    ] = "spread",
    higher: Annotated[
        list[str] | None, typer.Option("--higher-is-better", metavar="NAME", help="Direction of a teacher.")
    ] = None,
    lower: Annotated[
        list[str] | None, typer.Option("--lower-is-better", metavar="NAME", help="Direction of a teacher.")
    ] = None,
    stage: Annotated[int, typer.Option(min=1, help="Stage of training that the pairs are for.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Fixes which pairs are drawn.")] = 0,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the fit of each teacher here.")] = None,
    export: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a data set to give away here.")] = None,
    import_json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take pairs in the authors' JSON form in, instead.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="With --import-json: where to.")] = None,
    videos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --import-json: hash the videos, whose names are below it.")
    ] = None,
) -> None:
    """Calibrate the teachers of a labelled pool, label each video, and make pairs in five levels.

    Writes labels/ and pairs/ into LABELLED_DIR. Exit code 1 if there is nothing to pair, or if some item of a
    --import-json list cannot be used (the others are stored). Needs the extra "train".
    """
    if import_json is not None:
        if labelled is not None or output is None:
            raise typer.BadParameter("it goes with --output DIR, and without LABELLED_DIR", param_hint="--import-json")
        _import(import_json, output, videos)
        return
    if labelled is None:
        raise typer.BadParameter("name a labelled folder, or --import-json FILE", param_hint="LABELLED_DIR")
    if output is not None or videos is not None:
        raise typer.BadParameter("goes with --import-json", param_hint="--output" if output else "--videos")
    if variance not in ("spread", "floored"):
        raise typer.BadParameter(f"{variance!r} is neither spread nor floored", param_hint="--variance")
    from w2svqa.stages.pool_labels import PoolLabelConfig
    from w2svqa.stages.pool_pairs import PoolPairConfig

    label_config = PoolLabelConfig(
        weights=parse_weights(weights or []),
        least_teachers=least_teachers,
        use_mos=mos,
        variance="floored" if variance == "floored" else "spread",
        higher_is_better=tuple(higher or ()),
        lower_is_better=tuple(lower or ()),
    )
    pair_config = PoolPairConfig(count=count, balance=balance, most_per_video=most_per_video, stage=stage, seed=seed)
    _pair(labelled, label_config, pair_config, plots, export)


def parse_weights(given: Sequence[str]) -> dict[str, float]:
    """Return weights by teacher of ``NAME=W``; a name may hold ``=`` itself.

    Raises:
        typer.BadParameter: one is no such thing.
    """
    weights: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not 0 <= weight < math.inf:
            raise typer.BadParameter(f"{text!r} is not NAME=W with W of 0 or more", param_hint="--weight")
        if name in weights:
            raise typer.BadParameter(f"{name!r} is given twice", param_hint="--weight")
        weights[name] = weight
    return weights


def _pair(
    labelled: Path, label_config: PoolLabelConfig, pair_config: PoolPairConfig, plots: Path | None, export: Path | None
) -> None:
    from w2svqa.stages.pool_labels import label_pool
    from w2svqa.stages.pool_pairs import ENSEMBLE, level_counts, pair_pool

    _show_labels(label_pool(labelled, label_config), plots)
    pairs = pair_pool(labelled, pair_config)
    _show_levels(level_counts(pairs.rows))
    if (drawn := sum(row.source == ENSEMBLE for row in pairs.rows)) < pairs.wanted:
        exits.note(f"{drawn} of {pairs.wanted} pairs by labels were found: some levels are rare, or videos used up")
    if export is not None:
        from w2svqa.stages.pool_dataset import export_dataset

        exits.say(str(export_dataset(labelled, export)))


def _import(source: Path, output: Path, videos: Path | None) -> None:
    from w2svqa.stages.pool_dataset import import_dataset
    from w2svqa.stages.pool_pairs import level_counts

    found = import_dataset(source, output, videos=videos)
    _show_levels(level_counts(found.pairs))
    exits.say(f"{len(found.pairs)} pairs of {len(found.videos)} videos, {found.duplicates} repeated ones passed over")
    for each in found.problems:
        exits.note(f"{source}: item {each.item} {each.problem}")
    if found.problems:
        raise typer.Exit(exits.fail(f"{len(found.problems)} items could not be used"))


def _show_labels(labels: PoolLabels, plots: Path | None) -> None:
    from w2svqa.cli.console import show, uses_ascii

    calibration = labels.calibration
    show(fits_table(calibration, ascii_only=uses_ascii(sys.stdout)))
    exits.say(f"{len(labels.rows)} videos labelled, calibrated against {_against(calibration)}")
    for name, problem in calibration.refused:
        exits.note(f"left out: {name}: {problem}")
    if not calibration.converged:
        exits.note(f"the consensus still moves by {calibration.change:.1f} points after {calibration.rounds} rounds")
    if labels.few:
        exits.note(f"{labels.few} videos have no label: too few teachers scored them")
    if labels.strangers:
        exits.note(f"{labels.strangers} scores are of videos that are not listed")
    if plots is not None:
        from w2svqa.report.calibration_plot import write_calibration_plots

        write_calibration_plots(calibration, labels.points, plots)
        exits.note(f"the fits are drawn in {plots}")


def _against(calibration: PoolCalibration) -> str:
    if calibration.mos_range is not None:
        return f"opinion scores ({calibration.mos_range[0]:g} is 0, {calibration.mos_range[1]:g} is 100)"
    if calibration.against == "itself":
        return "nothing: there is one teacher, and its direction is not verified"
    return f"the consensus of the others in {calibration.rounds} rounds (50 is this pool's median)"


def fits_table(calibration: PoolCalibration, *, ascii_only: bool = False) -> Table:
    """Lay out the fits: teacher, N, rank correlation, residual deviation, weight, and the ends of its curve."""
    from rich.table import Table
    from rich.text import Text

    from w2svqa.core.errors import printable
    from w2svqa.report.terminal import plain_box

    table = Table(box=plain_box(ascii_only), header_style="bold")
    for name in ("teacher", "videos", "SRCC", "deviation", "weight", "curve"):
        table.add_column(name, no_wrap=True)
    for fit in calibration.fits:
        table.add_row(
            Text(printable(fit.teacher)),
            str(fit.videos),
            "-" if fit.spearman is None else f"{fit.spearman:.3f}",
            f"{fit.deviation:.1f}",
            f"{fit.weight:g}",
            f"{fit.curve.low:.0f} to {fit.curve.high:.0f}",
        )
    return table


def _show_levels(counts: Sequence[LevelCounts]) -> None:
    from rich.table import Table

    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.core.errors import printable
    from w2svqa.core.levels import LEVELS
    from w2svqa.report.terminal import plain_box

    table = Table(box=plain_box(uses_ascii(sys.stdout)), header_style="bold")
    for name in ("pairs", *LEVELS, "all"):
        table.add_column(name, no_wrap=True)
    for each in counts:
        table.add_row(printable(each.source), *map(str, each.counts), str(sum(each.counts)))
    show(table)
