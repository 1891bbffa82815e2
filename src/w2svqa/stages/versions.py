"""One clip at every level of every simulator: key frames, motion and VMAF of each version, one version at a time.

What training learns from, what a scale is fitted on and what a student is measured on are made here, by the same code.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, MediaError
from w2svqa.core.records import ClipSpec
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.distort import Simulator, distort_frame, distort_frames, distort_reduced
from w2svqa.students.views import MOTION_SIZE, MOTION_SPEC
from w2svqa.teachers.vmaf import VmafReference
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless
from w2svqa.video.frames import nominal_rate, read_frames

Frames = list[NDArray[np.uint8]]

VMAF_KINDS = frozenset({"resizing", "blur", "noise", "h264", "h265", "vp9", "av1"})
"""Kinds that VMAF may judge: it knows neither changes of brightness nor of timing."""

VISIBLE_MOTION = 0.5
"""Least root mean square difference of the motion frames, grey levels, by which temporal versions count as different.
Stuttering of a still scene changes no more than its noise."""

_STILL_RATE = 25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Version:
    """A clip at one severity, or untouched.

    Attributes:
        kind: name of the simulator; ``"none"`` for the untouched clip.
        level: 1 (mild) upwards; 0 for the untouched clip.
        levels: how many levels the kind has.
        key_frames: one per second, uint8 ``(height, width, 3)``, RGB, native size.
        motion: per second, uint8 ``(T, 32, 32)`` luma, or as the source asks for; ``T = 0`` for stills.
        vmaf: against the untouched clip, 0-100; ``None`` if it was not asked for or cannot judge this kind.
    """

    kind: str
    level: int
    levels: int
    key_frames: Frames
    motion: Frames
    vmaf: float | None = None

    @property
    def severity(self) -> float:
        """Return 0 (untouched) to 1 (the worst level)."""
        return self.level / self.levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where versions come from.

    Attributes:
        path: the file.
        is_still: a photograph: no temporal kinds, and codecs code one picture.
        seconds: how many seconds to take from its start.
        vmaf_frames: how many frames of the first second to measure VMAF on; 0 not to measure it.
        spec: the motion frames that are wanted.
    """

    path: str
    is_still: bool
    seconds: int
    vmaf_frames: int = 0
    spec: ClipSpec = MOTION_SPEC


def make_versions(
    source: Source, simulators: Iterable[Simulator], *, seed: int, problems: list[tuple[str, str]] | None = None
) -> Iterator[Version]:
    """Yield the untouched clip, then its levels, mild to severe, kind by kind.

    A level is left out if nobody could tell it from the next milder one: no key frame has another pixel (blur of 0.1
    pixels in 8 bits) and, for temporal kinds, the motion frames differ by less than :data:`VISIBLE_MOTION`. Spatial
    kinds reach the motion frames through :func:`w2svqa.distort.distort_reduced`; key frames of stuttering are those of
    the untouched clip, for a frame and its predecessor differ by little.

    Args:
        source: the clip.
        simulators: the kinds.
        seed: fixes all that is drawn.
        problems: gets each kind that fails, of which no further level is then made, and why; ``None`` to raise.

    Raises:
        MediaError: the clip cannot be decoded, or is too small for an encoder.
        InputError: it is too small for a kind or for VMAF.
    """
    clean = _read(source.path, source)
    vmaf = _Vmaf(source, available=len(clean["motion"][0]))
    try:
        yield Version(kind="none", level=0, levels=1, **clean, vmaf=100.0 if source.vmaf_frames else None)
        for simulator in simulators:
            if simulator.family == "temporal" and source.is_still:
                continue
            try:
                yield from _distinct(clean, _levels(source, simulator, clean, vmaf, seed), simulator.family)
            except InputError as error:
                if problems is None:
                    raise
                problems.append((simulator.kind, error.without_path))
    finally:
        vmaf.close()


def _read(path: str | Path, source: Source) -> dict[str, Frames]:
    with open_clip(path, source.spec) as clip:
        chunks = list(islice(clip.chunks(), source.seconds))
    if not chunks:
        raise MediaError("has no frames", path=path, remedy="leave it out of the pool")
    return {"key_frames": [chunk.key_frame for chunk in chunks], "motion": [chunk.motion for chunk in chunks]}


def _levels(
    source: Source, simulator: Simulator, clean: dict[str, Frames], vmaf: _Vmaf, seed: int
) -> Iterator[Version]:
    kind = simulator.kind
    for level in range(1, len(simulator.levels) + 1):
        if simulator.on_file is not None:
            made, score = _encoded(source, simulator, clean, level, vmaf)
        else:
            made, score = _distorted(clean, simulator, level, seed), vmaf.of_frames(kind, level, seed)
        yield Version(kind=kind, level=level, levels=len(simulator.levels), **made, vmaf=score)


def _distorted(clean: dict[str, Frames], simulator: Simulator, level: int, seed: int) -> dict[str, Frames]:
    kind, frames = simulator.kind, clean["key_frames"]
    if simulator.on_frame is not None:
        frames = [distort_frame(frame, kind, level, seed=seed, index=index) for index, frame in enumerate(frames)]
    counts = [len(second) for second in clean["motion"]]
    track = np.concatenate(clean["motion"])
    if len(track):
        track = distort_reduced(track, kind, level, size=clean["key_frames"][0].shape[:2], seed=seed)
    ends = np.cumsum(counts)[:-1]
    return {"key_frames": frames, "motion": np.split(track, ends)}


