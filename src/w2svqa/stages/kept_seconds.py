"""clips -> severities, as students with a vision tower see them: key frames and motion features of every version.

Unlike the crop cache, nothing is distorted while training: a motion feature is what a frozen network makes of all
frames of a second, and must be made of the distorted ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from w2svqa.core.extras import require
from w2svqa.core.records import ClipSpec
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.stages.versions import Version, version_row
from w2svqa.students.llava.config import LlavaConfig, Span
from w2svqa.students.llava.pictures import key_picture
from w2svqa.students.seconds import Seconds, write_seconds

if TYPE_CHECKING:
    from w2svqa.students.llava.motion import MotionEncoder

FOLDER: Final = "seconds"
"""Of the files, in the folder of the stage."""

MOTION_SIDE: Final = 224
"""Height and width in pixels of the motion frames of the strong student, and what SlowFast was trained for."""

_LONGEST: Final = 16383  # pixels of a WebP picture; the frames of a version stand one below the other


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesConfig:
    """What is kept of each version for a student with a vision tower.

    Attributes:
        slowfast: whose features: PyTorchVideo's file ``SLOWFAST_8x8_R50.pyth``; the folder or hub name of a checkpoint
            of the strong student that has its copy; or ``random-tiny``, for trials.
        seconds: of a training clip, from its start.
        side: height and width in pixels that key frames are squeezed to; the student's.
        motion_side: height and width in pixels of motion frames; 224 is what SlowFast was trained for.
        span: which frames of a second make a motion feature.
    """

    slowfast: str
    seconds: int = 4
    side: int = 384
    motion_side: int = MOTION_SIDE
    span: Span = "second"

    def __post_init__(self) -> None:
        """Reject sizes that cannot be.

        Raises:
            ValueError: less than one second or pixel, or more seconds than a file can hold.
        """
        if min(self.seconds, self.side, self.motion_side) < 1 or self.seconds * self.side > _LONGEST:
            raise ValueError(
                f"seconds {self.seconds}, side {self.side} and motion_side {self.motion_side} must be at least 1,"
                f" and seconds times side at most {_LONGEST}"
            )

    @property
    def spec(self) -> ClipSpec:
        """The motion frames of a clip that are wanted."""
        return ClipSpec(motion_size=(self.motion_side, self.motion_side), motion_format="rgb")


def keep_seconds(
    clip: ClipRow, versions: Iterable[Version], config: FramesConfig, folder: Path
) -> tuple[VersionRow, ...]:
    """Write what the student sees of the versions of a clip, and return their rows.

    Args:
        clip: the source.
        versions: of it, with the motion frames of ``config.spec``; one at a time is held.
        config: what is kept.
        folder: of the stage.

    Raises:
        InputError: the weights of SlowFast are missing or damaged.
        StoreError: the file cannot be written.
    """
    encoder = load_slowfast(config.slowfast, config.span)
    name = f"{FOLDER}/{clip.clip_id}.npz"
    rows, seen = list[VersionRow](), list[Seconds]()
    for version in versions:
        rows.append(version_row(clip, version, views=name, row=len(rows), stored=True, seconds=0))
        frames = np.stack([key_picture(frame, config.side) for frame in version.key_frames])
        seen.append(Seconds(frames=frames, motion=encoder.features(version.motion)))
    seconds = min(map(len, seen))  # a version must not be told by its number of seconds
    write_seconds(folder / name, [kept[:seconds] for kept in seen])
    return tuple(replace(row, seconds=seconds) for row in rows)


@lru_cache(maxsize=1)
def load_slowfast(source: str, span: Span) -> MotionEncoder:
    """Return what makes motion features, on a GPU if there is one; loaded once per process.

    Args:
        source: see :class:`FramesConfig`.
        span: which frames of a second it looks at.

    Raises:
        InputError: the weights are missing or damaged.
        MissingExtraError: PyTorch is not installed.
    """
    torch = require("torch", extra="train")
    from w2svqa.students.llava.checkpoint import load_motion

    weights = source if Path(source).is_file() else None
    encoder = load_motion(source, LlavaConfig(motion_span=span), weights=weights)
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu")
