"""The figure in code: what the stages share, then stage after stage, until one brings no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from w2svqa.pipeline.quality import write_quality
from w2svqa.stages.stopping import Gain

from w2svqa.core.config import config_hash, load_config, to_mapping
from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.files import hold
from w2svqa.core.stage_rows import HeldBackRow
from w2svqa.pipeline.config import RunConfig
from w2svqa.pipeline.context import Progress, Run, claim
from w2svqa.pipeline.shared import make_material
from w2svqa.pipeline.student import publish
from w2svqa.stages.held_out import content_accuracy
from w2svqa.stages.label import teacher_versions
from w2svqa.teachers.ffmpeg import ffmpeg_with_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What came of a stage.

    Attributes:
        number: from 1.
        held_back: its student's scores of what is held back.
        gain: over the student that was the best so far; ``None`` for the first.
        better: it is the best so far.
        stop: no further stage is worth its time.
        reason: why; empty after the first.
    """

    number: int
    held_back: Sequence[HeldBackRow]
    gain: Gain | None = None
    better: bool = True
    stop: bool = False
    reason: str = ""


def run(
    config_path: StrPath,
    *,
    output: StrPath | None = None,
    workers: int = 1,
    processes: int = 1,
    launcher: str | None = None,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> Path:
    """Run the whole loop, or what is left of it, and return the folder of the new bundle.

    Killed at any moment, the same call goes on where it stopped: finished stages are skipped, a clip is distorted once,
    training resumes from its last checkpoint.

    Args:
        config_path: a YAML file with a :class:`RunConfig`.
        output: folder of the run; ``runs/NAME`` if not given.
        workers: processes for the stages distort, label and score.
        processes: that train side by side.
        launcher: command line that starts the training processes, such as ``torchrun --nproc-per-node 4``; ``None`` for
            Accelerate's, where there are several.
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
    if processes < 1:
        raise ConfigError(f"{processes} training processes", remedy="ask for 1 or more")
    config = load_config(config_path, RunConfig)
    folder = Path("runs") / config.name if output is None else Path(output)
    with hold(folder):
        claim(folder, config)
        _check_tools(config)
        record_start(folder, config_hash=config_hash(to_mapping(config)), seed=config.seed)
        return _stages(
            Run(
                config=config,
                folder=folder,
                workers=workers,
                processes=processes,
                launcher=launcher,
                progress=progress,
            )
        )


def _check_tools(config: RunConfig) -> None:
    """Find out now, not after hours of distorting, what the labels would lack."""
    teacher_versions(config.label)
    if config.distort.vmaf_frames:
        ffmpeg_with_filter("libvmaf")


def _stages(run: Run) -> Path:
    material = make_material(run)
    results = [_first_stage(run, material)]
    for number in range(2, run.config.later.stages + 2):
        results.append(_later_stage(run, material, number, results))
        run.tell("stage", number)(1, 1, results[-1].reason)
        if results[-1].stop:
            break
    best = [result.number for result in results if result.better][-1]
    write_quality(run, material, results)
    return publish(run, best)


def _first_stage(run: Run, material: Material) -> StageResult:
    make_first_pairs(run, material)
    return StageResult(number=1, held_back=make_student(run, material, 1, {}))


def _later_stage(run: Run, material: Material, number: int, results: Sequence[StageResult]) -> StageResult:
    make_next_pairs(run, material, number)
    held_back = make_student(run, material, number, {"stages": _told(results)})
    best = [result for result in results if result.better][-1]
    gain = held_back_gain(
        content_accuracy(best.held_back), content_accuracy(held_back), run.config.later.stop, seed=run.config.seed
    )
    decision = should_stop(gain, run.config.later.stop)
    return StageResult(
        number=number,
        held_back=held_back,
        gain=gain,
        better=gain.value > 0,
        stop=decision.stop,
        reason=f"stage {number} against stage {best.number}: {decision.reason}",
    )


def _told(results: Sequence[StageResult]) -> list[dict[str, object]]:
    """What a card says of the stages before."""
    return [
        {"stage": result.number, "gain": None if result.gain is None else asdict(result.gain), "reason": result.reason}
        for result in results
    ]
