"""``w2svqa ingest``: folders of videos become a table of checked clips."""

from __future__ import annotations

import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from w2svqa.cli import exits
from w2svqa.cli.stages import stage_progress
from w2svqa.core.errors import printable

if TYPE_CHECKING:
    from w2svqa.stages.ingest_pool import IngestedPool

_MOST_LINES: Final = 20
"""Files that are listed with the reason why they cannot be used; the table has them all."""

_PLACES_HELP: Final = (
    "Files, folders with all below, patterns, s3://BUCKET/FOLDER and the like, or - for a list on standard "
    "input. None: what the manifest names."
)


class Check(StrEnum):
    """How much of each file is decoded."""

    full = "full"
    sampled = "sampled"
    none = "none"


def ingest(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the tables; a rerun continues it.")],
    places: Annotated[list[str] | None, typer.Argument(help=_PLACES_HELP, metavar="DIR...")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Columns clip, source, license, category of the files, with a header."),
    ] = None,
    source_column: Annotated[
        str | None, typer.Option(metavar="HEADING", help="Column of the manifest: source. [default: source]")
    ] = None,
    license_column: Annotated[
        str | None, typer.Option(metavar="HEADING", help="Column of the manifest: license. [default: license]")
    ] = None,
    category_column: Annotated[
        str | None, typer.Option(metavar="HEADING", help="Column of the manifest: category. [default: category]")
    ] = None,
    license_allow: Annotated[
        str, typer.Option(metavar="NAME,...", help="Licences that may go in, as the manifest writes them; none: any.")
    ] = "",
    check: Annotated[
        Check,
        typer.Option(help="full: decode every frame; sampled: read all packets and decode at five places; none."),
    ] = Check.sampled,
    near_duplicates: Annotated[
        bool | None,
        typer.Option(help="Of clips that show the same keep the largest; not with --check none. [default: yes]"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="S-S", help="Cut videos at changes of shot into clips of so many seconds, as 5-10."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    time_out: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds that one file may take; 0 for no limit.")
    ] = 3600.0,
) -> None:
    """Check videos and collect them, into DIR/clips; DIR/files says of each why it was left out.

    What cannot be read or decoded, may not be used, or is there twice is left out. Interrupted or killed, the same
    command goes on where it stopped; what is known is never read again. Exit codes: 0 some clips, 1 none, or something
    else failed, 2 wrong usage. Needs the extra "curate", and "remote" for s3://.
    """
    from w2svqa.stages.ingest_pool import IngestPoolConfig, ingest_pool
    from w2svqa.stages.pool_manifest import PoolManifest

    if not places and manifest is None:
        raise typer.BadParameter("name files or folders, or a manifest", param_hint="DIR...")
    headings = {"source": source_column, "license": license_column, "category": category_column}
    columns = {key: heading for key, heading in headings.items() if heading is not None}
    if columns and manifest is None:
        raise typer.BadParameter("there is no manifest", param_hint=f"--{next(iter(columns))}-column")
    config = IngestPoolConfig(
        manifest=None if manifest is None else PoolManifest(path=str(manifest), columns=columns),
        license_allow=tuple(name.strip() for name in license_allow.split(",") if name.strip()),
        check=check.value,
        near_duplicates=check is not Check.none if near_duplicates is None else near_duplicates,
        split=None if split is None else _bounds(split),
        workers=workers,
        time_out=time_out or None,
    )
    with stage_progress() as progress:
        pool = ingest_pool(places or (), output, config, stdin=sys.stdin, progress=progress)
    _tell(pool, output)
    raise typer.Exit(exits.OK if pool.clips else exits.FAILED)


def _bounds(text: str) -> tuple[float, float]:
    shortest, _, longest = text.partition("-")
    try:
        return float(shortest), float(longest)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write two numbers, as 5-10", param_hint="--split") from None


def _tell(pool: IngestedPool, output: Path) -> None:
    """Print how many files came to what on stdout, and on stderr which cannot be used."""
    from rich.table import Table

    from w2svqa.cli.console import show

    table = Table(box=None, pad_edge=False)
    table.add_column("status")
    table.add_column("files", justify="right")
    counts = Counter(row.status for row in pool.rows)
    for status, count in sorted(counts.items(), key=lambda each: (each[0] != "ok", each[0])):
        table.add_row(status, str(count))
    bad = [row for row in pool.rows if row.status in ("unreadable", "damaged")]
    for row in bad[:_MOST_LINES]:
        exits.note(f"{printable(row.url or row.path)}: {row.message}")
    if len(bad) > _MOST_LINES:
        exits.note(f"{len(bad) - _MOST_LINES} more unreadable or damaged in the table of files")
    if pool.unlisted:
        exits.note(f"the manifest does not name {pool.unlisted} of the files")
    if pool.unused:
        named = printable(pool.unused[0])
        exits.note(f"{len(pool.unused)} lines of the manifest name no file that was offered, such as {named}")
    show(table)
    exits.note(f"{len(pool.clips)} clips in {output / 'clips'}, all files in {output / 'files'}")
