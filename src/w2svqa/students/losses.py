"""The training loss: labels and the student's own confidence, weighed against each other by a schedule.

Each form of the confidence loss is ``(1 - lambda) * label term + lambda * confidence term`` and has the same signature:

| form | confidence term | lambda |
| --- | --- | --- |
| ``ours`` | entropy of the level decision | sigmoid((entropy - label) / T) * ramp, at most ``largest_weight`` |
| ``paper`` | the same | exp(entropy / T) / (exp(entropy / T) + exp(label / T)) * ramp, without a limit |
| ``released`` | the same | as ``paper``, but the label term counts 1/25, as in the authors' code |
| ``burns`` | cross-entropy to the student's own hardened levels | ``largest_weight`` * ramp |
| ``none`` | entropy, for the log alone | 0 |

The ramp rises from 0 to 1 over the warm-up, while T falls. Lambda has no gradient.

Source: arXiv 2505.03631, section 4 (confidence loss), for all but ``burns``, which is from Burns et al., arXiv
2312.09390, section 4.3.2. Where we depart from either is said at each function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from w2svqa.core.levels import LEVELS

ConfidenceForm = Literal["ours", "paper", "released", "burns", "none"]

LABEL_SHARE = 1 / 25
"""What the level counts in the label term of the authors' code: it is one of 25 supervised positions of a pair; the
others are the same for every pair and soon cost nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceConfig:
    """Form and schedule of the confidence loss.

    Attributes:
        form: which of the five.
        warm_up: share of the training over which lambda rises and the temperature falls.
        start_temperature: of lambda, at the start.
        end_temperature: of lambda, from the end of the warm-up on.
        largest_weight: lambda of ``ours`` never exceeds it, so that labels always count; lambda of ``burns`` reaches it
            (0.5 there, 0.75 for their largest students). The other forms have no limit.
    """

    form: ConfidenceForm = "ours"
    warm_up: float = 0.1
    start_temperature: float = 0.5
    end_temperature: float = 0.1
    largest_weight: float = 0.5

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: a temperature that is not positive, or a share beyond 0-1.
        """
        if min(self.start_temperature, self.end_temperature) <= 0:
            raise ValueError(f"temperatures must be above 0: {self.start_temperature}, {self.end_temperature}")
        if not (0 <= self.warm_up <= 1 and 0 <= self.largest_weight <= 1):
            raise ValueError(f"warm_up {self.warm_up} and largest_weight {self.largest_weight} must be 0-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerms:
    """The loss of a batch and what it is made of, for the log.

    Attributes:
        total: scalar with gradient: this process's part of the loss. The parts of all processes add up to ``value``.
        value: the loss of the whole batch.
        label: mean cross-entropy in nats, of the whole batch.
        confidence: mean of the confidence term in nats, of the whole batch.
        weight: lambda, the share of the confidence term.
        temperature: of lambda.
    """

    total: Tensor
    value: float
    label: float
    confidence: float
    weight: float
    temperature: float


class Across(Protocol):
    """What the processes of a training have in common."""

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of ``values`` over all processes; without a gradient."""
        ...

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows ``(n, ...)`` of all processes, which may have different numbers of them."""
        ...


class Alone:
    """A single process."""

    def sum(self, values: Tensor) -> Tensor:
        """Return ``values``."""
        return values

    def gather(self, rows: Tensor) -> Tensor:
        """Return ``rows``."""
        return rows


ALONE = Alone()


def temperature_at(progress: float, config: ConfidenceConfig) -> float:
    """Return the temperature when ``progress`` (0 to 1) of the training is done: linear, then constant."""
    return config.start_temperature + _ramp(progress, config) * (config.end_temperature - config.start_temperature)


def _ramp(progress: float, config: ConfidenceConfig) -> float:
    """How much of the warm-up is done, 0 to 1."""
    return 1.0 if config.warm_up <= 0 else min(1.0, progress / config.warm_up)


def weight_at(progress: float, label: float, confidence: float, config: ConfidenceConfig) -> float:
    """Return lambda, the share of the confidence term.

    The paper's alpha equals sigmoid((confidence - label) / T), which cannot overflow: ``ours``. The forms ``paper`` and
    ``released`` take it literally, in float32. In the authors' code, where the entropy is over a vocabulary of 152 064,
    exp overflows above 8.9 nats at T = 0.1, and infinity over infinity makes the loss NaN. Over five levels the entropy
    is at most 1.61 nats, so only the denominator can overflow; alpha is then 0, which is also its limit.

    Args:
        progress: share of the training done, 0 to 1.
        label: cross-entropy of the batch in nats.
        confidence: entropy of the batch in nats.
        config: form and schedule.

    Source: arXiv 2505.03631, section 4. The limit is ours; the ramp of ``burns`` is linear as in their paper (their
        code jumps from a tenth to the whole at the end of the warm-up).
    """
    ramp = _ramp(progress, config)
    temperature = temperature_at(progress, config)
    match config.form:
        case "none":
            return 0.0
        case "burns":
            return config.largest_weight * ramp
        case "paper":
            return _literal(confidence, label, temperature) * ramp
        case "released":
            return _literal(confidence, LABEL_SHARE * label, temperature) * ramp
        case "ours":
            alpha = 0.5 * (1 + math.tanh((confidence - label) / temperature / 2))
            return min(config.largest_weight, alpha * ramp)


def _literal(confidence: float, label: float, temperature: float) -> float:
    certain, fitting = (torch.tensor([confidence, label], dtype=torch.float32) / temperature).exp()
    return float(certain / (certain + fitting))


def confidence_loss(
    logits: Tensor,
    levels: Tensor,
    progress: float,
    config: ConfidenceConfig,
    *,
    weights: Tensor | None = None,
    across: Across = ALONE,
) -> LossTerms:
    """Return (1 - lambda) * label term + lambda * confidence term, over the level decision alone.

    The authors' code takes the entropy over every position and the whole vocabulary, so that the label term ends with
    weight 0; there is one decision here and nothing else to take it over. The form ``released`` ends there as well,
    because its label term counts as little as theirs.

    Args:
        logits: float ``(pairs, 5)``, of this process.
        levels: int64 ``(pairs,)``, 0 (inferior) to 4 (superior).
        progress: share of the training done, 0 to 1.
        config: form and schedule.
        weights: float ``(pairs,)``, what each pair counts in both terms; ``None`` counts all alike.
        across: the processes among which the batch is divided. Means, and so lambda, are those of the whole batch.
    """
    counts = torch.ones_like(logits[:, 0]) if weights is None else weights
    logarithms = functional.log_softmax(logits, dim=1)
    labels = (counts * functional.nll_loss(logarithms, levels, reduction="none")).sum()
    if config.form == "burns":
        own = harden(logits.detach(), levels, counts, across=across)
        confidences = (counts * functional.nll_loss(logarithms, own, reduction="none")).sum()
    else:
        confidences = -(counts * (logarithms.exp() * logarithms).sum(dim=1)).sum()
    sums = torch.stack([counts.sum(), labels, confidences]).detach().double()
    whole, label, confidence = across.sum(sums).tolist()
    label, confidence = label / whole, confidence / whole
    weight = weight_at(progress, label, confidence, config)
    fitting = (1 - weight) * (LABEL_SHARE if config.form == "released" else 1)
    return LossTerms(
        total=(fitting * labels + weight * confidences) / whole,
        value=fitting * label + weight * confidence,
        label=label,
        confidence=confidence,
        weight=weight,
        temperature=temperature_at(progress, config),
    )


def harden(logits: Tensor, levels: Tensor, counts: Tensor, *, across: Across = ALONE) -> Tensor:
    """Return the student's own levels, hardened so that each has the share in the batch that it has among the labels.

    Burns et al. harden two classes with a threshold that adapts to the batch: as many predictions lie above it as there
    are labels of the class. Levels are ordered, so here pairs are ordered by their expected level and cut at four such
    thresholds; with labels of two levels only it is their rule. Equal predictions get the level of their middle.

    Args:
        logits: float ``(pairs, 5)``, of this process.
        levels: int64 ``(pairs,)``, the weak labels.
        counts: float ``(pairs,)``, what each pair counts.
        across: the processes among which the batch is divided.

    Returns:
        int64 ``(pairs,)``, 0 (inferior) to 4 (superior).

    Source: arXiv 2312.09390, section 4.3.2 and appendix A.4; the extension to ordered levels is ours.

    Example:
        >>> surer = torch.tensor([[0.0, 0, 0, 0, 1], [0, 0, 0, 0, 3], [0, 0, 0, 0, 2]])
        >>> harden(surer, torch.tensor([1, 1, 3]), torch.ones(3)).tolist()
        [1, 3, 1]
    """
    expected = logits.double().softmax(dim=1) @ torch.arange(len(LEVELS), dtype=torch.float64, device=logits.device)
    own = torch.stack([expected, levels.double(), counts.double()], dim=1)
    others, labels, weights = across.gather(own).unbind(dim=1)
    shares = torch.stack([weights[labels == level].sum() for level in range(len(LEVELS))]) / weights.sum()
    below = (others < expected[:, None]).double() @ weights
    equal = (others == expected[:, None]).double() @ weights
    quantile = (below + equal / 2) / weights.sum()
    return (quantile[:, None] > shares.cumsum(dim=0)[:-1]).sum(dim=1)
