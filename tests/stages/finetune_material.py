"""Material of a fine-tuning without files: random statistics, rated along a direction that a student can learn."""

from __future__ import annotations

from functools import cache

import numpy as np
from rated_pictures import rated_videos

from w2svqa.core.random import generator
from w2svqa.stages.finetune_folds import FoldConfig, Material
from w2svqa.stages.finetune_seen import LadderVersions, read_model
from w2svqa.stages.finetune_train import Candidate, TuneConfig
from w2svqa.students.bundle import load_bundle

CONFIG = FoldConfig(
    tune=TuneConfig(candidates=(Candidate(parts="quality", pull=0.01, rate=3e-3),), steps=20, check_steps=10),
    folds=3,
    inner=2,
)


@cache
def material(count: int = 45) -> Material:
    """Rated videos of three to a content; a third of the contents have a ladder."""
    model = read_model("compact")
    direction = model.state_dict()["encoder.head.3.weight"][0].numpy()
    direction = direction / np.linalg.norm(direction)
    random = generator(0, "material")
    seen = (0.5 * random.normal(size=(count, len(direction)))).astype(np.float32)
    ratings = (3 + (seen @ direction) * 2).astype(np.float64).tolist()
    rated = rated_videos(ratings, [f"c{place // 3}" for place in range(count)])
    ladders = {
        place: LadderVersions(
            kinds=("blur",) * 3,
            levels=(1, 2, 3),
            seen=np.stack([seen[place] - level * direction for level in (1, 2, 3)]),
        )
        for place in range(0, count, 9)
    }
    return Material(
        rated=rated, seen=seen, ladders=ladders, model=model, bundle=load_bundle(), ends=(min(ratings), max(ratings))
    )
