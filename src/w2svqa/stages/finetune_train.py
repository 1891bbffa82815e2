"""statistics + ratings -> the last layers of a compact student: seconds on one core, so that folds can be nested.

Trained is either the quality head of the comparator alone (``"quality"``), or the layer that makes tokens as well
(``"token"``). Whatever lies before them stays as it was. Four terms:

- the ratings: levels of pairs by the paper's rule (``"pairs"``), or 1 minus Pearson's correlation of quality and rating
  (``"scores"``: a MAP score rises with the quality, see :class:`w2svqa.students.compact.Comparator`);
- severity pairs of the training videos' own ladders, so that the order of distortions is not unlearned;
- where tokens change, the diagnosis: what it said of every video and version before, it shall say after;
- the distance to the old weights, for there are few ratings and many weights.

Source: the pull to the old weights is L2-SP of X. Li, Y. Grandvalet, F. Davoine, "Explicit inductive bias for transfer
learning with convolutional networks", ICML 2018, equation 2; the diagnosis is kept as in Z. Li, D. Hoiem, "Learning
without forgetting", ECCV 2016.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.levels import INFERIOR, WORSE
from w2svqa.core.random import generator
from w2svqa.stages.finetune_seen import LadderVersions
from w2svqa.stages.pool_pairs import uncertain_levels
from w2svqa.students.compact import CompactModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]
Objective = Literal["pairs", "scores"]
Parts = Literal["quality", "token"]

_BATCH: Final = 256  # videos, or pairs, of a step
_LADDERS: Final = 4  # ladders of a step
_WARM_UP: Final = 20  # steps over which the rate rises; then it stays, for the end is not known beforehand


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way of training, among which cross-validation chooses.

    Attributes:
        parts: what is trained.
        pull: weight of the squared distance to the old weights.
        rate: of Adam.
    """

    parts: Parts
    pull: float
    rate: float = 1e-3

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ConfigError: a pull below 0, or a rate that is not above 0.
        """
        if self.pull < 0 or self.rate <= 0:
            raise ConfigError(f"pull {self.pull}, rate {self.rate}", remedy="a pull is 0 or more, a rate above 0")

    @property
    def shown(self) -> str:
        """In words, such as ``"token, pull 0.01"``."""
        return f"{self.parts}, pull {self.pull:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """How the last layers are trained.

    Attributes:
        objective: levels of pairs, or the score.
        candidates: ways of training; the best on inner folds is taken.
        steps: the most.
        check_steps: validation and a possible end each so many steps.
        deviation: of a rating whose deviation is unknown, as a share of the standard deviation of all ratings.
        raters: how many people a rating is the mean of: the deviation of the mean is that over raters by its root. 1
            takes deviations as they are.
        ladder_weight: of the severity pairs.
        keep_weight: of the diagnosis as it was.
    """

    objective: Objective = "scores"
    candidates: tuple[Candidate, ...] = field(
        default=(
            Candidate(parts="quality", pull=0.1),
            Candidate(parts="token", pull=0.1),
            Candidate(parts="token", pull=0.01),
        )
    )
    steps: int = 300
    check_steps: int = 20
    deviation: float = 0.25
    raters: float = 1.0
    ladder_weight: float = 0.5
    keep_weight: float = 0.5

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ConfigError: no candidate, no steps, or a deviation or a number of raters that is not above 0.
        """
        if not self.candidates or not 1 <= self.check_steps <= self.steps:
            raise ConfigError(
                f"{len(self.candidates)} candidates, {self.steps} steps, checked each {self.check_steps}",
                remedy="give a candidate or more, and steps of at least check_steps",
            )
        if not (self.deviation > 0 and self.raters >= 1 and min(self.ladder_weight, self.keep_weight) >= 0):
            raise ConfigError(
                f"deviation {self.deviation}, raters {self.raters}, weights {self.ladder_weight}, {self.keep_weight}",
                remedy="deviation above 0, raters 1 or more, weights 0 or more",
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """What is learned from.

    Attributes:
        seen: mean statistics of rated videos, float32 ``(N, F)``.
        ratings: higher is better, float64 ``(N,)``.
        deviations: of the ratings, float64 ``(N,)``, above 0.
        ladders: of some of the videos.
    """

    seen: Vectors
    ratings: Floats
    deviations: Floats
    ladders: tuple[LadderVersions, ...] = ()


class LastLayers(nn.Module):
    """The layers of a compact student that fine-tuning may change, from mean statistics on.

    Args:
        model: the student; its weights are copied.
    """

    def __init__(self, model: CompactModel) -> None:
        super().__init__()
        self.token = copy.deepcopy(model.encoder.head[-1])
        self.comparator = copy.deepcopy(model.comparator)
        self.diagnosis = copy.deepcopy(model.diagnosis)

    def quality(self, seen: Tensor) -> Tensor:
        """Map mean statistics ``(N, F)`` to one quality each, ``(N,)``, higher is better."""
        quality: Tensor = self.comparator.quality(self.token(seen))[:, 0]
        return quality

    def trained(self, parts: Parts) -> list[nn.Parameter]:
        """Return the weights that are trained; nearness and sharpness of pairs stay, and so do the levels' borders."""
        quality = list(self.comparator.quality.parameters())
        return quality if parts == "quality" else [*self.token.parameters(), *quality, *self.diagnosis.parameters()]

    def put_into(self, model: CompactModel) -> CompactModel:
        """Return a copy of a student with these layers, in evaluation mode."""
        made = copy.deepcopy(model)
        made.encoder.head[-1].load_state_dict(self.token.state_dict())
        made.comparator.load_state_dict(self.comparator.state_dict())
        made.diagnosis.load_state_dict(self.diagnosis.state_dict())
        return made.eval()


def tune(
    model: CompactModel,
    lessons: Lessons,
    candidate: Candidate,
    config: TuneConfig,
    *,
    steps: int,
    seed: int,
    check: Callable[[int, LastLayers], None] | None = None,
) -> LastLayers:
    """Train the last layers of a student.

    Args:
        model: to start from; it stays as it is.
        lessons: at least two videos.
        candidate: what is trained, and how freely.
        config: objective and weights.
        steps: how many; 0 returns the old layers.
        seed: draws pairs and batches.
        check: called as ``check(step, layers)`` before the first step and after each ``config.check_steps``.

    Returns:
        The trained layers, in evaluation mode.

    Raises:
        W2SVQAError: the loss is not finite.
    """
    layers = LastLayers(model).eval()
    weights = layers.trained(candidate.parts)
    layers.requires_grad_(requires_grad=False)
    for weight in weights:
        weight.requires_grad_()
    loss = _Loss(layers, lessons, candidate, config, weights)
    optimiser = torch.optim.Adam(weights, lr=candidate.rate)
    if check is not None:
        check(0, layers)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = candidate.rate * min(1.0, (step + 1) / _WARM_UP)
        value = loss.of(generator(seed, "fine-tuning", step))
        if not bool(torch.isfinite(value)):
            raise W2SVQAError(f"the loss of step {step + 1} is {float(value.detach())}", remedy="lower the rate")
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        optimiser.step()
        if check is not None and (step + 1) % config.check_steps == 0:
            check(step + 1, layers)
    return layers


class _Loss:
    """The loss of a step, from the drawing of its batch."""

    def __init__(
        self,
        layers: LastLayers,
        lessons: Lessons,
        candidate: Candidate,
        config: TuneConfig,
        weights: Sequence[nn.Parameter],
    ) -> None:
        self._layers, self._config, self._candidate = layers, config, candidate
        self._ratings, self._deviations = lessons.ratings, lessons.deviations / np.sqrt(config.raters)
        ladders = [ladder for ladder in lessons.ladders if severity_places(ladder)]
        self._pairs_of = [_LadderPairs.of(ladder) for ladder in ladders]
        self._seen = torch.from_numpy(lessons.seen)
        self._versions = [torch.from_numpy(ladder.seen) for ladder in ladders]
        if candidate.parts == "quality":  # tokens stay as they are, so they are made once
            with torch.no_grad():
                self._seen = layers.token(self._seen)
                self._versions = [layers.token(seen) for seen in self._versions]
        self._weights, self._old = list(weights), [weight.detach().clone() for weight in weights]
        self._before = copy.deepcopy(layers)

    def of(self, random: np.random.Generator) -> Tensor:
        drawn = random.permutation(len(self._versions))[:_LADDERS].tolist()
        chosen = random.permutation(len(self._seen))[:_BATCH]
        seen = torch.cat([self._seen[chosen], *(self._versions[place] for place in drawn)])
        tokens = seen if self._candidate.parts == "quality" else self._layers.token(seen)
        rated = tokens[: len(chosen)]
        total = (
            self._levels(rated, chosen, random) if self._config.objective == "pairs" else self._scores(rated, chosen)
        )
        if drawn and self._config.ladder_weight:
            total = total + self._config.ladder_weight * self._severities(tokens[len(chosen) :], drawn)
        if self._candidate.parts == "token" and self._config.keep_weight:
            total = total + self._config.keep_weight * self._kept(seen, tokens)
        if self._candidate.pull:
            pairs = zip(self._weights, self._old, strict=True)
            total = total + self._candidate.pull * torch.stack([((now - old) ** 2).sum() for now, old in pairs]).sum()
        return total

    def _scores(self, tokens: Tensor, chosen: Ints) -> Tensor:
        quality = self._layers.comparator.quality(tokens)[:, 0]
        both = torch.stack([quality, torch.from_numpy(self._ratings[chosen].astype(np.float32))])
        one, other = both - both.mean(dim=1, keepdim=True)
        correlation: Tensor = (one @ other) / (one.norm() * other.norm()).clamp(min=1e-6)
        return 1 - correlation

    def _levels(self, tokens: Tensor, chosen: Ints, random: np.random.Generator) -> Tensor:
        """Cross-entropy of pairs of different videos, as many as a batch may have."""
        count = len(chosen)
        first = random.integers(count, size=_BATCH)
        second = (first + random.integers(1, count, size=_BATCH)) % count
        ratings, deviations = self._ratings[chosen], self._deviations[chosen]
        levels = uncertain_levels(ratings[second] - ratings[first], np.hypot(deviations[first], deviations[second]))
        return functional.cross_entropy(
            self._layers.comparator(tokens[first], tokens[second]), torch.from_numpy(levels)
        )

    def _severities(self, tokens: Tensor, drawn: Sequence[int]) -> Tensor:
        """Cross-entropy of severity pairs; every ladder counts alike."""
        pairs = [self._pairs_of[place] for place in drawn]
        starts = np.cumsum([0, *(len(self._versions[place]) for place in drawn)]).tolist()
        milder, worse = (
            torch.cat([getattr(each, side) + start for each, start in zip(pairs, starts, strict=False)])
            for side in ("milder", "worse")
        )
        losses = functional.cross_entropy(
            self._layers.comparator(tokens[milder], tokens[worse]),
            torch.cat([each.levels for each in pairs]),
            reduction="none",
        )
        weights = torch.cat([torch.full((len(each.levels),), 1 / len(each.levels)) for each in pairs])
        return (weights * losses).sum() / len(pairs)

    def _kept(self, seen: Tensor, tokens: Tensor) -> Tensor:
        """How far the diagnosis is from what it was."""
        with torch.no_grad():
            kinds, severities = self._before.diagnosis(self._before.token(seen))
        found, severe = self._layers.diagnosis(tokens)
        told = functional.kl_div(
            functional.log_softmax(found, dim=1), functional.softmax(kinds, dim=1), reduction="batchmean"
        )
        return told + functional.mse_loss(severe, severities)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LadderPairs:
    """Severity pairs of one video: the milder version first, so that the second is worse or inferior."""

    milder: Tensor
    worse: Tensor
    levels: Tensor

    @classmethod
    def of(cls, ladder: LadderVersions) -> _LadderPairs:
        pairs = severity_places(ladder)
        gaps = [ladder.levels[worse] - ladder.levels[milder] for milder, worse in pairs]
        milder, worse = torch.tensor(pairs, dtype=torch.int64).T
        levels = [WORSE if gap == 1 else INFERIOR for gap in gaps]
        return cls(milder=milder, worse=worse, levels=torch.tensor(levels, dtype=torch.int64))


def severity_places(ladder: LadderVersions) -> list[tuple[int, int]]:
    """Return the places of every two versions of one kind, the milder first.

    Example:
        >>> seen = np.zeros((3, 1), np.float32)
        >>> ladder = LadderVersions(kinds=("blur", "blur", "noise"), levels=(2, 1, 1), seen=seen)
        >>> severity_places(ladder)
        [(1, 0)]
    """
    steps = list(zip(ladder.kinds, ladder.levels, strict=True))
    return [
        (milder, worse)
        for milder, (kind, level) in enumerate(steps)
        for worse, (other, worse_level) in enumerate(steps)
        if kind == other and level < worse_level
    ]


def qualities(layers: LastLayers, seen: Vectors) -> Floats:
    """Return the quality of each of some videos, float64 ``(N,)``, higher is better."""
    with torch.inference_mode():
        found: Floats = layers.quality(torch.from_numpy(seen)).double().numpy()
    return found


def order_accuracy(layers: LastLayers, ladders: Sequence[LadderVersions]) -> list[float]:
    """Return, per ladder, the share of severity pairs in the right order, 0 to 1; equal ones count half."""
    found = []
    for ladder in ladders:
        pairs = severity_places(ladder)
        if pairs:
            quality = qualities(layers, ladder.seen)
            milder, worse = np.array(pairs).T
            found.append(float(np.mean((np.sign(quality[milder] - quality[worse]) + 1) / 2)))
    return found
