"""The figure in code: what the stages share, then stage after stage, until one brings no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from w2svqa.core.config import load_config
from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.files import hold
from w2svqa.core.provenance import recorded
from w2svqa.core.stage_rows import HeldBackRow
from w2svqa.pipeline.config import RunConfig
from w2svqa.pipeline.context import Launch, Material, Progress, Run, claim
from w2svqa.pipeline.pairs import make_first_pairs, make_next_pairs
from w2svqa.pipeline.quality import write_quality
from w2svqa.pipeline.shared import make_material
from w2svqa.pipeline.student import make_student, publish
from w2svqa.stages.family_table import family_of
from w2svqa.stages.held_back import write_held_back
from w2svqa.stages.held_out import content_accuracy
from w2svqa.stages.kept_seconds import load_slowfast
from w2svqa.stages.label import teacher_versions
from w2svqa.stages.stopping import Decision, held_back_gain, should_stop, write_decision
from w2svqa.teachers.ffmpeg import ffmpeg_with_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What came of a stage.

    Attributes:
        number: from 1.
        held_back: its student's scores of what is held back.
        accuracy: how well it orders each content of that, 0 to 1.
        decision: its gain over the best student so far, and whether to go on; ``None`` for the first.
    """

    number: int
    held_back: Sequence[HeldBackRow]
    accuracy: Mapping[str, float]
    decision: Decision | None = None

    @property
    def better(self) -> bool:
        """Whether its student surely is the best so far; it is taken for that where nothing could be measured."""
        return self.decision is None or not self.decision.stop


def run(
    config_path: StrPath,
    *,
    output: StrPath | None = None,
    workers: int = 1,
    launch: Launch | None = None,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> Path:
    """Run the whole loop, or what is left of it, and return the folder of the new bundle.

    Killed at any moment, the same call goes on where it stopped: finished stages are skipped, a clip is distorted once,
    training resumes from its last checkpoint.

    Args:
        config_path: a YAML file with a :class:`RunConfig`.
        output: folder of the run; ``runs/NAME`` if not given.
        workers: processes for the stages distort, label and score.
        launch: how training is started; ``None`` for in this process.
        progress: called as things get done.

    Raises:
        ConfigError: the configuration is wrong, or the folder belongs to another one.
        StoreError: another process works in the folder, or something in it is damaged or cannot be written.
        InputError: the parameters of a teacher are missing or damaged.
        W2SVQAError: FFmpeg lacks the filter that measures VMAF, or the student cannot be trained or calibrated.
        MissingExtraError: the extra ``train`` is not installed.
    """
    for module in ("torch", "accelerate", "pyarrow", "safetensors", "onnxscript", "cv2", "scipy", "imageio_ffmpeg"):
        require(module, extra="train")
    launch = launch or Launch()
    if launch.processes < 1:
        raise ConfigError(f"{launch.processes} training processes", remedy="ask for 1 or more")
    config = load_config(config_path, RunConfig)
    folder = Path("runs") / config.name if output is None else Path(output)
    with hold(folder):
        claim(folder, config)
        _check_tools(config)
        with recorded(folder, config=config, seed=config.seed):
            return _stages(Run(config=config, folder=folder, workers=workers, launch=launch, progress=progress))


def _check_tools(config: RunConfig) -> None:
    """Find out now, not after hours of distorting, what labels and student would lack."""
    teacher_versions(config.label)
    family_of(config.train.model).check()
    if config.distort.frames is not None:
        load_slowfast(config.distort.frames.slowfast, config.distort.frames.span)
    if config.distort.vmaf_frames:
        ffmpeg_with_filter("libvmaf")


def _stages(run: Run) -> Path:
    material = make_material(run)
    make_first_pairs(run, material)
    results = [_measured(run, material, 1, {})]
    for number in range(2, run.config.later.stages + 2):
        if results[-1].decision is not None and results[-1].decision.stop and run.config.later.stop.enabled:
            break
        results.append(_later_stage(run, material, number, results))
    write_quality(run, material, [result.held_back for result in results])
    return publish(run, _best(results).number)


def _later_stage(run: Run, material: Material, number: int, results: Sequence[StageResult]) -> StageResult:
    make_next_pairs(run, material, number)
    made = _measured(run, material, number, {"stages": _told(results)})
    config, best = run.config.later.stop, _best(results)
    gain = held_back_gain(best.accuracy, made.accuracy, config, seed=run.config.seed)
    decision = should_stop(gain, config.minimum)
    write_decision(run.stage(number), decision)
    run.tell("gain", number)(1, 1, f"against stage {best.number}: {decision.reason}")
    return replace(made, decision=decision)


def _measured(run: Run, material: Material, number: int, facts: Mapping[str, object]) -> StageResult:
    """Make the student of a stage whose pairs are there, and keep how it does on what is held back."""
    held_back = make_student(run, material, number, facts)
    accuracy = content_accuracy(held_back)
    write_held_back(run.stage(number), "pairs in the right order", accuracy)
    return StageResult(number=number, held_back=held_back, accuracy=accuracy)


def _best(results: Sequence[StageResult]) -> StageResult:
    return [result for result in results if result.better][-1]


def _told(results: Sequence[StageResult]) -> list[dict[str, object]]:
    """What a card says of the stages before."""
    return [
        {"stage": result.number, "gain": asdict(result.decision.gain), "reason": result.decision.reason}
        for result in results
        if result.decision is not None
    ]
