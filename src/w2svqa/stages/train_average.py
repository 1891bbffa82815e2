"""A running average of the weights, which often scores better than the last ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from w2svqa.stages.train_weights import changing


class WeightAverage:
    """An exponential moving average of the trained weights and of the statistics of normalisation.

    Args:
        model: whose weights it starts with.
        decay: of the average, 0 to below 1. In the first steps it is lower, (1 + steps) / (10 + steps), so that the
            initial weights are soon forgotten.

    Source: the warm-up of the decay is that of TensorFlow's ExponentialMovingAverage (``num_updates``).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.state = {name: value.detach().clone() for name, value in changing(model).items()}

    def update(self, model: nn.Module, steps: int) -> None:
        """Take the weights after ``steps`` steps into the average; whole numbers are copied."""
        decay = min(self._decay, (1 + steps) / (10 + steps))
        with torch.no_grad():
            for name, value in changing(model).items():
                if value.is_floating_point():
                    self.state[name].lerp_(value, 1 - decay)
                else:
                    self.state[name].copy_(value)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved ``state``.

        Raises:
            KeyError: a weight is missing.
            RuntimeError: one has another shape.
        """
        for name, value in self.state.items():
            value.copy_(state[name])
