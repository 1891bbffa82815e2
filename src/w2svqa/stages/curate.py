"""pool -> chosen videos: a subset whose metrics are distributed as wished.

```
OUTPUT/
├── chosen/         table of the chosen videos        (ChosenRow); its manifest has the report's facts
├── chosen.csv      the same as a list for other commands, where paths are known
└── histograms/     before, after and target per bin  (HistogramRow)
```

Source: Vonikakis et al., "A Probabilistic Approach to People-Centric Photo Selection and Sequencing", IEEE TMM 19(11),
2017: a binary choice per video that minimises the sum over metrics and bins of |chosen share - target share|, with a
given count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.config import to_mapping
from w2svqa.core.errors import StrPath
from w2svqa.core.files import hold
from w2svqa.core.metric_table import MetricTable
from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import write_artifact
from w2svqa.stages.clip_list import path_of, write_clip_list
from w2svqa.stages.selection_bins import MetricBins, Target, make_bins
from w2svqa.stages.selection_candidates import CurateConfig, Groups, find_candidates, find_groups, weight_of
from w2svqa.stages.selection_problem import Places, make_problem
from w2svqa.stages.selection_report import ChosenRow, HistogramRow, Lack, MetricFit, Selection
from w2svqa.stages.selection_solve import Progress, pick_members, solve

CHOSEN: Final = "chosen"
"""Folder of the table of chosen videos in the output, and the artifact's kind."""

CHOSEN_LIST: Final = "chosen.csv"
"""List of chosen videos in the output."""

HISTOGRAMS: Final = "histograms"
"""Folder of the table of histograms in the output, and the artifact's kind."""

ARITHMETIC: Final = 1
"""Raised whenever the same wishes would be met by other videos."""

_FEW_BINS: Final = 5  # a target in fewer bins than these is matched coarsely


