"""Tables of precomputed features and ratings -> vectors of the videos that have both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.stages.name_join import join_names
from w2svqa.stages.ratings import COLUMNS, Rating, Ratings
from w2svqa.teachers.score_tables import Table, read_table

Floats = NDArray[np.float64]

FEWEST: Final = 50
"""Rated videos with features, at least."""

_NOT_FEATURES: Final = ("name", "mos", "deviation")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatedFeatures:
    """Videos with features and a rating.

    Attributes:
        features: float64 ``(N, F)``; what is not finite is missing.
        rows: ratings of the same videos, in order.
        higher_is_better: direction of the ratings.
        columns: names of the features.
        notes: what did not fit.
    """

    features: Floats
    rows: tuple[Rating, ...]
    higher_is_better: bool
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def values(self) -> Floats:
        """Ratings, higher is better, float64 ``(N,)``."""
        sign = 1 if self.higher_is_better else -1
        return sign * np.array([row.value for row in self.rows])

    @property
    def contents(self) -> list[str]:
        """Of each video."""
        return [row.content for row in self.rows]


def read_features(paths: Sequence[StrPath], ratings: Ratings) -> RatedFeatures:
    """Join tables of features with ratings by the videos' names.

    A table has a column of names; every other column whose cells are numbers is a feature, but those that are called
    as ratings or their deviations are left out: they would give away what is to be predicted.

    Args:
        paths: tables: CSV, Parquet or JSON. Videos must be in all of them.
        ratings: of the videos.

    Raises:
        InputError: a table is damaged, names a video twice, or has no feature; or fewer than :data:`FEWEST` videos
            have both.
    """
    notes = list(ratings.notes)
    tables = [_columns(read_table(path), notes) for path in paths]
    if not tables:
        raise ConfigError("there is no table of features", remedy="name one with --features")
    joins = [join_names(ratings.names, list(rows), dropped=ratings.benchmark.dropped) for _, rows in tables]
    kept = [row for row in ratings.rows if all(row.name in join.pairs for join in joins)]
    for path, join in zip(paths, joins, strict=True):
        notes += [f"{Path(path).name}: {line}" for line in join.lines("ratings", "features")]
    if len(kept) < FEWEST:
        raise InputError(
            f"{len(kept)} of {len(ratings.rows)} rated videos have features, {FEWEST} are needed",
            path=paths[0],
            remedy="check the names, or rate more videos",
        )
    parts = [
        np.array([rows[join.pairs[row.name]] for row in kept]) for (_, rows), join in zip(tables, joins, strict=True)
    ]
    return RatedFeatures(
        features=np.concatenate(parts, axis=1),
        rows=tuple(kept),
        higher_is_better=ratings.benchmark.higher_is_better,
        columns=tuple(column for names, _ in tables for column in names),
        notes=tuple(notes),
    )


def _columns(table: Table, notes: list[str]) -> tuple[list[str], dict[str, list[float]]]:
    """Names of the features of a table, and the features of each video."""
    said = {key: set(COLUMNS[key]) for key in _NOT_FEATURES}
    names = [column for column in table.columns if column.strip().lower() in said["name"]]
    if not names:
        raise InputError(
            "has no column of names", path=table.path, remedy=f"it has {', '.join(list(table.columns)[:5])}"
        )
    dropped = [c for c in table.columns if c.strip().lower() in said["mos"] | said["deviation"]]
    if dropped:
        notes.append(f"{Path(table.path).name}: {', '.join(dropped)} say what people said, and are no features")
    found = {
        column: numbers
        for column, cells in table.columns.items()
        if column not in (*dropped, *names) and (numbers := _numbers(cells)) is not None
    }
    if not found:
        raise InputError("has no column of numbers", path=table.path, remedy="give one feature a column")
    texts = [str(cell) for cell in table.columns[names[0]]]
    if len(set(texts)) < len(texts):
        twice = next(text for text, count in Counter(texts).items() if count > 1)
        raise InputError(f"has {twice} twice", path=table.path, remedy="keep one row for each video")
    rows = np.array(list(found.values())).T.tolist()
    return list(found), dict(zip(texts, rows, strict=True))


def _numbers(cells: Sequence[object]) -> list[float] | None:
    """The numbers of a column, NaN where a cell is empty; ``None`` for a column of text."""
    try:
        return [math.nan if cell is None or cell == "" else float(str(cell)) for cell in cells]
    except ValueError:
        return None
