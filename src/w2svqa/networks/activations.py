"""Activations that are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from typing import Any, Final

from torch import nn

_NAMES: Final = ("activation_checkpointing", "gradient_checkpointing")  # transformers from 5.24 on, and before


def compute_again(network: nn.Module) -> None:
    """Let a network of transformers keep the input of each layer alone while it trains.

    Args:
        network: changed in place.
    """
    name = next(name for name in _NAMES if hasattr(network, f"{name}_enable"))
    enable: Any = getattr(network, f"{name}_enable")
    enable(**{f"{name}_kwargs": {"use_reentrant": False}})
