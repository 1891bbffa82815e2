"""Scores of one teacher -> student that judges a video by itself: section 3 of the paper.

One student per weak teacher, so that each can be laid beside its own; what it learns, and which reading of the paper
that is, says :mod:`w2svqa.students.llava.single`. It is no part of the pipeline, whose students compare. One process
trains it, on whatever device there is.

Source: arXiv 2505.03631, section 3.2: AdamW at 1e-4 with a cosine, 200k steps of 16 videos, the first 6k of them
warm-up, weight decay 0.05. Which parts are trained and their shares of the rate are those of the released code, as for
pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from w2svqa.core.config import config_hash, to_mapping
from w2svqa.core.errors import ConfigError, InputError, StoreError, W2SVQAError
from w2svqa.core.random import generator
from w2svqa.stages.family_llava import LlavaFamily
from w2svqa.stages.train import rate_at
from w2svqa.stages.train_checkpoint import Checkpoints, State
from w2svqa.stages.train_processes import Precision, Processes
from w2svqa.stages.train_step import seeded
from w2svqa.stages.train_strong import LlavaTraining
from w2svqa.stages.train_weights import load_changing
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.single import SingleLoss, single_logits, single_loss
from w2svqa.students.seconds import Seconds, read_seconds

_LEAST_VIDEOS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredVideo:
    """A video whose seconds were kept, and what the teacher says of it.

    Attributes:
        name: for messages; no two are called the same.
        path: file of the kept seconds, from :func:`w2svqa.stages.kept_seconds.keep_seconds`.
        row: number of the version in it.
        score: of the teacher, brought to 0-100, higher is better; see :func:`to_hundred`.
    """

    name: str
    path: Path
    row: int = 0
    score: float

    def seconds(self) -> Seconds:
        """Read what the student sees of it.

        Raises:
            StoreError: the file is missing or damaged.
        """
        return read_seconds(self.path, self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleConfig:
    """How a student for single videos is trained; the defaults are those of section 3.2 of the paper.

    Attributes:
        model: its checkpoint, and what of it is trained.
        loss: what is made small; see :func:`w2svqa.students.llava.single.single_loss`.
        batch: videos of a step.
        steps: how many.
        learning_rate: of AdamW, at its highest; parts of the student have a share of it (``model.rates``).
        weight_decay: of AdamW.
        warm_up: share of the steps over which the learning rate rises; after it, it falls to zero along a cosine.
        clip_norm: longest gradient.
        checkpoint_steps: a checkpoint is written each so many steps.
        precision: of what is computed.
    """

    model: LlavaTraining
    loss: SingleLoss = "cross_entropy"
    batch: int = 16
    steps: int = 200_000
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    warm_up: float = 0.03
    clip_norm: float = 1.0
    checkpoint_steps: int = 1000
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: a batch, number of steps or distance of checkpoints below 1.
        """
        if min(self.batch, self.steps, self.checkpoint_steps) < 1:
            raise ValueError(
                f"batch {self.batch}, steps {self.steps} and checkpoint_steps {self.checkpoint_steps} must be 1 or more"
            )


def to_hundred(values: ArrayLike, *, higher_is_better: bool = True) -> list[float]:
    """Return a teacher's scores as a straight line from 0, its worst among them, to 100, its best.

    Args:
        values: ``(N,)``, on the teacher's own scale. Leave them as they are if that is 0-100 with people's meaning.
        higher_is_better: direction of its scale.

    Raises:
        InputError: a score is not finite, or all are equal.

    Example:
        >>> to_hundred([3.0, 5.0, 4.0], higher_is_better=False)
        [100.0, 0.0, 50.0]
    """
    scores = np.asarray(values, dtype=np.float64) * (1.0 if higher_is_better else -1.0)
    if not np.isfinite(scores).all() or not np.unique(scores).size > 1:
        raise InputError(
            f"{len(scores)} scores of a teacher that are not finite or all equal make no scale",
            remedy="leave out videos that it cannot score, and give it videos that differ",
        )
    # divided first: a share of the range is never above 1, whatever is rounded
    shares: list[float] = ((scores - scores.min()) / np.ptp(scores) * 100.0).tolist()
    return shares


