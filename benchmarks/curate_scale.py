"""Choosing 200 k of a million videos by nine histograms: time, memory, distances, and what no choice can beat.

    python benchmarks/curate_scale.py [--small] [--videos N] [--count N] [--shift S] [--data DIR [--cache DIR]]

Metric tables are drawn at random: nine metrics that depend on four hidden qualities, a third of them with log-normal
tails, a third with sinh's, and a target table of 50,000 videos whose hidden qualities are shifted and narrower. 50 bins
per metric. Beside the selection stand a random one and a greedy one, which goes through the videos in batches and takes
from each those that the histograms need most. lp_bound is a lower bound on the sum of the nine L1 distances for any
choice, from a dual solution of the linear programme.

With --data also the real pool: 80 of its clips, in ten bins per metric, chosen to be distributed as those of one
category (which are no candidates themselves), and evenly. Beside it the mean of 100 random choices, and a greedy one
that always takes the clip that helps most. The clips are measured first, which takes minutes; --cache keeps what was
measured. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _real_pool import choose_real, measured_pool
from w2svqa.core.metric_table import MetricTable
from w2svqa.stages.curate import select
from w2svqa.stages.selection_bins import make_bins
from w2svqa.stages.selection_candidates import CurateConfig
from w2svqa.stages.selection_solve import Progress

NAMES = ("blockiness", "blur", "contrast", "noise", "flickering", "colourfulness", "luminance", "si", "ti")
SEED = 20
TARGET_VIDEOS = 50_000
BINS = 50
BATCHES = 200
WAYS = ("selected", "random", "greedy")

Floats = NDArray[np.float64]
Choose = Callable[[], NDArray[np.intp]]


@dataclass(frozen=True)
class Row:
    """One way to choose: its distances and time."""

    name: str
    distances: Floats
    seconds: float


def drawn(count: int, random: np.random.Generator, *, shift: float = 0.0, spread: float = 1.0) -> MetricTable:
    """Return a table of made-up videos; ``shift`` moves the hidden qualities, in their standard deviations."""
    mixing = np.random.default_rng(SEED).normal(size=(4, len(NAMES)))
    hidden = random.normal(size=(count, 4)) * spread + shift * np.array([1.0, -1.0, 0.5, -0.5])
    values = hidden @ mixing / 2 + 0.5 * random.normal(size=(count, len(NAMES)))
    values[:, ::3] = np.exp(values[:, ::3])
    values[:, 1::3] = np.sinh(values[:, 1::3])
    return MetricTable(np.char.mod("%08x", np.arange(count)), NAMES, values)


def histograms(pool: MetricTable, target: MetricTable) -> tuple[NDArray[np.intp], Floats]:
    """Return the row of each video and metric among all bins, and the wished share of each row."""
    metrics = make_bins(pool, target, bins=BINS)
    starts = np.cumsum([0, *(len(each.shares) for each in metrics)])
    rows = [each.places(pool.column(each.name)) + start for each, start in zip(metrics, starts, strict=False)]
    return np.column_stack(rows), np.concatenate([each.shares for each in metrics])


def distances(rows: NDArray[np.intp], shares: Floats, chosen: NDArray[np.intp]) -> Floats:
    """Return the L1 distance per metric of a choice of videos."""
    counts = np.bincount(rows[chosen].reshape(-1), minlength=len(shares)) / len(chosen)
    return np.asarray(np.abs(counts - shares).reshape(len(NAMES), -1).sum(axis=1))


def greedy(rows: NDArray[np.intp], shares: Floats, count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Choose in batches: from each, the videos in whose bins most is missing, relative to the wish."""
    missing, chosen = shares * count, []
    for number, batch in enumerate(np.array_split(random.permutation(len(rows)), BATCHES)):
        quota = count * (number + 1) // BATCHES - count * number // BATCHES
        need = (missing / (shares * count + 1.0))[rows[batch]].sum(axis=1)
        best = batch[np.argsort(-need)[:quota]]
        missing -= np.bincount(rows[best].reshape(-1), minlength=len(shares))
        chosen.append(best)
    return np.concatenate(chosen)


