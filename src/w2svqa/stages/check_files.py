"""What is known of the content of files: facts, whether they decode, and hashes of what they show; each found once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from w2svqa.core.errors import MediaError, StoreError, W2SVQAError, printable
from w2svqa.core.executor import Executor
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.stages.ingest_files import SYNC_EVERY
from w2svqa.stages.near_duplicates import frame_hashes
from w2svqa.stages.pool_videos import KnownFile
from w2svqa.video.check import CheckMode, check_video

ARITHMETIC: Final = 1
"""Raised whenever the same file would be judged or hashed differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is known of the content of a file; attributes as in :class:`w2svqa.core.rows.PoolClipRow`.

    Attributes:
        width: pixels as shown.
        height: pixels as shown.
        fps: frames per second.
        duration: seconds.
        codec: FFmpeg's name.
        pixel_format: FFmpeg's name.
        bit_rate: bits per second.
        rotation: degrees clockwise.
        is_still: a still image.
        problem: why it is no video or image at all.
        damage: why only part of it decodes.
        hashes: of what it shows, see :func:`w2svqa.stages.near_duplicates.frame_hashes`; ``None`` if not asked for.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    duration: float | None = None
    codec: str = ""
    pixel_format: str = ""
    bit_rate: int | None = None
    rotation: int | None = None
    is_still: bool = False
    problem: str | None = None
    damage: str | None = None
    hashes: tuple[str | None, ...] | None = None


_FIELDS: Final = tuple(field.name for field in fields(Content))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    file: KnownFile
    mode: CheckMode
    hashed: bool
    threads: int | None


def check_files(
    files: Sequence[KnownFile],
    folder: Path,
    *,
    mode: CheckMode,
    hashed: bool,
    threads: int | None,
    executor: Executor,
    progress: Callable[[int, int, str], None],
) -> tuple[dict[str, Content], dict[str, str]]:
    """Return what is known of each content, and why nothing is, by SHA-256.

    That a file is no video is kept like any result, for it stays so. That one vanished or changed, that a process died
    at it or took too long, is tried again by the next call.

    Args:
        files: of different contents.
        folder: of the journals, one for each mode.
        mode: how much to decode.
        hashed: whether to hash what they show.
        threads: decoding threads per file.
        executor: what does the work.
        progress: called as ``progress(done, total, name)``.

    Raises:
        StoreError: what was found cannot be kept.
    """
    kept: Kept[_Item, Content] = Kept(
        path=folder / f"checks-{mode}.jsonl",
        fingerprint=f"check {mode} {ARITHMETIC}",
        key=lambda item: item.file.sha256,
        name=lambda item: Path(item.file.path).name,
        encode=lambda content: {name: value for name, value in asdict(content).items() if value is not None},
        decode=_decoded,
        holds=lambda item, content: content.hashes is not None or content.problem is not None or not item.hashed,
        failure=_failure,
        sync_every=SYNC_EVERY,
    )
    items = [_Item(file=file, mode=mode, hashed=hashed, threads=threads) for file in files]
    made, failed = map_resumed(check_file, items, kept, progress=progress, executor=executor)
    paths = {file.sha256: file.path for file in files}
    return made, {key: text.removeprefix(f"{printable(paths[key])}: ") for key, text in failed.items()}


def check_file(item: _Item) -> Content:
    """Return what is known of a file after decoding it.

    Raises:
        MediaError: it is no video or image.
        MissingInputError: it is gone, or changed meanwhile.
    """
    path = item.file.path
    item.file.check()
    try:
        checked = check_video(path, item.mode, threads=item.threads)
    finally:
        item.file.check()  # what changed meanwhile says nothing, not even that it is no video
    info = checked.info
    return Content(
        width=info.width,
        height=info.height,
        fps=info.fps,
        duration=_finite(info.duration),
        codec=info.codec,
        pixel_format=info.pixel_format,
        bit_rate=info.bit_rate,
        rotation=info.rotation,
        is_still=info.is_still,
        damage=checked.problem,
        hashes=frame_hashes(checked.frames) if item.hashed else None,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _failure(error: W2SVQAError) -> Content | None:
    return Content(problem=error.without_path) if isinstance(error, MediaError) else None


def _decoded(value: object) -> Content:
    if not isinstance(value, dict) or not set(value) <= set(_FIELDS):
        raise StoreError(f"the journal of checks holds {value!r}", remedy="delete that journal")
    hashes = value.get("hashes")
    return Content(**value | {"hashes": None if hashes is None else tuple(hashes)})
