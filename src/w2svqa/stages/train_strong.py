"""What of a strong or middle student is trained, and how fast: plain values for ``train.model``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.lora import LoraConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerRates:
    """Learning rates of the parts, as shares of ``train.learning_rate``; a part with 0 stays as it is.

    Attributes:
        tower: the vision tower.
        head: what is learned from scratch.
    """

    tower: float = 0.1
    head: float = 1.0

    def __post_init__(self) -> None:
        """Reject rates that cannot be.

        Raises:
            ValueError: a negative share, or nothing that is trained.
        """
        _check_rates(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerTraining:
    """The middle student.

    Attributes:
        kind: says that it is this one.
        checkpoint: of the vision tower: a folder in the format of Hugging Face, a name on its hub, or ``random-tiny``.
        layers: after which of its layers tokens are taken, as shares of the depth.
        token: length of the token of a second.
        hidden: width of the comparator.
        motion: look at motion features as well.
        rates: what is trained.
        gradient_checkpointing: compute activations again in the backward pass: a third more time, a fraction of the
            memory.
    """

    kind: Literal["tower"] = "tower"
    checkpoint: str
    layers: tuple[float, ...] = (0.5, 1.0)
    token: int = 128
    hidden: int = 64
    motion: bool = True
    rates: TowerRates = field(default_factory=TowerRates)
    gradient_checkpointing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LlavaRates:
    """Learning rates of the parts, as shares of ``train.learning_rate``; a part with 0 stays as it is.

    The defaults are those of the released script, at a rate of 1e-5: 2e-6 for the vision tower, the language model as
    it is.

    Attributes:
        vision_tower: SigLIP.
        projector: from pictures to tokens.
        motion_projector: from motion features to tokens.
        language_model: all of it.
        lora: low-rank additions to it, where there are any.
    """

    vision_tower: float = 0.2
    projector: float = 1.0
    motion_projector: float = 1.0
    language_model: float = 0.0
    lora: float = 10.0

    def __post_init__(self) -> None:
        """Reject rates that cannot be.

        Raises:
            ValueError: a negative share, or nothing that is trained.
        """
        _check_rates(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlavaTraining:
    """The strong student.

    Attributes:
        kind: says that it is this one.
        checkpoint: of LLaVA-OneVision: a folder in the format of Hugging Face, a name on its hub, or ``random-tiny``.
        network: what it looks at, and in what order.
        rates: what is trained.
        lora: low-rank additions to the language model; ``None`` for none.
        gradient_checkpointing: compute activations again in the backward pass: a third more time, a fraction of the
            memory.
    """

    kind: Literal["llava"] = "llava"
    checkpoint: str
    network: LlavaConfig = field(default_factory=LlavaConfig)
    rates: LlavaRates = field(default_factory=LlavaRates)
    lora: LoraConfig | None = None
    gradient_checkpointing: bool = True

    def __post_init__(self) -> None:
        """Reject additions to a language model that is trained as a whole.

        Raises:
            ValueError: both.
        """
        if self.lora is not None and self.rates.language_model:
            raise ValueError("lora is for a language model that stays as it is: set rates.language_model to 0")


def shares(rates: TowerRates | LlavaRates) -> Mapping[str, float]:
    """Return the rates by the name of the part.

    Example:
        >>> shares(TowerRates(tower=0))
        {'tower': 0, 'head': 1.0}
    """
    return {each.name: getattr(rates, each.name) for each in fields(rates)}


def _check_rates(rates: TowerRates | LlavaRates) -> None:
    found = shares(rates)
    if min(found.values()) < 0 or not any(found.values()):
        told = ", ".join(f"{name} {share}" for name, share in found.items())
        raise ValueError(f"rates must be 0 or more, and one above 0, not {told}")
