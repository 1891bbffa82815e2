"""The feature student: it compares videos by precomputed feature vectors, which are its tokens.

```
vector per second, or one per video -> standardised -> mean -> comparator of the compact student -> five logits
```

Feature tables have gaps (a grey video has no colour statistics) and outliers (metrics without a bound). What is missing
takes the training median, and nothing counts as more than some deviations from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2svqa.core.records import Chunk, ClipSpec, Tokens
from w2svqa.students.compact import CompactConfig, Comparator

Floats = NDArray[np.float64]

LARGEST = 4.0
"""Deviations from the median at which a standardised feature is cut: what was never seen must not decide alone."""

_INNER = (15.87, 84.13)  # percentiles that are two deviations apart in a normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureConfig:
    """Size of a feature student.

    Attributes:
        features: length of a vector.
        hidden: width of the quality head.
        dropout: share of the features that a step of training goes without.
    """

    features: int
    hidden: int = 64
    dropout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureScale:
    """Where each feature lies and how far it spreads, among the videos that a student learns from.

    Attributes:
        centre: medians, float64 ``(features,)``; 0 where a feature is always missing.
        deviation: half the distance of the percentiles that a normal distribution has at one deviation to either side,
            float64 ``(features,)``, above 0. Of a feature that is mostly constant: its standard deviation; of one that
            always is: 1.
    """

    centre: Floats
    deviation: Floats

    @classmethod
    def of(cls, features: Floats) -> FeatureScale:
        """Measure the scale of float64 ``(videos, features)``, at least one video; what is not finite is missing.

        Example:
            >>> scale = FeatureScale.of(np.array([[1.0, np.inf], [2.0, np.nan], [3.0, -np.inf]]))
            >>> scale.centre.tolist(), scale.deviation[1].item()
            ([2.0, 0.0], 1.0)
        """
        known = np.where(np.isfinite(features), features, np.nan)
        known[:, np.isnan(known).all(axis=0)] = 0.0
        low, high = np.nanpercentile(known, _INNER, axis=0)
        half, spread = (high - low) / 2, np.nanstd(known, axis=0)
        deviation = np.where(half > 0, half, np.where(spread > 0, spread, 1.0))
        return cls(centre=np.nanmedian(known, axis=0), deviation=deviation)

    def standardise(self, features: Floats) -> Floats:
        """Return features without gaps, float64 of the same shape, between -:data:`LARGEST` and :data:`LARGEST`.

        Example:
            >>> FeatureScale.of(np.array([[1.0], [2.0], [3.0]])).standardise(np.array([[np.nan], [1e9]])).tolist()
            [[0.0], [4.0]]
        """
        filled = np.where(np.isfinite(features), features, self.centre)
        limited: Floats = np.clip((filled - self.centre) / self.deviation, -LARGEST, LARGEST)
        return limited


class FeatureModel(nn.Module):
    """The network: scale and comparator. It takes standardised vectors; :meth:`standardised` makes them.

    The comparator is the compact student's: one quality per video, and a sharpness per pair.

    Args:
        config: its size.
        scale: of the features; it is kept with the weights. Without one, to be loaded from a state.
    """

    def __init__(self, config: FeatureConfig, scale: FeatureScale | None = None) -> None:
        super().__init__()
        self.config = config
        known = scale or FeatureScale(centre=np.zeros(config.features), deviation=np.ones(config.features))
        self.register_buffer("centre", torch.from_numpy(known.centre.copy()))
        self.register_buffer("deviation", torch.from_numpy(known.deviation.copy()))
        self.dropout = nn.Dropout(config.dropout)
        self.comparator = Comparator(CompactConfig(token=config.features, hidden=config.hidden))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map standardised float32 ``(N, features)`` twice to logits ``(N, 5)``: the second relative to the first."""
        logits: Tensor = self.comparator(self.dropout(first), self.dropout(second))
        return logits

    def quality(self, videos: Tensor) -> Tensor:
        """Map standardised float32 ``(N, features)`` to one quality each, ``(N,)``, higher is better."""
        quality: Tensor = self.comparator.quality(self.dropout(videos))[:, 0]
        return quality

    @property
    def scale(self) -> FeatureScale:
        """The scale that came with the weights."""
        return FeatureScale(
            centre=self.get_buffer("centre").cpu().numpy(), deviation=self.get_buffer("deviation").cpu().numpy()
        )

    def standardised(self, features: Floats) -> Tensor:
        """Return float64 ``(N, features)`` as the network takes them, float32.

        Raises:
            ValueError: vectors of another length.
        """
        if features.ndim != 2 or features.shape[1] != self.config.features:
            raise ValueError(f"features of shape {features.shape}, not (N, {self.config.features})")
        return torch.from_numpy(self.scale.standardise(features).astype(np.float32))


class FeatureStudent:
    """A feature model as anchors, scores and mining see it.

    Args:
        model: trained; it is used in evaluation mode.
        name: of the student.
    """

    antisymmetric = True
    clip_spec = ClipSpec()

    def __init__(self, model: FeatureModel, name: str = "features") -> None:
        self.model = model.eval()
        self.name = name

    def encode(self, chunks: Iterable[Chunk | NDArray[np.floating]]) -> Tokens:
        """Return the given vectors, one per second, as tokens, float32 ``(seconds, features)``; gaps stay.

        Raises:
            ValueError: there is none, or one is no vector of the right length, such as a chunk of pictures.
        """
        length, vectors = self.model.config.features, list[NDArray[np.float32]]()
        for chunk in chunks:
            if isinstance(chunk, Chunk) or np.shape(chunk) != (length,):
                raise ValueError(f"{self.name} takes vectors of {length} features, not pictures or other vectors")
            vectors.append(np.asarray(chunk, dtype=np.float32))
        if not vectors:
            raise ValueError(f"{self.name} takes at least one vector of {length} features")
        return np.stack(vectors)

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        """Return five logits per pair, float64 ``(pairs, 5)``: the level of ``second[i]`` relative to ``first[i]``.

        Raises:
            ValueError: the two sequences differ in length.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first videos, but {len(second)} second videos")
        if not len(first):
            return np.empty((0, 5))
        with torch.inference_mode():
            logits: NDArray[np.float64] = self.model(self._means(first), self._means(second)).double().numpy()
        return logits

    def _means(self, tokens: Sequence[Tokens]) -> Tensor:
        """Standardised tokens averaged over each video's seconds, ``(videos, features)``."""
        seconds = [len(video) for video in tokens]
        each = self.model.standardised(np.concatenate(tokens).astype(np.float64))
        if max(seconds) == 1:
            return each
        return torch.stack([video.mean(dim=0) for video in torch.split(each, seconds)])
