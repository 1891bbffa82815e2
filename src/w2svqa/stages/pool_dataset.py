"""A labelled pool as a data set that can be given away, and pairs of others taken in.

```
folder/
├── pairs.parquet     first, second, level, source, uncertainty, stage  (PoolPairRow)
├── videos.parquet    the videos of the pairs: hash, name, licence      (DatasetVideoRow)
├── labels.parquet    mean and variance of those that have a label      (PseudoLabelRow)
├── pairs.json        the same pairs in the authors' form
└── datasheet.md      what it is; written last
```

The videos themselves are not in it: who has them finds them by hash or name. Neither is any path of this machine.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from w2svqa.core.config import from_mapping
from w2svqa.core.errors import InputError, MissingInputError, StoreError, StrPath, printable
from w2svqa.core.files import atomic_write
from w2svqa.core.rows import PoolPairRow, PseudoLabelRow, VideoRow
from w2svqa.core.store import Artifact, read_artifact, write_artifact
from w2svqa.core.tables import write_rows
from w2svqa.stages.pool_datasheet import Datasheet, write_datasheet
from w2svqa.stages.pool_json import ImportedPairs, item_of, read_pairs_json
from w2svqa.stages.pool_labels import LABELS
from w2svqa.stages.pool_pairs import PAIRS
from w2svqa.stages.pool_scores import VIDEOS
from w2svqa.teachers.pool_scale import PoolCalibration

FILES: Final = ("pairs.parquet", "videos.parquet", "labels.parquet", "pairs.json", "datasheet.md")
"""What an exported folder holds."""

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVideoRow:
    """A video of an exported data set.

    Attributes:
        clip_id: first 16 hex digits of the file's SHA-256, as in the pairs.
        sha256: of the file, hex; empty if unknown.
        name: relative, with forward slashes; each video has its own.
        source: where it comes from; empty if unknown.
        license: as it was stated; empty if unknown.
        primary: name of the clean source of a distorted version; empty for others.
        kind: distortion of such a version; empty for others.
        level: its severity; 0 for others.
    """

    clip_id: str
    sha256: str
    name: str
    source: str
    license: str
    primary: str
    kind: str
    level: int


def export_dataset(labelled: StrPath, target: StrPath) -> Path:
    """Write the pairs of a labelled folder as a data set; return the datasheet's path.

    An earlier export in ``target`` is replaced; without its datasheet a folder is seen to be unfinished.

    Raises:
        InputError: ``target`` holds something else.
        StoreError: an artifact is missing or damaged, a pair names an unknown video, or the disk is full.
        MissingExtraError: pyarrow is not installed.
    """
    place, folder = Path(labelled), Path(target)
    _check_target(folder)
    pairs = read_artifact(place / PAIRS, PoolPairRow, kind=PAIRS)
    labels = read_artifact(place / LABELS, PseudoLabelRow, kind=LABELS)
    every = {row.clip_id: row for row in reversed(read_artifact(place / VIDEOS, VideoRow).rows)}
    used = dict.fromkeys(clip for pair in pairs.rows for clip in (pair.first, pair.second))
    if missing := [clip for clip in used if clip not in every]:
        raise StoreError(
            f"pairs name {len(missing)} videos that are not listed, such as {missing[0]}",
            path=place / PAIRS,
            remedy="make the pairs again",
        )
    videos = dataset_videos([every[clip] for clip in used])
    known = [row for row in labels.rows if row.clip_id in used]
    (folder / FILES[-1]).unlink(missing_ok=True)
    _write_table(folder / FILES[0], pairs.rows, PoolPairRow)
    _write_table(folder / FILES[1], videos, DatasetVideoRow)
    _write_table(folder / FILES[2], known, PseudoLabelRow)
    _write_json(folder / FILES[3], pairs.rows, {row.clip_id: row for row in videos})
    sheet = _datasheet(pairs, videos, labels, labelled=len(known))
    return write_datasheet(folder / FILES[4], sheet)


def import_dataset(path: StrPath, target: StrPath, *, videos: StrPath | None = None) -> ImportedPairs:
    """Store the pairs of a JSON list in the authors' form as artifacts ``videos/`` and ``pairs/``.

    Args:
        path: the list; see :func:`w2svqa.stages.pool_json.read_pairs_json`.
        target: where the artifacts go; those that are there are replaced.
        videos: the folder that names are relative to, if files are to be hashed.

    Raises:
        InputError: the file is no list, or holds no usable pair.
        StoreError: the artifacts cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    if videos is not None and not Path(videos).is_dir():
        raise MissingInputError("no such folder", path=videos, remedy="name the folder that holds the videos")
    found = read_pairs_json(path, videos=videos)
    if not found.pairs:
        worst = f": item {found.problems[0].item} {found.problems[0].problem}" if found.problems else ""
        raise InputError(f"holds no usable pair{worst}", path=path, remedy="see the form in the datasheet of an export")
    origin = {"list": Path(path).name}
    problems = [{"item": each.item, "problem": each.problem} for each in found.problems]
    write_artifact(Path(target) / VIDEOS, found.videos, VideoRow, kind=VIDEOS, config=origin)
    write_artifact(
        Path(target) / PAIRS,
        found.pairs,
        PoolPairRow,
        kind=PAIRS,
        config=origin,
        extra={"problems": problems, "duplicates": found.duplicates},
    )
    return found


