"""Three tiny clips as students with a vision tower see them, and how such students are trained in the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from train_pool import KINDS, LEVELS, silent, version

from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.family_table import StudentConfig
from w2svqa.stages.pair import PairConfig, make_pairs
from w2svqa.stages.train import Progress, TrainConfig, train
from w2svqa.stages.train_strong import LlavaTraining, TowerTraining
from w2svqa.students.llava.config import MOTION_WIDTH, LlavaConfig
from w2svqa.students.seconds import Seconds, write_seconds

SIDES = {"tower": 32, "llava": 28}
TOWER = TowerTraining(checkpoint="random-tiny", token=8, hidden=8)
LLAVA = LlavaTraining(checkpoint="random-tiny", network=LlavaConfig(frame_side=SIDES["llava"]))
STUDENTS: dict[str, StudentConfig] = {"tower": TOWER, "llava": LLAVA}
TWO_GROUPS = BatchConfig(severity_groups=1, same_groups=1, cross_groups=0, peer_groups=0, pairs_per_group=3)
PLAIN: dict[str, Any] = {"batch": TWO_GROUPS, "log_steps": 3, "trackers": (), "learning_rate": 1e-3}
LENGTHS = {"a": 1, "b": 2, "c": 3}
STILL = "a"


class SecondPool:
    """Clips of one to three seconds with rising noise, the first a photograph: noise and motion tell the level."""

    def __init__(self, folder: Path, side: int) -> None:
        self.folder, self.side = folder, side
        random = np.random.default_rng(0)
        self.versions: list[VersionRow] = []
        for clip, length in LENGTHS.items():
            base = random.integers(60, 190, (length, side, side, 3))
            seen = []
            for level in range(LEVELS + 1):
                grain = random.normal(0, 12 * level, base.shape)
                frames = (base + grain).clip(0, 255).astype(np.uint8)
                motion = random.normal(level, 0.1, (length, MOTION_WIDTH)) * (clip != STILL)
                seen.append(Seconds(frames=frames, motion=motion.astype(np.float32)))
                self.versions.append(self._row(clip, level, length))
            write_seconds(folder / "seconds" / f"{clip}.npz", seen)
        self.pairs: list[PairRow] = make_pairs(self.versions, PairConfig(), split="train", seed=0)

    def _row(self, clip: str, level: int, length: int) -> VersionRow:
        facts = {name: getattr(version(clip, level), name) for name in VersionRow.__slots__}
        own = {"views": f"seconds/{clip}.npz", "row": level, "stored": True, "seconds": length}
        return VersionRow(**facts | own | {"is_still": clip == STILL})

    def train(
        self,
        folder: Path,
        config: TrainConfig,
        progress: Progress = silent,
        *,
        pairs: list[PairRow] | None = None,
        initial: nn.Module | None = None,
    ) -> nn.Module:
        return train(
            self.versions,
            self.pairs if pairs is None else pairs,
            config,
            folder,
            crops_folder=self.folder,
            kinds=KINDS,
            seed=0,
            progress=progress,
            initial=initial,
        )


def with_model(model: StudentConfig, **changes: Any) -> TrainConfig:  # noqa: ANN401 (fields of a configuration)
    return TrainConfig(**PLAIN | {"steps": 6, "checkpoint_steps": 3, "model": model} | changes)


PoolOf = Callable[[str], SecondPool]
