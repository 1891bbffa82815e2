"""What the options of ``w2svqa evaluate`` name: models, benchmarks, ratings, folders of videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from w2svqa.cli.label import pool_teachers

if TYPE_CHECKING:
    from w2svqa.stages.benchmarks import Benchmark
    from w2svqa.stages.evaluation_models import Model, RatedSet, ScoreTable

RATINGS = "ratings"
"""What one's own ratings are called, where a direction is told."""


def models_of(
    students: Sequence[str],
    teachers: Sequence[str],
    tables: Sequence[str],
    parameters: Sequence[str],
    options: Sequence[str],
    lower: Sequence[str],
) -> list[Model]:
    """Return the models that are named."""
    from w2svqa.stages.student_teacher import PREFIX

    names = [name if name.startswith(PREFIX) else f"{PREFIX}{name}" for name in students]
    scored = score_tables(tables, lower)
    asked = [*names, *teachers]
    models: list[Model] = [*(pool_teachers(asked, parameters, options) if asked else ()), *scored]
    if not models:
        raise typer.BadParameter("name a --student, a --teacher or --scores")
    known = {RATINGS, *(table.name for table in scored)}
    if unknown := [name for name in lower if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: of {', '.join(sorted(known))}", param_hint="--lower-is-better")
    return models


def score_tables(texts: Sequence[str], lower: Sequence[str] = ()) -> list[ScoreTable]:
    """Return the models that options ``[NAME=]FILE[::COLUMN]`` name; files of one name are one model's.

    Example:
        >>> [table] = score_tables(["mine=a/b.csv::fused", "mine=c.csv::fused"])
        >>> table.name, table.paths, table.score_column
        ('mine', ('a/b.csv', 'c.csv'), 'fused')
        >>> score_tables(["a/b.csv"])[0].name
        'b'
    """
    from w2svqa.stages.evaluation_models import ScoreTable

    found: dict[tuple[str, str], list[str]] = {}
    for text in texts:
        rest, _, column = text.partition("::")
        name, equals, path = rest.partition("=")
        if not equals or Path(rest).exists():
            name, path = column or Path(rest).stem, rest
        found.setdefault((name, column), []).append(path)
    return [
        ScoreTable(name=name, paths=tuple(paths), score_column=column, higher_is_better=name not in lower)
        for (name, column), paths in found.items()
    ]


def sets_of(
    benchmarks: Sequence[str], own: Path | None, videos: Path | None, labels: Path | None, lower: Sequence[str]
) -> list[RatedSet]:
    """Return the rated videos that are named."""
    from w2svqa.stages.benchmarks import Benchmark, find_benchmarks
    from w2svqa.stages.evaluation_models import rated_set
    from w2svqa.stages.ratings import find_ratings, read_ratings

    if bool(benchmarks) == (own is not None):
        raise typer.BadParameter("give either --benchmark or --ratings")
    if own is not None:
        mine = Benchmark(name=own.stem, higher_is_better=RATINGS not in lower)
        return [rated_set(read_ratings(own, mine), videos)]
    found = find_benchmarks(benchmarks)
    if len(found) > 1 and labels is not None and labels.is_file():
        raise typer.BadParameter("several benchmarks take a folder with NAME.csv of each", param_hint="--labels")
    sets = []
    for benchmark in found:
        folder = _folder(benchmark, videos, alone=len(found) == 1)
        places = [place for place in (labels, folder, videos) if place is not None]
        sets.append(rated_set(read_ratings(find_ratings(benchmark, places), benchmark), folder))
    return sets


def _folder(benchmark: Benchmark, videos: Path | None, *, alone: bool) -> Path | None:
    """Return the folder of a benchmark's videos: the one given, or one in it that is called as the benchmark."""
    if videos is None:
        return Path(benchmark.videos_folder) if benchmark.videos_folder else None
    plain = _plain(benchmark.name)
    inside = sorted(each for each in videos.iterdir() if each.is_dir()) if videos.is_dir() else []
    found = next((each for each in inside if _plain(each.name) in (plain, _plain(benchmark.shown))), None)
    return found or (videos if alone or videos.is_dir() else None)


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
