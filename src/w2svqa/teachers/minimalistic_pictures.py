"""What the networks of MinimalisticVQA see of a video: which frames, and how they are prepared.

Source and departures: see :mod:`w2svqa.teachers.minimalistic`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError
from w2svqa.core.extras import require

if TYPE_CHECKING:
    from torch import Tensor

Frame = NDArray[np.uint8]
"""uint8 ``(height, width, 3)``, RGB 0-255."""

SIDE = 384
"""Height and width of a key frame as the picture network sees it, in pixels."""
LEAST_SECONDS = 8
CLIP = 32
"""Frames of a clip."""
MOTION_SIDE = 224
"""Height and width of a frame as the motion network sees it, in pixels."""
DEFAULT_RATE = 25.0
"""Frames per second where a file does not say."""

# ImageNet's means and deviations of red, green and blue, of pixels 0-1.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_NARROWEST = 50  # beyond it, a picture with a shorter side of 384 pixels would not fit the memory


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a video as the networks see it.

    Attributes:
        key: number of the key frame.
        clip: numbers of the 32 frames around it, never falling; the last may come several times.
    """

    key: int
    clip: tuple[int, ...]


def seconds_of(count: int, fps: float | None) -> list[Second]:
    """Return the seconds of a video as the networks see them, at least 8: missing ones are the last again.

    Args:
        count: frames of the video, at least 1.
        fps: frames per second; ``None`` if unknown.

    Source: ``video_processing_spatial`` and ``video_processing_motion`` of ``test_video.py``. A key frame may lie
    beyond the last whole second, a clip never does; each list is filled up by itself.

    Example:
        >>> seconds = seconds_of(100, 30.0)
        >>> [second.key for second in seconds], [second.clip[0] for second in seconds]
        ([15, 45, 75, 75, 75, 75, 75, 75], [0, 30, 60, 60, 60, 60, 60, 60])
        >>> seconds_of(120, 60.0)[1].clip[::31], seconds_of(30, 30.0)[0].clip[-4:]
        ((74, 105), (28, 29, 29, 29))
    """
    rate = max(1, round(fps or DEFAULT_RATE))
    length = max(count // rate, LEAST_SECONDS)
    keys = list(range(rate // 2, count, rate))[:length] or [count - 1]
    clips = [_clip(start, rate, count) for start in range(0, max(1, count // rate) * rate, rate)]
    keys += [keys[-1]] * (length - len(keys))
    clips += [clips[-1]] * (length - len(clips))
    return [Second(key, clip) for key, clip in zip(keys, clips, strict=True)]


def _clip(start: int, rate: int, count: int) -> tuple[int, ...]:
    """Return the 32 frames in the middle of a second, or all of them and the last again."""
    length = min(rate, count - start)
    first = start + length // 2 - CLIP // 2 if length > CLIP else start
    return tuple(min(number, start + length - 1) for number in range(first, first + CLIP))


def key_picture(frame: Frame) -> Tensor:
    """Return a key frame as the picture network sees it, float32 ``(3, 384, 384)``, normalised.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB.

    Raises:
        InputError: it is more than 50 times longer than wide.
    """
    torch, cv2 = require("torch", extra="train"), require("cv2", extra="train")
    height, width = frame.shape[:2]
    if max(height, width) > _NARROWEST * min(height, width):
        raise InputError(
            f"a frame of {width}x{height} is too narrow for the MinimalisticVQA models",
            remedy=f"its longer side may be {_NARROWEST} times the shorter one; leave this video out",
        )
    small = cv2.resize(np.ascontiguousarray(frame), shrunk_size(height, width)[::-1])
    top, left = (round((size - SIDE) / 2) for size in small.shape[:2])
    cropped = np.ascontiguousarray(small[top : top + SIDE, left : left + SIDE])
    return _normalised(torch.from_numpy(cropped).permute(2, 0, 1), _MEAN, _DEVIATION)


def shrunk_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of a picture whose shorter side is 384, the other one rounded down.

    Example:
        >>> shrunk_size(1080, 1920), shrunk_size(1280, 720), shrunk_size(47, 47)
        ((384, 682), (682, 384), (384, 384))
    """
    # In this order of operations the reference rounds; 384 / 47 * 47 falls just short of 384.
    if height > width:
        return max(SIDE, int(SIDE / width * height)), SIDE
    return SIDE, max(SIDE, int(SIDE / height * width))


def motion_picture(frame: Frame) -> Tensor:
    """Return a frame squeezed to what the motion network sees, uint8 ``(3, 224, 224)``.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB.
    """
    torch = require("torch", extra="train")
    planes = torch.from_numpy(np.array(frame, order="C")).permute(2, 0, 1)[None]
    side = (MOTION_SIDE, MOTION_SIDE)
    small: Tensor = torch.nn.functional.interpolate(planes, size=side, mode="bilinear", antialias=True)[0]
    return small.contiguous()


def motion_clip(pictures: Sequence[Tensor]) -> Tensor:
    """Return a clip as the motion network sees it, float32 ``(1, 3, 32, 224, 224)``, normalised.

    Args:
        pictures: 32 of :func:`motion_picture`.
    """
    from w2svqa.networks.slowfast import DEVIATION, MEAN

    torch = require("torch", extra="train")
    return _normalised(torch.stack(list(pictures), dim=1), (MEAN,) * 3, (DEVIATION,) * 3)[None]


def _normalised(picture: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """Return uint8 ``(3, ...)`` as float32, less the mean, by the deviation of each channel of pixels 0-1."""
    torch = require("torch", extra="train")
    shape = (3, *[1] * (picture.ndim - 1))
    lifted: Tensor = picture.to(torch.float32).div_(255)
    return lifted.sub_(torch.tensor(mean).reshape(shape)).div_(torch.tensor(deviation).reshape(shape)).contiguous()