def _encoded(
    source: Source, simulator: Simulator, clean: dict[str, Frames], level: int, vmaf: _Vmaf
) -> tuple[dict[str, Frames], float | None]:
    if simulator.on_file is None:
        raise ValueError(f"{simulator.kind} is no codec")
    height, width = clean["key_frames"][0].shape[:2]
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "version.mkv"
        is_padded = source.is_still or height % 2 or width % 2
        original = _even_video(source, clean, Path(scratch) / "original.mkv") if is_padded else source.path
        try:
            # whole seconds: with fewer frames in the last one, the number of motion frames would give codecs away
            simulator.on_file(original, target, simulator.value(level), source.seconds)
            made = _read(target, source)
        except MediaError as error:
            raise MediaError(error.problem, path=source.path, remedy=error.remedy) from None
        if is_padded:
            made["key_frames"] = [frame[:height, :width] for frame in made["key_frames"]]
        if source.is_still:
            made["motion"] = [second[:0] for second in made["motion"]]
        return made, vmaf.of_file(simulator.kind, target)


def _even_video(source: Source, clean: dict[str, Frames], path: Path) -> Path:
    """Write what encoders need: a video, also of a photograph, and even sides, for odd ones they would stretch."""
    count = 1 if source.is_still else sum(len(second) for second in clean["motion"])
    rate = Fraction(_STILL_RATE) if source.is_still else nominal_rate(source.path)
    write_lossless(path, map(_even, islice(read_frames(source.path), count)), fps=rate)
    return path


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


class _Vmaf:
    """VMAF of versions of one clip, on frames spread over the ``available`` ones of its first second."""

    def __init__(self, source: Source, *, available: int) -> None:
        self._source = source
        count = max(1, min(source.vmaf_frames, available))  # of a photograph, which has no motion frames, its one
        self._indices = [index * available // count for index in range(count)]
        self._frames: Frames = []
        self._reference: VmafReference | None = None

    def of_frames(self, kind: str, level: int, seed: int) -> float | None:
        if not self._judges(kind):
            return None
        reference = self._open()
        return reference.score(list(distort_frames(self._frames, kind, level, seed=seed)))

    def of_file(self, kind: str, path: Path) -> float | None:
        if not self._judges(kind):
            return None
        reference = self._open()
        height, width = self._frames[0].shape[:2]
        return reference.score([frame[:height, :width] for frame in _pick(path, self._indices)])

    def close(self) -> None:
        if self._reference is not None:
            self._reference.__exit__(None, None, None)

    def _judges(self, kind: str) -> bool:
        return bool(self._source.vmaf_frames) and kind in VMAF_KINDS

    def _open(self) -> VmafReference:
        if self._reference is None:
            self._frames = _pick(self._source.path, self._indices)
            self._reference = VmafReference(self._frames).__enter__()
        return self._reference


def _pick(path: str | Path, indices: Sequence[int]) -> Frames:
    """Return the frames at rising indices."""
    wanted = set(indices)
    return [frame for index, frame in enumerate(islice(read_frames(path), max(indices) + 1)) if index in wanted]


def _distinct(clean: dict[str, Frames], versions: Iterator[Version], family: str) -> Iterator[Version]:
    previous = clean
    for version in versions:
        if _differs(previous, version, family):
            yield version
            previous = {"key_frames": version.key_frames, "motion": version.motion}


def _differs(one: dict[str, Frames], other: Version, family: str) -> bool:
    if family == "temporal":
        before, after = (_seen_small(np.concatenate(motion)) for motion in (one["motion"], other.motion))
        change = before.astype(np.float32) - after.astype(np.float32)
        return bool(len(before)) and float(np.sqrt(np.mean(change**2))) >= VISIBLE_MOTION
    return any(
        first.shape != second.shape or not np.array_equal(first, second)
        for first, second in zip(one["key_frames"], other.key_frames, strict=False)
    )


def _seen_small(motion: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.float64]:
    """Motion frames as the compact student has them, so that the same versions differ for every student."""
    if motion.ndim == 3:
        return motion
    down, across = (max(1, side // small) for side, small in zip(motion.shape[1:3], MOTION_SIZE, strict=True))
    luma = motion[:, : motion.shape[1] // down * down, : motion.shape[2] // across * across].mean(axis=3)
    cells = luma.reshape(len(luma), luma.shape[1] // down, down, luma.shape[2] // across, across)
    return np.asarray(cells.mean(axis=(2, 4)))


def version_row(clip: ClipRow, version: Version, *, views: str, row: int, stored: bool, seconds: int) -> VersionRow:
    """Return the row of a version: what the clip and it say, and where what a student sees of it is kept.

    Args:
        clip: it was made from.
        version: what it is.
        views: file below the folder of the stage.
        row: its place in that file.
        stored: its pictures are there, and not made anew from the untouched clip.
        seconds: how many are kept.
    """
    return VersionRow(
        version_id=f"{clip.clip_id}-{version.kind}-{version.level}",
        clip_id=clip.clip_id,
        kind=version.kind,
        level=version.level,
        severity=version.severity,
        primary=clip.primary,
        split=clip.split,
        is_still=clip.is_still,
        vmaf=version.vmaf,
        views=views,
        row=row,
        stored=stored,
        seconds=seconds,
    )
