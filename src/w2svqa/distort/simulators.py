"""The table of simulators, and the two ways to apply one: to a frame, or from file to file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, StrPath
from w2svqa.core.random import generator
from w2svqa.distort.spatial import blur, noise, resizing
from w2svqa.distort.streaming import encode_h264
from w2svqa.video.encode import write_lossless
from w2svqa.video.frames import nominal_rate, read_frames

Frame = NDArray[np.uint8]
FrameFunction = Callable[[Frame, float, np.random.Generator], Frame]
FileFunction = Callable[[StrPath, StrPath, float, float | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """One kind of distortion at rising severity.

    Attributes:
        kind: its name, such as ``"blur"``.
        family: ``"spatial"`` (each frame by itself), ``"temporal"`` or ``"streaming"`` (a codec).
        parameter: what the level sets, with its unit.
        levels: the parameter at level 1, 2, ..., mild to severe.
        on_frame: for spatial kinds, frame + parameter + generator -> frame.
        on_file: for streaming kinds, source + target + parameter + longest duration in seconds.
    """

    kind: str
    family: Literal["spatial", "temporal", "streaming"]
    parameter: str
    levels: tuple[float, ...]
    on_frame: FrameFunction | None = None
    on_file: FileFunction | None = None

    def value(self, level: int) -> float:
        """Return the parameter at ``level`` (1 is the mildest).

        Raises:
            InputError: there is no such level.
        """
        if not 1 <= level <= len(self.levels):
            raise InputError(
                f"{self.kind} has no level {level}",
                remedy=f"choose a level from 1 (mild) to {len(self.levels)} (severe)",
            )
        return self.levels[level - 1]

    def severity(self, level: int) -> float:
        """Return 0 for the untouched source (level 0) to 1 for the worst level."""
        return level / len(self.levels)


# Kinds and levels: arXiv 2505.03631, section 4. x264 ends at CRF 51, so the paper's 63 is applied as 51.
SIMULATORS: dict[str, Simulator] = {
    simulator.kind: simulator
    for simulator in (
        Simulator(
            kind="resizing",
            family="spatial",
            parameter="factor (down and back up)",
            levels=(2, 3, 4, 8, 16),
            on_frame=resizing,
        ),
        Simulator(
            kind="blur",
            family="spatial",
            parameter="sigma (pixels)",
            levels=(0.1, 0.5, 1, 2, 5),
            on_frame=blur,
        ),
        Simulator(
            kind="noise",
            family="spatial",
            parameter="variance (pixels in 0-1)",
            levels=(0.001, 0.002, 0.003, 0.005, 0.01),
            on_frame=noise,
        ),
        Simulator(
            kind="h264",
            family="streaming",
            parameter="CRF",
            levels=(24, 36, 48, 51),
            on_file=encode_h264,
        ),
    )
}


def simulator(kind: str) -> Simulator:
    """Return the simulator called ``kind``.

    Raises:
        InputError: there is none.
    """
    if kind not in SIMULATORS:
        raise InputError(f"unknown distortion {kind!r}", remedy=f"choose one of {', '.join(SIMULATORS)}")
    return SIMULATORS[kind]


def distort_frame(frame: Frame, kind: str, level: int, *, seed: int = 0, index: int = 0) -> Frame:
    """Distort one RGB frame with a spatial simulator.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB 0-255.
        kind: name in :data:`SIMULATORS`.
        level: 1 (mild) to the number of levels; 0 returns the frame as it is.
        seed: with ``index`` it fixes the random parts.
        index: number of the frame in its video, so that noise is not frozen.

    Returns:
        uint8 frame of the same shape.

    Raises:
        InputError: unknown kind or level, or a kind that needs a whole video.

    Source: arXiv 2505.03631, section 4 (synthetic distortion simulators).

    Example:
        >>> grey = np.full((16, 16, 3), 128, np.uint8)
        >>> bool((distort_frame(grey, "blur", 5) == grey).all())
        True
    """
    chosen = simulator(kind)
    if level == 0:
        return frame
    value = chosen.value(level)
    if chosen.on_frame is None:
        raise InputError(f"{kind} works on videos, not on single frames", remedy="use distort_video")
    return chosen.on_frame(frame, value, generator(seed, kind, level, index))


def distort_video(
    source: StrPath, target: StrPath, kind: str, level: int, *, seed: int = 0, max_seconds: float | None = None
) -> None:
    """Write a distorted version of a video: lossless, unless the distortion is a codec.

    Args:
        source: any file that can be scored.
        target: written atomically; ``.mkv`` for lossless output, any container that holds the codec otherwise.
        kind: name in :data:`SIMULATORS`.
        level: 1 (mild) to the number of levels.
        seed: fixes the random parts: the same call writes the same frames.
        max_seconds: stop after so much of the source; ``None`` for all of it.

    Raises:
        InputError: unknown kind or level.
        MediaError: the source cannot be read.
        StoreError: the target cannot be written.

    Source: arXiv 2505.03631, section 4 (synthetic distortion simulators).
    """
    chosen = simulator(kind)
    value = chosen.value(level)
    if chosen.on_file is not None:
        chosen.on_file(source, target, value, max_seconds)
        return
    rate = nominal_rate(source)
    write_lossless(target, _distorted(source, kind, level, seed, rate, max_seconds), fps=rate)


def _distorted(
    source: StrPath, kind: str, level: int, seed: int, rate: Fraction, max_seconds: float | None
) -> Iterator[Frame]:
    for index, frame in enumerate(read_frames(source)):
        if max_seconds is not None and index >= max_seconds * rate:
            return
        yield distort_frame(frame, kind, level, seed=seed, index=index)
