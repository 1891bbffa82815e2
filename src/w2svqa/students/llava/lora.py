"""Low-rank additions to the language model (LoRA), by peft: a little that is trained beside much that is not.

Source: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from w2svqa.core.extras import require

if TYPE_CHECKING:
    from w2svqa.students.llava.model import LlavaModel

ADAPTER = ".lora_"
"""In the name of every weight that is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraConfig:
    """Size and place of the additions.

    Attributes:
        rank: of the two matrices.
        alpha: what they put out is multiplied by alpha / rank.
        dropout: share of their input that a step of training goes without.
        targets: linear layers of every block of the language model that get one.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")

    def __post_init__(self) -> None:
        """Reject sizes that cannot be.

        Raises:
            ValueError: a rank below 1, no targets, or a dropout beyond 0 to below 1.
        """
        if self.rank < 1 or not self.targets or not 0 <= self.dropout < 1 or not self.alpha > 0:
            raise ValueError(
                f"rank {self.rank} must be 1 or more, alpha {self.alpha} above 0, dropout {self.dropout} 0 to below 1,"
                f" and there must be targets: {self.targets}"
            )


def add_lora(model: LlavaModel, config: LoraConfig, *, seed: int = 0) -> None:
    """Add them to a model, which answers as before until they are trained: one matrix of each is zero.

    Args:
        model: its language model is changed in place; the names of its own weights get ``base_layer`` in them.
        config: size and place.
        seed: draws the other matrix; PyTorch's global generator is left as it was.

    Raises:
        ConfigError: the language model has no layer of a target's name.
        MissingExtraError: peft is not installed.
    """
    import torch

    from w2svqa.core.errors import ConfigError

    peft = require("peft", extra="llm")
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
        bias="none",
    )
    language_model = model.backbone.model.language_model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            peft.inject_adapter_in_model(settings, language_model)
        except ValueError as error:
            raise ConfigError(
                f"no LoRA for {', '.join(config.targets)}: {str(error).splitlines()[0]}",
                remedy="name linear layers of the language model in train.model.lora.targets",
            ) from None
