"""The middle student as a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError
from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.networks.activations import compute_again
from w2svqa.networks.checkpoints import read_tensors
from w2svqa.stages.families import Shipped
from w2svqa.stages.family_seconds import SecondFamily, SecondStep, encoded
from w2svqa.stages.kept_seconds import FramesConfig, load_slowfast
from w2svqa.stages.train_processes import Precision, Processes
from w2svqa.stages.train_strong import TowerTraining, shares
from w2svqa.stages.train_weights import changing
from w2svqa.students.llava.config import MOTION_WIDTH
from w2svqa.students.seconds import Seconds
from w2svqa.students.tower import TowerConfig, TowerModel, load_tower
from w2svqa.students.tower_runtime import WEIGHTS, TowerCard, TowerStudent, write_tower

_TOWER: Final = "tower."


class TowerFamily(SecondFamily):
    """The middle student.

    Args:
        config: its tower, its size, and what is trained.
    """

    def __init__(self, config: TowerTraining) -> None:
        self._config = config

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of the learning rate of each part."""
        return shares(self._config.rates)

    def check(self) -> None:
        """Find or fetch the checkpoint, and load it."""
        load_tower(self._config.checkpoint)

    def build(self, kinds: Sequence[str], *, seed: int, precision: Precision) -> TowerModel:
        """Return a model with a new head; weights are float32 in every precision.

        Raises:
            ConfigError: the checkpoint is of no use, or nothing would be trained.
        """
        del kinds, precision
        config = self._config
        size = TowerConfig(
            checkpoint=config.checkpoint,
            layers=config.layers,
            token=config.token,
            hidden=config.hidden,
            motion=MOTION_WIDTH if config.motion else 0,
        )
        tower = load_tower(config.checkpoint, seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = TowerModel(size, tower)
        self.thaw(model)
        if config.gradient_checkpointing:
            compute_again(model.tower)
        return model

    def parts(self, model: nn.Module) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the weights of each part."""
        return _tower(model).parts()

    def step(self, model: nn.Module, processes: Processes) -> nn.Module:
        """Return the model as one call."""
        tower = _tower(model)
        return SecondStep(tower, tower, tower.compare, processes)

    def ship(self, model: nn.Module, folder: Path, *, name: str, seed: int, frames: FramesConfig | None) -> Shipped:
        """Write what was trained, and put the model where scoring would.

        Raises:
            ConfigError: nothing says what the student looks at.
        """
        del seed
        if frames is None:
            raise ConfigError("a student with a vision tower needs distort.frames", remedy="add it")
        tower = _tower(model)
        state = changing(tower)
        motion = load_slowfast(frames.slowfast, frames.span) if tower.config.motion else None
        card = TowerCard(
            config=tower.config,
            network=dict(tower.facts),
            mean=tower.mean,
            deviation=tower.deviation,
            side=frames.side,
            motion_side=frames.motion_side,
            span=frames.span,
            is_trained=any(key.startswith(_TOWER) for key in state),
        )
        facts = write_tower(folder, state, motion, card)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return Shipped(student=TowerStudent(tower.to(device), motion, card, name=name), facts=facts)

    def weights(self, folder: Path) -> Mapping[str, Tensor]:
        """Return what was trained."""
        return read_tensors(folder / WEIGHTS)

    def tokens(self, student: Student, seconds: Seconds) -> Tokens:
        """Return what the student makes of seconds."""
        if not isinstance(student, TowerStudent):
            raise TypeError(f"a {type(student).__name__} has no vision tower")
        return encoded(student.model, seconds, student.device)


def _tower(model: nn.Module) -> TowerModel:
    if not isinstance(model, TowerModel):
        raise TypeError(f"a {type(model).__name__} has no vision tower")
    return model
