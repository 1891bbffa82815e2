"""clips -> severities: every clip at every level of every simulator, as views the student can read.

A clip is decoded once; spatial kinds are applied to its key frames, streaming kinds encode a few seconds of it. What
is kept are views (see ``students.views``), one file per clip. Clips are independent: they are made in parallel, and a
rerun makes only those that are missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import MediaError
from w2svqa.core.files import atomic_write
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.distort import SIMULATORS, distort_frame, distort_video
from w2svqa.students.views import make_views
from w2svqa.video.decode import open_clip

Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistortConfig:
    """Which distortions, and how much of each clip.

    Attributes:
        kinds: names of simulators.
        train_seconds: seconds per training clip.
        held_out_seconds: seconds per anchor or calibration clip; even, because the interval is fitted on halves.
        margin: pixels kept around the views of training clips, to shift them at random.
    """

    kinds: tuple[str, ...] = tuple(SIMULATORS)
    train_seconds: int = 3
    held_out_seconds: int = 6
    margin: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The key frames of a clip at one severity, one per second."""

    kind: str
    level: int
    frames: Frames


def distort_clip(clip: ClipRow, config: DistortConfig, folder: Path, *, seed: int) -> list[VersionRow]:
    """Make all versions of a clip and write their views to ``folder / "views"``.

    Versions whose pixels equal the next milder one's (blur 0.1 in 8 bits, say) are dropped: nobody could order them.

    Args:
        clip: the source.
        config: kinds and seconds.
        folder: of the stage; the views go to ``views/<clip id>.npy``, uint8
            ``(versions, seconds, views, side, side, 3)``.
        seed: fixes the noise.

    Returns:
        one row per version, the untouched clip first.

    Raises:
        MediaError: the clip cannot be decoded.
        StoreError: the views cannot be written.
    """
    training = clip.split == "train"
    seconds = config.train_seconds if training else config.held_out_seconds
    clean = _key_frames(clip.path, seconds)
    versions = [Version(kind="none", level=0, frames=clean)]
    for kind in config.kinds:
        versions += _distinct(clean, _levels(clip, kind, clean, seed))
    margin = config.margin if training else 0
    count = min(len(version.frames) for version in versions)
    views = np.stack(
        [np.stack([make_views(frame, margin=margin) for frame in version.frames[:count]]) for version in versions]
    )
    name = f"views/{clip.clip_id}.npy"
    with atomic_write(folder / name) as file:
        np.save(file, views, allow_pickle=False)
    return [_row(clip, version, name, row, count) for row, version in enumerate(versions)]


def _levels(clip: ClipRow, kind: str, clean: Frames, seed: int) -> Iterator[Version]:
    simulator = SIMULATORS[kind]
    if simulator.family != "spatial" and clip.is_still:
        return
    for level in range(1, len(simulator.levels) + 1):
        if simulator.on_frame is None:
            frames = _encoded(clip, kind, level, len(clean), seed)
        else:
            frames = [distort_frame(frame, kind, level, seed=seed, index=index) for index, frame in enumerate(clean)]
        yield Version(kind=kind, level=level, frames=frames)


def _encoded(clip: ClipRow, kind: str, level: int, seconds: int, seed: int) -> Frames:
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "version.mp4"
        # half a second is enough for the last key frame to count as a second of its own
        distort_video(clip.path, target, kind, level, seed=seed, max_seconds=seconds - 0.4)
        return _key_frames(target, seconds)


def _key_frames(path: str | Path, seconds: int) -> Frames:
    with open_clip(path) as clip:
        frames = [chunk.key_frame for chunk in islice(clip.chunks(), seconds)]
    if not frames:
        raise MediaError("has no frames", path=path, remedy="leave it out of the pool")
    return frames


def _distinct(clean: Frames, versions: Iterator[Version]) -> Iterator[Version]:
    previous = clean
    for version in versions:
        if not _equal(previous, version.frames):
            yield version
        previous = version.frames


def _equal(one: Frames, other: Frames) -> bool:
    return all(np.array_equal(first, second) for first, second in zip(one, other, strict=False))


def _row(clip: ClipRow, version: Version, views: str, row: int, seconds: int) -> VersionRow:
    levels = len(SIMULATORS[version.kind].levels) if version.level else 1
    return VersionRow(
        version_id=f"{clip.clip_id}-{version.kind}-{version.level}",
        clip_id=clip.clip_id,
        kind=version.kind,
        level=version.level,
        severity=version.level / levels,
        primary=clip.primary,
        split=clip.split,
        views=views,
        row=row,
        seconds=seconds,
    )
