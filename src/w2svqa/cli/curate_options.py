"""The argument and options of ``w2svqa curate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_POOL_HELP = "The folder that `w2svqa ingest` wrote; or a metric table, CSV or Parquet file."

PoolArgument = Annotated[Path, typer.Argument(help=_POOL_HELP, metavar="POOL")]
OutputOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the tables that are written; may be POOL.")
]
CountOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="How many videos to choose.")]
TargetOption = Annotated[
    str | None,
    typer.Option(
        metavar="POOL|SPEC|uniform",
        help="What is wished: another pool's histograms, those stated in a JSON or YAML file, or uniform.",
    ),
]
WeightsOption = Annotated[
    list[str] | None, typer.Option(metavar="METRIC=W", help="Weight of a metric; 0 leaves it out. [default: 1]")
]
BinsOption = Annotated[int, typer.Option(min=1, max=10_000, help="Bins per metric.")]
StratifyOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Keep the share of each source, category, ...: the target's, or the pool's."),
]
IncludeOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Ids that must be chosen, one per line.")]
ExcludeOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Ids that must not.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the choice among equally good videos.")]
SecondsOption = Annotated[
    float, typer.Option(min=0, metavar="S", help="Time for improving the choice, once it is there.")
]
MismatchOption = Annotated[
    Path | None,
    typer.Option(metavar="POOL", help="Compare to another pool or metric table, such as the teachers' data."),
]
PrimariesOption = Annotated[
    bool, typer.Option("--primaries", help="Choose clean, sharp, well coded videos for the simulators.")
]
WorstRankOption = Annotated[
    float, typer.Option(min=0, max=1, metavar="R", help="No primary is worse in a quality than this share of POOL.")
]
PageOption = Annotated[bool, typer.Option(help="Also show the choice in DIR/curation.html.")]
MeasureOnlyOption = Annotated[bool, typer.Option("--measure-only", help="Measure POOL and choose nothing.")]
MetricsOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="A metric of another package, beside the nine.")
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that measure.")]
TimeOutOption = Annotated[
    float, typer.Option(min=0, metavar="S", help="Seconds that measuring a video may take; 0 for no limit.")
]
RetryFailedOption = Annotated[
    bool, typer.Option("--retry-failed", help="Measure again what could not be measured before.")
]
ClipsOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="For a metric table: the clips' source, path, size, frame rate, bit rate."),
]
