"""What people said of videos: a table with a column of names and one of opinion scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.teachers.score_tables import Table, read_table

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("name", "video", "file", "filename", "file_name", "video_name", "clip", "path", "flickr_id", "id"),
    "mos": ("mos", "rating", "dmos", "opinion", "opinion_score", "score"),
    "deviation": ("deviation", "sd", "std", "mos_std", "mos_sd"),
    "content": ("content", "source", "src", "reference"),
    "distortion": ("distortion", "kind", "codec"),
}
"""What a table can say, and under which headings it is looked for; upper and lower case are the same."""

_SHOWN: Final = 5
_TABLES: Final = (".csv", ".tsv", ".parquet", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What people said of one video.

    Attributes:
        name: of the video, as the table has it.
        value: on the scale of the set.
        deviation: over raters; NaN if unknown.
        content: what the video shows.
        distortion: what was done to it; empty if unknown.
    """

    name: str
    value: float
    deviation: float
    content: str
    distortion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """The ratings of a benchmark.

    Attributes:
        benchmark: whose they are.
        rows: in the order of the table; none without a number.
        sha256: of the file.
        notes: what was left out, and how the number of videos fits.
    """

    benchmark: Benchmark
    rows: tuple[Rating, ...]
    sha256: str
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Of the videos."""
        return [row.name for row in self.rows]

    @property
    def expected(self) -> int:
        """How many videos are to be scored: those of the benchmark, or of the table where that is not known."""
        return self.benchmark.videos or len(self.rows)


def read_ratings(path: StrPath, benchmark: Benchmark, columns: Mapping[str, str] | None = None) -> Ratings:
    """Read a table of ratings: CSV, Parquet or JSON.

    Rows without a rating are left out and told. A name that comes twice with one rating counts once.

    Args:
        path: the table.
        benchmark: whose ratings they are.
        columns: for keys of :data:`COLUMNS` the heading to use in place of the usual ones.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is damaged, a rating is no number, or a name comes twice with different ratings.
        ConfigError: it has no column of names or ratings, or none of a heading that was asked for.
    """
    table = read_table(path)
    found = _columns(table, columns or {})
    numbers = _numbers(table, found["mos"])
    deviations = _numbers(table, found["deviation"]) if "deviation" in found else [math.nan] * len(numbers)
    contents, distortions = (_texts(table, found.get(key)) for key in ("content", "distortion"))
    rows: dict[str, Rating] = {}
    twice: dict[str, tuple[float, float]] = {}
    unrated = repeated = 0
    for name, value, deviation, content, distortion in zip(
        _texts(table, found["name"]), numbers, deviations, contents, distortions, strict=True
    ):
        if not name or not math.isfinite(value):
            unrated += 1
        elif name not in rows:
            rows[name] = Rating(
                name=name,
                value=value,
                deviation=deviation,
                content=content or benchmark.content_of(name),
                distortion=distortion or benchmark.distortion_of(name),
            )
        elif rows[name].value == value:
            repeated += 1
        else:
            twice.setdefault(name, (rows[name].value, value))
    _refuse_twice(twice, path)
    if not rows:
        raise InputError("has no rating", path=path, remedy=f"fill in the column {found['mos']}")
    notes = _notes(benchmark, len(rows), unrated, repeated)
    return Ratings(benchmark=benchmark, rows=tuple(rows.values()), sha256=table.sha256, notes=tuple(notes))


def find_ratings(benchmark: Benchmark, places: Sequence[StrPath]) -> Path:
    """Return the table of a benchmark's ratings.

    Args:
        benchmark: whose.
        places: each a table, or a folder with one that is called as the benchmark, ``labels``, ``mos`` or ``ratings``.

    Raises:
        InputError: there is none, or several in one folder.
    """
    if benchmark.ratings:
        return Path(benchmark.ratings)
    for place in map(Path, places):
        if place.is_file():
            return place
        for stem in (benchmark.name, "labels", "mos", "ratings"):
            found = [each for each in _tables(place) if each.stem.lower() == stem]
            if len(found) > 1:
                raise InputError(f"has {len(found)} tables called {stem}", path=place, remedy="name one of them")
            if found:
                return found[0]
    looked = ", ".join(str(place) for place in places) or "nowhere"
    raise InputError(
        f"the ratings of {benchmark.shown} were not found in {looked}",
        remedy=f"save them as {benchmark.name}.csv with columns name and mos; where they are from: {benchmark.page}",
    )


def _tables(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in _TABLES) if folder.is_dir() else []


def _columns(table: Table, asked: Mapping[str, str]) -> dict[str, str]:
    """Return the heading of each key that the table speaks of."""
    remedy = f"it has {', '.join(table.columns)}"
    by_lower = {heading.strip().lower(): heading for heading in reversed(list(table.columns))}
    found: dict[str, str] = {}
    for key, usual in COLUMNS.items():
        wanted = (asked[key].lower(),) if key in asked else usual
        heading = next((by_lower[name] for name in wanted if name in by_lower), None)
        if heading is not None:
            found[key] = heading
        elif key in ("name", "mos") or key in asked:
            raise ConfigError(f"{table.path} has no column {' or '.join(wanted)}", remedy=remedy)
    return found


def _texts(table: Table, heading: str | None) -> list[str]:
    rows = len(next(iter(table.columns.values())))
    return [""] * rows if heading is None else [_text(value) for value in table.columns[heading]]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


def _numbers(table: Table, heading: str) -> list[float]:
    found = []
    for number, value in enumerate(table.columns[heading], start=1):
        try:
            found.append(float(_text(value) or "nan"))
        except ValueError:
            raise InputError(
                f"{heading} in row {number} is no number: {_text(value)[:40]!r}",
                path=table.path,
                remedy="correct it, or leave it empty",
            ) from None
    return found


def _refuse_twice(twice: Mapping[str, tuple[float, float]], path: StrPath) -> None:
    if twice:
        told = [f"{name} ({one:g} and {other:g})" for name, (one, other) in twice.items()]
        more = f", and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise InputError(
            f"{len(told)} names have several ratings: {', '.join(told[:_SHOWN])}{more}",
            path=path,
            remedy="keep one row for each video",
        )


def _notes(benchmark: Benchmark, rows: int, unrated: int, repeated: int) -> list[str]:
    notes = []
    if unrated:
        notes.append(f"{unrated} rows without a name or a rating were left out")
    if repeated:
        notes.append(f"{repeated} rows repeat others")
    if benchmark.videos and rows != benchmark.videos:
        notes.append(f"{rows} videos have a rating, where {benchmark.videos} are expected")
    return notes
