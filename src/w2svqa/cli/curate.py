"""``w2svqa curate``: measure a pool, and choose the videos of a training pool by their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from w2svqa.cli import exits
from w2svqa.cli.curate_options import (
    BinsOption,
    ClipsOption,
    CountOption,
    ExcludeOption,
    IncludeOption,
    MeasureOnlyOption,
    MetricsOption,
    MismatchOption,
    OutputOption,
    PageOption,
    PoolArgument,
    PrimariesOption,
    RetryFailedOption,
    SecondsOption,
    SeedOption,
    StratifyOption,
    TargetOption,
    TimeOutOption,
    WeightsOption,
    WorkersOption,
    WorstRankOption,
)
from w2svqa.cli.stages import stage_progress

if TYPE_CHECKING:
    from w2svqa.core.metric_table import MetricTable
    from w2svqa.stages.known_pool import KnownPool
    from w2svqa.stages.measure import MeasureConfig
    from w2svqa.stages.mismatch import Mismatch
    from w2svqa.stages.selection_bins import Target
    from w2svqa.stages.selection_candidates import CurateConfig
    from w2svqa.stages.selection_report import Selection

PAGE = "curation.html"
"""The page in the output."""


def curate(
    place: PoolArgument,
    output: OutputOption = None,
    count: CountOption = None,
    target: TargetOption = None,
    weight: WeightsOption = None,
    bins: BinsOption = 50,
    stratify: StratifyOption = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    seed: SeedOption = 0,
    seconds: SecondsOption = 60.0,
    mismatch: MismatchOption = None,
    primaries: PrimariesOption = False,
    worst_rank: WorstRankOption = 0.75,
    page: PageOption = True,
    measure_only: MeasureOnlyOption = False,
    metric: MetricsOption = None,
    workers: WorkersOption = 1,
    time_out: TimeOutOption = 3600.0,
    retry_failed: RetryFailedOption = False,
    clips: ClipsOption = None,
) -> None:
    """Choose N videos whose metrics are distributed as wished, into DIR/chosen, DIR/chosen.csv and DIR/histograms.

    DIR/curation.html shows before, after and target, what the videos are, and samples.
    What is not measured yet of a pool is measured first, and kept in POOL/metrics; POOL/problems says what could not
    be. Killed, the same command goes on. With --mismatch also, or only, DIR/mismatch and DIR/outside: the pool beside
    another, and its videos that lie outside the other's experience. With --primaries DIR/primaries and
    DIR/primaries.csv. The lists are manifests for ingest, label and run. Needs the extra "train".
    """
    from w2svqa.stages.measure import MeasureConfig
    from w2svqa.stages.selection_candidates import CurateConfig

    _check(place, output, count, target, wants=mismatch is not None, primaries=primaries, measure_only=measure_only)
    config = CurateConfig(
        count=count or 1,
        weights=_weights(weight or ()),
        bins=bins,
        stratify=stratify,
        include=_ids(include),
        exclude=_ids(exclude),
        seed=seed,
        seconds=seconds,
    )
    measuring = MeasureConfig(
        metrics=_metrics(metric or ()), workers=workers, time_out=time_out or None, retry_failed=retry_failed
    )
    # first what may be mistyped: measuring the pool can take days
    wished = None if measure_only or (target is None and not primaries) else _target(target or "uniform", measuring)
    other = None if mismatch is None else _other(mismatch, measuring)
    pool = _pool(place, measuring, clips)
    if output is None:
        return
    compared = None
    if mismatch is not None and other is not None:
        compared = _compare(pool, other, output, bins, _hash(mismatch))
    if count is not None and wished is not None and primaries:
        _pick_primaries(pool, count, wished, output, seed, worst_rank, _hash(Path(target or "uniform")))
    elif count is not None and wished is not None and target is not None:
        selection = _select(pool, wished, config, output, _hash(Path(target)))
        if page:
            _show(pool, selection, config, output, target, compared)


def _check(
    place: Path,
    output: Path | None,
    count: int | None,
    target: str | None,
    *,
    wants: bool,
    primaries: bool,
    measure_only: bool,
) -> None:
    from w2svqa.stages.known_pool import is_ingested

    if measure_only:
        if count is not None or target is not None or wants or primaries or output is not None:
            raise typer.BadParameter(
                "then nothing is chosen or compared, nor written elsewhere", param_hint="--measure-only"
            )
        if not is_ingested(place):
            raise typer.BadParameter(f"{place} is no folder that ingest wrote", param_hint="--measure-only")
        return
    if count is None and not wants:
        raise typer.BadParameter("how many videos are to be chosen?", param_hint="--count")
    if count is not None and target is None and not primaries:
        raise typer.BadParameter("what is wished? uniform, for example", param_hint="--target")
    if output is None:
        raise typer.BadParameter("where to?", param_hint="--output")


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


def _metrics(names: Sequence[str]) -> tuple[str, ...]:
    from w2svqa.metrics import NAMES

    return tuple(dict.fromkeys([*NAMES, *names]))


def _hash(path: Path) -> str:
    """Return the hash of a table or file; of a word itself where there is none of that name."""
    from w2svqa.core.files import sha256_file
    from w2svqa.core.store import TABLE_NAME
    from w2svqa.stages.measure import METRICS

    file = next((each for each in (path / METRICS / TABLE_NAME, path / TABLE_NAME) if each.is_file()), path)
    return sha256_file(file) if file.is_file() else str(path)


def _pool(place: Path, config: MeasureConfig, clips: Path | None) -> KnownPool:
    from w2svqa.cli.curate_told import tell_measured
    from w2svqa.stages.known_pool import is_ingested, open_pool

    with stage_progress() as progress:
        pool = open_pool(place, config, clips=clips, progress=partial(progress, "measure"))
    if is_ingested(place):
        tell_measured(pool, place)
    return pool


def _target(text: str, config: MeasureConfig) -> Target:
    from w2svqa.stages.known_pool import open_target

    with stage_progress() as progress:
        return open_target(text, config, progress=partial(progress, "target"))


def _other(place: Path, config: MeasureConfig) -> MetricTable:
    """Return all that is known of what a pool is compared to."""
    from w2svqa.core.metric_table import read_metric_table
    from w2svqa.stages.known_pool import is_ingested, open_pool
    from w2svqa.stages.measure import METRICS

    if not is_ingested(place):
        return read_metric_table(place / METRICS if (place / METRICS).is_dir() else place, kind=None)
    with stage_progress() as progress:
        return open_pool(place, config, progress=partial(progress, "mismatch")).wide


def _compare(pool: KnownPool, other: MetricTable, output: Path, bins: int, digest: str) -> Mismatch:
    from w2svqa.cli.curate_told import tell_mismatch
    from w2svqa.stages.mismatch import compare_tables, write_mismatch
    from w2svqa.stages.primaries import with_bits_per_pixel

    found = compare_tables(with_bits_per_pixel(pool.wide), with_bits_per_pixel(other), bins=bins)
    clips = pool.rows_of({row.clip_id for row in found.strangers})
    write_mismatch(output, found, {"metrics": pool.digest, "other": digest}, clips=clips)
    tell_mismatch(found, output, clips)
    return found


def _select(pool: KnownPool, target: Target, config: CurateConfig, output: Path, digest: str) -> Selection:
    from w2svqa.cli.curate_told import tell_selection
    from w2svqa.stages.curate import select, write_selection

    with stage_progress() as progress:
        selection = select(pool.metrics, target, config, progress=progress)
    clips = pool.rows_of({row.clip_id for row in selection.rows})
    write_selection(output, selection, config, {"metrics": pool.digest, "target": digest}, clips=clips)
    tell_selection(selection, output, listed=bool(clips))
    return selection


def _show(
    pool: KnownPool, selection: Selection, config: CurateConfig, output: Path, target: str, compared: Mismatch | None
) -> None:
    from w2svqa.report.curation_page import write_curation_page

    clips = list(pool.rows_of({row.clip_id for row in selection.rows}).values())
    write_curation_page(
        output / PAGE,
        selection=selection,
        config=config,
        pool=pool.wide,
        clips=clips or None,
        target=target,
        inputs={"metrics": pool.digest, "target": _hash(Path(target))},
        mismatch=compared,
    )
    exits.note(f"{output / PAGE} shows it")


def _pick_primaries(
    pool: KnownPool, count: int, target: Target, output: Path, seed: int, worst: float, digest: str
) -> None:
    from w2svqa.cli.curate_told import tell_primaries
    from w2svqa.stages.primaries import PrimaryConfig, pick_primaries, write_primaries

    config = PrimaryConfig(count=count, seed=seed, worst=worst)
    found = pick_primaries(pool.wide, config, target=target)
    clips = pool.rows_of({row.clip_id for row in found.rows})
    write_primaries(output, found, config, {"metrics": pool.digest, "target": digest}, clips=clips)
    tell_primaries(found, output, clips)
