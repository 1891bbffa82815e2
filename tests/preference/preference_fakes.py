"""The ten-line student that drives the tests of this folder: its logits are linear in the difference of qualities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.records import Chunk, ClipSpec, Tokens


@dataclass
class LinearStudent:
    slope: float = 2.0
    bias: float = 0.0  # a liking for the second place
    antisymmetric: bool = True
    name: str = "fake-1"
    clip_spec: ClipSpec = field(default_factory=ClipSpec)
    largest_call: int = 0

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        return np.array([[chunk.key_frame.mean()] for chunk in chunks], dtype=np.float32)

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        self.largest_call = max(self.largest_call, len(first))
        gap = [float(b.mean()) - float(a.mean()) for a, b in zip(first, second, strict=True)]
        return self.slope * np.outer(np.array(gap) + self.bias, [-2.0, -1.0, 0.0, 1.0, 2.0])


def tokens_of(quality: float) -> Tokens:
    return np.array([[quality]], dtype=np.float32)


def ladder(count: int = 5) -> list[Tokens]:
    """Anchors one apart, centred at 0."""
    return [tokens_of(place - (count - 1) / 2) for place in range(count)]
