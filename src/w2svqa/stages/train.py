"""pairs -> student: one stage of training, with checkpoints that resume to the same trajectory."""

from __future__ import annotations

import io
import json
import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from w2svqa.core.errors import ConfigError, StoreError, UnwritableError, W2SVQAError
from w2svqa.core.files import atomic_write
from w2svqa.core.random import generator
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import UNKNOWN, Batch, BatchConfig, Batches
from w2svqa.students.compact import CompactConfig, CompactModel
from w2svqa.students.losses import ConfidenceConfig, LossTerms, confidence_loss

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Size of the compact student.

    Attributes:
        widths: channels after each halving of the resolution.
        token: length of a second's token.
        hidden: width of the comparator and of the diagnosis.
        motion: with a motion branch; without one the student sees key frames alone.
        dropout: share of the features of all views that a step goes without.
    """

    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    token: int = 96
    hidden: int = 64
    motion: bool = True
    dropout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How the student is trained.

    Attributes:
        model: its size.
        batch: what one step sees.
        confidence: schedule of the confidence loss.
        steps: how many.
        learning_rate: of AdamW, at its highest.
        weight_decay: of AdamW.
        warm_up: share of the steps over which the learning rate rises; after it, it falls to zero along a cosine.
        clip_norm: longest gradient.
        diagnosis_weight: of the loss of kind and severity beside the loss of the pairs.
        checkpoint_steps: a checkpoint is written each so many steps.
        precision: of the convolutions; ``"bf16"`` may be faster where the processor has it (docs/log.md).
        threads: of PyTorch; ``None`` leaves its own choice.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    steps: int = 6000
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.03
    clip_norm: float = 1.0
    diagnosis_weight: float = 1.0
    checkpoint_steps: int = 200
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int | None = None

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: fewer than 0 steps, or a checkpoint after none.
        """
        if self.steps < 0 or self.checkpoint_steps < 1:
            raise ValueError(f"steps must be 0 or more, checkpoint_steps 1: {self.steps}, {self.checkpoint_steps}")


def train(
    versions: Sequence[VersionRow],
    pairs: Sequence[PairRow],
    config: TrainConfig,
    folder: Path,
    *,
    crops_folder: Path,
    kinds: Sequence[str],
    seed: int,
    progress: Progress,
    initial: CompactModel | Mapping[str, torch.Tensor] | None = None,
) -> CompactModel:
    """Train the compact student, from the last checkpoint in ``folder`` if there is one.

    Args:
        versions: rows of the distort stage.
        pairs: rows of the pair stage.
        config: model, batches, loss and optimiser.
        folder: of the stage: checkpoint and log.
        crops_folder: of the distort stage; holds the crop cache.
        kinds: names of the distortions the student learns to name.
        seed: fixes the initial weights and every batch.
        progress: called as ``progress(step, steps, text)``.
        initial: weights to start from where there is no checkpoint, such as those of the last stage's student; drawn
            from ``seed`` if not given.

    Returns:
        the trained model, in evaluation mode.

    Raises:
        ConfigError: ``initial`` does not fit the model of ``config``.
        StoreError: a checkpoint is damaged or cannot be written.
        W2SVQAError: the loss is not finite; the message names the step and what was in its batch.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    model = build(config.model, kinds, seed=seed)
    if initial is not None:
        _start_from(model, initial)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    start = _resume(folder / CHECKPOINT, model, optimiser)
    batches = Batches(versions, pairs, crops_folder, kinds=kinds, config=config.batch, seed=seed)
    model.train()
    for step, batch in _ahead(batches, range(start, config.steps)):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * rate_at((step + 0.5) / config.steps, config.warm_up)
        with torch.random.fork_rng(devices=[]):
            # dropout draws from PyTorch's global generator; by the step, for a resumed run must draw the same
            torch.manual_seed(int(generator(seed, "dropout", step).integers(1 << 62)))
            record = _step(model, optimiser, batch, step, config)
        if (step + 1) % config.checkpoint_steps == 0 or step + 1 == config.steps:
            _save(folder, model, optimiser, step + 1, record)
        progress(step + 1, config.steps, f"loss {record['loss']:.3f}, levels right {record['accuracy']:.0%}")
    return model.eval()


def _ahead(batches: Batches, steps: range) -> Iterator[tuple[int, Batch]]:
    """Yield the batch of each step; the next one is made while the present one is trained on."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = [thread.submit(batches.at, step) for step in steps[:1]]
        for step in steps:
            batch = coming.pop().result()
            coming += [thread.submit(batches.at, later) for later in steps[step + 1 - steps.start :][:1]]
            yield step, batch


