"""What a student sees of a video, kept in files so that it is decoded once: views and motion of each second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StoreError
from w2svqa.core.files import atomic_write
from w2svqa.students.views import make_motion, make_views

_PARTS = ("views", "motion", "counts")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """Seconds of one video, or of several versions of one: then every array has the version as its first axis.

    Attributes:
        views: uint8 ``(..., S, 7, side, side, 3)``, from :func:`w2svqa.students.views.make_views`.
        motion: uint8 ``(..., S, MOTION_FRAMES, 32, 32)``, from :func:`w2svqa.students.views.make_motion`.
        counts: int64 ``(..., S)``, how many of the motion frames are real.
    """

    views: NDArray[np.uint8]
    motion: NDArray[np.uint8]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int | slice) -> Looks:
        """Return one version of several, or some of the seconds of one (by a slice)."""
        return Looks(views=self.views[index], motion=self.motion[index], counts=self.counts[index])


def look_at(key_frames: Sequence[NDArray[np.uint8]], motion: Sequence[NDArray[np.uint8]]) -> Looks:
    """Return what a student sees of a video, second by second.

    Args:
        key_frames: uint8 ``(height, width, 3)`` RGB, one per second.
        motion: uint8 ``(T, 32, 32)`` luma, one per second.

    Raises:
        ValueError: as many key frames as seconds of motion are wanted, and at least one.
    """
    if len(key_frames) != len(motion) or not key_frames:
        raise ValueError(f"{len(key_frames)} key frames cannot go with {len(motion)} seconds of motion")
    tracks, counts = zip(*(make_motion(second) for second in motion), strict=True)
    return Looks(
        views=np.stack([make_views(frame) for frame in key_frames]),
        motion=np.stack(tracks),
        counts=np.array(counts, dtype=np.int64),
    )


def save_looks(stem: Path, versions: Sequence[Looks]) -> None:
    """Write versions of one clip; all must have the same number of seconds.

    Args:
        stem: ``folder/name``; three files with the endings ``.views.npy``, ``.motion.npy`` and ``.counts.npy`` appear.
        versions: one or more.

    Raises:
        StoreError: they cannot be written.
    """
    for part in _PARTS:
        with atomic_write(stem.with_name(f"{stem.name}.{part}.npy")) as file:
            array = np.stack([getattr(looks, part) for looks in versions])
            # not by np.save, whose error says nothing of the disk when that is full
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
            file.write(array.data)


def load_looks(stem: Path) -> Looks:
    """Return the versions that :func:`save_looks` wrote; pages are read from disk when they are needed.

    Raises:
        StoreError: a file is missing or damaged.
    """
    arrays = {}
    for part in _PARTS:
        path = stem.with_name(f"{stem.name}.{part}.npy")
        try:
            arrays[part] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"cannot be read: {error}", path=path, remedy="delete the stage's folder") from None
    return Looks(**arrays)
