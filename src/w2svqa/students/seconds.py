"""What a student with a vision tower sees of a video, kept in files: a key frame and a motion feature per second.

One ``.npz`` file per clip holds its versions, mild to severe. Key frames are lossless WebP, about half a byte per
pixel; motion features are what a frozen network made of the frames of each second, so that it never runs again. Nothing
is read but the versions that are asked for.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StoreError
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_write

if TYPE_CHECKING:
    from types import ModuleType

# what zipfile, zlib and numpy say of damage, wherever it is
_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seconds:
    """Some seconds of one video.

    Attributes:
        frames: uint8 ``(S, side, side, 3)``, RGB, the key frame of each second.
        motion: float32 ``(S, F)``, the motion feature of each second; zeros for a still.
    """

    frames: NDArray[np.uint8]
    motion: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Reject what is no video.

        Raises:
            ValueError: there are no seconds, or not as many frames as features.
        """
        if len(self.frames) != len(self.motion) or not len(self.frames):
            raise ValueError(f"{len(self.frames)} key frames cannot go with {len(self.motion)} motion features")

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, seconds: slice) -> Seconds:
        """Return some of the seconds, at least one."""
        return Seconds(frames=self.frames[seconds], motion=self.motion[seconds])


def write_seconds(path: Path, versions: Sequence[Seconds]) -> None:
    """Write the versions of a clip.

    Raises:
        MissingExtraError: OpenCV is not installed.
        StoreError: the file cannot be written; its folder is full, say.
    """
    cv2 = require("cv2", extra="train")
    arrays: dict[str, NDArray[Any]] = {}
    for row, version in enumerate(versions):
        arrays[f"frames_{row}"] = _packed(cv2, np.concatenate(version.frames))
        arrays[f"motion_{row}"] = version.motion
    buffer = io.BytesIO()  # an archive is written with seeks, which the atomic file need not allow
    np.savez(buffer, allow_pickle=False, **arrays)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def read_seconds(path: Path, row: int) -> Seconds:
    """Return one version that :func:`write_seconds` wrote.

    Args:
        path: the file.
        row: number of the version.

    Raises:
        MissingExtraError: OpenCV is not installed.
        StoreError: the file is missing or damaged, or has no such version.
    """
    cv2 = require("cv2", extra="train")
    try:
        # opened here: numpy leaves a file open that is no archive
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            motion = arrays[f"motion_{row}"]
            return Seconds(frames=_unpacked(cv2, arrays[f"frames_{row}"], len(motion)), motion=motion)
    except (*_DAMAGE, cv2.error) as error:
        raise StoreError(
            f"version {row} cannot be read: {error}", path=path, remedy="delete the stage's folder"
        ) from None


def _packed(cv2: ModuleType, column: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack pictures that stand one below the other."""
    done, packed = cv2.imencode(".webp", column[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])  # above 100: lossless
    if not done:
        raise ValueError(f"OpenCV cannot encode a picture of shape {column.shape}")
    return np.asarray(packed, dtype=np.uint8).ravel()


def _unpacked(cv2: ModuleType, packed: NDArray[np.uint8], seconds: int) -> NDArray[np.uint8]:
    column = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    if column is None:
        raise ValueError("a picture in it is damaged")
    return np.ascontiguousarray(column[:, :, ::-1]).reshape(seconds, -1, column.shape[1], 3)
