"""What a simulator does to a second of a clip as the crop cache holds it: details, whole picture, motion."""

from __future__ import annotations

import numpy as np

from w2svqa.distort import SIMULATORS, distort_frame, distort_reduced
from w2svqa.students.crops import Rendition


def distorted(shown: Rendition, kind: str, level: int, size: tuple[int, int], seed: int) -> Rendition:
    """Return a rendition with one simulator applied to all of it.

    Args:
        shown: of the untouched clip, or of a version that has a fault already.
        kind: name of the simulator; no codec.
        level: from 1 (mild).
        size: height and width of the clip in pixels.
        seed: of the simulator's random parts.
    """
    details = shown.details
    if SIMULATORS[kind].on_frame is not None:
        details = np.stack(
            [distort_frame(detail, kind, level, seed=seed, index=index) for index, detail in enumerate(details)]
        )
    motion = shown.motion
    if len(motion):
        motion = distort_reduced(motion, kind, level, size=size, seed=seed)
    whole = shown.whole[None]
    if SIMULATORS[kind].family == "spatial":
        whole = distort_reduced(whole, kind, level, size=size, seed=seed)
    return Rendition(details=details, whole=whole[0], motion=motion)
