"""pool -> primaries: clean, sharp videos of varied content for the simulators to distort, each with the reason.

A video's rank in a quality is the share of the pool that is better in it; its worst rank over all qualities decides
whether it is clean enough. Among the cleanest the selection picks those whose content metrics are spread evenly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from w2svqa.core.config import to_mapping
from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.files import hold
from w2svqa.core.metric_table import MetricTable
from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import write_artifact
from w2svqa.stages.clip_list import path_of, write_clip_list
from w2svqa.stages.curate import facts_of, select
from w2svqa.stages.selection_bins import Target
from w2svqa.stages.selection_candidates import CurateConfig
from w2svqa.stages.selection_problem import Floats
from w2svqa.stages.selection_report import Selection

PRIMARIES: Final = "primaries"
"""Folder of the table of primaries in the output, and the artifact's kind."""

PRIMARIES_LIST: Final = "primaries.csv"
"""List of primaries in the output, marked as visually clean."""

BITS_PER_PIXEL: Final = "bits_per_pixel"

Better = Literal["low", "high"]

QUALITIES: Final[Mapping[str, Better]] = {"noise": "low", "blockiness": "low", "blur": "high", BITS_PER_PIXEL: "high"}
"""Of which metrics a primary must have little or much; ``blur`` is CPBD, of which more is sharper."""