def train_single(
    videos: Sequence[ScoredVideo],
    config: SingleConfig,
    folder: Path,
    *,
    seed: int,
    progress: Callable[[int, int, str], None],
) -> LlavaModel:
    """Train a student on a teacher's scores, from the last checkpoint in ``folder`` if there is one.

    A finished training is only read. Checkpoints hold what was trained and nothing else of the model.

    Args:
        videos: what it learns from; each is seen once before any is seen again.
        config: model, loss and optimiser.
        folder: of the training, for its checkpoints.
        seed: fixes the initial weights and every batch.
        progress: called as ``progress(step, steps, text)``.

    Returns:
        the trained model on the CPU, in float32 and evaluation mode.

    Raises:
        InputError: fewer than two videos, two of one name, or a score that is none of 0-100.
        ConfigError: it was started in several processes, the model cannot be built, the precision is not to be had
            here, or the checkpoint is of another training.
        StoreError: kept seconds are missing or damaged, or checkpoints are.
        W2SVQAError: the loss or the gradient is not finite, or the memory of the GPU is full; the message names the
            step and its videos.
        MissingExtraError: the extras "train" and "llm" are not installed.
    """
    check_videos(videos)
    training = _Training(videos, config, folder, seed=seed, tell=lambda text: progress(0, config.steps, text))
    for step in range(training.start, config.steps):
        loss = training.step(step)
        progress(step + 1, config.steps, f"loss {loss:.4f}")
    return training.model.cpu().float().eval()  # bf16 leaves trained parts in float32 and frozen ones in brain floats


def check_videos(videos: Sequence[ScoredVideo]) -> None:
    """Find out whether videos can be learned from, before anything is loaded.

    Raises:
        InputError: fewer than two, two of one name, or a score that is none of 0-100.
        StoreError: kept seconds are missing.
    """
    if len({video.name for video in videos}) < max(_LEAST_VIDEOS, len(videos)):
        raise InputError(
            f"{len(videos)} videos with {len({video.name for video in videos})} names are nothing to learn from",
            remedy="give two or more, each with a name of its own",
        )
    for video in videos:
        if not 0 <= video.score <= 100:  # which a NaN is not either
            raise InputError(
                f"the score of {video.name} is {video.score:g}, none of 0-100",
                remedy="leave the video out, or bring the teacher's scores to 0-100 with to_hundred",
            )
        if not video.path.is_file():
            raise StoreError(
                f"the kept seconds of {video.name} are not there", path=video.path, remedy="keep them again"
            )


