"""The training loss: label and confidence, weighed against each other by a schedule.

Source: arXiv 2505.03631, section 4 (confidence loss); where we depart from the authors' code is said at each function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceConfig:
    """Schedule of the confidence loss.

    Attributes:
        enabled: without it the loss is the cross-entropy alone.
        warm_up: share of the training over which lambda rises to alpha and the temperature falls.
        start_temperature: of alpha, at the start.
        end_temperature: of alpha, from the end of the warm-up on.
        largest_weight: lambda never exceeds it, so that labels always count (ours; the authors' code lets it reach 1).
    """

    enabled: bool = True
    warm_up: float = 0.1
    start_temperature: float = 0.5
    end_temperature: float = 0.1
    largest_weight: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerms:
    """The loss of a batch and what it is made of, for the log.

    Attributes:
        total: scalar with gradient.
        label: mean cross-entropy in nats.
        confidence: mean entropy in nats.
        weight: lambda, the share of the confidence term.
    """

    total: Tensor
    label: float
    confidence: float
    weight: float


def temperature_at(progress: float, config: ConfidenceConfig) -> float:
    """Return the temperature of alpha when ``progress`` (0 to 1) of the training is done: linear, then constant."""
    done = 1.0 if config.warm_up <= 0 else min(1.0, progress / config.warm_up)
    return config.start_temperature + done * (config.end_temperature - config.start_temperature)


def weight_at(progress: float, label: float, confidence: float, config: ConfidenceConfig) -> float:
    """Return lambda = alpha * min(1, progress / warm_up), at most ``largest_weight``.

    alpha = sigmoid((confidence - label) / temperature): equal to exp(c / T) / (exp(c / T) + exp(l / T)) of the paper,
    but it cannot overflow.

    Args:
        progress: share of the training done, 0 to 1.
        label: cross-entropy of the batch in nats.
        confidence: entropy of the batch in nats.
        config: the schedule.
    """
    if not config.enabled:
        return 0.0
    ramp = 1.0 if config.warm_up <= 0 else min(1.0, progress / config.warm_up)
    slope = (confidence - label) / temperature_at(progress, config)
    alpha = 0.5 * (1 + math.tanh(slope / 2))
    return min(config.largest_weight, alpha * ramp)


def confidence_loss(
    logits: Tensor, levels: Tensor, progress: float, config: ConfidenceConfig, *, weights: Tensor | None = None
) -> LossTerms:
    """Return (1 - lambda) * cross-entropy + lambda * entropy, over the level decision alone.

    The authors' code takes the entropy over every position and the whole vocabulary, so that the label term ends with
    weight 0; ours takes both terms over the five levels.

    Args:
        logits: float ``(pairs, 5)``.
        levels: int64 ``(pairs,)``, 0 (inferior) to 4 (superior).
        progress: share of the training done, 0 to 1.
        config: the schedule.
        weights: float ``(pairs,)``, what each pair counts in both terms; ``None`` counts all alike.
    """
    shares = torch.full_like(logits[:, 0], 1 / len(logits)) if weights is None else weights / weights.sum()
    logarithms = functional.log_softmax(logits, dim=1)
    label = (shares * functional.nll_loss(logarithms, levels, reduction="none")).sum()
    entropy = -(shares * (logarithms.exp() * logarithms).sum(dim=1)).sum()
    weight = weight_at(progress, float(label.detach()), float(entropy.detach()), config)
    total = (1 - weight) * label + weight * entropy
    return LossTerms(total=total, label=float(label.detach()), confidence=float(entropy.detach()), weight=weight)
