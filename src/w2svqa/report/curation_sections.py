"""What the page of a selection is made of: plots, distances, what is lacking, samples, the pool beside another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

import numpy as np

from w2svqa.core.errors import InputError, printable
from w2svqa.core.metric_table import MetricTable
from w2svqa.metrics import METRICS, Metric, load_metrics
from w2svqa.report import charts
from w2svqa.report.facets import Facet
from w2svqa.report.page import Block, Card, Column, Figure, Figures, Gallery, Table, Text
from w2svqa.report.pictures import thumbnail
from w2svqa.stages.mismatch import Mismatch
from w2svqa.stages.selection_report import HistogramRow, Lack, MetricFit, Selection

MOST_ROWS: Final = 40
"""Bins that cannot be filled, and strangers, that are listed; the stored tables have them all."""

_SPREAD: Final = "si"  # samples go from few edges to many
_TOLD: Final[tuple[str, ...]] = ("si", "ti", "blur", "noise", "luminance")  # of a sample, as far as they were measured


def distributions(selection: Selection) -> list[Block]:
    """Return a plot per metric: before, after and target."""
    fits = {fit.metric: fit for fit in selection.metrics}
    figures = [
        _distribution(name, list(rows), fits[name])
        for name, rows in groupby(selection.histograms, key=lambda row: row.metric)
    ]
    text = (
        "Each plot has the shares of the candidates (before), of the chosen videos (after) and what was wished"
        " (target), bin by bin. The first and the last bin are open: they hold all that lies beyond the axis. L1 is the"
        " distance from the target: the sum of |share - wished share| over the bins, from 0 (the same) to 2 (nothing"
        " in common)."
    )
    return [Text(paragraphs=(text,)), Figures(figures=tuple(figures))]


def distances(selection: Selection) -> list[Block]:
    """Return the table of distances per metric."""
    columns = (
        Column(title="metric"),
        Column(title="meaning"),
        Column(title="unit"),
        Column(title="weight", form="g"),
        Column(title="L1 before", form=".4f"),
        Column(title="L1 after", form=".4f"),
        Column(title="lacking videos", form=".1f"),
    )
    rows = []
    for fit in selection.metrics:
        metric = _known(fit.metric)
        meaning, unit = (metric.meaning, metric.unit) if metric else ("", "")
        rows.append((fit.metric, meaning, unit, fit.weight, fit.before, fit.after, fit.lacking))
    return [Table(caption="L1 distance from the target, before and after", columns=columns, rows=tuple(rows))]


def lacks(selection: Selection) -> list[Block]:
    """Return which bins no choice can fill, why videos were left out, and the notes."""
    blocks: list[Block] = []
    if selection.notes:
        blocks.append(Text(paragraphs=tuple(f"{text[:1].upper()}{text[1:]}." for text in selection.notes)))
    if selection.left_out:
        blocks.append(_left_out(selection.left_out))
    blocks.append(_unfilled(selection.lacks) if selection.lacks else Text(paragraphs=("No bin lacks a whole video.",)))
    return blocks


def made_up(counted: Sequence[Facet], selection: Selection, stratified_by: str | None) -> list[Block]:
    """Return counts by source, licence, resolution and so on, and how well the groups were kept."""
    blocks: list[Block] = []
    if counted:
        text = "Before: all videos of the pool, also those that were no candidates. After: the chosen ones."
        figures = Figures(figures=tuple(facet.figure() for facet in counted))
        blocks = [Text(paragraphs=(text,)), figures, *(facet.table() for facet in counted)]
    if selection.groups:
        columns = (
            Column(title=stratified_by or "group"),
            Column(title="candidates", form=",d"),
            Column(title="wished share", form=".1%"),
            Column(title="chosen", form=",d"),
            Column(title="chosen share", form=".1%"),
        )
        total = len(selection.rows)
        rows = tuple(
            (each.group or "unknown", each.available, each.wished, each.chosen, each.chosen / total)
            for each in selection.groups
        )
        blocks.append(Table(caption="The groups that the selection was stratified by", columns=columns, rows=rows))
    return blocks


def samples(chosen: MetricTable, count: int) -> list[Block]:
    """Return thumbnails of some chosen videos, from the fewest edges to the most.

    Args:
        chosen: the chosen videos, with the label ``path``.
        count: at most so many.
    """
    if not count or not len(chosen) or "path" not in chosen.labels:
        return []
    spread = _SPREAD if _SPREAD in chosen.names else next(iter(chosen.names), None)
    order = np.arange(len(chosen)) if spread is None else np.argsort(chosen.column(spread), kind="stable")
    which = order[np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.intp)]
    cards = tuple(_card(chosen, place) for place in which.tolist())
    caption = f"{len(cards)} of the {len(chosen):,} chosen videos" + (f", by rising {spread}." if spread else ".")
    return [Gallery(caption=caption, cards=cards)]


def beside(mismatch: Mismatch, pool: MetricTable) -> list[Block]:
    """Return the pool beside another table: distances per column, and the videos outside the other's experience.

    Args:
        mismatch: of the pool from the other table.
        pool: with the label ``name``, or without.
    """
    share = len(mismatch.strangers) / max(1, mismatch.videos)
    text = (
        f"{len(mismatch.strangers):,} of {mismatch.videos:,} videos of the pool ({share:.1%}) lie outside the other"
        f" table's experience; of its own videos the same rule says so of {mismatch.usual:.1%}."
    )
    only = [
        f"Only {whose} has {', '.join(names)}."
        for whose, names in (("the pool", mismatch.only_pool), ("the other table", mismatch.only_other))
        if names
    ]
    columns = (
        Column(title="column"),
        Column(title="L1", form=".3f"),
        Column(title="earth mover's", form=".4g"),
        Column(title="in spreads", form=".2f"),
        Column(title="beyond all", form=".1%"),
        Column(title="in thin bins", form=".1%"),
        Column(title="pool's median", form=".4g"),
        Column(title="other's median", form=".4g"),
    )
    rows = tuple(
        (
            each.metric,
            each.l1,
            each.emd,
            each.emd_spread,
            each.outside,
            each.thin,
            each.pool_median,
            each.other_median,
        )
        for each in mismatch.rows
    )
    blocks: list[Block] = [
        Text(paragraphs=(text, *only)),
        Table(caption="Distance of the pool from the other table, per column", columns=columns, rows=rows),
    ]
    if mismatch.strangers:
        first = mismatch.strangers[:MOST_ROWS]
        names = _names(pool, [each.clip_id for each in first])
        listed = tuple((names.get(each.clip_id) or each.clip_id, each.reason) for each in first)
        caption = "Videos outside the other table's experience" + _of(len(listed), len(mismatch.strangers))
        blocks.append(Table(caption=caption, columns=(Column(title="video"), Column(title="why")), rows=listed))
    return blocks


def _left_out(reasons: Mapping[str, int]) -> Table:
    caption = "Videos that were no candidates; one that lacks several metrics counts for each"
    columns = (Column(title="reason"), Column(title="videos", form=",d"))
    return Table(caption=caption, columns=columns, rows=tuple(reasons.items()))


def _unfilled(found: Sequence[Lack]) -> Table:
    columns = (
        Column(title="metric"),
        Column(title="from", form=".4g"),
        Column(title="to", form=".4g"),
        Column(title="wished", form=",.0f"),
        Column(title="available", form=",d"),
        Column(title="lacking", form=",.0f"),
    )
    rows = tuple(
        (each.metric, each.low, each.high, each.wished, each.available, each.wished - each.available)
        for each in found[:MOST_ROWS]
    )
    caption = "Bins that this pool cannot fill, the worst first" + _of(len(rows), len(found))
    return Table(caption=caption, columns=columns, rows=rows)


def _distribution(name: str, rows: Sequence[HistogramRow], fit: MetricFit) -> Figure:
    metric = _known(name)
    distance = f"L1 {fit.before:.3f} before, {fit.after:.3f} after"
    svg = charts.histogram(
        [rows[0].low, *(row.high for row in rows)],
        before=[row.before for row in rows],
        after=[row.after for row in rows],
        target=[row.target for row in rows],
        label=f"{name} ({metric.unit})" if metric else name,
        alt=f"Distribution of {name} before, after and as wished, in {len(rows)} bins from {rows[0].low:.4g} to"
        f" {rows[-1].high:.4g}; {distance}",
    )
    return Figure(title=name, svg=svg, caption=f"{distance}" + (f"; {metric.meaning}" if metric else ""))


def _card(chosen: MetricTable, place: int) -> Card:
    path = str(chosen.label("path")[place])
    name = str(chosen.labels["name"][place]) if "name" in chosen.labels else ""
    title = printable(name or path or str(chosen.ids[place]))
    told = [each for each in _TOLD if each in chosen.names] or list(chosen.names[:3])
    facts = [(each, f"{chosen.column(each)[place]:.4g}") for each in told]
    size = [chosen.column(each)[place] for each in ("width", "height") if each in chosen.names]
    if len(size) == 2 and all(map(math.isfinite, size)):
        facts.insert(0, ("size", f"{size[0]:.0f} x {size[1]:.0f}"))
    try:
        return Card(title=title, facts=tuple(facts), image=thumbnail(path))
    except InputError as error:
        return Card(title=title, facts=tuple(facts), missing=error.without_path)


def _names(pool: MetricTable, ids: Sequence[str]) -> dict[str, str]:
    if "name" not in pool.labels:
        return {}
    there = np.isin(pool.ids, ids)
    return dict(zip(pool.ids[there].tolist(), pool.labels["name"][there].tolist(), strict=True))


def _known(name: str) -> Metric | None:
    """Return what the registry says of a column; ``None`` of one that is no registered metric."""
    return load_metrics([name])[0] if name in METRICS else None


def _of(shown: int, total: int) -> str:
    return f"; {shown} of {total:,}" if shown < total else ""
