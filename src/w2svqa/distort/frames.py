"""Distorting pictures in memory: one frame, a stream of frames, or pictures that were averaged down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count as counted

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError
from w2svqa.core.random import generator
from w2svqa.distort.reduced import Reduction, last_shown
from w2svqa.distort.simulators import Frame, Simulator, simulator


def distort_frame(frame: Frame, kind: str, level: int, *, seed: int = 0, index: int = 0) -> Frame:
    """Distort one RGB frame with a spatial simulator, or with jitter.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB 0-255.
        kind: name of a spatial simulator, or ``"jitter"``.
        level: 1 (mild) to the number of levels; 0 returns the frame as it is.
        seed: with ``index`` it fixes the random parts; the level does not enter, so that levels are nested.
        index: number of the frame in its video, so that noise is not frozen and jitter moves.

    Returns:
        uint8 frame of the same shape.

    Raises:
        InputError: unknown kind or level, a kind that needs a whole video, or a frame too small for it.
        ValueError: not a uint8 RGB frame.

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
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"a frame must be uint8 (height, width, 3), not {frame.dtype} {frame.shape}")
    chosen.check_size((frame.shape[0], frame.shape[1]), level)
    return chosen.on_frame(frame, value, generator(seed, kind, index))


def distort_frames(frames: Iterable[Frame], kind: str, level: int, *, seed: int = 0, start: int = 0) -> Iterator[Frame]:
    """Distort a stream of RGB frames with a spatial or temporal simulator, one frame in memory at a time.

    Args:
        frames: uint8 ``(height, width, 3)`` each, RGB 0-255.
        kind: name of a spatial or temporal simulator.
        level: 1 (mild) to the number of levels; 0 yields the frames as they are.
        seed: fixes the random parts.
        start: index of the first frame in its video. A stream cut in two and distorted with the fitting ``start`` gives
            the same frames, save that stuttering cannot repeat what came before the cut.

    Returns:
        an iterator over as many frames, of the same shapes.

    Raises:
        InputError: unknown kind or level, a codec, or (while iterating) a frame too small for the kind.

    Source: arXiv 2505.03631, section 4 (synthetic distortion simulators).

    Example:
        >>> frames = [np.full((4, 4, 3), grey, np.uint8) for grey in range(8)]
        >>> [int(frame[0, 0, 0]) for frame in distort_frames(frames, "stuttering", 3)]
        [0, 0, 0, 3, 4, 4, 4, 7]
    """
    chosen = _of_frames(kind, level)
    if level and chosen.repeats is not None:
        return _held(frames, chosen, level, seed, start)
    return (
        distort_frame(frame, kind, level, seed=seed, index=index)
        for index, frame in zip(counted(start), frames, strict=False)
    )


def shown_indices(count: int, kind: str, level: int, *, seed: int = 0, start: int = 0) -> NDArray[np.int64]:
    """Return which of ``count`` frames is on display at each place: all in turn, but for stuttering.

    Args:
        count: frames.
        kind: name of any simulator.
        level: 1 (mild) to the number of levels; 0 for the untouched source.
        seed: fixes which frames are replaced.
        start: index of the first frame in its video.

    Returns:
        int64 ``(count,)``, never falling, counted from the first of these frames (0 for it, whatever ``start``).

    Raises:
        InputError: unknown kind or level.
        ValueError: a negative count.

    Example:
        >>> shown_indices(8, "stuttering", 3).tolist()
        [0, 0, 0, 3, 4, 4, 4, 7]
    """
    if count < 0:
        raise ValueError(f"there are no {count} frames")
    chosen = simulator(kind)
    if level == 0 or chosen.repeats is None:
        if level:
            chosen.value(level)
        return np.arange(count, dtype=np.int64)
    return last_shown(chosen.repeats(chosen.value(level), count, seed, start))


def distort_reduced(
    pictures: NDArray[np.uint8], kind: str, level: int, *, size: tuple[int, int], seed: int = 0, start: int = 0
) -> NDArray[np.uint8]:
    """Distort pictures that were area-averaged from native frames as if the native frames had been distorted.

    How close it comes depends on how much was averaged away. With pictures of four times the size that is needed in the
    end, filters and jitter come within some tenths of a grey level (mean absolute difference to the averaged distorted
    frame), which is what rounding costs. Straight from 32 x 32 pixels, blur and resizing come within about one; jitter
    moves as it should, but lacks what fine detail adds (a fifth of the change at the mildest level).
    Lightness is exact where the picture is flat and grey under each pixel. Stuttering is exact. Of noise, only mean and
    strength agree: averages do not know the grain.

    Args:
        pictures: uint8 ``(T, h, w)`` luma in full range, or ``(T, h, w, 3)`` RGB, of consecutive frames.
        kind: name of a spatial or temporal simulator.
        level: 1 (mild) to the number of levels; 0 returns the pictures as they are.
        size: native height and width, which the parameters refer to.
        seed: fixes the random parts: jitter and stuttering as in :func:`distort_frames`.
        start: index of the first picture in its video.

    Returns:
        uint8 of the same shape.

    Raises:
        InputError: unknown kind or level, a codec, or a native size too small for the kind.
        ValueError: pictures of another type or shape.

    Example:
        >>> black = np.zeros((1, 2, 2), np.uint8)
        >>> int(distort_reduced(black, "noise", 5, size=(1080, 1920)).min())
        10
    """
    chosen = _of_frames(kind, level)
    is_rgb = pictures.ndim == 4 and pictures.shape[3] == 3
    if pictures.dtype != np.uint8 or not (pictures.ndim == 3 or is_rgb) or 0 in pictures.shape[1:]:
        raise ValueError(f"pictures must be uint8 (T, h, w) or (T, h, w, 3), not {pictures.dtype} {pictures.shape}")
    if level == 0 or not len(pictures) or chosen.on_reduced is None:
        return pictures
    chosen.check_size(size, level)
    reduction = Reduction(size=(size[0], size[1]), kind=kind, seed=seed, start=start)
    return chosen.on_reduced(pictures, chosen.value(level), reduction)


def _of_frames(kind: str, level: int) -> Simulator:
    """Return a simulator that has ``level`` (or level 0 is asked for) and is no codec."""
    chosen = simulator(kind)
    if level:
        chosen.value(level)
    if chosen.on_file is not None:
        raise InputError(f"{kind} works on video files, not on frames", remedy="use distort_video")
    return chosen


def _held(frames: Iterable[Frame], chosen: Simulator, level: int, seed: int, start: int) -> Iterator[Frame]:
    if chosen.repeats is None:
        raise ValueError(f"{chosen.kind} repeats no frames")
    shown: Frame | None = None
    for index, frame in zip(counted(start), frames, strict=False):
        if shown is None or not chosen.repeats(chosen.value(level), 1, seed, index)[0]:
            shown = frame
        yield shown