CONTENT: Final = ("contrast", "colourfulness", "luminance", "si", "ti")
"""Metrics over which primaries are spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryConfig:
    """How primaries are picked.

    Attributes:
        count: how many.
        qualities: what makes a video clean; those that the table lacks are left out and said.
        content: metrics over which the primaries are spread; the same.
        choice: candidates per primary, from the cleanest on; more make content more even and primaries less clean.
        worst: no primary may have a rank above this; 0 is the best of the pool, 1 the worst. Qualities contradict each
            other (fine texture counts as noise, and costs bits), so few videos are in the better half of all four: 3 of
            290 clips of many sources were, 70 had no rank above 0.75.
        bins: per content metric.
        seed: of the choice among equally good videos.
    """

    count: int
    qualities: Mapping[str, Better] = field(default_factory=lambda: dict(QUALITIES))
    content: tuple[str, ...] = CONTENT
    choice: float = 3.0
    worst: float = 0.75
    bins: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject what cannot be.

        Raises:
            ConfigError: a number is out of range.
        """
        if self.count < 1:
            raise ConfigError(f"{self.count} primaries are to be picked", remedy="ask for 1 or more")
        if not (self.choice >= 1 and 0 < self.worst <= 1):
            raise ConfigError(
                f"{self.choice} candidates per primary with ranks to {self.worst}", remedy="from 1 on; above 0, to 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryRow:
    """A primary and why it is one.

    Attributes:
        clip_id: the video.
        rank: the worst share of the pool that is better than it in one of the qualities, 0 to 1.
        reason: its value and rank in each quality, in words.
        path: the file, where that is known.
    """

    clip_id: str
    rank: float
    reason: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Primaries:
    """What was picked.

    Attributes:
        rows: the primaries, in the order of the pool.
        limit: worst rank among the candidates.
        candidates: how many were clean enough.
        selection: how their content is spread.
        missing: qualities and content metrics that the table lacks.
    """

    rows: tuple[PrimaryRow, ...]
    limit: float
    candidates: int
    selection: Selection
    missing: tuple[str, ...]


def pick_primaries(pool: MetricTable, config: PrimaryConfig, *, target: Target = "uniform") -> Primaries:
    """Pick primaries: the cleanest of the pool, of varied content.

    Args:
        pool: metrics; where it has ``bit_rate``, ``width``, ``height`` and ``fps``, bits per pixel count too.
        config: how many, and what clean means.
        target: how their content should be distributed.

    Raises:
        ConfigError: too few videos are clean enough, or the table has no quality or no content metric.
        MissingExtraError: scipy is not installed.
    """
    table = with_bits_per_pixel(pool)
    qualities = {name: side for name, side in config.qualities.items() if name in table.names}
    content = [name for name in config.content if name in table.names]
    if not qualities or not content:
        raise ConfigError(
            "no metric says what is clean, or what is shown", remedy=f"there are {', '.join(table.names)}"
        )
    ranks = np.column_stack([_ranks(table.column(name), side) for name, side in qualities.items()])
    worst = ranks.max(axis=1)
    shown = table.only(content)
    able = (worst <= config.worst) & np.isfinite(shown.values).all(axis=1)
    if able.sum() < config.count:
        raise ConfigError(
            f"{config.count} primaries are to be picked, but {able.sum()} of {len(table)} videos have no rank above"
            f" {config.worst:g} in {', '.join(qualities)}",
            remedy="ask for fewer, or allow worse ranks: --worst-rank",
        )
    wanted = min(int(np.ceil(config.choice * config.count)), int(able.sum()))
    limit = float(np.partition(worst[able], wanted - 1)[wanted - 1])
    clean = np.flatnonzero(able & (worst <= limit))
    asked = CurateConfig(count=config.count, bins=config.bins, seed=config.seed)
    selection = select(shown.rows(clean), target, asked)
    chosen = clean[np.isin(table.ids[clean], [row.clip_id for row in selection.rows])]
    return Primaries(
        rows=tuple(_row(table, ranks, qualities, int(place)) for place in chosen),
        limit=limit,
        candidates=len(clean),
        selection=selection,
        missing=tuple(name for name in [*config.qualities, *config.content] if name not in table.names),
    )


def write_primaries(
    folder: StrPath,
    primaries: Primaries,
    config: PrimaryConfig,
    inputs: Mapping[str, str] | None = None,
    *,
    clips: Mapping[str, PoolClipRow] | None = None,
) -> None:
    """Store the table ``primaries/``, and the list ``primaries.csv`` where paths are known.

    Args:
        folder: where to.
        primaries: what :func:`pick_primaries` returned.
        config: what it was asked.
        inputs: hashes of what went in, by name.
        clips: what is known of the primaries' files, by id.

    Raises:
        StoreError: another process works in the folder, or the disk is full or fails.
        MissingExtraError: pyarrow is not installed.
    """
    facts = {"limit": primaries.limit, "clean": primaries.candidates, "missing": list(primaries.missing)}
    place, clips = Path(folder), clips or {}
    rows = [replace(row, path=path_of(clips, row.clip_id)) for row in primaries.rows]
    with hold(place):
        write_clip_list(place / PRIMARIES_LIST, [row.clip_id for row in rows], clips, primary=True)
        write_artifact(
            place / PRIMARIES,
            rows,
            PrimaryRow,
            kind=PRIMARIES,
            config=to_mapping(config),
            inputs=inputs,
            seed=config.seed,
            extra=facts | {"content": facts_of(primaries.selection)},
        )


def with_bits_per_pixel(table: MetricTable) -> MetricTable:
    """Return the table with the column ``bits_per_pixel``, if it has what that needs; NaN where a part is unknown."""
    parts = ("bit_rate", "width", "height", "fps")
    if BITS_PER_PIXEL in table.names or any(part not in table.names for part in parts):
        return table
    rate, width, height, fps = (table.column(part) for part in parts)
    pixels = width * height * fps
    bits = np.divide(rate, pixels, out=np.full(len(table), np.nan), where=pixels > 0)
    values = np.column_stack([table.values, bits])
    return MetricTable(table.ids, (*table.names, BITS_PER_PIXEL), values, table.labels)


def _ranks(values: Floats, better: Better) -> Floats:
    """Return the share of the known values that is better than each; above 1 where it is unknown."""
    known = np.sort(values[np.isfinite(values)])
    below = np.searchsorted(known, values, side="left" if better == "low" else "right")
    ahead = below if better == "low" else len(known) - below
    return np.where(np.isfinite(values), ahead / max(len(known), 1), np.inf)


def _row(table: MetricTable, ranks: Floats, qualities: Mapping[str, Better], place: int) -> PrimaryRow:
    texts = []
    for (name, better), rank in zip(qualities.items(), ranks[place].tolist(), strict=True):
        side = "lower" if better == "low" else "higher"
        texts.append(f"{name} {table.column(name)[place]:.4g} ({rank:.0%} of the pool {side})")
    return PrimaryRow(clip_id=str(table.ids[place]), rank=float(ranks[place].max()), reason="; ".join(texts))
