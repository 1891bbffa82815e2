"""Inputs on which DOVER and its reference implementation are compared. Needs only numpy: both environments have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
from filled import filled
from numpy.typing import NDArray

MODELS = ("dover", "dover-mobile")
VIEWS = ("technical", "aesthetic")

CLIPS = 4
CLIP_SHAPES = {
    ("dover", "technical"): (3, 32, 112, 112),  # two windows in time, shifted ones in space
    ("dover", "aesthetic"): (3, 8, 96, 64),
    ("dover-mobile", "technical"): (3, 8, 96, 64),
    ("dover-mobile", "aesthetic"): (3, 6, 64, 128),
}

# Length, height, width of videos: longer and shorter than the samplers want, cells wider than fragments, and as wide.
VIDEOS = ((150, 240, 300), (205, 270, 224), (37, 256, 256), (1, 300, 330))
FULL_VIDEO = 0


def clip(number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an input as if normalised: waves, whose length, colour and speed depend on ``number``, and noise."""
    random = np.random.Generator(np.random.PCG64(number))
    channels, frames, height, width = shape
    time, row, column = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    planes = []
    for _ in range(channels):
        speed, down, across, phase = random.normal(0, 0.15 * (number + 1), 4)
        planes.append(np.sin(speed * time + down * row + across * column + phase) + random.normal(0, 1))
    noise = random.normal(0, 0.3 * (number + 1), shape)
    return (np.stack(planes) + noise).astype(np.float32)


@lru_cache(maxsize=256)
def frame(video: int, number: int) -> NDArray[np.uint8]:
    """Return one frame of a video: a moving pattern with detail down to single pixels."""
    length, height, width = VIDEOS[video]
    random = np.random.Generator(np.random.PCG64([video, number % length]))
    row, column = np.mgrid[:height, :width]
    waves = [100 + 60 * np.sin((row * (k + 1) + column * (video + 2) + 9 * number) / 31) for k in range(3)]
    noisy = np.stack(waves, axis=-1) + random.normal(0, 25, (height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


class Draws:
    """Numbers between 0 and 1 that stand in for the random draws of both implementations."""

    def __init__(self, view: str, video: int) -> None:
        random = np.random.Generator(np.random.PCG64([VIEWS.index(view), video]))
        self.starts = random.random(3 if view == "technical" else 32)
        self.shares = random.random((3, 7, 7, 2))
        """Group of frames, row, column, (down, right)."""


def state_of(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the values of all parameters, at scales that keep activations alive and let the outputs vary."""
    for key, shape in shapes.items():
        yield key, filled(key, shape, scale=4.0 if key.endswith("fc_last.weight") else 1.5)


def digest_of(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the SHA-256 of all keys and shapes."""
    lines = [f"{key} {'x'.join(map(str, shape))}" for key, shape in sorted(shapes.items())]
    return sha256("\n".join(lines).encode()).hexdigest()


def sample_of(values: NDArray[Any], wanted: int = 64) -> NDArray[np.float32]:
    """Return up to about ``wanted`` of the values, evenly spread."""
    flat = values.reshape(-1)
    return flat[:: max(1, len(flat) // wanted)].astype(np.float32)
