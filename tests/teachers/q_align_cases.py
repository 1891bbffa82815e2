"""Inputs on which Q-Align and its reference implementation are compared. Needs only numpy, as both have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from filled import filled
from numpy.typing import NDArray

# A reduced network: every kind of layer at least twice.
CONFIGURATION: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "visual_config": {
        "visual_model": {
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
        },
        "visual_abstractor": {
            "hidden_size": 48,
            "encoder_hidden_size": 48,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_learnable_queries": 5,
            "grid_size": 4,
        },
    },
}
SCALES = {"lm_head.weight": 3.0, "model.visual_abstractor.visual_fc.weight": 5.0}
WORDS = ("excellent", "good", "fair", "poor", "bad")

# Frames, height, width, frames per second; the last is a still. None needs resizing: the filters differ by 1 here and
# there, and a network of random weights makes much of it.
VIDEOS = ((75, 42, 56, 25.0), (100, 56, 36, 29.97), (21, 56, 56, 10.0), (47, 33, 56, 23.976), (30, 51, 56, 30.0))
STILL = (1, 56, 40, 1.0)
PICTURES = ((270, 480), (448, 448), (720, 404), (33, 91))
"""Heights and widths of pictures that are prepared for the real network."""


def frame(video: int, number: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return one frame of a video: a moving pattern of its own colours with detail down to single pixels."""
    colours = np.random.Generator(np.random.PCG64([video]))
    noise = np.random.Generator(np.random.PCG64([video, number]))
    row, column = np.mgrid[:height, :width]
    level, depth, speed = colours.uniform(20, 235, 3), colours.uniform(10, 90, 3), colours.uniform(0, 1, 3)
    waves = [
        level[k] + depth[k] * np.sin((row * (k + 1) + column * (video + 2)) / 13 + speed[k] * number) for k in range(3)
    ]
    noisy = np.stack(waves, axis=-1) + noise.normal(0, 4.0 * video, (height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def frames(video: int) -> list[NDArray[np.uint8]]:
    """Return all frames of a video; the still comes after the last video."""
    count, height, width, _ = (*VIDEOS, STILL)[video]
    return [frame(video, number, height, width) for number in range(count)]


def state_of(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the values of each parameter, large enough that all parts of the network count in the score."""
    for key, shape in shapes.items():
        yield key, filled(key, shape, scale=SCALES.get(key, 2.0))


def digest_of(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return a digest of all keys and shapes."""
    lines = sorted(f"{key} {'x'.join(map(str, shape))}" for key, shape in shapes.items())
    return sha256("\n".join(lines).encode()).hexdigest()


def sample_of(values: NDArray[Any], most: int = 1500) -> NDArray[np.float32]:
    """Return evenly spread values of an array, at most about ``most``."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return flat[:: max(1, len(flat) // most)].astype(np.float32)
