"""What a training leaves behind: one line of JSON per record, and the same for trackers such as TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from w2svqa.core.errors import ConfigError, UnwritableError
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_write

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

    from w2svqa.stages.train_step import StepLoss

LOG: Final = "log.jsonl"
TENSORBOARD: Final = "tensorboard"
"""Name of the tracker and of its folder."""

Record = dict[str, float]


def log_records(folder: Path) -> Iterator[Record]:
    """Yield the records of a training log, oldest first; none if there is no log, and no torn last one."""
    path = folder / LOG
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


class TrainLog:
    """The log and the trackers of a training, open while entered; in the main process alone they write.

    Args:
        folder: of the training.
        trackers: names, see :func:`make_trackers`.
        accelerator: what logs to them.
        start: steps that are done. Later records are left from a process that was killed before the next checkpoint:
            they are taken out, for they will be written again.
    """

    def __init__(self, folder: Path, trackers: Sequence[str], accelerator: Accelerator, *, start: int) -> None:
        from accelerate.tracking import filter_trackers

        self._path = folder / LOG
        self._accelerator = accelerator
        records = [record for record in log_records(folder) if record["step"] <= start]
        if accelerator.is_main_process and self._path.exists():  # a torn last line goes as well
            with atomic_write(self._path) as file:
                file.writelines(_line(record).encode() for record in records)
        accelerator.log_with = filter_trackers(make_trackers(trackers, folder, start=start), folder)
        accelerator.init_trackers("w2svqa")

    def write(self, done: int, loss: StepLoss, rate: float, length: float | None) -> None:
        """Write the record of a step.

        Args:
            done: steps that are done.
            loss: of the step.
            rate: of learning.
            length: of the gradient before it was clipped, if known.

        Raises:
            UnwritableError: the disk is full or fails.
        """
        record = _record(done, loss, rate) | ({} if length is None else {"gradient_norm": length})
        if self._accelerator.is_main_process:
            self._append(record)
        self._accelerator.log(_grouped(record), step=done)

    def _append(self, record: Record) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as log:
                log.write(_line(record))
        except OSError as error:
            raise UnwritableError(
                f"cannot be written: {error.strerror}", path=self._path, remedy="free some space and start again"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # the trackers alone: the processes stay joined
        for tracker in self._accelerator.trackers:
            tracker.finish()


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _record(done: int, loss: StepLoss, rate: float) -> Record:
    return {
        "step": done,
        "loss": loss.value,
        "label": loss.terms.label,
        "confidence": loss.terms.confidence,
        "diagnosis": loss.diagnosis,
        "lambda": loss.terms.weight,
        "temperature": loss.terms.temperature,
        "accuracy": loss.accuracy,
        "learning_rate": rate,
    }


def _grouped(record: Record) -> Record:
    """The names under which trackers show a record: losses in one group, the rest in another."""
    losses = ("loss", "label", "confidence", "diagnosis")
    return {f"{'loss' if name in losses else 'train'}/{name}": record[name] for name in record if name != "step"}


def make_trackers(names: Sequence[str], folder: Path, *, start: int) -> list[str | GeneralTracker]:
    """Return what Accelerate is to log with.

    Args:
        names: ``"tensorboard"``, which writes into ``folder``, or any other that Accelerate knows.
        folder: of the training.
        start: steps that are done; TensorBoard hides what an earlier process logged of later ones.

    Raises:
        ConfigError: Accelerate does not know a name, or its package is not installed.
        MissingExtraError: TensorBoard is not installed.
    """
    from accelerate.tracking import TensorBoardTracker, get_available_trackers
    from accelerate.utils import LoggerType

    trackers: list[str | GeneralTracker] = []
    known = sorted(str(each) for each in LoggerType if each != LoggerType.ALL)
    for name in names:
        if name == TENSORBOARD:
            require("tensorboard", extra="train")
            purge = {"purge_step": start + 1} if start else {}
            trackers.append(TensorBoardTracker(TENSORBOARD, folder, **purge))
        elif name not in known:
            raise ConfigError(f"unknown tracker {name!r} in train.trackers", remedy=f"one of {', '.join(known)}")
        elif name not in map(str, get_available_trackers()):
            raise ConfigError(f"the package of the tracker {name!r} is not installed", remedy=f"pip install {name}")
        else:
            trackers.append(name)
    return trackers
