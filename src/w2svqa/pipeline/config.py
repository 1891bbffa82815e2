"""The configuration of a run: one entry per arrow of the flow, and what later stages do otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from w2svqa.core.config import to_mapping
from w2svqa.core.errors import ConfigError
from w2svqa.stages.distort import DistortConfig
from w2svqa.stages.export import ExportConfig
from w2svqa.stages.family_table import StudentConfig
from w2svqa.stages.ingest import IngestConfig
from w2svqa.stages.kept_seconds import MOTION_SIDE, FramesConfig
from w2svqa.stages.label import LabelConfig
from w2svqa.stages.next_pairs import NextPairsConfig
from w2svqa.stages.pair import PairConfig
from w2svqa.stages.stopping import StopConfig
from w2svqa.stages.train import TrainConfig
from w2svqa.stages.train_model import ModelConfig
from w2svqa.stages.train_strong import LlavaTraining, TowerTraining


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

    def __post_init__(self) -> None:
        """Reject a student that cannot look at what the distort stage keeps.

        Raises:
            ConfigError: it needs whole frames and none are kept, the other way round, or they are of another kind.
        """
        check_frames(self.train.model, self.distort.frames)


def check_frames(model: StudentConfig, frames: FramesConfig | None) -> None:
    """Reject a student that cannot look at what the distort stage keeps.

    Raises:
        ConfigError: as :class:`RunConfig`.
    """
    if isinstance(model, ModelConfig):
        if frames is not None:
            raise ConfigError(
                "distort.frames is for students with a vision tower", remedy="leave it out, or set train.model.kind"
            )
        return
    if frames is None:
        raise ConfigError(
            f"a {model.kind} student needs distort.frames, which says whose motion features it sees",
            remedy="add distort: {frames: {slowfast: SLOWFAST_8x8_R50.pyth}}",
        )
    if isinstance(model, LlavaTraining):
        wanted = {"side": model.network.frame_side, "span": model.network.motion_span, "motion_side": MOTION_SIDE}
        for name, value in wanted.items():
            if getattr(frames, name) != value:
                raise ConfigError(
                    f"distort.frames.{name} is {getattr(frames, name)}, and the student looks at {value}",
                    remedy=f"set it to {value}, or change train.model.network",
                )


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
    distort, train = config.distort, config.train
    if distort.frames is not None:
        distort = replace(distort, frames=replace(distort.frames, slowfast=_bare(distort.frames.slowfast)))
    if not isinstance(train.model, ModelConfig):
        train = replace(train, model=_without_folder(train.model))
    return to_mapping(replace(config, ingest=ingest, label=label, distort=distort, train=train))


def _without_folder(model: TowerTraining | LlavaTraining) -> TowerTraining | LlavaTraining:
    if isinstance(model, TowerTraining):
        return replace(model, checkpoint=_bare(model.checkpoint))
    return replace(model, checkpoint=_bare(model.checkpoint))


def _bare(source: str) -> str:
    """The name of a file or folder on this machine; a name on a hub as it is."""
    return Path(source).name if Path(source).exists() else source
