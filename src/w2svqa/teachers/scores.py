"""``scores:FILE``: scores that were made elsewhere, joined by name, path or hash.

The file is a table (CSV with commas, semicolons or tabs; Parquet; JSON: a list of objects, one object per line, or an
object of names and numbers) with a column that names videos and one that scores them.

A row belongs to a video if its name is, in this order: the video's hash (all 64 hex digits of its SHA-256, or the first
16, the clip id); its path, or as many last parts of it as the row gives; its file name; its file name without suffix.
"""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import ClassVar

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.files import sha256_file
from w2svqa.core.protocols import Video
from w2svqa.teachers.outside import OutsideTeacher, digest_of
from w2svqa.teachers.score_tables import Table, read_table

ARITHMETIC = 1
NAME_COLUMNS = (
    "path",
    "name",
    "file",
    "filename",
    "file_name",
    "video",
    "video_name",
    "clip",
    "clip_id",
    "sha256",
    "id",
)
SCORE_COLUMNS = ("score", "value", "prediction", "predicted", "quality", "mos")
_HASH = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}")
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """How a table of scores and a pool fit.

    Attributes:
        found: how many videos have a row.
        without_row: videos that have none, or several that might be theirs.
        unused: names in the table that belong to none of the videos.
    """

    found: int
    without_row: tuple[str, ...]
    unused: tuple[str, ...]

    def lines(self, *, most: int = 20) -> tuple[str, ...]:
        """Return what to tell the user, a line per name, at most ``most`` of each kind."""
        total = self.found + len(self.without_row)
        told = [f"{self.found} of {total} videos have a score, {len(self.unused)} rows belong to none of them"]
        for title, names in (("no row", self.without_row), ("no video", self.unused)):
            told += [f"{title}: {name}" for name in names[:most]]
            if len(names) > most:
                told.append(f"{title}: and {len(names) - most} more")
        return tuple(told)


