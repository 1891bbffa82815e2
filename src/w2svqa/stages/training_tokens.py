"""student + crop cache -> tokens: what a finished student makes of the versions that the next stage may learn from.

The crop cache holds one second of every training clip. Each version is looked at as scoring would: all details that
there are, in the middle of their margin, the whole picture and the motion, nothing mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StoreError
from w2svqa.core.random import generator
from w2svqa.core.rows import VersionRow
from w2svqa.core.stage_rows import TokenRow
from w2svqa.stages.renditions import distorted
from w2svqa.students.bundle import load_bundle
from w2svqa.students.crops import MARGIN, Crops, read_crops
from w2svqa.students.looks import Looks
from w2svqa.students.runtime import CompactStudent
from w2svqa.students.views import VIEW_SIZE, VIEWS, join_views, make_motion

_MIDDLE: Final = slice(MARGIN // 2, MARGIN // 2 + VIEW_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipVersions:
    """The versions of one training clip, all in one file of the crop cache.

    Attributes:
        clip_id: the clip.
        rows: its versions.
    """

    clip_id: str
    rows: tuple[VersionRow, ...]


def by_clip(versions: Sequence[VersionRow], *, split: str = "train") -> list[ClipVersions]:
    """Return the versions of a split clip by clip, in the order in which clips first come."""
    found: dict[str, list[VersionRow]] = {}
    for row in versions:
        if row.split == split:
            found.setdefault(row.clip_id, []).append(row)
    return [ClipVersions(clip_id=clip, rows=tuple(rows)) for clip, rows in found.items()]


def encode_clip(
    clip: ClipVersions, *, bundle: Path, digest: str, crops_folder: Path, seed: int
) -> tuple[TokenRow, ...]:
    """Return the tokens of a clip's versions.

    Args:
        clip: versions of the training split.
        bundle: folder of the student.
        digest: of its card, so that another one in the same folder is loaded anew.
        crops_folder: of the distort stage.
        seed: of the distort stage: the grain of noise and the like.

    Raises:
        StoreError: the file of the crop cache is missing or damaged.
        BundleError: the student is damaged.
    """
    student = _student(bundle, digest)
    crops = read_crops(crops_folder / clip.rows[0].views)
    rows = []
    for row in clip.rows:
        token = student.encode_looks(steady_look(crops, row, seed=seed)).mean(axis=0)
        rows.append(TokenRow(version_id=row.version_id, clip_id=row.clip_id, token=tuple(token.tolist())))
    return tuple(rows)


def steady_look(crops: Crops, row: VersionRow, *, seed: int) -> Looks:
    """Return one second of a version as scoring would see it.

    Args:
        crops: of its clip.
        row: the version; where it is not stored it is made from the untouched clip.
        seed: fixes the random parts of a distortion.
    """
    shown = crops.renditions[row.row]
    if not row.stored:
        grain = int(generator(seed, "steady look", row.clip_id, row.kind).integers(1 << 30))
        shown = distorted(shown, row.kind, row.level, crops.size, grain)
    # a version with fewer details than the grid shows some of them twice
    filled = np.arange(VIEWS - 1) % len(shown.details)
    details: NDArray[np.uint8] = shown.details[filled, _MIDDLE, _MIDDLE]
    motion, count = make_motion(shown.motion)
    return Looks(
        views=join_views(details, shown.whole)[None], motion=motion[None], counts=np.array([count], dtype=np.int64)
    )


def refuse_errors(errors: Mapping[str, str], folder: Path) -> None:
    """Refuse to go on where clips could not be looked at.

    Args:
        errors: by clip id.
        folder: of the distort stage.

    Raises:
        StoreError: there are any.
    """
    if errors:
        name, error = next(iter(errors.items()))
        raise StoreError(
            f"{len(errors)} clips of the crop cache cannot be looked at, {name} for one: {error}",
            path=folder,
            remedy="delete this folder",
        )


@lru_cache(maxsize=1)
def _student(bundle: Path, digest: str) -> CompactStudent:
    """The student, loaded once per process."""
    del digest  # a part of the key
    student = load_bundle(bundle).student
    if not isinstance(student, CompactStudent):
        raise TypeError(f"{bundle} holds a {type(student).__name__}, which does not look at crops")
    return student
