"""How key frames and motion frames are prepared for the networks, without torchvision: one place for all students.

Source: the image processor of SigLIP (a square, aspect ratio ignored, by Pillow's bicubic filter; pixels / 255; mean
and deviation 0.5), to the value; and the released code's motion frames (224 x 224, mean 0.45, deviation 0.225).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require
from w2svqa.core.records import ClipSpec
from w2svqa.video.pillow_resize import pillow_resized

if TYPE_CHECKING:
    from torch import Tensor, dtype

    from w2svqa.students.llava.config import Span

MEAN: Final = 0.5
DEVIATION: Final = 0.5
"""Mean and deviation, of every channel, of key-frame pixels 0-1: those of SigLIP."""

CLIP: Final = 32
"""Frames of a motion clip in the released code."""

MOTION_SPEC: Final = ClipSpec(motion_size=(224, 224), motion_format="rgb")
"""What the student wants of a clip besides key frames: every frame, small. The video reader resizes them by area; the
released code by Pillow's bilinear filter."""


def key_picture(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a key frame squeezed to a square.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB 0-255, any size.
        side: height and width in pixels, 384 at full size.

    Returns:
        uint8 ``(side, side, 3)``, equal to what Pillow's bicubic filter gives.

    Example:
        >>> key_picture(np.zeros((720, 1280, 3), np.uint8), 384).shape
        (384, 384, 3)
    """
    return pillow_resized(frame, (side, side), "bicubic")


def normalised(pixels: Tensor, kind: dtype) -> Tensor:
    """Return key frames as the vision tower takes them.

    Args:
        pixels: uint8 ``(F, side, side, 3)``.
        kind: type of the result; the arithmetic is in float32.

    Returns:
        ``(F, 3, side, side)``, -1 to 1.
    """
    lifted = pixels.permute(0, 3, 1, 2).float() / 255
    return ((lifted - MEAN) / DEVIATION).to(kind)


def motion_clip(frames: NDArray[np.uint8], span: Span) -> Tensor:
    """Return the motion frames of a second as SlowFast takes them.

    Args:
        frames: uint8 ``(T, height, width, 3)``, RGB 0-255, T >= 1.
        span: which of them; see :class:`w2svqa.students.llava.config.LlavaConfig`.

    Returns:
        float32 ``(1, 3, T', height, width)``: T' = T, or 32.

    Raises:
        ValueError: another shape, or no frame.
    """
    from w2svqa.networks import slowfast

    torch = require("torch", extra="train")
    if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise ValueError(f"motion frames must have shape (T >= 1, height, width, 3), not {frames.shape}")
    if span == "released":
        frames = frames[np.minimum(np.arange(CLIP), len(frames) - 1)]
    lifted = torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)[None].float() / 255
    clip: Tensor = (lifted - slowfast.MEAN) / slowfast.DEVIATION
    return clip