def build(config: ModelConfig, kinds: Sequence[str], *, seed: int) -> CompactModel:
    """Return a new student with weights drawn from ``seed``; PyTorch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CompactModel(CompactConfig(**asdict(config), kinds=tuple(kinds)))
    # nearly twice as fast on CPUs for convolutions of few channels
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # missing in its stubs


def _start_from(model: CompactModel, initial: CompactModel | Mapping[str, torch.Tensor]) -> None:
    """Copy weights into a new model."""
    state = initial.state_dict() if isinstance(initial, CompactModel) else initial
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(
            f"the initial weights do not fit the model: {error}", remedy="train every stage with the same train.model"
        ) from None


def rate_at(progress: float, warm_up: float) -> float:
    """Return the share of the learning rate at ``progress`` (0 to 1): linear up, then a cosine down to zero.

    Example:
        >>> rate_at(0.5, 0.5), round(rate_at(1.0, 0.5), 6)
        (1.0, 0.0)
    """
    if progress < warm_up:
        return progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def _step(
    model: CompactModel, optimiser: torch.optim.Optimizer, batch: Batch, step: int, config: TrainConfig
) -> dict[str, float]:
    tokens = _encode(model, batch, config)
    logits = model.comparator(tokens[torch.from_numpy(batch.first)], tokens[torch.from_numpy(batch.second)])
    levels = torch.from_numpy(batch.levels)
    weights = torch.from_numpy(batch.weights)
    terms = confidence_loss(logits, levels, step / config.steps, config.confidence, weights=weights)
    diagnosis = _diagnosis_loss(model, tokens, batch)
    loss = terms.total + config.diagnosis_weight * diagnosis
    _require_finite(loss, "loss", step, batch)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    length = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    _require_finite(length, "gradient's length", step, batch)
    optimiser.step()
    accuracy = float((logits.argmax(dim=1) == levels).float().mean())
    return _record(step, loss, terms, float(diagnosis.detach()), accuracy)


def _require_finite(value: torch.Tensor, name: str, step: int, batch: Batch) -> None:
    """Stop before weights that are no numbers reach a checkpoint."""
    if not bool(torch.isfinite(value)):
        raise W2SVQAError(
            f"the {name} of step {step + 1} is {float(value.detach())}; its batch held {', '.join(batch.names)}",
            remedy="lower train.learning_rate and start from the checkpoint",
        )


def _encode(model: CompactModel, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """Encode in the precision of the configuration; the planes need float32, they hold small differences."""
    planes = model.encoder.planes(torch.from_numpy(batch.views).flatten(0, 1))
    motion, counts = torch.from_numpy(batch.motion), torch.from_numpy(batch.counts)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
        tokens: torch.Tensor = model.encoder.from_planes(planes, motion, counts).float()
    return tokens


def _diagnosis_loss(model: CompactModel, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Cross-entropy of the kind plus squared error of the severities, over what is known; 0 where nothing is.

    A distorted version counts as much as it is severe: of the mildest nobody can say what they are, and to insist would
    make the student doubt its clean clips. Of a clip that is no primary nobody knows whether it is clean, so "none" is
    no answer there that could be wrong: otherwise all contents that have no primaries would come to look distorted.
    """
    kinds, wanted = torch.from_numpy(batch.kinds), torch.from_numpy(batch.severities)
    logits, severities = model.diagnosis(tokens)
    named, known = kinds != UNKNOWN, torch.isfinite(wanted)
    none = torch.arange(logits.shape[1]) == 0
    logits = logits.masked_fill(none & ~known.all(dim=1, keepdim=True), -torch.inf)
    loss: torch.Tensor = severities.sum() * 0
    if bool(named.any()):
        each = functional.cross_entropy(logits[named], kinds[named], reduction="none")
        weights = torch.where(kinds[named] == 0, 1.0, wanted[named].nan_to_num().amax(dim=1))
        loss = loss + (weights * each).sum() / weights.sum()
    if bool(known.any()):
        loss = loss + functional.mse_loss(severities[known], wanted[known])
    return loss


def _record(step: int, loss: torch.Tensor, terms: LossTerms, diagnosis: float, accuracy: float) -> dict[str, float]:
    return {
        "step": step + 1,
        "loss": float(loss.detach()),
        "label": terms.label,
        "confidence": terms.confidence,
        "lambda": terms.weight,
        "diagnosis": diagnosis,
        "accuracy": accuracy,
    }


def _save(
    folder: Path, model: CompactModel, optimiser: torch.optim.Optimizer, step: int, record: dict[str, float]
) -> None:
    state = {"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
    packed = io.BytesIO()  # torch reports a full disk by an error of its own
    torch.save(state, packed)
    with atomic_write(folder / CHECKPOINT) as file:
        file.write(packed.getbuffer())
    try:
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
    except OSError as error:
        raise UnwritableError(
            f"cannot be written: {error.strerror}", path=folder / LOG, remedy="free some space and start again"
        ) from None


def _resume(path: Path, model: CompactModel, optimiser: torch.optim.Optimizer) -> int:
    """Load the checkpoint, if there is one; return the step to go on from."""
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise StoreError(
            f"the checkpoint cannot be read: {error}", path=path, remedy="delete it to start again"
        ) from None


def log_records(folder: Path) -> Iterator[dict[str, float]]:
    """Yield the records of a training log, oldest first; none if there is no log."""
    path = folder / LOG
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def parameters(model: CompactModel) -> int:
    """Return how many weights a model has."""
    return int(np.sum([weight.numel() for weight in model.parameters()]))
