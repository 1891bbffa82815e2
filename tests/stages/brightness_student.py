"""A student that likes bright pictures: ten lines that stand in for a network wherever only the contract matters."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.records import Chunk, ClipSpec, Reason, Tokens
from w2svqa.preference.scale import Scale
from w2svqa.students.bundle import Bundle

ANCHORS = (0.1, 0.3, 0.5, 0.7, 0.9)


class BrightnessStudent:
    """Its token is the mean brightness of a second, 0-1."""

    name = "brightness-1"
    clip_spec = ClipSpec()
    antisymmetric = True

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay  # seconds of work per second of video

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        tokens = []
        for chunk in chunks:
            time.sleep(self.delay)
            tokens.append([chunk.key_frame.mean() / 255])
        return np.array(tokens, np.float32)

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        gain = [float(right.mean()) - float(left.mean()) for left, right in zip(first, second, strict=True)]
        return np.array([[4 * step * difference for step in (-2, -1, 0, 1, 2)] for difference in gain])

    def diagnose(self, tokens: Tokens) -> tuple[Reason, ...]:
        dark = 1 - float(tokens.mean())
        return (Reason(distortion="darkness", severity=dark, probability=0.9),) if dark > 0.5 else ()

    def diagnose_seconds(self, tokens: Tokens) -> tuple[tuple[Reason, ...], ...]:
        return tuple(self.diagnose(second[None]) for second in tokens)


class CostlyStudent(BrightnessStudent):
    """Scores no seconds unless asked, and says when a video is long; it likes the second place, by ``bias``."""

    antisymmetric = False
    each_second = False

    def __init__(self, *, both_orders: bool = False, bias: float = 0.0) -> None:
        super().__init__()
        self.both_orders = both_orders
        self.bias = bias

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        return super().judge(first, second) + self.bias * np.array([-2, -1, 0, 1, 2])

    def notes(self, tokens: Tokens) -> tuple[str, ...]:
        return ("long",) if len(tokens) > 2 else ()


class BuggyStudent(BrightnessStudent):
    """Fails as only a fault of the program would."""

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        list(chunks)
        raise KeyError("a bug")


class CrashingStudent(BrightnessStudent):
    """Takes the whole process down over a black picture, as a broken codec would."""

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        tokens = super().encode(chunks)
        if tokens.max() < 0.05:
            os._exit(3)
        return tokens


def brightness_bundle(student: BrightnessStudent | None = None) -> Bundle:
    """Return a bundle whose scores rise with brightness: about 0 for black, 100 for white."""
    scale = Scale(anchor_positions=(-0.6, -0.3, 0.0, 0.3, 0.6), latent_zero=-1.2, latent_hundred=1.2)
    return Bundle(
        student=student or BrightnessStudent(),
        anchors=tuple(np.full((1, 1), value, np.float32) for value in ANCHORS),
        preferences=np.full((5, 5), 0.5),
        scale_mapping=scale.to_dict(),
        card={},
        folder=Path("brightness"),
    )
