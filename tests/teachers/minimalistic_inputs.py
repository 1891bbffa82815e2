"""What the official code and ours are both given: made from seeds, so that only answers are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Floats = NDArray[np.float32]

WEIGHTS = 1.4
"""Scale of the made-up weights: activations neither die out nor blow up."""
MOTION_WEIGHTS = 1.0
"""The same for SlowFast, whose residual sums grow faster."""
SAMPLES = 256
"""Values kept of each activation."""


@dataclass(frozen=True, slots=True)
class ClipCase:
    """A made-up video."""

    count: int
    fps: float
    height: int
    width: int
    seed: int = 0

    def frames(self) -> list[Frame]:
        return moving(self)


PREPARED = {
    "landscape": ClipCase(count=100, fps=29.97, height=90, width=160),
    "portrait_long": ClipCase(count=95, fps=10.0, height=100, width=60),
    "fast_square": ClipCase(count=130, fps=60.0, height=64, width=64),
    "larger_odd": ClipCase(count=34, fps=12.0, height=413, width=555),
    "late_key": ClipCase(count=19, fps=6.0, height=385, width=384),
}
"""For sampling and preparation: a landscape video; portrait with more than 8 seconds; more than 32 frames per second;
one that is made smaller; one with a key frame after the last whole second."""

SCORED = [ClipCase(count=10, fps=8.0, height=240 + 40 * seed, width=426 - 50 * seed, seed=seed) for seed in range(4)]
"""For whole scores: one second each."""


def textured(height: int, width: int, seed: int) -> Floats:
    """Return a picture float32 ``(3, height, width)`` about 0; strength, coarseness and tint depend on the seed."""
    random = np.random.default_rng(seed)
    spread, coarse = 0.4 + 0.4 * (seed % 4), 1 + 3 * (seed % 3)
    cells = random.standard_normal((3, -(-height // coarse), -(-width // coarse)))
    picture = np.kron(cells, np.ones((1, coarse, coarse)))[:, :height, :width] * spread
    return (picture + random.normal(0, 0.7, (3, 1, 1))).astype(np.float32)


def pictures(count: int, height: int, width: int) -> Floats:
    return np.stack([textured(height, width, seed) for seed in range(count)])


def motion_features(count: int) -> Floats:
    """Return what stands for the features of clips, float32 ``(count, 256)``."""
    return np.random.default_rng(30).exponential(1.0, (count, 256)).astype(np.float32)


def clips(count: int, side: int) -> Floats:
    """Return clips float32 ``(count, 3, 32, side, side)``: a texture that drifts, each with its own speed."""
    made = []
    for seed in range(count):
        base = textured(side, side, 10 + seed)
        made.append(np.stack([np.roll(base, seed * step, axis=2) * (1 + 0.01 * step) for step in range(32)], axis=1))
    return np.stack(made).astype(np.float32)


def moving(case: ClipCase) -> list[Frame]:
    """Return frames that drift and brighten, so that each can be told from its neighbours."""
    base = textured(case.height, case.width, 20 + case.seed).transpose(1, 2, 0)
    base = 110 + 40 * base
    drifts = (np.roll(base, 3 * number, axis=1) + 0.5 * number for number in range(case.count))
    return [np.clip(np.round(frame), 0, 255).astype(np.uint8) for frame in drifts]


def sampled(values: NDArray[np.floating]) -> Floats:
    """Return evenly spaced values of an activation, at most :data:`SAMPLES`, of every part of it."""
    flat = np.asarray(values, np.float32).ravel()
    return flat[np.unique(np.linspace(0, flat.size - 1, SAMPLES).astype(np.int64))]


def digest_of(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the SHA-256 of all keys and shapes."""
    lines = "".join(f"{key} {tuple(shape)}\n" for key, shape in sorted(shapes.items()))
    return sha256(lines.encode()).hexdigest()


def difference(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> float:
    """Return the length of the difference, by the length of theirs."""
    ours, theirs = np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