def select(
    pool: MetricTable,
    target: Target,
    config: CurateConfig,
    *,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> Selection:
    """Choose ``config.count`` videos whose metrics are distributed as wished, as nearly as can be.

    Videos that lack a metric that counts are left out. A wish that the pool cannot meet is no error: the nearest choice
    is made, and ``lacks`` says which bins lack how many.

    Args:
        pool: the candidates; its metrics of a weight above 0 count, for a stated target those that it states.
        target: what is wished.
        config: how many, and how.
        progress: called as things get done.

    Raises:
        ConfigError: fewer candidates than wished videos, an unknown metric, column or id, or a target that does not
            fit the pool.
        MissingExtraError: scipy is not installed.

    Source: see the module.
    """
    candidates = find_candidates(pool, target, config)
    table, forced = candidates.table, candidates.forced
    metrics = make_bins(table, target, bins=config.bins)
    bins = [each.places(table.column(each.name)) for each in metrics]
    groups = find_groups(table, target, forced, config)
    problem = make_problem(
        [each[~forced] for each in bins],
        [each.shares for each in metrics],
        weights=[weight_of(config, each.name) for each in metrics],
        quotas=groups.quotas - groups.forced,
        groups=groups.places[~forced],
        base=[
            np.bincount(each[forced], minlength=len(metric.shares)) for each, metric in zip(bins, metrics, strict=True)
        ],
    )
    solved = solve(problem, seed=config.seed, seconds=config.seconds, progress=progress)
    chosen = forced.copy()
    chosen[~forced] = pick_members(problem, solved.chosen, seed=config.seed)
    histograms = [_histogram(metric, each, chosen) for metric, each in zip(metrics, bins, strict=True)]
    lacks = _lacks(histograms)
    return Selection(
        rows=_chosen_rows(table, chosen, forced, groups),
        histograms=tuple(row for rows in histograms for row in rows),
        metrics=tuple(_fit(rows, weight_of(config, rows[0].metric)) for rows in histograms),
        groups=groups.fits(chosen),
        value=solved.value,
        lp_bound=solved.lp_bound,
        bound=solved.bound,
        optimal=solved.optimal,
        candidates=len(table),
        left_out=candidates.left_out,
        lacks=lacks,
        notes=(*candidates.notes, *_notes(metrics, histograms), *groups.notes()),
    )


def write_selection(
    folder: StrPath,
    selection: Selection,
    config: CurateConfig,
    inputs: Mapping[str, str] | None = None,
    *,
    clips: Mapping[str, PoolClipRow] | None = None,
) -> None:
    """Store a selection: tables ``chosen/`` and ``histograms/``, and the list; the former's manifest has the facts.

    Args:
        folder: where to.
        selection: what :func:`select` returned.
        config: what it was asked.
        inputs: hashes of what went in, by name.
        clips: what is known of the chosen videos' files, by id.

    Raises:
        StoreError: another process works in the folder, or the disk is full or fails.
        MissingExtraError: pyarrow is not installed.
    """
    place, facts, clips = Path(folder), facts_of(selection), clips or {}
    chosen = [replace(row, path=path_of(clips, row.clip_id)) for row in selection.rows]
    with hold(place):
        write_clip_list(place / CHOSEN_LIST, [row.clip_id for row in chosen], clips)
        tables: tuple[tuple[str, Sequence[ChosenRow | HistogramRow], type], ...] = (
            (HISTOGRAMS, selection.histograms, HistogramRow),
            (CHOSEN, chosen, ChosenRow),
        )
        for kind, rows, row_type in tables:
            write_artifact(
                place / kind,
                rows,
                row_type,
                kind=kind,
                config=config,
                inputs=inputs,
                seed=config.seed,
                version=ARITHMETIC,
                extra=facts,
            )


def facts_of(selection: Selection) -> dict[str, object]:
    """Return what is to be said of a selection, as plain values; without the rows of its tables."""
    return {
        "value": selection.value,
        "lp_bound": selection.lp_bound,
        "bound": selection.bound,
        "gap": selection.gap,
        "optimal": selection.optimal,
        "candidates": selection.candidates,
        "left_out": dict(selection.left_out),
        "metrics": [to_mapping(each) for each in selection.metrics],
        "groups": [to_mapping(each) for each in selection.groups],
        "lacks": [to_mapping(each) for each in selection.lacks],
        "notes": list(selection.notes),
    }


def _histogram(metric: MetricBins, places: Places, chosen: NDArray[np.bool_]) -> list[HistogramRow]:
    size, count = len(metric.shares), int(chosen.sum())
    there, taken = (np.bincount(each, minlength=size).tolist() for each in (places, places[chosen]))
    edges = metric.edges.tolist()
    return [
        HistogramRow(
            metric=metric.name,
            bin=place,
            low=edges[place],
            high=edges[place + 1],
            before=there[place] / len(places),
            after=taken[place] / count,
            target=share,
            available=there[place],
            chosen=taken[place],
            wished=share * count,
        )
        for place, share in enumerate(metric.shares.tolist())
    ]


def _fit(rows: Sequence[HistogramRow], weight: float) -> MetricFit:
    return MetricFit(
        metric=rows[0].metric,
        weight=weight,
        before=sum(abs(row.before - row.target) for row in rows),
        after=sum(abs(row.after - row.target) for row in rows),
        lacking=sum(max(row.wished - row.available, 0.0) for row in rows),
    )


def _lacks(histograms: Sequence[Sequence[HistogramRow]]) -> tuple[Lack, ...]:
    """Return the bins that lack a whole video or more; worst first."""
    found = [
        Lack(metric=row.metric, low=row.low, high=row.high, wished=row.wished, available=row.available)
        for rows in histograms
        for row in rows
        if row.wished - row.available >= 1
    ]
    return tuple(sorted(found, key=lambda lack: lack.available - lack.wished))


def _notes(metrics: Sequence[MetricBins], histograms: Sequence[Sequence[HistogramRow]]) -> list[str]:
    notes = []
    for metric, rows in zip(metrics, histograms, strict=True):
        if sum(row.available > 0 for row in rows) == 1:
            notes.append(f"{metric.name} is in one bin for the whole pool: it tells no videos apart")
        used = int(np.count_nonzero(metric.shares))
        if used < min(_FEW_BINS, len(metric.shares)):
            notes.append(
                f"{metric.name}: the target has only {used} of {len(rows)} bins; more bins would match it finer"
            )
    return notes


def _chosen_rows(
    table: MetricTable, chosen: NDArray[np.bool_], forced: NDArray[np.bool_], groups: Groups
) -> tuple[ChosenRow, ...]:
    which = np.flatnonzero(chosen)
    names = [groups.names[place] if groups.names else "" for place in groups.places[which].tolist()]
    columns = zip(table.ids[which].tolist(), names, forced[which].tolist(), strict=True)
    return tuple(
        ChosenRow(clip_id=clip_id, group=name, reason="included" if must else "selected")
        for clip_id, name, must in columns
    )
