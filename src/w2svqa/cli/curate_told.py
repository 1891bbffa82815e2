"""What ``w2svqa curate`` prints: a line per metric or primary on stdout, everything else on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2svqa.cli import exits
from w2svqa.core.errors import printable

if TYPE_CHECKING:
    from w2svqa.core.rows import PoolClipRow
    from w2svqa.stages.known_pool import KnownPool
    from w2svqa.stages.mismatch import Mismatch
    from w2svqa.stages.primaries import Primaries
    from w2svqa.stages.selection_report import Selection

_MOST_LINES: Final = 10
"""Bins and videos that are listed; the tables have them all."""


def tell_measured(pool: KnownPool, place: Path) -> None:
    """Say how many clips were measured, and of which something is missing."""
    bad = [row for row in pool.problems if not row.measured]
    for row in bad[:_MOST_LINES]:
        exits.note(f"{row.path}: {row.message}")
    if len(bad) > _MOST_LINES:
        exits.note(f"{len(bad) - _MOST_LINES} more could not be measured")
    parts = len(pool.problems) - len(bad)
    exits.note(
        f"{len(pool.metrics)} clips are measured; this run looked at {pool.computed}"
        + (f"; {len(bad)} could not be" if bad else "")
        + (f"; {parts} lack a metric or were measured in part" if parts else "")
        + (f": {place / 'problems'} says why" if pool.problems else "")
    )


def tell_selection(selection: Selection, output: Path, *, listed: bool) -> None:
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
    exits.note(f"{len(selection.rows)} of {selection.candidates} videos are in {_where(output / 'chosen', listed)}")


def tell_mismatch(mismatch: Mismatch, output: Path, clips: Mapping[str, PoolClipRow]) -> None:
    """Print a line per column on stdout; on stderr the strangers."""
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
        exits.note(f"{_name(row.clip_id, clips)}: {row.reason}")
    for owner, names in (("the pool", mismatch.only_pool), ("the other table", mismatch.only_other)):
        if names:
            exits.note(f"only {owner} has values of {', '.join(names)}")
    share = len(mismatch.strangers) / mismatch.videos
    exits.note(
        f"{len(mismatch.strangers)} of {mismatch.videos} videos ({share:.1%}) lie outside the other table's experience;"
        f" of its own videos the same rule says so of {mismatch.usual:.1%}; all are in {output / 'outside'}"
    )


def tell_primaries(primaries: Primaries, output: Path, clips: Mapping[str, PoolClipRow]) -> None:
    """Print a line per primary on stdout; on stderr what was missing."""
    _table(
        ("primary", "rank", "reason"),
        [(_name(row.clip_id, clips), f"{row.rank:.2f}", row.reason) for row in primaries.rows],
    )
    if primaries.missing:
        exits.note(f"the table lacks {', '.join(primaries.missing)}, so they did not count")
    exits.note(
        f"{len(primaries.rows)} of {primaries.candidates} clean videos (no worse rank than {primaries.limit:.2f})"
        f" are in {_where(output / 'primaries', bool(clips))}"
    )


def _name(clip_id: str, clips: Mapping[str, PoolClipRow]) -> str:
    return printable(clips[clip_id].path) if clip_id in clips else clip_id


def _where(folder: Path, listed: bool) -> str:
    return f"{folder} and {folder}.csv" if listed else f"{folder}; without a table of clips no path of them is known"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    from w2svqa.cli.console import show

    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place and heading != "reason" else "left")
    for row in rows:
        table.add_row(*row)
    show(table)
