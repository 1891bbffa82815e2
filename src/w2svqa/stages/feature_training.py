"""features + pairs -> feature student, or features + ratings -> feature student: seconds on one core.

Both start from fresh weights or from an earlier student, so that one learned from pseudo-labels can be fine-tuned on
human ratings: by their order (:func:`rated_pairs`, then :func:`train_on_pairs`) or by regression
(:func:`train_on_ratings`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.levels import LEVELS
from w2svqa.core.random import generator
from w2svqa.stages.pool_pairs import uncertain_levels
from w2svqa.stages.train import rate_at
from w2svqa.students.features import FeatureConfig, FeatureModel, FeatureScale
from w2svqa.students.losses import ConfidenceConfig, confidence_loss

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTrainConfig:
    """How a feature student is trained.

    Attributes:
        hidden: width of the quality head; a student that goes on from another keeps that one's.
        dropout: share of the features that a step goes without.
        confidence: schedule of the confidence loss; only for pairs.
        epochs: passes over the pairs, or the ratings.
        batch: pairs, or rated videos, in a step.
        learning_rate: of AdamW, at its highest.
        weight_decay: of AdamW.
        warm_up: share of the steps over which the learning rate rises; after it, it falls to zero along a cosine.
        clip_norm: longest gradient.
    """

    hidden: int = 64
    dropout: float = 0.0
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    epochs: int = 10
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.03
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: negative epochs, a batch of fewer than 2, or a dropout outside [0, 1).
        """
        if self.epochs < 0 or self.batch < 2 or not 0 <= self.dropout < 1:
            raise ValueError(f"epochs {self.epochs}, batch {self.batch}, dropout {self.dropout}")


class LevelPairs(NamedTuple):
    """Pairs of videos by place, int64 ``(n,)`` each: first, second, and the level of the second, 0 to 4."""

    first: Ints
    second: Ints
    level: Ints

    def joined(self, other: LevelPairs) -> LevelPairs:
        """Return these pairs and others behind them: the cumulative set of a later stage."""
        return LevelPairs(*(np.concatenate(columns) for columns in zip(self, other, strict=True)))


def rated_pairs(first: Ints, second: Ints, ratings: Floats, deviation: float) -> LevelPairs:
    """Return pairs with levels by human ratings: the paper's rule, each rating taken to deviate alike.

    Args:
        first: places of the first videos, int64 ``(n,)``.
        second: of the second.
        ratings: float64 ``(videos,)``, finite, higher is better.
        deviation: of one rating, above 0, on its own scale.

    Example:
        >>> rated_pairs(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 1.1, 5.0]), 0.3).level.tolist()
        [2, 4]
    """
    differences = ratings[second] - ratings[first]
    return LevelPairs(first, second, uncertain_levels(differences, np.full(len(first), deviation * np.sqrt(2))))


def train_on_pairs(
    features: Floats, pairs: LevelPairs, config: FeatureTrainConfig, *, seed: int, start: FeatureModel | None = None
) -> FeatureModel:
    """Train a feature student on pairs, with the confidence loss.

    Args:
        features: of the videos that the pairs name, float64 ``(videos, features)``; what is not finite is missing.
            A fresh student's scale is measured on them.
        pairs: at least one.
        config: how.
        seed: fixes the weights of a fresh student, the order of the pairs, and dropout.
        start: the student to go on from; it stays as it is.

    Returns:
        The trained model, in evaluation mode.

    Raises:
        ValueError: no pairs, or a place or a level that is none.
        W2SVQAError: the loss is not finite.

    Source: arXiv 2505.03631, section 4; the loss as in :func:`w2svqa.students.losses.confidence_loss`.
    """
    _check_pairs(pairs, len(features))
    model = _begin(features, config, seed, start)
    videos = model.standardised(features)
    columns = [torch.from_numpy(np.ascontiguousarray(column)) for column in pairs]

    def loss(chosen: Tensor, progress: float) -> Tensor:
        first, second, level = (column[chosen] for column in columns)
        return confidence_loss(model(videos[first], videos[second]), level, progress, config.confidence).total

    return _fit(model, len(pairs.first), loss, config, seed)


