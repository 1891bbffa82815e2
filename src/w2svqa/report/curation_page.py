"""The page of a selection: what was wished, what came out, what the pool lacks, and some of the videos.

Source: the plots are those of the paper's Figure 9, one per metric: the pool, the chosen videos, the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from w2svqa.core.config import to_mapping
from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.metric_table import MetricTable
from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import package_versions
from w2svqa.report.curation_sections import beside, distances, distributions, lacks, made_up, samples
from w2svqa.report.facets import TEXTS, facets
from w2svqa.report.page import Facts, Page, Provenance, Section, write_page
from w2svqa.stages.mismatch import Mismatch
from w2svqa.stages.selection_candidates import CurateConfig
from w2svqa.stages.selection_report import Selection

_CLIP_NUMBERS = ("width", "height", "fps")


def write_curation_page(
    path: StrPath,
    *,
    selection: Selection,
    config: CurateConfig,
    pool: MetricTable,
    clips: MetricTable | Sequence[PoolClipRow] | None = None,
    target: str = "",
    inputs: Mapping[str, str] | None = None,
    mismatch: Mismatch | None = None,
    thumbnails: int = 24,
) -> None:
    """Write the page of a selection as one HTML file. The same selection of the same files gives the same bytes.

    Args:
        path: the file, replaced if it is there.
        selection: what :func:`w2svqa.stages.curate.select` returned.
        config: what it was asked.
        pool: the videos that it chose from, with their metrics.
        clips: what else is known of them: columns ``path``, ``name``, ``source``, ``category``, ``license``,
            ``width``, ``height`` and ``fps``, or some of them, unless ``pool`` has them. Without ``path`` there are no
            thumbnails.
        target: what was wished, in words.
        inputs: hashes of what went in, by name.
        mismatch: the pool beside another table, for a section of its own.
        thumbnails: chosen videos that are shown, spread over their spatial information; 0 for none.

    Raises:
        ConfigError: fewer than no thumbnails.
        MissingExtraError: the extra ``plot`` is not installed.
        StoreError: the file cannot be written.
    """
    page = curation_page(
        selection=selection,
        config=config,
        pool=pool if clips is None else pool.joined(_table(clips)),
        target=target,
        inputs=inputs,
        mismatch=mismatch,
        thumbnails=thumbnails,
    )
    write_page(path, page)


def curation_page(
    *,
    selection: Selection,
    config: CurateConfig,
    pool: MetricTable,
    target: str = "",
    inputs: Mapping[str, str] | None = None,
    mismatch: Mismatch | None = None,
    thumbnails: int = 24,
) -> Page:
    """Return the page of a selection; as :func:`write_curation_page`, but all that is known of videos is in ``pool``.

    Raises:
        ConfigError: fewer than no thumbnails.
        MissingExtraError: matplotlib is not installed.
    """
    if thumbnails < 0:
        raise ConfigError(f"{thumbnails} thumbnails", remedy="ask for 0 or more")
    chosen = np.isin(pool.ids, [row.clip_id for row in selection.rows])
    counted = facets(pool, chosen, also=config.stratify)
    parts = {
        "Distributions": distributions(selection),
        "Distance from the target": distances(selection),
        "What the pool lacks": lacks(selection),
        "What the videos are": made_up(counted, selection, config.stratify),
        "Some of the chosen videos": samples(pool.rows(chosen), thumbnails),
        "The pool beside another table": [] if mismatch is None else beside(mismatch, pool),
    }
    title = f"{len(selection.rows):,} videos chosen of {len(pool):,}"
    return Page(
        title=title,
        lead=_lead(selection, len(pool), target),
        sections=(
            Section(title="Key figures", blocks=(_figures(selection, config),)),
            *(Section(title=heading, blocks=tuple(blocks)) for heading, blocks in parts.items() if blocks),
        ),
        provenance=Provenance(
            config=to_mapping(config), inputs=inputs or {}, versions=package_versions(), seed=config.seed
        ),
    )


def _lead(selection: Selection, videos: int, target: str) -> tuple[str, ...]:
    count, metrics = len(selection.rows), len(selection.metrics)
    wish = {"": "as wished", "uniform": "evenly over the pool's range"}.get(target, f"as in {target}")
    start = (
        f"{count:,} of {selection.candidates:,} candidates were chosen, in a pool of {videos:,} videos, so that"
        f" {metrics} metrics are distributed {wish}."
        if metrics > 1
        else f"{count:,} of {selection.candidates:,} candidates were chosen, in a pool of {videos:,} videos, so that"
        f" {selection.metrics[0].metric} is distributed {wish}."
    )
    before = sum(each.weight * each.before for each in selection.metrics)
    proof = (
        "No choice is better." if selection.optimal else f"No choice can be better by more than {selection.gap:.4f}."
    )
    end = (
        f"The weighted sum of the metrics' distances from the target was {before:.4f} and is {selection.value:.4f};"
        f" the linear programme shows that it cannot be less than {selection.lp_bound:.4f}. {proof}"
    )
    return start, end


def _figures(selection: Selection, config: CurateConfig) -> Facts:
    weights = {each.weight for each in selection.metrics}
    items = (
        ("chosen", f"{len(selection.rows):,}"),
        ("had to be chosen", f"{sum(row.reason == 'included' for row in selection.rows):,}"),
        ("candidates", f"{selection.candidates:,}"),
        ("sum of distances", f"{selection.value:.4f}"),
        ("lower bound (LP)", f"{selection.lp_bound:.4f}"),
        ("gap to the bound", "none: optimal" if selection.optimal else f"{selection.gap:.4f}"),
        ("largest L1 of a metric", f"{selection.worst:.4f}"),
        ("weights", f"all {weights.pop():g}" if len(weights) == 1 else "see the table"),
        ("bins that cannot be filled", f"{len(selection.lacks):,}"),
        ("seed", f"{config.seed}"),
    )
    return Facts(items=items)


def _table(clips: MetricTable | Sequence[PoolClipRow]) -> MetricTable:
    """Return what the page asks of clips, as a table."""
    if isinstance(clips, MetricTable):
        return clips
    texts = [name for name in ("path", "name", *TEXTS) if hasattr(PoolClipRow, name)]
    numbers = [[getattr(row, name) for name in _CLIP_NUMBERS] for row in clips]
    return MetricTable(
        [row.clip_id for row in clips],
        _CLIP_NUMBERS,
        np.array(numbers, dtype=np.float64).reshape(len(clips), len(_CLIP_NUMBERS)),
        {name: [getattr(row, name) for row in clips] for name in texts},
    )
