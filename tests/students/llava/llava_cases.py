"""Tiny LLaVA students with random weights, whose logits vary with both videos, and bundles of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from w2svqa.core.records import Tokens
from w2svqa.preference.scale import Scale
from w2svqa.students.llava.bundle import Base, Changed, Judging, write_llava_bundle
from w2svqa.students.llava.checkpoint import RANDOM_TINY, identify, load_llava, load_motion
from w2svqa.students.llava.config import LlavaConfig, released_config
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.options import LlavaOptions
from w2svqa.students.llava.runtime import LlavaStudent

SIDE = 56  # of a key frame: a grid of 2 x 2 tokens after pooling
CONFIGS = {
    "released": LlavaConfig(layout="released", frame_side=SIDE),
    "interleaved": LlavaConfig(layout="interleaved", frame_side=SIDE),
    "released code": released_config(frame_side=SIDE),
}
SCALE = Scale(anchor_positions=(-1.0, 0.0, 1.0), latent_zero=-2.0, latent_hundred=2.0)
CPU = {"device": "cpu", "dtype": "float32"}


def tiny_student(config: LlavaConfig | None = None, options: LlavaOptions | None = None) -> LlavaStudent:
    """A student of its own: tests may change its weights."""
    config = config or CONFIGS["released"]
    model, motion = load_llava(RANDOM_TINY, config), load_motion(RANDOM_TINY, config)
    return LlavaStudent(model, motion, name="tiny", options=options)


def videos(model: LlavaModel, lengths: Sequence[int], seed: int = 0) -> list[Tokens]:
    """Tokens of made-up videos of so many seconds."""
    random = np.random.default_rng(seed)
    return [random.standard_normal((length, model.spatial + 1, model.hidden)).astype(np.float32) for length in lengths]


def plain_logits(model: LlavaModel, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
    """What the model says of each whole pair by itself: no cache, no batch, no fill."""
    with torch.inference_mode():
        rows = [
            model.level_logits(model.pair_embeds(torch.tensor(one), torch.tensor(two))[None])[0]
            for one, two in zip(first, second, strict=True)
        ]
    return torch.stack(rows).double().numpy()


def write_bundle(
    folder: Path, student: LlavaStudent, *, changed: Changed | None = None, judging: Judging | None = None
) -> Path:
    """Write a bundle of a student made of the random checkpoint, with three anchors."""
    folder.mkdir()
    write_llava_bundle(
        folder,
        name="tiny",
        model=student.model,
        motion=load_motion(RANDOM_TINY, student.model.config),
        base=Base(checkpoint=RANDOM_TINY, identity=identify(RANDOM_TINY)),
        changed=changed or Changed(weights={}, updates={}),
        anchors=tuple(videos(student.model, (2, 3, 1), seed=7)),
        preferences=np.full((3, 3), 0.5),
        scale=SCALE.to_dict(),
        judging=judging,
    )
    return folder
