"""A new compact student: its size, and the weights it starts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import nn

from w2svqa.students.compact import CompactConfig, CompactModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Size of the compact student.

    Attributes:
        kind: says that it is this one.
        widths: channels after each halving of the resolution.
        token: length of a second's token.
        hidden: width of the comparator and of the diagnosis.
        motion: with a motion branch; without one the student sees key frames alone.
        dropout: share of the features of all views that a step goes without.
    """

    kind: Literal["compact"] = "compact"
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    token: int = 96
    hidden: int = 64
    motion: bool = True
    dropout: float = 0.0


def build(config: ModelConfig, kinds: Sequence[str], *, seed: int) -> CompactModel:
    """Return a new student with weights drawn from ``seed``; PyTorch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {name: value for name, value in asdict(config).items() if name != "kind"}
        model = CompactModel(CompactConfig(**sizes, kinds=tuple(kinds)))
    # nearly twice as fast on CPUs for convolutions of few channels
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # missing in its stubs


def parameters(model: nn.Module) -> int:
    """Return how many weights a model has."""
    return sum(weight.numel() for weight in model.parameters())
