"""The crop cache: what training needs of a clip, small enough to travel and readable without a video decoder.

One ``.npz`` file per clip holds renditions: the untouched clip, and those versions that only an encoder can make. All
other versions are made from the untouched one while training. Pictures are WebP, lossless: about half a byte per pixel
for decoded video, half of what PNG takes. Motion frames are differences in time under LZMA.
"""

from __future__ import annotations

import io
import lzma
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StoreError
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_write
from w2svqa.students.views import MOTION_SIZE, VIEW_SIZE

if TYPE_CHECKING:
    from types import ModuleType

MARGIN: Final = 16
"""Pixels kept around each detail crop, to shift it at random."""

SIDE: Final = VIEW_SIZE + MARGIN
"""Side of every stored detail crop. A multiple of 16, so that resizing by each factor cuts it into whole cells."""

_Bytes = NDArray[np.uint8]

# No bits of position and no literal context: the differences of small pictures have neither.
_FILTERS: Final = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "pb": 0}]

# what zipfile, zlib and numpy say of damage, wherever it is: an unknown compression is a RuntimeError, no archive at
# all a TypeError
_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, lzma.LZMAError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendition:
    """One second of a version.

    Attributes:
        details: uint8 ``(D, SIDE, SIDE, 3)``, crops at native resolution.
        whole: uint8 ``(VIEW_SIZE, VIEW_SIZE)`` luma of the whole picture: not shifted, for scoring shows all of it.
        motion: uint8 ``(T, 32, 32)`` luma; ``T = 0`` for a still.
    """

    details: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    motion: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crops:
    """The renditions of one clip.

    Attributes:
        size: height and width of the clip in pixels.
        renditions: the untouched clip first.
    """

    size: tuple[int, int]
    renditions: tuple[Rendition, ...]


def write_crops(path: Path, crops: Crops) -> None:
    """Write the renditions of a clip.

    Raises:
        MissingExtraError: OpenCV is not installed.
        StoreError: the file cannot be written; its folder is full, say.
    """
    cv2 = require("cv2", extra="train")
    # with their number, for a damaged archive may have lost some
    arrays: dict[str, NDArray[Any]] = {"facts": np.array([*crops.size, len(crops.renditions)], dtype=np.int64)}
    for index, rendition in enumerate(crops.renditions):
        arrays[f"details_{index}"] = _packed(cv2, np.concatenate(rendition.details))
        arrays[f"whole_{index}"] = _packed(cv2, np.repeat(rendition.whole[..., None], 3, axis=2))
        arrays[f"motion_{index}"] = _squeezed(rendition.motion)
    buffer = io.BytesIO()  # an archive is written with seeks, which the atomic file need not allow
    np.savez(buffer, allow_pickle=False, **arrays)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def read_crops(path: Path) -> Crops:
    """Return what :func:`write_crops` wrote.

    Raises:
        MissingExtraError: OpenCV is not installed.
        StoreError: the file is missing or damaged.
    """
    cv2 = require("cv2", extra="train")
    try:
        # from memory: numpy leaves a file open that is no archive
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            height, width, count = arrays["facts"].tolist()
            renditions = tuple(_rendition(cv2, arrays, index) for index in range(count))
    except (*_DAMAGE, cv2.error) as error:
        raise StoreError(f"cannot be read: {error}", path=path, remedy="delete the stage's folder") from None
    return Crops(size=(height, width), renditions=renditions)


def _rendition(cv2: ModuleType, arrays: Mapping[str, _Bytes], index: int) -> Rendition:
    details = _unpacked(cv2, arrays[f"details_{index}"]).reshape(-1, SIDE, SIDE, 3)
    whole = _unpacked(cv2, arrays[f"whole_{index}"])[..., 0].reshape(VIEW_SIZE, VIEW_SIZE)
    motion = np.frombuffer(
        lzma.decompress(arrays[f"motion_{index}"].tobytes(), lzma.FORMAT_RAW, filters=_FILTERS), np.uint8
    ).reshape(-1, *MOTION_SIZE)
    # uint8 sums wrap around just as the differences did
    return Rendition(details=details, whole=whole, motion=np.cumsum(motion, axis=0, dtype=np.uint8))


def _packed(cv2: ModuleType, pictures: NDArray[np.uint8]) -> _Bytes:
    done, packed = cv2.imencode(".webp", pictures[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])  # above 100: lossless
    if not done:
        raise ValueError(f"OpenCV cannot encode pictures of shape {pictures.shape}")
    return np.asarray(packed, dtype=np.uint8).ravel()


def _unpacked(cv2: ModuleType, packed: _Bytes) -> NDArray[np.uint8]:
    pictures = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    if pictures is None:
        raise ValueError("a picture in it is damaged")
    return np.ascontiguousarray(pictures[:, :, ::-1])


def _squeezed(motion: NDArray[np.uint8]) -> _Bytes:
    changes = np.diff(motion, axis=0, prepend=np.zeros((1, *MOTION_SIZE), np.uint8))
    return np.frombuffer(lzma.compress(changes.tobytes(), lzma.FORMAT_RAW, filters=_FILTERS), np.uint8)
