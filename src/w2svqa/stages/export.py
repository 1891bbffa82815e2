"""student -> bundle: networks, anchors, scale and card in one folder, put in place all at once; any kind of student."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from w2svqa import __version__
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.stages.calibrate import CalibrateConfig, Calibrated, Progress, calibrate
from w2svqa.stages.families import Family
from w2svqa.stages.family_table import family_of
from w2svqa.stages.kept_seconds import FramesConfig
from w2svqa.stages.token_files import on_disk
from w2svqa.stages.train_model import ModelConfig
from w2svqa.students.bundle import CARD, load_bundle


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
    model: nn.Module,
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
    family: Family[Any] | None = None,
    frames: FramesConfig | None = None,
) -> Calibrated:
    """Write the bundle of a trained student, and return what it was calibrated to.

    Args:
        model: in evaluation mode. A strong one is no longer of use for training.
        clips: rows of the ingest stage.
        versions: rows of the distort stage.
        config: anchors, scale and texts.
        target: folder of the bundle; one that is there is replaced when the new one is complete.
        views_folder: of the distort stage.
        name: of the student.
        seed: for the calibration.
        facts: further entries of the card.
        progress: called as ``progress(done, total, text)``.
        family: of the student; ``None`` for the compact one.
        frames: what the distort stage kept, for a student that looks at it.

    Raises:
        BundleError: ONNX and PyTorch differ.
        ConfigError: the held-out splits have too few clips.
    """
    family = family or family_of(ModelConfig())
    with new_bundle(target) as scratch:
        shipped = family.ship(model, scratch, name=name, seed=seed, frames=frames)
        held_out = [row for row in versions if row.split != "train"]
        encode = family.encoder(shipped.student, views_folder)
        with on_disk(encode, held_out, scratch.parent) if family.sees_seconds else nullcontext(encode) as encoded:
            made = calibrate(shipped.student, held_out, config.calibrate, encode=encoded, seed=seed, progress=progress)
            made = replace(made, tokens=tuple(np.array(anchor) for anchor in made.tokens))
        card = _card(clips, config, made, name) | dict(facts)
        family.finish(shipped, scratch, anchors=made.tokens, preferences=made.preferences, card=card)
        del shipped  # or the check of the bundle would need room for two
    return made


@contextmanager
def new_bundle(target: Path) -> Iterator[Path]:
    """Make a bundle's folder, to be completed in the block: networks, anchors and, last, the card.

    After the block the bundle is loaded once and put in place; one that was there before stays until then.

    Args:
        target: folder of the bundle.

    Yields:
        The folder to complete, empty.

    Raises:
        BundleError: what was written is no bundle.
    """
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    scratch.mkdir(parents=True)
    try:
        yield scratch
        _share(scratch)
        load_bundle(scratch)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _share(folder: Path) -> None:
    """Give all files the rights of the card: safetensors writes files that nobody else may read."""
    rights = (folder / CARD).stat().st_mode
    for path in folder.iterdir():
        path.chmod(rights)


def _card(clips: Sequence[ClipRow], config: ExportConfig, made: Calibrated, name: str) -> dict[str, object]:
    by_id = {clip.clip_id: clip for clip in clips}
    diagnosis = {} if made.diagnosis is None else {"diagnosis": asdict(made.diagnosis)}
    return {
        "name": name,
        "w2svqa": __version__,
        "description": config.description,
        "weaknesses": list(config.weaknesses),
        **diagnosis,
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
