"""Students with a vision tower as families: key frames and motion features, parts that stay as they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError
from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.families import Drawn, Family
from w2svqa.stages.second_batches import SecondBatch, SecondBatches
from w2svqa.stages.train_processes import Processes
from w2svqa.stages.train_step import Answers
from w2svqa.students.seconds import Seconds, read_seconds

AT_ONCE: Final = 8
"""Seconds that a finished student encodes at once."""


class Seer(Protocol):
    """A model that turns seconds into tokens."""

    def second_tokens(self, frames: Tensor, motion: Tensor, /) -> Tensor:
        """Map uint8 ``(S, side, side, 3)`` and float32 ``(S, F)`` to ``(S, ...)``."""
        ...


Compare = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
"""Tokens of the first and of the second video of each pair to float32 logits ``(P, 5)``."""


class SecondStep(nn.Module):
    """A student with a vision tower as one call, so that what joins the processes can wrap it.

    Each of its networks is called once, whatever the batch: processes that hold a part of the weights each must call
    them equally often.

    Args:
        model: the student.
        seer: the same; it makes tokens.
        compare: the same; it compares.
        processes: tell the precision.
    """

    def __init__(self, model: nn.Module, seer: Seer, compare: Compare, processes: Processes) -> None:
        super().__init__()
        self.model = model
        self._see, self._compare = seer.second_tokens, compare
        self._processes = processes

    def forward(self, frames: Tensor, motion: Tensor, counts: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Map videos and pairs among them to float32 logits ``(P, 5)``.

        Args:
            frames: uint8 ``(S, side, side, 3)``, of all videos, one after the other.
            motion: float32 ``(S, F)``.
            counts: int64 ``(N,)``, seconds of each video.
            first: int64 ``(P,)``, numbers of videos.
            second: int64 ``(P,)``.
        """
        with self._processes.autocast():
            videos = torch.split(self._see(frames, motion), counts.tolist())
            logits = self._compare(
                [videos[index] for index in first.tolist()], [videos[index] for index in second.tolist()]
            )
        return logits.float()


class SecondFamily(Family[SecondBatch]):
    """What students with a vision tower have in common."""

    is_light = False
    sees_seconds = True

    @abstractmethod
    def parts(self, model: nn.Module) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the weights of each part, by its name among the rates; of a part only what an answer depends on."""

    @property
    @abstractmethod
    def shares(self) -> Mapping[str, float]:
        """The share of the learning rate of each part."""

    @abstractmethod
    def tokens(self, student: Student, seconds: Seconds) -> Tokens:
        """Return the tokens that a student makes of seconds that were kept."""

    def rates(self, model: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """Return the trained parts, each with its share of the learning rate."""
        parts = self.parts(model)
        return [(list(parts[name]), share) for name, share in self.shares.items() if share and parts[name]]

    def thaw(self, model: nn.Module) -> None:
        """Freeze a model but for the trained parts, whose weights become float32.

        Raises:
            ConfigError: nothing would be trained.
        """
        model.requires_grad_(False)
        trained = self.rates(model)
        if not trained:
            raise ConfigError(
                f"no part is trained: {', '.join(f'{name} {share:g}' for name, share in self.shares.items())}",
                remedy="set one of train.model.rates above 0",
            )
        for weights, _ in trained:
            for weight in weights:
                weight.data = weight.data.float()
                weight.requires_grad_(True)

    def encoder(self, student: Student, folder: Path) -> Callable[[VersionRow], Tokens]:
        """Return what encodes the kept seconds of a version."""
        return lambda row: self.tokens(student, read_seconds(folder / row.views, row.row))

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
    ) -> Drawn[SecondBatch]:
        """Return batches of what the distort stage kept."""
        del kinds
        return SecondBatches(versions, pairs, folder, config=config, seed=seed, share=share)

    def ask(self, module: nn.Module, batch: SecondBatch, processes: Processes) -> Answers:
        """Let it look at a batch."""
        parts = (batch.frames, batch.motion, batch.counts, batch.first, batch.second)
        return Answers(logits=module(*(torch.from_numpy(part).to(processes.device) for part in parts)))


def encoded(seer: Seer, seconds: Seconds, device: torch.device) -> Tokens:
    """Return the tokens of seconds, float32 ``(S, ...)``, encoded a few at a time on ``device``."""
    with torch.inference_mode():
        parts = [
            seer.second_tokens(
                torch.from_numpy(seconds.frames[start : start + AT_ONCE]).to(device),
                torch.from_numpy(seconds.motion[start : start + AT_ONCE]).to(device),
            )
            for start in range(0, len(seconds), AT_ONCE)
        ]
    found: Tokens = torch.cat(parts).float().cpu().numpy()
    return found
