"""Two clips that any network can learn to order, and what the tests of training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.pair import PairConfig, make_pairs
from w2svqa.stages.train import ModelConfig, Progress, TrainConfig, train
from w2svqa.students.compact import CompactModel
from w2svqa.students.crops import SIDE, Crops, Rendition, write_crops
from w2svqa.students.views import MOTION_SIZE, VIEW_SIZE

KINDS = ("noise",)
LEVELS = 5
SMALL = ModelConfig(widths=(4, 4, 8, 8), token=8, hidden=8)
PLAIN: dict[str, Any] = {"model": SMALL, "log_steps": 3, "trackers": ()}
ONE_GROUP = BatchConfig(severity_groups=1, same_groups=1, cross_groups=1, details=1)


class KilledError(Exception):
    """Stands for a kill."""


def silent(step: int, steps: int, text: str) -> None:
    """A progress that shows nothing."""


def version(clip: str, level: int) -> VersionRow:
    kind = KINDS[0] if level else "none"
    return VersionRow(
        version_id=f"{clip}-{kind}-{level}",
        clip_id=clip,
        kind=kind,
        level=level,
        severity=level / LEVELS,
        primary=True,
        split="train",
        is_still=False,
        vmaf=None,
        views=f"crops/{clip}.npz",
        row=0,
        stored=level == 0,
        seconds=1,
    )


class Pool:
    """Two grey clips with rising noise: what any network can order; with ``texture`` they are no flat grey."""

    def __init__(self, folder: Path, *, texture: bool = False) -> None:
        self.folder = folder
        self.versions = [version(clip, level) for clip in ("a", "b") for level in range(LEVELS + 1)]
        self.pairs: list[PairRow] = make_pairs(self.versions, PairConfig(), split="train", seed=0)
        random = np.random.default_rng(0)
        for clip in ("a", "b"):
            pictures = np.broadcast_to(random.integers(90, 160, 3, dtype=np.uint8), (3, SIDE, SIDE, 3))
            if texture:
                coarse = random.integers(0, 256, (3, SIDE // 16, SIDE // 16, 3), dtype=np.uint8)
                fine = random.integers(0, 60, (3, SIDE, SIDE, 3), dtype=np.uint8)
                pictures = coarse.repeat(16, axis=1).repeat(16, axis=2) // 2 + fine
            motion = random.integers(90, 160, (5, *MOTION_SIZE), dtype=np.uint8)
            whole = pictures[2, :VIEW_SIZE, :VIEW_SIZE, 0]
            rendition = Rendition(details=pictures[:2], whole=whole, motion=motion)
            write_crops(folder / "crops" / f"{clip}.npz", Crops(size=(288, 432), renditions=(rendition,)))

    def train(self, folder: Path, config: TrainConfig, progress: Progress = silent, seed: int = 0) -> CompactModel:
        model = train(
            self.versions,
            self.pairs,
            config,
            folder,
            crops_folder=self.folder,
            kinds=KINDS,
            seed=seed,
            progress=progress,
        )
        assert isinstance(model, CompactModel)
        return model


SHORT = TrainConfig(**PLAIN, batch=ONE_GROUP, steps=6, checkpoint_steps=3)


def stop_at(last: int) -> Progress:
    def progress(step: int, steps: int, text: str) -> None:
        if step == last:
            raise KilledError(f"{step}/{steps} {text}")

    return progress


def assert_same(one: CompactModel, other: CompactModel) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
