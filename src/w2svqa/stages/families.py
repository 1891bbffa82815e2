"""Kinds of students: what differs between them, from the batch of a step to the bundle. All else is shared.

| kind | looks at | trained | bundle |
| --- | --- | --- | --- |
| ``compact`` | the crop cache | all of it, from scratch | ONNX, needs no PyTorch |
| ``tower`` | key frames and motion features | a vision tower and a head | what was trained |
| ``llava`` | key frames and motion features | parts of LLaVA-OneVision | what was trained |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.kept_seconds import FramesConfig
from w2svqa.stages.train_processes import Precision, Processes
from w2svqa.stages.train_step import Answers, Paired
from w2svqa.students.bundle import write_anchors, write_card

Floats = NDArray[np.float64]
BatchT = TypeVar("BatchT", bound=Paired)
DrawnT = TypeVar("DrawnT", covariant=True)


class Drawn(Protocol[DrawnT]):
    """What draws the batch of any step, by seed and step alone."""

    def at(self, step: int) -> DrawnT:
        """Return this process's share of a batch."""
        ...

    def names(self, step: int) -> tuple[str, ...]:
        """Return the version ids of the whole batch, of all processes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A student as it ships, before it is calibrated.

    Attributes:
        student: what the bundle will hold.
        facts: entries of the card that are this kind's.
    """

    student: Student
    facts: Mapping[str, object]


class Family(ABC, Generic[BatchT]):
    """A kind of student, with its configuration."""

    is_light: bool
    """A new model is made at no cost: the result of a training is one."""

    sees_seconds: bool
    """It looks at what :class:`w2svqa.stages.kept_seconds.FramesConfig` keeps, not at the crop cache."""

    def check(self) -> None:
        """Find out now, not after hours of distorting, whether the student can be made: fetch what it starts from.

        Raises:
            ConfigError: what it starts from is of no use.
            InputError: it is not there, or damaged.
            MissingExtraError: a package is not installed.
        """
        return

    @abstractmethod
    def build(self, kinds: Sequence[str], *, seed: int, precision: Precision) -> nn.Module:
        """Return a new model with the weights that training starts with, frozen where they do not change.

        Args:
            kinds: names of the distortions.
            seed: draws new weights; the global generator is left as it was.
            precision: in which frozen weights may be kept.
        """

    @abstractmethod
    def batches(
        self,
        versions: Sequence[VersionRow],
        pairs: Sequence[PairRow],
        folder: Path,
        *,
        kinds: Sequence[str],
        config: BatchConfig,
        seed: int,
        share: tuple[int, int],
    ) -> Drawn[BatchT]:
        """Return what draws the batches; for the arguments see :class:`w2svqa.stages.batches.Batches`."""

    @abstractmethod
    def step(self, model: nn.Module, processes: Processes) -> nn.Module:
        """Return the model, under the name ``model``, as one call, so that what joins the processes can wrap it."""

    @abstractmethod
    def ask(self, module: nn.Module, batch: BatchT, processes: Processes) -> Answers:
        """Let what :meth:`step` returned, or what wraps it, look at this process's share of a batch."""

    @abstractmethod
    def rates(self, model: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """Return the trained weights in groups, and what share of the learning rate each group has."""

    @abstractmethod
    def ship(self, model: nn.Module, folder: Path, *, name: str, seed: int, frames: FramesConfig | None) -> Shipped:
        """Make the student of a trained model, and write its networks where it is run from files.

        Args:
            model: in evaluation mode. It may be changed: nothing else is done with it.
            folder: of the bundle, empty.
            name: of the student.
            seed: of the run.
            frames: what the distort stage kept, for a student that looks at it.
        """

    def finish(
        self,
        shipped: Shipped,
        folder: Path,
        *,
        anchors: tuple[Tokens, ...],
        preferences: Floats,
        card: Mapping[str, object],
    ) -> None:
        """Write the rest of the bundle, the card last.

        Args:
            shipped: from :meth:`ship`.
            folder: the same.
            anchors: tokens of each anchor, worst first.
            preferences: float64 ``(anchors, anchors)`` among them.
            card: what every card says, ``name`` and ``scale`` among it.
        """
        write_anchors(folder, anchors, preferences)
        write_card(folder, {**card, **shipped.facts})

    @abstractmethod
    def weights(self, folder: Path) -> Mapping[str, Tensor]:
        """Return the weights of a bundle for training on, by their names in :meth:`build`'s model."""

    @abstractmethod
    def encoder(self, student: Student, folder: Path) -> Callable[[VersionRow], Tokens]:
        """Return what makes the tokens of a held-out version, from what the distort stage kept in ``folder``."""
