"""Which family a configuration is of: what ``train.model`` may be."""

from __future__ import annotations

from typing import Any, TypeAlias

from w2svqa.stages.families import Family
from w2svqa.stages.train_model import ModelConfig
from w2svqa.stages.train_strong import LlavaTraining, TowerTraining

StudentConfig: TypeAlias = ModelConfig | TowerTraining | LlavaTraining


def family_of(config: StudentConfig) -> Family[Any]:
    """Return the family of a student.

    Raises:
        MissingExtraError: what it needs is not installed.
    """
    # imported on use: a compact student needs nothing of what the others need
    if isinstance(config, ModelConfig):
        from w2svqa.stages.family_compact import CompactFamily

        return CompactFamily(config)
    if isinstance(config, TowerTraining):
        from w2svqa.stages.family_tower import TowerFamily

        return TowerFamily(config)
    from w2svqa.stages.family_llava import LlavaFamily

    return LlavaFamily(config)
