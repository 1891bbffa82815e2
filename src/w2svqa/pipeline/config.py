"""The configuration of a run: one entry per arrow of the flow, and what later stages do otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from w2svqa.core.config import to_mapping
from w2svqa.stages.distort import DistortConfig
from w2svqa.stages.export import ExportConfig
from w2svqa.stages.ingest import IngestConfig
from w2svqa.stages.label import LabelConfig
from w2svqa.stages.next_pairs import NextPairsConfig
from w2svqa.stages.pair import PairConfig
from w2svqa.stages.stopping import StopConfig
from w2svqa.stages.train import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterConfig:
    """The stages after the first, in which the student of the stage before is the teacher.

    Attributes:
        stages: how many; 0 ends the run with the first. The paper has 2.
        pairs: which pairs are added, and how they are labelled.
        steps: of training in each; ``None`` for as many as in the first.
        learning_rate: at its highest; ``None`` for that of the first.
        anew: train from fresh weights on all pairs, instead of going on from the student of the stage before.
        stop: when no further stage is begun.
    """

    stages: int = 0
    pairs: NextPairsConfig = field(default_factory=NextPairsConfig)
    steps: int | None = None
    learning_rate: float | None = None
    anew: bool = False
    stop: StopConfig = field(default_factory=StopConfig)

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: a negative number of stages or steps, or a learning rate that is not above 0.
        """
        if self.stages < 0 or (self.steps is not None and self.steps < 0):
            raise ValueError(f"stages and steps must be 0 or more: {self.stages}, {self.steps}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A whole run.

    Attributes:
        name: of the run and of the student it makes.
        seed: fixes every random choice.
        ingest: which videos.
        distort: which distortions.
        label: which weak teachers.
        pair: which pairs the first stage learns from.
        train: how the student is trained.
        export: how anchors and scale are chosen.
        later: what the stages after the first do.
    """

    name: str
    seed: int = 0
    ingest: IngestConfig = field(default_factory=IngestConfig)
    distort: DistortConfig = field(default_factory=DistortConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    pair: PairConfig = field(default_factory=PairConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    later: LaterConfig = field(default_factory=LaterConfig)


def training_of(config: RunConfig, stage: int) -> TrainConfig:
    """Return how the student of a stage, from 1, is trained."""
    later, train = config.later, config.train
    if stage == 1:
        return train
    steps = train.steps if later.steps is None else later.steps
    rate = train.learning_rate if later.learning_rate is None else later.learning_rate
    return replace(train, steps=steps, learning_rate=rate)


def without_folders(config: RunConfig) -> dict[str, object]:
    """Return the configuration as a card shows it: file names, but not where they are on this machine."""
    sources = tuple(
        replace(source, folder=Path(source.folder).name, manifest=Path(source.manifest).name)
        for source in config.ingest.sources
    )
    teachers = tuple(
        replace(teacher, parameters=teacher.parameters and Path(teacher.parameters).name)
        for teacher in config.label.teachers
    )
    ingest, label = replace(config.ingest, sources=sources), replace(config.label, teachers=teachers)
    return to_mapping(replace(config, ingest=ingest, label=label))