def dataset_videos(videos: Sequence[VideoRow]) -> list[DatasetVideoRow]:
    """Return what a data set says of videos: no paths, and names that are relative and unique.

    Example:
        >>> rows = [VideoRow(clip_id=f"{n}f", path="/srv/a/x.mp4", name=name, sha256="") for n, name in
        ...         enumerate(("/srv/a/x.mp4", "x.mp4", "set/y.mp4"))]
        >>> [row.name for row in dataset_videos(rows)]
        ['x.mp4', '1f/x.mp4', 'set/y.mp4']
    """
    names: dict[str, str] = {}
    for row in videos:
        name = _relative(row.name)
        names[name if name not in names else f"{row.clip_id}/{name}"] = row.clip_id
    return [
        DatasetVideoRow(
            clip_id=row.clip_id,
            sha256=row.sha256,
            name=name,
            source=row.source,
            license=row.license,
            primary=_relative(row.primary) if row.primary else "",
            kind=row.kind,
            level=row.level,
        )
        for name, row in zip(names, videos, strict=True)
    ]


def _relative(name: str) -> str:
    """A name without the folders of a machine: whole where it is relative and stays below, else its last part."""
    path = PurePosixPath(name.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0]
    return printable((path.name if outside else str(path)) or "unnamed")


def _check_target(folder: Path) -> None:
    try:
        found = sorted(os.listdir(folder))  # noqa: PTH208 - names alone are needed
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"is no folder to write to: {error.strerror}", path=folder, remedy="choose another") from None
    if others := [name for name in found if name not in FILES and not name.startswith(".")]:
        raise InputError(
            f"holds something else than a data set: {others[0]}", path=folder, remedy="choose an empty folder"
        )


def _write_table(path: Path, rows: Sequence[RowT], row_type: type[RowT]) -> None:
    with atomic_write(path) as file:
        write_rows(file, rows, row_type)


def _write_json(path: Path, pairs: Sequence[PoolPairRow], videos: Mapping[str, DatasetVideoRow]) -> None:
    """One item per line, so that a large list is never held as text."""
    with atomic_write(path) as file:
        separator = b"[\n"
        for pair in pairs:
            first, second = videos[pair.first], videos[pair.second]
            item = item_of(pair, first.name, second.name, (first.sha256, second.sha256))
            file.write(separator + json.dumps(item).encode("ascii"))
            separator = b",\n"
        file.write(b"\n]\n")


def _datasheet(
    pairs: Artifact[PoolPairRow],
    videos: Sequence[DatasetVideoRow],
    labels: Artifact[PseudoLabelRow],
    *,
    labelled: int,
) -> Datasheet:
    facts = labels.manifest.extra
    calibration, versions = facts.get("calibration"), facts.get("versions")
    return Datasheet(
        pairs=pairs.rows,
        videos=len(videos),
        versions_of_primaries=sum(bool(row.kind) for row in videos),
        labelled=labelled,
        licenses=Counter(row.license or "unknown" for row in videos),
        sources=len({row.source for row in videos if row.source}),
        calibration=from_mapping(PoolCalibration, calibration) if isinstance(calibration, dict) else None,
        teacher_versions={str(key): str(value) for key, value in versions.items()}
        if isinstance(versions, dict)
        else {},
        label_config=labels.manifest.config,
        pair_config=pairs.manifest.config,
        software=pairs.manifest.versions.get("w2svqa", "unknown"),
    )