class ScoresTeacher(OutsideTeacher):
    """Looks its scores up in a table. Its version is that of the file's content.

    Options:
        name_column: which column names the videos; found by its name (:data:`NAME_COLUMNS`) if empty.
        score_column: which column holds the scores; found by its name (:data:`SCORE_COLUMNS`) if empty, or the only
            other one.
        higher_is_better: direction of the scores.
        low, high: ends of their scale; infinite if it has none.

    Args:
        scores: by name; NaN where the table has a row without a score.
        path: of the table.
        version: see above.
        higher_is_better: direction.
        scale: least and greatest value.
    """

    options: ClassVar[dict[str, int | float | str | bool]] = {
        "name_column": "",
        "score_column": "",
        "higher_is_better": True,
        "low": -math.inf,
        "high": math.inf,
    }

    def __init__(
        self,
        scores: Mapping[str, float],
        path: str,
        version: str,
        *,
        higher_is_better: bool = True,
        scale: tuple[float, float] = (-math.inf, math.inf),
    ) -> None:
        super().__init__(f"scores:{path}", version, higher_is_better=higher_is_better, scale=scale)
        self._path = path
        self._scores = dict(scores)
        self._hashed = any(_HASH.fullmatch(name.lower()) for name in scores)
        self._by_last_part: dict[str, list[str]] = defaultdict(list)
        for name in scores:
            self._by_last_part[_parts(name)[-1]].append(name)

    @classmethod
    def load(
        cls,
        parameters: StrPath | None,
        *,
        argument: str,
        name_column: str = "",
        score_column: str = "",
        higher_is_better: bool = True,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> ScoresTeacher:
        """Return the teacher with the scores of the file ``argument``; the options are those of the class.

        Raises:
            MissingInputError: there is no such file.
            InputError: it is damaged, a name comes twice, or a score is no number.
            ConfigError: the columns cannot be told, or a named one is not there.
            MissingExtraError: it is Parquet and pyarrow is not installed.
        """
        del parameters
        table = read_table(argument)
        names, values = _columns(table, name_column, score_column)
        made = f"{ARITHMETIC}+{digest_of(table.sha256, names, values)}"
        scores = _scores(table, names, values)
        return cls(scores, argument, made, higher_is_better=higher_is_better, scale=(float(low), float(high)))

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score that the table has for the video's file.

        Raises:
            InputError: it has none, or several that might be its.
        """
        del reference
        name = self._row_of(video.info.path)
        value = self._scores[name]
        if not math.isfinite(value):
            raise InputError(f"{self.name} has no score in the row of {name}", remedy="leave this video out")
        return value

    def joined(self, paths: Iterable[StrPath]) -> Joined:
        """Return how many of these videos have a row, and what did not find its counterpart."""
        used: dict[str, str] = {}
        without: list[str] = []
        for path in [os.fspath(each) for each in paths]:
            try:
                used[path] = self._row_of(path)
            except InputError:
                without.append(path)
        unused = set(self._scores) - set(used.values())
        return Joined(found=len(used), without_row=tuple(without), unused=tuple(sorted(unused)))

    def _row_of(self, path: StrPath) -> str:
        for names in (self._of_hash(path), self._of_path(path), self._of_stem(path)):
            if len(names) == 1:
                return names[0]
            if names:
                listed = ", ".join(names[:_SHOWN])
                raise InputError(
                    f"{self.name} has {len(names)} rows that may be meant: {listed}",
                    remedy="name videos by more of their path, or by their SHA-256",
                )
        raise InputError(
            f"{self.name} has no row for {PurePath(path).name}",
            remedy="name it in the table by path, file name or SHA-256",
        )

    def _of_hash(self, path: StrPath) -> list[str]:
        if not (self._hashed and Path(path).is_file()):
            return []
        digest = _digest(os.fspath(path), Path(path).stat().st_mtime_ns)
        return [name for name in self._scores if name.lower() in (digest, digest[:16])]

    def _of_path(self, path: StrPath) -> list[str]:
        """Return the rows whose parts are the last ones of the path; of those, the ones that give most of it."""
        parts = _parts(os.path.abspath(path))  # noqa: PTH100 (pathlib would follow links)
        rows = [name for name in self._by_last_part.get(parts[-1], []) if parts[-len(_parts(name)) :] == _parts(name)]
        most = max((len(_parts(name)) for name in rows), default=0)
        return [name for name in rows if len(_parts(name)) == most]

    def _of_stem(self, path: StrPath) -> list[str]:
        stem = PurePath(path).stem
        return [name for name in self._by_last_part.get(stem, []) if len(_parts(name)) == 1]


@cache
def _digest(path: str, changed: int) -> str:
    """Return the SHA-256 of a file, hex; computed again when the file has changed (ns since the epoch)."""
    del changed  # a part of the cache's key
    return sha256_file(path)


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path, however it is written; ``./a`` is ``a``."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".")) or (name,)


def named_scores(path: StrPath, name_column: str = "", score_column: str = "") -> tuple[dict[str, float], str]:
    """Return the scores of a table by the names in it, NaN where a row has none, and the SHA-256 of the file.

    Args:
        path: of the table.
        name_column: which column names the videos; found by its name if empty.
        score_column: which column holds the scores; likewise.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is damaged, a name comes twice, or a score is no number.
        ConfigError: the columns cannot be told, or a named one is not there.
        MissingExtraError: it is Parquet and pyarrow is not installed.
    """
    table = read_table(path)
    return _scores(table, *_columns(table, name_column, score_column)), table.sha256


def _columns(table: Table, name_column: str, score_column: str) -> tuple[str, str]:
    names = _column(table, name_column, NAME_COLUMNS, "name_column", others=())
    return names, _column(table, score_column, SCORE_COLUMNS, "score_column", others=(names,))


def _column(table: Table, wanted: str, usual: Sequence[str], option: str, *, others: tuple[str, ...]) -> str:
    """Return the column of that name; without one, the first of the usual names, or the only column left."""
    remedy = f"name it with the option {option}; the columns are {', '.join(table.columns)}"
    if wanted:
        if wanted not in table.columns:
            raise ConfigError(f"{table.path} has no column {wanted!r}", remedy=remedy)
        return wanted
    left = [column for column in table.columns if column not in others]
    by_lower = {column.strip().lower(): column for column in reversed(left)}
    found = [by_lower[name] for name in usual if name in by_lower]
    if not found and others and len(left) == 1:
        found = left
    if not found:
        raise ConfigError(f"{table.path}: which column is it?", remedy=remedy)
    return found[0]


def _scores(table: Table, names: str, values: str) -> dict[str, float]:
    found: dict[str, float] = {}
    twice: list[str] = []
    for number, (name, value) in enumerate(zip(table.columns[names], table.columns[values], strict=True), 1):
        key = _name(name, number, table)
        if key in found:
            twice.append(key)
        found[key] = _value(value, number, table)
    if twice:
        more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
        raise InputError(
            f"{len(twice)} names come more than once: {', '.join(twice[:_SHOWN])}{more}",
            path=table.path,
            remedy="keep one row for each video",
        )
    return found


def _name(name: object, number: int, table: Table) -> str:
    text = str(int(name)) if isinstance(name, float) and name.is_integer() else str("" if name is None else name)
    if not text.strip():
        raise InputError(f"row {number} names no video", path=table.path, remedy="fill in the name, or delete the row")
    return text.strip()


def _value(value: object, number: int, table: Table) -> float:
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    try:
        return float(str(value))
    except ValueError:
        raise InputError(
            f"the score in row {number} is no number: {str(value)[:40]!r}",
            path=table.path,
            remedy="correct it, or leave it empty",
        ) from None