def train_on_ratings(
    features: Floats, ratings: Floats, config: FeatureTrainConfig, *, seed: int, start: FeatureModel | None = None
) -> FeatureModel:
    """Train a feature student on human ratings: its qualities shall correlate with them.

    The loss is 1 minus Pearson's correlation within a batch. It leaves the scale of the qualities free, so that a
    student which has learned from pairs keeps its levels while it is fine-tuned.

    Args:
        features: float64 ``(videos, features)``; what is not finite is missing.
        ratings: float64 ``(videos,)``, higher is better; a video without a finite one does not take part.
        config: how.
        seed: as in :func:`train_on_pairs`.
        start: the student to go on from; it stays as it is.

    Returns:
        The trained model, in evaluation mode.

    Raises:
        ValueError: as many ratings as videos are needed, and two that differ.
        W2SVQAError: the loss is not finite.
    """
    rated = np.isfinite(ratings)
    if ratings.shape != features.shape[:1] or len(np.unique(ratings[rated])) < 2:
        raise ValueError(f"{len(features)} videos, {len(np.unique(ratings[rated]))} different ratings")
    model = _begin(features[rated], config, seed, start)
    videos, wanted = model.standardised(features[rated]), torch.from_numpy(ratings[rated].astype(np.float32))

    def loss(chosen: Tensor, progress: float) -> Tensor:
        del progress
        both = torch.stack([model.quality(videos[chosen]), wanted[chosen]])
        one, other = both - both.mean(dim=1, keepdim=True)
        # a batch in which all are alike has no correlation: the floor gives it the loss 1 and no gradient that explodes
        correlation: Tensor = (one @ other) / (one.norm() * other.norm()).clamp(min=1e-6)
        return 1 - correlation

    return _fit(model, len(videos), loss, config, seed)


def _check_pairs(pairs: LevelPairs, videos: int) -> None:
    if not len(pairs.first):
        raise ValueError("there are no pairs to learn from")
    places = np.concatenate([pairs.first, pairs.second])
    if places.min() < 0 or places.max() >= videos or not np.isin(pairs.level, range(len(LEVELS))).all():
        raise ValueError(f"places must be 0 to {videos - 1}, levels 0 to {len(LEVELS) - 1}")


def _begin(features: Floats, config: FeatureTrainConfig, seed: int, start: FeatureModel | None) -> FeatureModel:
    """A copy of the student to go on from, or a fresh one; PyTorch's global generator is left as it was."""
    if start is not None:
        model = copy.deepcopy(start)
        model.config = replace(model.config, dropout=config.dropout)
        model.dropout.p = config.dropout
        return model
    size = FeatureConfig(features=features.shape[1], hidden=config.hidden, dropout=config.dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_whole(seed, "feature weights"))
        return FeatureModel(size, FeatureScale.of(features))


def _fit(
    model: FeatureModel, items: int, loss: Callable[[Tensor, float], Tensor], config: FeatureTrainConfig, seed: int
) -> FeatureModel:
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    batches = list(_batches(items, config, seed))
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_whole(seed, "feature dropout"))
        for step, chosen in enumerate(batches):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * rate_at((step + 0.5) / len(batches), config.warm_up)
            value = loss(chosen, step / len(batches))
            if not bool(torch.isfinite(value)):
                found = float(value.detach())
                raise W2SVQAError(f"the loss of step {step + 1} is {found}", remedy="lower the learning rate")
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(value)
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
    return model.eval()


def _batches(items: int, config: FeatureTrainConfig, seed: int) -> Iterator[Tensor]:
    """Places of each step's items: every item once per epoch; a last one that would stand alone is left out."""
    for epoch in range(config.epochs):
        order = torch.from_numpy(generator(seed, "feature order", epoch).permutation(items))
        for chosen in torch.split(order, config.batch):
            if len(chosen) > 1 or items == 1:
                yield chosen


def _whole(seed: int, label: str) -> int:
    return int(generator(seed, label).integers(1 << 62))
