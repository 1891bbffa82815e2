"""Small rated sets and models for tests of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluation_models import RatedSet, ScoreTable, rated_set
from w2svqa.stages.ratings import read_ratings


def write_table(path: Path, names: Sequence[str], **columns: Sequence[float | str]) -> Path:
    """Write a CSV table with a column of names and others."""
    rows = [",".join(("name", *columns))]
    rows += [",".join((name, *map(str, cells))) for name, *cells in zip(names, *columns.values(), strict=True)]
    path.write_text("\n".join(rows) + "\n")
    return path


def mos_of(count: int, seed: int = 0) -> list[float]:
    """Ratings, rounded so that some are equal."""
    values: list[float] = np.random.default_rng(seed).uniform(1, 5, size=count).round(1).tolist()
    return values


def rated(folder: Path, count: int = 40, benchmark: Benchmark | None = None, videos: Path | None = None) -> RatedSet:
    """A set of videos called ``v0.mp4`` on, two of each content, of two distortions."""
    names = [f"v{number}.mp4" for number in range(count)]
    mine = benchmark or Benchmark(name="mine")
    contents = [f"c{number // 2}" for number in range(count)]
    kinds = ["blur" if number % 2 else "noise" for number in range(count)]
    path = write_table(folder / f"{mine.name}.csv", names, mos=mos_of(count), content=contents, distortion=kinds)
    return rated_set(read_ratings(path, mine), videos)


def scored(
    folder: Path, name: str, noise: float, count: int = 40, *, sign: int = 1, changed: Mapping[str, str] | None = None
) -> ScoreTable:
    """A model that says the rating and noise; what is ``changed`` replaces the cells of videos."""
    random = np.random.default_rng(len(name))
    values = sign * (np.array(mos_of(count)) + noise * random.normal(size=count))
    names = [f"v{number}" for number in range(count)]
    cells = [(changed or {}).get(video, str(value)) for video, value in zip(names, values.tolist(), strict=True)]
    return ScoreTable(name=name, paths=(str(write_table(folder / f"{name}.csv", names, score=cells)),))
