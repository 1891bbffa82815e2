"""One step of training: a process's share of the batch to the loss of the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from w2svqa.stages.batches import UNKNOWN, Batch
from w2svqa.stages.train_processes import Processes
from w2svqa.students.compact import CompactModel
from w2svqa.students.losses import ALONE, Across, ConfidenceConfig, LossTerms, confidence_loss


class StudentStep(nn.Module):
    """The compact student as one call, so that what joins the processes can wrap it.

    Args:
        model: the student.
        processes: tell the precision of the convolutions. Planes hold small differences and the heads are small, so
            both stay in float32.
    """

    def __init__(self, model: CompactModel, processes: Processes) -> None:
        super().__init__()
        self.model = model
        self._processes = processes

    def forward(
        self, views: Tensor, motion: Tensor, counts: Tensor, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map versions and pairs among them to level logits, kind logits and severities, all float32.

        Args:
            views: uint8 ``(N, V, side, side, 3)``.
            motion: uint8 ``(N, T, 32, 32)``.
            counts: int64 ``(N,)``.
            first: int64 ``(P,)``, rows of ``views``.
            second: int64 ``(P,)``.
        """
        with self._processes.autocast(enabled=False):
            planes = self.model.encoder.planes(views.flatten(0, 1))
        with self._processes.autocast():
            tokens = self.model.encoder.from_planes(planes, motion, counts)
        with self._processes.autocast(enabled=False):
            tokens = tokens.float()
            logits = self.model.comparator(tokens[first], tokens[second])
            kinds, severities = self.model.diagnosis(tokens)
        return logits, kinds, severities


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLoss:
    """The loss of a step.

    Attributes:
        total: scalar with gradient: this process's part. The parts of all processes add up to ``value``.
        value: the loss of the whole batch.
        terms: of the pairs.
        diagnosis: loss of kinds and severities, of the whole batch.
        accuracy: share of the pairs of the whole batch whose level is right.
    """

    total: Tensor
    value: float
    terms: LossTerms
    diagnosis: float
    accuracy: float


class Paired(Protocol):
    """What every kind of batch has."""

    @property
    def levels(self) -> NDArray[np.int64]:
        """``(P,)``, 0 (inferior) to 4 (superior), of the second of each pair relative to the first."""
        ...

    @property
    def weights(self) -> NDArray[np.float32]:
        """``(P,)``, what each pair counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a student says of a batch.

    Attributes:
        logits: float32 ``(P, 5)``, of this process's pairs.
        diagnosis: this process's part of the loss of kinds and severities, with gradient, and the loss of the whole
            batch; ``None`` for a student that names no distortions.
    """

    logits: Tensor
    diagnosis: tuple[Tensor, float] | None = None


BatchT = TypeVar("BatchT", bound=Paired)

Ask = Callable[[nn.Module, BatchT, Processes], Answers]
"""Lets a student, as one call, look at this process's share of a batch."""


def step_loss(
    module: nn.Module,
    batch: BatchT,
    ask: Ask[BatchT],
    progress: float,
    confidence: ConfidenceConfig,
    diagnosis_weight: float,
    processes: Processes,
) -> StepLoss:
    """Compute the loss of a batch that is divided among ``processes``.

    Args:
        module: the student as one call, or what wraps it.
        batch: this process's share.
        ask: lets it look at the batch.
        progress: share of the training done, 0 to 1.
        confidence: form and schedule of the confidence loss.
        diagnosis_weight: of the loss of kinds and severities beside that of the pairs.
        processes: all of them must call this.
    """
    said = ask(module, batch, processes)
    levels, weights = (torch.from_numpy(array).to(processes.device) for array in (batch.levels, batch.weights))
    terms = confidence_loss(said.logits, levels, progress, confidence, weights=weights, across=processes)
    right = (said.logits.argmax(dim=1) == levels).sum()
    rights, pairs = processes.sum(torch.stack([right, right.new_tensor(len(levels))])).tolist()
    diagnosis, diagnosed = said.diagnosis or (terms.total.new_zeros(()), 0.0)
    return StepLoss(
        total=terms.total + diagnosis_weight * diagnosis,
        value=terms.value + diagnosis_weight * diagnosed,
        terms=terms,
        diagnosis=diagnosed,
        accuracy=rights / pairs,
    )


def ask_compact(module: nn.Module, batch: Batch, processes: Processes) -> Answers:
    """Let the compact student, a :class:`StudentStep` or what wraps it, look at a batch."""
    device = processes.device
    views, motion, counts, first, second = (
        torch.from_numpy(array).to(device)
        for array in (batch.views, batch.motion, batch.counts, batch.first, batch.second)
    )
    motion = functional.pad(motion, (0, 0, 0, 0, 0, processes.largest(motion.shape[1]) - motion.shape[1]))
    logits, kinds, severities = module(views, motion, counts, first, second)
    known = torch.from_numpy(batch.kinds).to(device), torch.from_numpy(batch.severities).to(device)
    return Answers(logits=logits, diagnosis=diagnosis_loss(kinds, severities, *known, across=processes))


def diagnosis_loss(
    logits: Tensor, severities: Tensor, kinds: Tensor, wanted: Tensor, *, across: Across = ALONE
) -> tuple[Tensor, float]:
    """Cross-entropy of the kind plus squared error of the severities, over what is known; 0 where nothing is.

    A distorted version counts as much as it is severe: of the mildest nobody can say what they are, and to insist would
    make the student doubt its clean clips. Of a clip that is no primary nobody knows whether it is clean, so "none" is
    no answer there that could be wrong: otherwise all contents that have no primaries would come to look distorted.

    Args:
        logits: float ``(N, 1 + K)``, of this process.
        severities: float ``(N, K)``, 0-1, as the student sees them.
        kinds: int64 ``(N,)``, as in :class:`w2svqa.stages.batches.Batch`.
        wanted: float ``(N, K)``, the true severities; NaN where nobody knows.
        across: the processes among which the batch is divided.

    Returns:
        this process's part, with gradient, and the loss of the whole batch.
    """
    named, known = kinds != UNKNOWN, torch.isfinite(wanted)
    none = torch.arange(logits.shape[1], device=logits.device) == 0
    logits = logits.masked_fill(none & ~known.all(dim=1, keepdim=True), -torch.inf)
    each = functional.cross_entropy(logits[named], kinds[named], reduction="none")
    weights = torch.where(kinds[named] == 0, 1.0, wanted[named].nan_to_num().amax(dim=1))
    parts = torch.stack([(weights * each).sum(), ((severities[known] - wanted[known]) ** 2).sum()])
    own = torch.cat([parts.detach().double(), torch.stack([weights.sum(), known.sum()]).double()])
    *sums, weight, number = across.sum(own).tolist()
    wholes = parts.new_tensor([weight or 1.0, number or 1.0])
    return (parts / wholes).sum(), sums[0] / (weight or 1.0) + sums[1] / (number or 1.0)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let PyTorch's global generators draw from ``seed`` in the block; after it they are as before."""
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices=devices, device_type=device.type):
        torch.manual_seed(seed)
        yield
