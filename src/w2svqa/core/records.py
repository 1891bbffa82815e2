"""The records that travel between stages and to the user: plain frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.levels import LEVELS

Status = Literal["ok", "partial", "error"]
"""``ok``: all of the file was used; ``partial``: scored on what decoded; ``error``: no score."""

Tokens = NDArray[np.float32]
"""What a student keeps of a video. The first axis is time, one entry per chunk; the rest is the student's own."""

MotionFormat = Literal["luma", "rgb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpec:
    """What a student wants to see of a video besides one key frame per second.

    Attributes:
        motion_size: height and width in pixels that motion frames are resized to, aspect ratio ignored; ``None`` for a
            student without a motion branch (no motion frames are made).
        motion_rate: motion frames per second of video, evenly spaced; ``None`` takes every frame, as the paper does.
        motion_format: ``"luma"`` gives ``(T, height, width)``, ``"rgb"`` gives ``(T, height, width, 3)``.
        luma_frames: how many consecutive frames, the key frame among them, are wanted as coded luma; see
            :class:`Chunk`.
    """

    motion_size: tuple[int, int] | None = None
    motion_rate: float | None = None
    motion_format: MotionFormat = "luma"
    luma_frames: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What the container and the first decoded frame say about a file.

    Attributes:
        path: the file.
        width: pixels as shown: after rotation and with square pixels.
        height: pixels as shown.
        fps: average frames per second as declared; ``None`` for stills and where the container does not say.
        duration: seconds as declared; ``None`` where the container does not say.
        codec: FFmpeg's name of the codec, such as ``"h264"``.
        pixel_format: FFmpeg's name, such as ``"yuv420p10le"``.
        bit_rate: bits per second of the video stream (of the file where the stream does not say); ``None`` if unknown.
        rotation: degrees clockwise that a player turns the picture by: 0, 90, 180 or 270.
        pixel_aspect: width of a pixel divided by its height, before the picture is made square.
        interlaced: the first frame is flagged as interlaced.
        transfer: ``"sdr"``, ``"pq"`` or ``"hlg"``.
        is_still: a still image: one key frame, no motion.
    """

    path: str
    width: int
    height: int
    fps: float | None
    duration: float | None
    codec: str
    pixel_format: str
    bit_rate: int | None
    rotation: int
    pixel_aspect: Fraction
    interlaced: bool
    transfer: Literal["sdr", "pq", "hlg"]
    is_still: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """One second of a video, as a student sees it.

    Attributes:
        index: 0, 1, 2, ... in time order.
        start: seconds from the first frame shown.
        key_frame: the first frame of the chunk, uint8 ``(height, width, 3)``, RGB 0-255, native size, upright, SDR.
        motion: uint8 motion frames in the shape :class:`ClipSpec` asks for; ``T = 0`` for stills and without a branch.
        motion_times: float64 ``(T,)``, seconds from the first frame shown.
        luma: uint8 ``(height, width)`` each, as coded but stretched to 0-255, neither turned nor with square pixels:
            the key frame after the frames just before it; in the first chunk, before the frames just after it. Fewer
            than :attr:`ClipSpec.luma_frames` where there are no more frames of that size, and the key frame alone in a
            second without a frame of its own.
    """

    index: int
    start: float
    key_frame: NDArray[np.uint8]
    motion: NDArray[np.uint8]
    motion_times: NDArray[np.float64]
    luma: tuple[NDArray[np.uint8], ...] = ()

    @property
    def key_luma(self) -> NDArray[np.uint8]:
        """The key frame among :attr:`luma`; only where there is any."""
        return self.luma[0] if self.index == 0 else self.luma[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that is wrong with a video, as the student sees it.

    Attributes:
        distortion: name of the simulator it resembles, such as ``"blur"``.
        severity: 0 (invisible) to 1 (the worst level of this simulator); each reason has its own.
        probability: 0 to 1.
        seconds: which seconds it is confined to, rising, counted from 0: ``k`` is the time from ``k`` to ``k + 1``
            seconds. Empty where it is about the whole video.
    """

    distortion: str
    severity: float
    probability: float
    seconds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The quality of one file.

    Attributes:
        path: the file, as it was given.
        status: ``"ok"``, ``"partial"`` (scored on what decoded) or ``"error"`` (no score).
        value: 0 (as the worst simulated distortions) to 100 (as clean sources); higher is better; ``None`` on error.
        low: lower end of the 90 % interval, 0-100, at most ``value``.
        high: upper end of the 90 % interval, 0-100, at least ``value``.
        raw: ``value`` before it was clipped to 0-100: use it to rank, it has no ties at the ends.
        seconds: the score of each second on the same scale, 0-100, in time order; empty where they were not scored.
        reasons: the likely distortions, of the whole video or of some seconds, most probable first, each at most once;
            empty for a clean video and where the student cannot tell.
        notes: how the file was read where that matters (HDR was tone-mapped, the picture is interlaced, ...).
        message: why the status is not ``"ok"``, with the remedy; ``None`` when it is.
        student: name and version of the student that scored it.
    """

    path: str
    status: Status
    value: float | None = None
    low: float | None = None
    high: float | None = None
    raw: float | None = None
    seconds: tuple[float, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    message: str | None = None
    student: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the second of two videos compares with the first.

    Attributes:
        first: path of the first video.
        second: path of the second video.
        level: the most probable of the five level words, of the second relative to the first.
        probabilities: five probabilities, inferior to superior.
        preference: 0 to 1: the weighted sum of the probabilities; above 0.5 the second is better.
        status: as in :class:`Score`; ``"partial"`` if either file was.
        notes: as in :class:`Score`, each with the file it is about.
        message: as in :class:`Score`.
        student: name and version of the student that judged.
    """

    first: str
    second: str
    level: str
    probabilities: tuple[float, float, float, float, float]
    preference: float
    status: Status = "ok"
    notes: tuple[str, ...] = field(default=())
    message: str | None = None
    student: str = ""

    def __post_init__(self) -> None:
        """Reject a level that is not one of the five words.

        Raises:
            ValueError: ``level`` is unknown.
        """
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level!r} is not one of {', '.join(LEVELS)}")