def main() -> None:
    """Make the tables, choose, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="20,000 videos: ends within a minute")
    parser.add_argument("--videos", type=int, help="candidates [default: 1000000]")
    parser.add_argument("--count", type=int, help="videos to choose [default: 200000, at most a fifth]")
    parser.add_argument("--shift", type=float, default=0.3, help="of the target, in standard deviations [default: 0.3]")
    parser.add_argument("--data", type=Path, help="development data: choose of the real pool too")
    parser.add_argument("--cache", type=Path, help="folder for what was measured of it [default: none is kept]")
    options = parser.parse_args()
    videos = options.videos or (20_000 if options.small else 1_000_000)
    count = options.count or min(200_000, videos // 5)
    if options.small:
        print("small run: fewer videos than the full benchmark")
    random = np.random.default_rng(SEED)
    pool = drawn(videos, random)
    target = drawn(TARGET_VIDEOS, random, shift=options.shift, spread=0.9)
    start, processor = time.perf_counter(), time.process_time()
    selection = select(pool, target, CurateConfig(count=count, bins=BINS), progress=told(start))
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ours = Row("selected", np.array([each.after for each in selection.metrics]), seconds)
    rows, shares = histograms(pool, target)
    baselines = [timed("random", rows, shares, lambda: random.permutation(videos)[:count])]
    baselines.append(timed("greedy", rows, shares, lambda: greedy(rows, shares, count, random)))
    show([ours, *baselines])
    lacking = sum(each.lacking for each in selection.metrics)
    print(f"sum of the distances {selection.value:.4f}; no choice is below {selection.lp_bound:.4f}")
    print(f"bins lack {lacking:.0f} wished videos (counted once per metric)")
    figures = {
        "benchmark": "curate_scale",
        "small": options.small,
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "l1_max": round(float(ours.distances.max()), 5),
        "l1_random": round(float(baselines[0].distances.max()), 5),
        "l1_greedy": round(float(baselines[1].distances.max()), 5),
        "l1_sum": round(selection.value, 5),
        "lp_bound": round(selection.lp_bound, 5),
        "gap": round(selection.value - selection.lp_bound, 5),
        "peak_mb": round(peak),
        "cores": os.cpu_count(),
        "n": {"videos": videos, "chosen": count, "metrics": len(NAMES), "bins": BINS, "shift": options.shift},
        "units": {
            "l1": "summed absolute difference of shares, 0 to 2",
            "lp_bound": "sum over metrics",
            "gap": "the same",
        },
    }
    if options.data is not None:
        with tempfile.TemporaryDirectory() as folder:
            figures["real"] = real(options.data, options.cache or Path(folder), small=options.small)
    print(json.dumps(figures))


def real(data: Path, cache: Path, *, small: bool) -> dict[str, object]:
    """Choose clips of the real pool; print the table; return the figures."""
    table, seconds = measured_pool(data, cache, small=small)
    count = 8 if small else 80
    found: dict[str, object] = {"clips": len(table), "seconds_to_measure": round(seconds, 1)}
    print(f"\n{count} clips of the real pool; L1 distance, largest of the nine and their sum")
    print(f"{'target':<16}{'of':>6}{'selected':>18}{'random':>18}{'greedy':>18}{'no sum below':>14}")
    for row in choose_real(table, count, seed=SEED):
        ways = (row.selected, row.random, row.greedy)
        cells = "".join(f"{each.max():>10.3f}{each.sum():>8.3f}" for each in ways)
        print(f"{row.target:<16}{row.candidates:>6}{cells}{row.lp_bound:>14.3f}{' optimal' if row.is_optimal else ''}")
        found[row.target] = {
            "candidates": row.candidates,
            "chosen": row.chosen,
            **{f"l1_max_{name}": round(float(each.max()), 4) for name, each in zip(WAYS, ways, strict=True)},
            **{f"l1_sum_{name}": round(float(each.sum()), 4) for name, each in zip(WAYS, ways, strict=True)},
            "lp_bound": round(row.lp_bound, 4),
            "optimal": row.is_optimal,
        }
    return found


def told(start: float) -> Progress:
    """Return a progress that prints each step with the time."""

    def tell(stage: str, done: int, total: int, text: str) -> None:
        print(f"{time.perf_counter() - start:8.1f} s  {stage} {done}/{total} {text}", flush=True)

    return tell


def timed(name: str, rows: NDArray[np.intp], shares: Floats, choose: Choose) -> Row:
    """Return the distances and time of a way to choose."""
    start = time.perf_counter()
    chosen = choose()
    return Row(name, distances(rows, shares, chosen), time.perf_counter() - start)


def show(found: list[Row]) -> None:
    """Print the L1 distance of each metric and way."""
    print(f"{'L1 distance':<14}" + "".join(f"{row.name:>10}" for row in found))
    for place, name in enumerate(NAMES):
        print(f"{name:<14}" + "".join(f"{row.distances[place]:>10.5f}" for row in found))
    print(f"{'seconds':<14}" + "".join(f"{row.seconds:>10.1f}" for row in found))


if __name__ == "__main__":
    main()
