"""The table of simulators: what each is called, what its levels set, and how it is applied.

The kinds, their levels and their order from mild to severe are the paper's; what it leaves open is our choice:

| kind | levels | left open by the paper, and chosen here |
| --- | --- | --- |
| resizing | factor 2, 3, 4, 8, 16 | area averaging down, cubic interpolation (Keys, a = -1/2) up |
| blur | sigma 0.1, 0.5, 1, 2, 5 pixels | cut at 4 sigma, edges mirrored; level 1 changes nothing in 8 bits |
| noise | variance 0.001, 0.002, 0.003, 0.005, 0.01 | variances on pixels in 0-1; new in each frame and channel |
| darkening | p 0.05, 0.1, 0.2, 0.4, 0.8 | CIELAB; L' = L - 2 p L (1 - L), clipped to 0-1 |
| brightening | p 0.1, 0.2, 0.4, 0.7, 1.1 | CIELAB; L' = L + 2 p L (1 - L), clipped to 0-1 |
| jitter | up to 0.005, 0.01, 0.02 shorter sides | the amounts; uniform; the same share is cut from each end; cubic |
| stuttering | probability 0.1, 0.25, 0.5 | the amounts; repeats what was on display; never the first frame |
| h264 | CRF 24, 36, 48, 51 | x264; the paper's 63 is applied as 51, where x264 ends |
| h265 | CRF 36, 40, 44, 48 | x265, preset medium for the paper's veryslow |
| vp9 | CRF 40, 50, 60 | ours, libvpx: unseen in training, for evaluation alone |
| av1 | CRF 40, 52, 63 | ours, SVT-AV1: unseen in training, for evaluation alone |

Filters and noise work on the gamma-coded values of sRGB.
Random parts do not know the level: noise is the same grain scaled, jitter the same way further, stuttering the same
numbers against another threshold. So levels are nested, and a higher one is worse in each frame, not only on average.
Results repeat bit for bit on one machine; on another kind of processor single pixels may round the other way.

Source: arXiv 2505.03631, section 4.1.3 and appendix A.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, StrPath
from w2svqa.distort import reduced, spatial, streaming, temporal
from w2svqa.distort.reduced import Reduction

Frame = NDArray[np.uint8]
FrameFunction = Callable[[Frame, float, np.random.Generator], Frame]
RepeatFunction = Callable[[float, int, int, int], NDArray[np.bool_]]
ReducedFunction = Callable[[NDArray[np.uint8], float, Reduction], NDArray[np.uint8]]
FileFunction = Callable[[StrPath, StrPath, float, float | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """One kind of distortion at rising severity.

    Attributes:
        kind: its name, such as ``"blur"``.
        family: ``"spatial"`` (each frame by itself), ``"temporal"`` or ``"streaming"`` (a codec).
        parameter: what the level sets, with its unit.
        levels: the parameter at level 1, 2, ..., mild to severe.
        on_frame: for spatial kinds and jitter, frame + parameter + generator -> frame.
        repeats: for stuttering, parameter + count + seed + index of the first -> which frames are replaced by what was
            on display before them, bool ``(count,)``.
        on_reduced: for all but codecs, what ``on_frame`` or ``repeats`` does, seen on averaged pictures.
        on_file: for streaming kinds, source + target + parameter + longest duration in seconds.
        least_side: shortest side in pixels of a frame that it works on, from the parameter.
    """

    kind: str
    family: Literal["spatial", "temporal", "streaming"]
    parameter: str
    levels: tuple[float, ...]
    on_frame: FrameFunction | None = None
    repeats: RepeatFunction | None = None
    on_reduced: ReducedFunction | None = None
    on_file: FileFunction | None = None
    least_side: Callable[[float], int] = lambda _: 1

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

    def check_size(self, size: tuple[int, int], level: int) -> None:
        """Refuse frames of a height and width that are too small for this kind at ``level``.

        Raises:
            InputError: one side is too short; the message says which, and how long it must be.
        """
        least = self.least_side(self.value(level))
        for name, side in zip(("height", "width"), size, strict=True):
            if side < least:
                raise InputError(
                    f"{self.kind} at level {level} needs a {name} of at least {least} pixels, and this one has {side}",
                    remedy="choose a larger source, a lower level or another distortion",
                )


SIMULATORS: dict[str, Simulator] = {
    simulator.kind: simulator
    for simulator in (
        Simulator(
            kind="resizing",
            family="spatial",
            parameter="factor (down and back up)",
            levels=(2, 3, 4, 8, 16),
            on_frame=spatial.resizing,
            on_reduced=reduced.reduced_resizing,
            # at least one pixel is left
            least_side=int,
        ),
        Simulator(
            kind="blur",
            family="spatial",
            parameter="sigma (pixels)",
            levels=(0.1, 0.5, 1, 2, 5),
            on_frame=spatial.blur,
            on_reduced=reduced.reduced_blur,
        ),
        Simulator(
            kind="noise",
            family="spatial",
            parameter="variance (pixels in 0-1)",
            levels=(0.001, 0.002, 0.003, 0.005, 0.01),
            on_frame=spatial.noise,
            on_reduced=reduced.reduced_noise,
        ),
        Simulator(
            kind="darkening",
            family="spatial",
            parameter="p (lightness, middle down by p/2)",
            levels=(0.05, 0.1, 0.2, 0.4, 0.8),
            on_frame=spatial.darkening,
            on_reduced=reduced.reduced_darkening,
        ),
        Simulator(
            kind="brightening",
            family="spatial",
            parameter="p (lightness, middle up by p/2)",
            levels=(0.1, 0.2, 0.4, 0.7, 1.1),
            on_frame=spatial.brightening,
            on_reduced=reduced.reduced_brightening,
        ),
        Simulator(
            kind="jitter",
            family="temporal",
            parameter="largest shift (shorter sides)",
            levels=(0.005, 0.01, 0.02),
            on_frame=temporal.jitter,
            on_reduced=reduced.reduced_jitter,
            least_side=lambda _: temporal.JITTER_LEAST_SIDE,
        ),
        Simulator(
            kind="stuttering",
            family="temporal",
            parameter="probability (of repeating a frame)",
            levels=(0.1, 0.25, 0.5),
            repeats=temporal.stuttering,
            on_reduced=reduced.reduced_stuttering,
        ),
        Simulator(
            kind="h264",
            family="streaming",
            parameter="CRF",
            levels=(24, 36, 48, 51),
            on_file=streaming.encode_h264,
        ),
        Simulator(
            kind="h265",
            family="streaming",
            parameter="CRF",
            levels=(36, 40, 44, 48),
            on_file=streaming.encode_h265,
        ),
    )
}
"""The paper's nine, by kind; what training distorts with."""

UNSEEN_CODECS: dict[str, Simulator] = {
    simulator.kind: simulator
    for simulator in (
        Simulator(
            kind="vp9",
            family="streaming",
            parameter="CRF",
            levels=(40, 50, 60),
            on_file=streaming.encode_vp9,
        ),
        Simulator(
            kind="av1",
            family="streaming",
            parameter="CRF",
            levels=(40, 52, 63),
            on_file=streaming.encode_av1,
        ),
    )
}
"""Codecs for evaluation and for the command line; training never sees them."""


def simulator(kind: str) -> Simulator:
    """Return the simulator called ``kind``, of :data:`SIMULATORS` or :data:`UNSEEN_CODECS`.

    Raises:
        InputError: there is none.
    """
    found = SIMULATORS.get(kind) or UNSEEN_CODECS.get(kind)
    if found is None:
        known = ", ".join((*SIMULATORS, *UNSEEN_CODECS))
        raise InputError(f"unknown distortion {kind!r}", remedy=f"choose one of {known}")
    return found
