"""What a CSV file says of the videos of a pool, and which of its lines speaks of which file."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from w2svqa.core.errors import ConfigError

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("clip", "file", "name", "video"),
    "source": ("source",),
    "license": ("license", "licence"),
    "category": ("category",),
    "reference": ("reference",),
    "primary": ("primary",),
    "kind": ("kind", "distortion"),
    "level": ("level",),
    "mos": ("mos",),
}
"""What a manifest can say, and under which headings it is looked for; upper and lower case are the same."""

_FLAGS: Final = ("0", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolManifest:
    """A CSV file with a header, in UTF-8, that says more of the videos of a pool.

    Attributes:
        path: the file.
        columns: for keys of :data:`COLUMNS` the heading to use in place of the usual ones.
    """

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject a key that is none.

        Raises:
            ValueError: a key is not in :data:`COLUMNS`.
        """
        if unknown := sorted(set(self.columns) - set(COLUMNS)):
            raise ValueError(f"columns: {', '.join(unknown)} must be of {', '.join(COLUMNS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestLine:
    """One line of a manifest; attributes as in :class:`w2svqa.core.rows.VideoRow`.

    Attributes:
        number: line in the file, from 1.
        name: of the video.
        source: where it comes from.
        license: as stated.
        category: what it shows.
        reference: path of its untouched source, relative to the manifest; empty if there is none.
        primary: name of its clean source; the flags 0 and 1 (visually clean), which other manifests have, are dropped.
        kind: distortion.
        level: severity.
        mos: mean opinion score.
    """

    number: int
    name: str
    source: str = ""
    license: str = ""
    category: str = ""
    reference: str = ""
    primary: str = ""
    kind: str = ""
    level: int = 0
    mos: float | None = None


def read_pool_manifest(manifest: PoolManifest) -> tuple[ManifestLine, ...]:
    """Read a manifest; empty cells are as if their column was not there.

    Raises:
        ConfigError: the file cannot be read, has no column of names or none of a heading that was asked for, or a line
            names nothing, names what an earlier one names, or has a value that is no number where one is due.
    """
    header, lines = _rows(manifest.path)
    columns = _columns(manifest, header)
    found: dict[str, ManifestLine] = {}
    for number, cells in lines:
        line = _line(number, {key: (cells.get(column) or "").strip() for key, column in columns.items()}, manifest.path)
        if line.name in found:
            raise ConfigError(
                f"line {number} names {line.name!r}, as line {found[line.name].number} does",
                path=manifest.path,
                remedy="keep one of them",
            )
        found[line.name] = line
    return tuple(found.values())


def match_lines(lines: Sequence[ManifestLine], paths: Sequence[str], manifest: PoolManifest) -> dict[str, ManifestLine]:
    """Return the line of each path that has one.

    A name is a path relative to the manifest; or the last parts of a path; or those without the suffix. The first that
    fits counts.

    Args:
        lines: of the manifest.
        paths: of the videos.
        manifest: where the lines are from.

    Raises:
        ConfigError: a line fits two files equally well.
    """
    folder = Path(manifest.path).parent
    ways: tuple[tuple[Callable[[str], str], Callable[[str], Iterator[str]]], ...] = (
        (lambda name: _normal(folder / name), lambda path: iter([_normal(Path(path))])),
        (lambda name: PurePath(name).as_posix(), tails),
        (lambda name: PurePath(name).as_posix(), lambda path: tails(str(PurePath(path).with_suffix("")))),
    )
    matched: dict[str, ManifestLine] = {}
    for of_name, of_path in ways:
        taken = {line.number for line in matched.values()}
        table = {of_name(line.name): line for line in lines if line.number not in taken}
        owners: dict[int, str] = {}
        for path in dict.fromkeys(paths):
            line = None if path in matched else next((table[key] for key in of_path(path) if key in table), None)
            if line is None:
                continue
            if line.number in owners:
                raise ConfigError(
                    f"line {line.number} names {line.name!r}, which fits both {owners[line.number]} and {path}",
                    path=manifest.path,
                    remedy="write more of the path, or leave one of them out of the pool",
                )
            owners[line.number] = path
            matched[path] = line
    return matched


def named_files(lines: Sequence[ManifestLine], manifest: PoolManifest | None) -> list[str]:
    """Return the paths that a manifest names, relative to its folder; none where there is no manifest."""
    return [] if manifest is None else [str(Path(manifest.path).parent / line.name) for line in lines]


def tails(path: str) -> Iterator[str]:
    """Yield the last parts of a path, longest first.

    Example:
        >>> list(tails("pool/a/x.mp4"))
        ['pool/a/x.mp4', 'a/x.mp4', 'x.mp4']
    """
    parts = PurePath(path).parts
    for begin in range(len(parts)):
        yield PurePath(*parts[begin:]).as_posix()


def _normal(path: Path) -> str:
    return os.path.normpath(path.absolute())


def _rows(path: str) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    try:
        # Names of files need not be UTF-8; they come out as the file system's own do.
        with Path(path).open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            lines = [(reader.line_num, {key: value for key, value in cells.items() if key}) for cells in reader]
            return list(reader.fieldnames or ()), lines
    except OSError as error:
        raise ConfigError(
            f"the manifest cannot be read: {error.strerror}", path=path, remedy="check the path"
        ) from None
    except csv.Error as error:
        raise ConfigError(f"the manifest is no CSV file: {error}", path=path, remedy="save it as one") from None


def _columns(manifest: PoolManifest, header: Sequence[str]) -> dict[str, str]:
    """Return the heading of each key that the file speaks of."""
    found = {}
    for key, usual in COLUMNS.items():
        asked = manifest.columns.get(key)
        wanted = usual if asked is None else (asked,)
        column = next((each for name in wanted for each in header if each.casefold() == name.casefold()), None)
        if column is not None:
            found[key] = column
        elif key == "name" or asked is not None:
            raise ConfigError(
                f"the manifest has no column {' or '.join(wanted)}",
                path=manifest.path,
                remedy=f"it has {', '.join(header) or 'none'}",
            )
    return found


def _line(number: int, cells: Mapping[str, str], path: str) -> ManifestLine:
    if not cells["name"]:
        raise ConfigError(f"line {number} names no video", path=path, remedy="complete or delete that line")
    level, mos = _number(number, cells, "level", path), _number(number, cells, "mos", path)
    if level is not None and (level < 0 or level != int(level)):
        raise ConfigError(f"line {number}: the level is {cells['level']}", path=path, remedy="0, 1, 2, ...")
    primary = cells.get("primary", "")
    return ManifestLine(
        number=number,
        name=cells["name"],
        source=cells.get("source", ""),
        license=cells.get("license", ""),
        category=cells.get("category", ""),
        reference=cells.get("reference", ""),
        primary="" if primary in _FLAGS else primary,
        kind=cells.get("kind", ""),
        level=int(level or 0),
        mos=mos,
    )


def _number(number: int, cells: Mapping[str, str], key: str, path: str) -> float | None:
    text = cells.get(key, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"line {number}: {key} is {text!r}, no number", path=path, remedy="correct or empty the cell")
    return value
