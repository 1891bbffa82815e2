"""pairs -> student: one stage of training, in one process or several, resumed to the same trajectory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import torch
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError, StoreError, W2SVQAError
from w2svqa.core.random import generator
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.families import Drawn, Family
from w2svqa.stages.family_table import StudentConfig, family_of
from w2svqa.stages.train_average import WeightAverage
from w2svqa.stages.train_checkpoint import CHECKPOINT, Checkpoints, State
from w2svqa.stages.train_log import LOG, TENSORBOARD, TrainLog, log_records
from w2svqa.stages.train_model import ModelConfig, build, parameters
from w2svqa.stages.train_norm import with_global_norms
from w2svqa.stages.train_processes import Precision, Processes
from w2svqa.stages.train_step import StepLoss, seeded, step_loss
from w2svqa.stages.train_weights import load_changing, start_from
from w2svqa.students.losses import ConfidenceConfig

__all__ = [
    "CHECKPOINT",
    "LOG",
    "ModelConfig",
    "Progress",
    "TrainConfig",
    "build",
    "log_records",
    "parameters",
    "rate_at",
    "train",
]

Progress = Callable[[int, int, str], None]

_MEMORY: Final = (
    "take fewer groups or pairs_per_group (train.batch), fewer seconds (distort.frames), precision bf16,"
    " gradient_checkpointing (train.model), or share the weights out (configs/accelerate)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How the student is trained.

    Attributes:
        model: which student: its ``kind``, its size, and what of it is trained.
        batch: what one step sees.
        confidence: form and schedule of the confidence loss.
        steps: how many.
        learning_rate: of AdamW, at its highest. Parts of a student may have a share of it.
        weight_decay: of AdamW.
        warm_up: share of the steps over which the learning rate rises; after it, it falls to zero along a cosine.
        clip_norm: longest gradient.
        diagnosis_weight: of the loss of kind and severity beside the loss of the pairs; for the compact student.
        checkpoint_steps: a checkpoint is written each so many steps.
        log_steps: the log and the trackers get a record each so many steps.
        ema: decay of the running average of the weights that is returned instead of the last ones, such as 0.999;
            ``None`` for the last ones.
        precision: of what is computed. ``"bf16"`` may be faster where the processor has it (docs/log.md), and keeps the
            frozen weights of a strong student in it as well; ``"fp16"`` needs a GPU.
        trackers: of Accelerate, by name, beside the log. TensorBoard comes with the extra "train".
        threads: of PyTorch in each process; ``None`` leaves its own choice.
    """

    model: StudentConfig = field(default_factory=ModelConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    steps: int = 6000
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.03
    clip_norm: float = 1.0
    diagnosis_weight: float = 1.0
    checkpoint_steps: int = 200
    log_steps: int = 50
    ema: float | None = None
    precision: Precision = "fp32"
    trackers: tuple[str, ...] = (TENSORBOARD,)
    threads: int | None = None

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: fewer than 0 steps, a checkpoint or record after none, or an average that never changes.
        """
        if self.steps < 0 or self.checkpoint_steps < 1 or self.log_steps < 1:
            raise ValueError(
                "steps must be 0 or more, checkpoint_steps and log_steps 1:"
                f" {self.steps}, {self.checkpoint_steps}, {self.log_steps}"
            )
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema {self.ema} must be 0 to below 1")


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
    initial: nn.Module | Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Train a student, from the last checkpoint in ``folder`` if there is one.

    Started in several processes (see :mod:`w2svqa.stages.launch`), each makes its share of every batch and all end with
    the same student; the main one alone writes and shows progress.

    Args:
        versions: rows of the distort stage.
        pairs: rows of the pair stage.
        config: model, batches, loss and optimiser.
        folder: of the stage: checkpoints, log and TensorBoard's.
        crops_folder: of the distort stage; holds the crop cache, or what is kept in its place.
        kinds: names of the distortions the student learns to name.
        seed: fixes the initial weights and every batch.
        progress: called as ``progress(step, steps, text)``.
        initial: weights to start from where there is no checkpoint, such as those of the last stage's student; drawn
            from ``seed`` if not given.

    Returns:
        the trained model on the CPU, in evaluation mode; with ``config.ema`` the average.

    Raises:
        ConfigError: ``initial`` does not fit the model of ``config``, a tracker is unknown, there are too many
            processes, or the precision is not to be had here.
        StoreError: the checkpoints are damaged or cannot be written.
        W2SVQAError: the loss is not finite, or the memory of the GPU is full; the message names the step and what was
            in its batch.
        MissingExtraError: the extra "train" is not installed.
    """
    run = _Training(config, folder, kinds=kinds, seed=seed, progress=progress, initial=initial)
    share = (run.processes.index, run.processes.count)
    batches = run.family.batches(
        versions, pairs, crops_folder, kinds=kinds, config=config.batch, seed=seed, share=share
    )
    if run.start < config.steps:
        with TrainLog(folder, config.trackers, run.processes.accelerator, start=run.start) as log:
            for step, batch in _ahead(batches, range(run.start, config.steps)):
                run.step(step, batch, batches, log)
    return run.result()


class _Training:
    """A training under way: what changes from step to step, and what is done with it."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        *,
        kinds: Sequence[str],
        seed: int,
        progress: Progress,
        initial: nn.Module | Mapping[str, Tensor] | None,
    ) -> None:
        self._config, self._folder, self._kinds, self._seed = config, folder, kinds, seed
        self.family: Family[Any] = family_of(config.model)
        self.processes = Processes(config.precision)
        self.processes.own_weights()
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        if config.ema is not None and self.processes.sharding:
            raise ConfigError(f"train.ema does not go with {self.processes.sharding}", remedy="leave it out")
        self._progress: Progress = progress if self.processes.is_main else _silent
        model = self._fresh()
        if initial is not None:
            start_from(model, initial)
        self._checkpoints = Checkpoints(folder)
        self._saved: State = {}
        self.start = self._checkpoints.resume(lambda state: self._apply(state, model), self._tell)
        self._agree()
        self._prepare(model)

    def _fresh(self) -> nn.Module:
        return self.family.build(self._kinds, seed=self._seed, precision=self._config.precision)

    def _apply(self, state: State, model: nn.Module) -> int:
        """Take what a checkpoint holds, as far as it can be taken before the processes are joined."""
        if self._config.ema is not None:
            load_changing(model, state["average"])  # only to see whether it fits, as below
        if not self.processes.sharding:
            self._optimiser(model)[0].load_state_dict(state["optimiser"])
        load_changing(model, state["model"])
        self._saved = state
        return int(state["step"])

    def _tell(self, text: str) -> None:
        self._progress(0, self._config.steps, text)

    def _optimiser(self, model: nn.Module) -> tuple[torch.optim.Optimizer, list[float]]:
        """The optimiser of a model, and the share of the learning rate that each of its groups has."""
        config = self._config
        shares = self.family.rates(model)
        groups = [{"params": weights} for weights, _ in shares]
        optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
        return optimiser, [share for _, share in shares]

    def _agree(self) -> None:
        """Find out before the first step whether all processes go on from the same one."""
        starts = self.processes.gather(torch.tensor([self.start], device=self.processes.device)).tolist()
        if len(set(starts)) > 1:
            raise StoreError(
                f"the processes see checkpoints of different steps: {sorted(set(starts))}",
                path=self._folder,
                remedy="put the run on a disk that all of them share",
            )

    def _prepare(self, model: nn.Module) -> None:
        if self.processes.count > 1:
            with_global_norms(model)
        if self.processes.sharding:  # which cuts weights into flat pieces
            model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in its stubs
        step = self.family.step(model, self.processes)
        own, self._shares = self._optimiser(model)
        module, optimiser = self.processes.prepare(step, own, clip_norm=self._config.clip_norm)
        self._module, self._model, self._steps = module, model, optimiser
        self._module.train()  # DeepSpeed's returns nothing
        self._average = None if self._config.ema is None else WeightAverage(model, self._config.ema)
        if self._saved:
            self.processes.load_state(module, optimiser, self._saved, self._folder)
            if self._average is not None:
                self._average.load(self._saved["average"])
        self._saved = {}

    def step(self, step: int, batch: Any, batches: Drawn[Any], log: TrainLog) -> None:  # noqa: ANN401 - the family's
        """Do step ``step``, and write what is due after it."""
        config = self._config
        rate = config.learning_rate * rate_at((step + 0.5) / config.steps, config.warm_up)
        for group, share in zip(self._steps.param_groups, self._shares, strict=True):
            group["lr"] = share * rate
        with _told(step, batches):
            loss = self._loss(step, batch)
        if not math.isfinite(loss.value):
            _stop("loss", loss.value, step, batches)
        self._steps.zero_grad(set_to_none=True)
        with _told(step, batches):
            length = self.processes.backward(loss.total, self._module, config.clip_norm)
        if length is not None and not math.isfinite(length):
            _stop("gradient's length", length, step, batches)
        self._steps.step()
        if self._average is not None:
            self._average.update(self._model, step + 1)
        if (step + 1) % config.log_steps == 0 or step + 1 == config.steps:
            log.write(step + 1, loss, rate, length)
        self._report(step + 1, loss)

    def _loss(self, step: int, batch: Any) -> StepLoss:  # noqa: ANN401 - the family's
        config = self._config
        # dropout draws from a global generator: by the step, so that every process and every rerun draw the same
        with seeded(int(generator(self._seed, "dropout", step).integers(1 << 62)), self.processes.device):
            return step_loss(
                self._module,
                batch,
                self.family.ask,
                step / config.steps,
                config.confidence,
                config.diagnosis_weight,
                self.processes,
            )

    def _report(self, done: int, loss: StepLoss) -> None:
        config, terms = self._config, loss.terms
        if done % config.checkpoint_steps == 0 or done == config.steps:
            self._save(done)
        text = (
            f"loss {loss.value:.3f} = labels {terms.label:.3f}, confidence {terms.confidence:.3f}"
            f" (lambda {terms.weight:.2f}), diagnosis {loss.diagnosis:.3f}; levels right {loss.accuracy:.0%}"
        )
        self._progress(done, config.steps, text)

    def _save(self, done: int) -> None:
        """Write a checkpoint; every process takes part, for some may have to send what they hold."""
        state = {
            "step": done,
            "model": self._weights(),
            "average": None if self._average is None else self._average.state,
            **self.processes.state(self._module, self._steps, self._folder, done),
        }
        if self.processes.is_main:
            self._checkpoints.save(state)

    def _weights(self) -> dict[str, Tensor]:
        weights = self.processes.weights(self._module)
        return {name.removeprefix("model."): value for name, value in weights.items()}

    def result(self) -> nn.Module:
        """Return what was trained."""
        weights = self._weights() if self._average is None else self._average.state
        is_whole = not self.family.is_light and not self.processes.sharding
        model = self._model.cpu() if is_whole else self._fresh()
        load_changing(model, weights)
        return model.eval()


def _silent(step: int, steps: int, text: str) -> None:
    """Show nothing: what a process that is not the main one has for progress."""


@contextmanager
def _told(step: int, batches: Drawn[Any]) -> Iterator[None]:
    """Name the step and its batch where the student gives no numbers, or the memory of the GPU is full."""
    try:
        yield
    except ConfigError:
        raise  # of no one step
    except W2SVQAError as error:
        held = ", ".join(batches.names(step))
        raise W2SVQAError(f"step {step + 1}, whose batch held {held}: {error.problem}", remedy=error.remedy) from None
    except torch.OutOfMemoryError as error:
        held = ", ".join(batches.names(step))
        problem = f"the memory of the GPU is full at step {step + 1}, whose batch held {held}: {error}"
        raise W2SVQAError(problem, remedy=_MEMORY) from None


def _stop(name: str, value: float, step: int, batches: Drawn[Any]) -> NoReturn:
    """Stop before weights that are no numbers reach a checkpoint; all processes know the same value and stop."""
    raise W2SVQAError(
        f"the {name} of step {step + 1} is {value}; its batch held {', '.join(batches.names(step))}",
        remedy="lower train.learning_rate and start from the checkpoint",
    )


def _ahead(batches: Drawn[Any], steps: range) -> Iterator[tuple[int, Any]]:
    """Yield the batch of each step; the next one is made while the present one is trained on."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = [thread.submit(batches.at, step) for step in steps[:1]]
        for step in steps:
            batch = coming.pop().result()
            coming += [thread.submit(batches.at, later) for later in steps[step + 1 - steps.start :][:1]]
            yield step, batch


def rate_at(progress: float, warm_up: float) -> float:
    """Return the share of the learning rate at ``progress`` (0 to 1): linear up, then a cosine down to zero.

    Example:
        >>> rate_at(0.5, 0.5), round(rate_at(1.0, 0.5), 6)
        (1.0, 0.0)
    """
    if progress < warm_up:
        return progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
