"""The development pool, ingested and measured: its metrics, and two wishes for a choice of its clips."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.metric_table import MetricTable
from w2svqa.stages.curate import select
from w2svqa.stages.ingest_pool import IngestPoolConfig, ingest_pool
from w2svqa.stages.known_pool import open_pool
from w2svqa.stages.measure import MeasureConfig
from w2svqa.stages.pool_manifest import PoolManifest
from w2svqa.stages.selection_bins import MetricBins, Target, make_bins
from w2svqa.stages.selection_candidates import CurateConfig

BINS = 10  # of 80 videos each is more than a percent: 50 bins would hold one or two
TARGET_CATEGORY = "camera-ugc"
_DRAWS = 100
_SMALL_CLIPS = 40

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class RealRow:
    """One wish: the largest and the summed L1 distance of each way to choose, and what no choice can beat."""

    target: str
    candidates: int
    chosen: int
    selected: Floats
    random: Floats
    greedy: Floats
    lp_bound: float
    is_optimal: bool


def measured_pool(data: Path, cache: Path, *, small: bool) -> tuple[MetricTable, float]:
    """Return the metrics of the pool in ``data``, kept in ``cache``, and the seconds that this call took for them."""
    manifest = data / "pool" / "manifest.csv"
    columns = {"source": "source_repo"}
    files = sorted((data / "pool" / "clips").iterdir())
    config = IngestPoolConfig(
        manifest=PoolManifest(path=str(manifest), columns=columns), near_duplicates=False, workers=os.cpu_count() or 1
    )
    begin = time.perf_counter()
    ingest_pool([str(file) for file in (files[:: len(files) // _SMALL_CLIPS] if small else files)], cache, config)
    pool = open_pool(cache, MeasureConfig(workers=os.cpu_count() or 1), progress=_told)
    return pool.metrics, time.perf_counter() - begin


def choose_real(table: MetricTable, count: int, *, seed: int) -> list[RealRow]:
    """Choose clips as those of one category are, from all others; and from all clips spread evenly."""
    wished = np.isin(table.label("category"), [TARGET_CATEGORY])
    rows = [_chosen(f"as {TARGET_CATEGORY}", table.rows(~wished), table.rows(wished), count, seed)]
    return [*rows, _chosen("uniform", table, "uniform", count, seed)]


def _chosen(name: str, pool: MetricTable, target: Target, count: int, seed: int) -> RealRow:
    pool = pool.rows(np.flatnonzero(np.isfinite(pool.values).all(axis=1)))
    metrics = make_bins(pool, target, bins=BINS)
    places = [each.places(pool.column(each.name)) for each in metrics]
    selection = select(pool, target, CurateConfig(count=count, bins=BINS, seed=seed))
    random = np.random.default_rng(seed)
    draws = [_distances(metrics, places, random.permutation(len(pool))[:count]) for _ in range(_DRAWS)]
    return RealRow(
        target=name,
        candidates=len(pool),
        chosen=count,
        selected=np.array([each.after for each in selection.metrics]),
        random=np.mean(draws, axis=0),
        greedy=_distances(metrics, places, one_by_one(metrics, places, count)),
        lp_bound=selection.lp_bound,
        is_optimal=selection.optimal,
    )


def one_by_one(metrics: tuple[MetricBins, ...], places: list[Places], count: int) -> Places:
    """Choose greedily: always the video that brings the histograms nearest to the wish for the whole choice."""
    counts = [np.zeros(len(each.shares)) for each in metrics]
    free, chosen = np.ones(len(places[0]), np.bool_), []
    for _ in range(count):
        gains = np.zeros(len(free))
        for each, there, place in zip(metrics, counts, places, strict=True):
            missing = each.shares * count - there
            gains += (np.abs(missing) - np.abs(missing - 1.0))[place]
        best = int(np.argmax(np.where(free, gains, -np.inf)))
        free[best] = False
        chosen.append(best)
        for there, place in zip(counts, places, strict=True):
            there[place[best]] += 1
    return np.array(chosen)


def _distances(metrics: tuple[MetricBins, ...], places: list[Places], chosen: Places) -> Floats:
    found = []
    for each, place in zip(metrics, places, strict=True):
        shares = np.bincount(place[chosen], minlength=len(each.shares)) / len(chosen)
        found.append(np.abs(shares - each.shares).sum())
    return np.array(found)


def _told(done: int, total: int, name: str) -> None:
    if done % 20 == 0 or done == total:
        print(f"measured {done}/{total} {name}", flush=True)
