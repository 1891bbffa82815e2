"""What every part of a run needs to know: its configuration, its folder, and how to say what goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from w2svqa.core.config import difference, from_mapping, to_mapping
from w2svqa.core.errors import ConfigError, StoreError, printable
from w2svqa.core.files import atomic_write
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.pipeline.config import RunConfig
from w2svqa.stages.label import Judged

CONFIG = "run.json"
"""File of a run's folder with its effective configuration."""

Progress = Callable[[str, int, int, str], None]
"""Called as ``progress(stage, done, total, text)``."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How training is started.

    Attributes:
        processes: that share every batch.
        launcher: command line that starts them, such as ``torchrun --nproc-per-node 4``; ``None`` for torchrun here.
        accelerate_config: a configuration for Accelerate's launcher instead, such as FSDP's.
    """

    processes: int = 1
    launcher: str | None = None
    accelerate_config: Path | None = None

    @property
    def here(self) -> bool:
        """Whether this process trains by itself."""
        return self.processes == 1 and self.launcher is None and self.accelerate_config is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run under way.

    Attributes:
        config: the effective configuration.
        folder: of the run.
        workers: processes for distorting, labelling and scoring.
        launch: how training is started.
        progress: is told what goes on.
    """

    config: RunConfig
    folder: Path
    workers: int
    launch: Launch
    progress: Progress

    def stage(self, number: int) -> Path:
        """Return the folder of a stage, from 1."""
        return stage_folder(self.folder, number)

    def tell(self, verb: str, number: int) -> Callable[[int, int, str], None]:
        """Return the progress of a part of a stage; those of later stages carry its number."""
        name = verb if number == 1 else f"{verb} {number}"
        return lambda done, total, text: self.progress(name, done, total, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The tables that all stages share.

    Attributes:
        clips: the sources.
        versions: their versions at every severity.
        judged: what the weak teachers say; ``None`` without teachers.
    """

    clips: Sequence[ClipRow]
    versions: Sequence[VersionRow]
    judged: Judged | None


def stage_folder(folder: Path, number: int) -> Path:
    """Return the folder of a stage, from 1, in the folder of a run."""
    return folder / f"stage-{number}"


def claim(folder: Path, config: RunConfig) -> None:
    """Write the effective configuration, or refuse a folder that has another.

    Raises:
        ConfigError: the folder belongs to a run with another configuration; the message has the differences.
        StoreError: its configuration is damaged, or cannot be written.
    """
    path = folder / CONFIG
    if path.exists():
        try:
            lines = difference(json.loads(path.read_text(encoding="utf-8")), to_mapping(config))
        except ValueError as error:
            raise StoreError(f"is damaged: {error}", path=path, remedy="delete it to go on") from None
        if lines:
            raise ConfigError(
                f"the run was started with another configuration: {'; '.join(lines)}",
                path=folder,
                remedy="choose another --output, or delete this folder",
            )
    with atomic_write(path) as file:
        file.write(json.dumps(to_mapping(config), indent=1).encode())


def config_of(folder: Path) -> RunConfig:
    """Return the configuration of a run that was started.

    Raises:
        StoreError: the folder is no run's, or its configuration is damaged.
        ConfigError: its configuration is from another version.
    """
    path = folder / CONFIG
    try:
        return from_mapping(RunConfig, json.loads(path.read_text(encoding="utf-8")), where=path)
    except FileNotFoundError:
        raise StoreError(f"is no run: it has no {CONFIG}", path=folder, remedy="start `w2svqa run` first") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot be read: {error}", path=path, remedy="start the run again") from None


def tell_failed(run: Run, stage: str, total: int, failed: Mapping[str, object]) -> None:
    """Say what was left out: a pool that shrinks without a word is a pool nobody knows."""
    for name, reason in failed.items():
        run.progress(stage, total, total, f"left out {name}: {str(reason).removeprefix(f'{printable(name)}: ')}")


def plain(value: object, kind: type[_Kind]) -> _Kind:
    """Return a value of a journal, which must be of ``kind``.

    Raises:
        StoreError: it is not.
    """
    if not isinstance(value, kind):
        raise StoreError(f"the journal holds {value!r}, no {kind.__name__}", remedy="delete this stage's folder")
    return value
