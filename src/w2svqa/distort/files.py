"""Distorting video files, in bounded memory: one distortion, or several in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from math import ceil
from pathlib import Path

from w2svqa.core.errors import InputError, MediaError, StoreError, StrPath
from w2svqa.core.random import generator
from w2svqa.distort.frames import distort_frames
from w2svqa.distort.simulators import Frame, Simulator, simulator
from w2svqa.video.encode import write_lossless
from w2svqa.video.frames import nominal_rate, read_frames
from w2svqa.video.probe import probe


def distort_video(
    source: StrPath, target: StrPath, kind: str, level: int, *, seed: int = 0, max_seconds: float | None = None
) -> None:
    """Write a distorted version of a video: lossless, unless the distortion is a codec.

    Lossless output has the source's nominal frame rate, constant, and its frames upright, in RGB; codecs keep time
    stamps and the stored picture.

    Args:
        source: any file that can be scored; a video for temporal kinds.
        target: written atomically; ``.mkv`` for lossless output, any container that holds the codec otherwise.
        kind: name in :data:`SIMULATORS` or :data:`UNSEEN_CODECS`.
        level: 1 (mild) to the number of levels.
        seed: fixes the random parts: the same call writes the same frames.
        max_seconds: stop after so much of the source; ``None`` for all of it.

    Raises:
        InputError: unknown kind or level, a still image for a temporal kind, a single frame for stuttering, frames too
            small for the kind, or no time at all.
        MediaError: the source cannot be read, or the size of its picture changes.
        StoreError: the target cannot be written.

    Source: arXiv 2505.03631, section 4 (synthetic distortion simulators).
    """
    distort_mixture(source, target, [(kind, level)], seed=seed, max_seconds=max_seconds)


def distort_mixture(
    source: StrPath,
    target: StrPath,
    steps: Sequence[tuple[str, int]],
    *,
    seed: int = 0,
    max_seconds: float | None = None,
) -> None:
    """Write a version of a video that has gone through several distortions, one after the other.

    One step is the same as :func:`distort_video`. Each further step has random numbers of its own. Frames are rounded
    to 8 bits between steps. Before a codec they are written without loss, beside the target, for as long as it takes.

    Args:
        source: as for :func:`distort_video`.
        target: as for :func:`distort_video`.
        steps: pairs of a kind and its level, first to last; a codec only at the end.
        seed: fixes the random parts.
        max_seconds: stop after so much of the source; ``None`` for all of it.

    Raises:
        InputError: no steps, a codec before the last one, or as :func:`distort_video`.
        MediaError: as :func:`distort_video`.
        StoreError: as :func:`distort_video`.
    """
    chosen = _checked(source, steps, max_seconds)
    codec, value = chosen[-1].on_file, chosen[-1].value(steps[-1][1])
    if codec is None:
        _write_frames(source, target, steps, seed, max_seconds)
    elif len(steps) == 1:
        codec(source, target, value, max_seconds)
    else:
        with _scratch_beside(target) as folder:
            between = Path(folder) / "between.mkv"
            _write_frames(source, between, steps[:-1], seed, max_seconds)
            codec(between, target, value, None)


def _checked(source: StrPath, steps: Sequence[tuple[str, int]], max_seconds: float | None) -> list[Simulator]:
    """Return the simulators of all steps, after all checks that need no frames."""
    if not steps:
        raise InputError("a mixture needs a distortion", path=source, remedy='name one, such as ("blur", 3)')
    if max_seconds is not None and not max_seconds > 0:
        raise InputError(f"{max_seconds:g} seconds hold no frame", path=source, remedy="ask for more than 0 seconds")
    chosen = [simulator(kind) for kind, _ in steps]
    for one, (_, level) in zip(chosen, steps, strict=True):
        one.value(level)
    for one in chosen[:-1]:
        if one.on_file is not None:
            raise InputError(
                f"{one.kind} is a codec and comes before {chosen[-1].kind}",
                path=source,
                remedy="put the codec last, or distort its output in a second call",
            )
    temporal = [one.kind for one in chosen if one.family == "temporal"]
    if temporal and probe(source).is_still:
        raise InputError(
            f"is a still image, and {temporal[0]} needs a video",
            path=source,
            remedy="choose a spatial distortion, such as blur",
        )
    return chosen


def _write_frames(
    source: StrPath, target: StrPath, steps: Sequence[tuple[str, int]], seed: int, max_seconds: float | None
) -> None:
    rate = nominal_rate(source)
    frames: Iterable[Frame] = _read(source, rate, max_seconds)
    if any(simulator(kind).repeats is not None for kind, _ in steps):
        frames = _several(frames, source)
    for number, (kind, level) in enumerate(steps):
        own = seed if number == 0 else int(generator(seed, "mixture", number).integers(1 << 62))
        frames = distort_frames(frames, kind, level, seed=own)
    write_lossless(target, frames, fps=rate)


def _read(source: StrPath, rate: Fraction, max_seconds: float | None) -> Iterator[Frame]:
    shape: tuple[int, ...] | None = None
    for frame in islice(read_frames(source), None if max_seconds is None else ceil(max_seconds * rate)):
        if shape is not None and frame.shape != shape:
            raise MediaError(
                f"the picture size changes from {shape[1]} x {shape[0]} to {frame.shape[1]} x {frame.shape[0]}",
                path=source,
                remedy="cut the video where it changes",
            )
        shape = frame.shape
        yield frame


def _several(frames: Iterable[Frame], source: StrPath) -> Iterator[Frame]:
    """Pass frames on, and refuse a source that ends after the first."""
    count = 0
    for frame in frames:
        count += 1
        yield frame
    if count == 1:
        raise InputError(
            "has one frame in this time, and stuttering needs two", path=source, remedy="take a longer part of it"
        )


def _scratch_beside(target: StrPath) -> tempfile.TemporaryDirectory[str]:
    # where the target goes there is room for a file; the system's folder may be small, and in memory
    try:
        return tempfile.TemporaryDirectory(prefix=".w2svqa-", dir=Path(target).parent)
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}", path=target, remedy="check the folder and its permissions"
        ) from None