def places_at(step: int, count: int, batch: int, seed: int) -> list[int]:
    """Return which of ``count`` videos a step sees: all of them in an order drawn anew for each round.

    Example:
        >>> sorted(places_at(0, 4, 2, seed=0) + places_at(1, 4, 2, seed=0))
        [0, 1, 2, 3]
    """
    rounds = range(step * batch // count, ((step + 1) * batch - 1) // count + 1)
    order = [place for each in rounds for place in generator(seed, "single", each).permutation(count).tolist()]
    start = step * batch - rounds.start * count
    return order[start : start + batch]


class _SingleStep(nn.Module):
    """The student as one call: videos to logits of the words."""

    def __init__(self, model: LlavaModel, processes: Processes) -> None:
        super().__init__()
        self.model = model
        self._processes = processes

    def forward(self, frames: Tensor, motion: Tensor, counts: Sequence[int]) -> Tensor:
        """Map uint8 ``(S, side, side, 3)`` and float32 ``(S, F)`` of all videos to float32 ``(N, 5)``."""
        with self._processes.autocast():
            tokens = torch.split(self.model.second_tokens(frames, motion), list(counts))
            return single_logits(self.model, tokens).float()


class _Training:
    """A training under way."""

    def __init__(
        self,
        videos: Sequence[ScoredVideo],
        config: SingleConfig,
        folder: Path,
        *,
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        self._videos, self._config, self._folder, self._seed = videos, config, folder, seed
        self._processes = Processes(config.precision)
        if self._processes.count > 1 or self._processes.sharding:
            raise ConfigError(
                "a student for single videos is trained in one process", remedy="start it without a launcher"
            )
        scores = [[video.name, video.score] for video in videos]
        self._fingerprint = config_hash([to_mapping(config), scores, seed])
        family = LlavaFamily(config.model)
        self.model = family.build((), seed=seed, precision=config.precision)
        rates = family.rates(self.model)
        self._shares = [share for _, share in rates]
        groups = [{"params": weights} for weights, _ in rates]
        optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
        step = _SingleStep(self.model, self._processes)
        self._module, self._optimiser = self._processes.prepare(step, optimiser, clip_norm=config.clip_norm)
        self._module.train()
        self._checkpoints = Checkpoints(folder)
        self.start = self._checkpoints.resume(self._apply, tell)

    def _apply(self, state: State) -> int:
        if state["training"] != self._fingerprint:
            raise ConfigError(
                f"the checkpoint in {self._folder} is of other videos, scores, settings or another seed",
                remedy="give each training a folder of its own",
            )
        load_changing(self.model, state["model"])
        self._processes.load_state(self._module, self._optimiser, state, self._folder)
        return int(state["step"])

    def step(self, step: int) -> float:
        """Do step ``step`` and return its loss; write the checkpoint if it is due."""
        config = self._config
        videos = [self._videos[place] for place in places_at(step, len(self._videos), config.batch, self._seed)]
        rate = config.learning_rate * rate_at((step + 0.5) / config.steps, config.warm_up)
        for group, share in zip(self._optimiser.param_groups, self._shares, strict=True):
            group["lr"] = share * rate
        # dropout draws from a global generator: by the step, so that every rerun draws the same
        draw = int(generator(self._seed, "dropout", step).integers(1 << 62))
        with seeded(draw, self._processes.device), _told(step, videos):
            loss = self._loss(videos)
            self._optimiser.zero_grad(set_to_none=True)
            length = self._processes.backward(loss, self._module, config.clip_norm)
            _check(loss.item(), length)
        self._optimiser.step()
        if (step + 1) % config.checkpoint_steps == 0 or step + 1 == config.steps:
            self._save(step + 1)
        return float(loss.item())

    def _loss(self, videos: Sequence[ScoredVideo]) -> Tensor:
        seen = [video.seconds() for video in videos]
        device = self._processes.device
        frames = torch.from_numpy(np.concatenate([each.frames for each in seen])).to(device)
        motion = torch.from_numpy(np.concatenate([each.motion for each in seen])).to(device)
        scores = torch.tensor([video.score for video in videos], device=device)
        logits: Any = self._module(frames, motion, [len(each) for each in seen])
        return single_loss(logits, scores, self._config.loss)

    def _save(self, done: int) -> None:
        weights = self._processes.weights(self._module)
        self._checkpoints.save(
            {
                "step": done,
                "training": self._fingerprint,
                "model": {name.removeprefix("model."): value for name, value in weights.items()},
                **self._processes.state(self._module, self._optimiser, self._folder, done),
            }
        )


@contextmanager
def _told(step: int, videos: Sequence[ScoredVideo]) -> Iterator[None]:
    """Name the step and its videos where something is not finite, or the memory of the GPU is full."""
    begin = f"step {step + 1}, whose batch held {', '.join(video.name for video in videos)}: "
    try:
        yield
    except (ConfigError, StoreError):
        raise  # of no one step
    except W2SVQAError as error:
        raise W2SVQAError(begin + error.problem, remedy=error.remedy) from None
    except torch.OutOfMemoryError as error:
        raise W2SVQAError(
            f"{begin}the memory of the GPU is full: {error}",
            remedy="take a smaller batch, fewer seconds, precision bf16 or model.gradient_checkpointing",
        ) from None


def _check(loss: float, length: float | None) -> None:
    """Stop before weights that are no numbers reach a checkpoint."""
    if not math.isfinite(loss) or not math.isfinite(length or 0.0):
        raise W2SVQAError(
            f"the loss is {loss} and the length of its gradient {length}",
            remedy="lower learning_rate and start from the checkpoint",
        )
