"""student -> bundle: networks, anchors, scale and card in one folder, put in place all at once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from w2svqa import __version__
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.stages.calibrate import CalibrateConfig, Calibrated, Progress, calibrate
from w2svqa.students.bundle import load_bundle, write_anchors, write_card
from w2svqa.students.compact import CompactModel
from w2svqa.students.onnx_export import check_parity, export_onnx
from w2svqa.students.runtime import CompactStudent


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How a bundle is made.

    Attributes:
        calibrate: anchors and scale.
        description: one sentence for the card.
        weaknesses: what the student cannot do, for the card.
    """

    calibrate: CalibrateConfig = field(default_factory=CalibrateConfig)
    description: str = ""
    weaknesses: tuple[str, ...] = ()


def export(
    model: CompactModel,
    clips: Sequence[ClipRow],
    versions: Sequence[VersionRow],
    config: ExportConfig,
    target: Path,
    *,
    views_folder: Path,
    name: str,
    seed: int,
    facts: Mapping[str, object],
    progress: Progress,
) -> Calibrated:
    """Write the bundle of a trained student, and return what it was calibrated to.

    Args:
        model: in evaluation mode.
        clips: rows of the ingest stage.
        versions: rows of the distort stage.
        config: anchors, scale and texts.
        target: folder of the bundle; one that is there is replaced when the new one is complete.
        views_folder: of the distort stage.
        name: of the student.
        seed: for the calibration.
        facts: further entries of the card.
        progress: called as ``progress(done, total, text)``.

    Raises:
        BundleError: ONNX and PyTorch differ.
        ConfigError: the held-out splits have too few clips.
    """
    with new_bundle(model, target, name) as (scratch, student, difference):
        made = calibrate(student, versions, config.calibrate, views_folder=views_folder, seed=seed, progress=progress)
        write_anchors(scratch, made.tokens, made.preferences)
        write_card(scratch, _card(model, clips, config, made, name) | {"onnx_difference": difference} | dict(facts))
    return made


@contextmanager
def new_bundle(model: CompactModel, target: Path, name: str) -> Iterator[tuple[Path, CompactStudent, float]]:
    """Make a bundle's folder, to be completed in the block: anchors and, last, the card.

    After the block the bundle is loaded once and put in place; one that was there before stays until then.

    Args:
        model: in evaluation mode.
        target: folder of the bundle.
        name: of the student.

    Yields:
        The folder to complete, the student as it ships, and the largest difference of a logit to the model.

    Raises:
        BundleError: ONNX and PyTorch differ, or what was written is no bundle.
    """
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    scratch.mkdir(parents=True)
    try:
        export_onnx(model, scratch)
        student = CompactStudent(scratch, name=name, kinds=model.config.kinds, motion=model.config.motion)
        yield scratch, student, check_parity(model, student)
        load_bundle(scratch)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _card(
    model: CompactModel, clips: Sequence[ClipRow], config: ExportConfig, made: Calibrated, name: str
) -> dict[str, object]:
    by_id = {clip.clip_id: clip for clip in clips}
    return {
        "name": name,
        "student": "compact",
        "w2svqa": __version__,
        "description": config.description,
        "weaknesses": list(config.weaknesses),
        "kinds": list(model.config.kinds),
        "motion": model.config.motion,
        "diagnosis": asdict(made.diagnosis),
        "model": asdict(model.config),
        "scale": made.scale.to_dict(),
        "anchors": [
            {**_origin(by_id[row.clip_id]), "kind": row.kind, "level": row.level, "reason": reason}
            for row, reason in zip(made.anchors, made.reasons, strict=True)
        ],
        "coverage": {
            "target": "the score of the odd seconds of the same version, from its even seconds; contents not fitted on",
            **asdict(made.coverage),
        },
        "figures": made.figures,
        "data": {
            "splits": dict(sorted(Counter(clip.split for clip in clips).items())),
            "licenses": dict(sorted(Counter(clip.license for clip in clips).items())),
            "clips": [{**_origin(clip), "split": clip.split} for clip in clips],
        },
    }


def _origin(clip: ClipRow) -> dict[str, str]:
    return {"name": clip.name, "source": clip.source, "license": clip.license, "sha256_16": clip.clip_id}
