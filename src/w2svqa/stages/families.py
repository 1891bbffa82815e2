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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn

from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.train_processes import Precision, Processes
from w2svqa.stages.train_step import Answers, Paired

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
class Written:
    """The networks of a student, written into the folder of a bundle.

    Attributes:
        student: loaded from there, as it ships.
        facts: entries of the card that are this kind's.
    """

    student: Student
    facts: Mapping[str, object] = field(default_factory=dict)


class Family(ABC, Generic[BatchT]):
    """A kind of student, with its configuration."""

    is_light: bool
    """A new model is made at no cost: the result of a training is one."""

    sees_seconds: bool
    """It looks at what :class:`w2svqa.stages.kept_seconds.FramesConfig` keeps, not at the crop cache."""

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
    def write(self, model: nn.Module, folder: Path, *, name: str) -> Written:
        """Write the networks of a trained model into the folder of a bundle, weights for training on among them."""

    @abstractmethod
    def weights(self, folder: Path) -> Mapping[str, Tensor]:
        """Return the weights for training on of a bundle."""

    @abstractmethod
    def encoder(self, student: Student, folder: Path, *, scratch: Path) -> Callable[[VersionRow], Tokens]:
        """Return what makes the tokens of a held-out version, from what the distort stage kept in ``folder``.

        Args:
            student: from :meth:`write`.
            folder: of the distort stage.
            scratch: an empty folder that is there as long as the tokens are needed.
        """
