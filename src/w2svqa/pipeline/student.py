"""pairs -> student of one stage: trained, exported as a bundle, and measured on contents that are held back."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from w2svqa.core.config import config_hash, to_mapping
from w2svqa.core.errors import BundleError, StoreError
from w2svqa.core.files import atomic_write, hold, sha256_file
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.core.stage_rows import HeldBackRow
from w2svqa.core.store import fingerprint, is_complete, read_artifact, write_artifact
from w2svqa.pipeline.config import RunConfig, training_of, without_folders
from w2svqa.pipeline.context import Material, Run, config_of, stage_folder
from w2svqa.stages.export import export
from w2svqa.stages.family_table import family_of
from w2svqa.stages.launch import launch_training, process_index
from w2svqa.stages.train import CHECKPOINT, log_records, train
from w2svqa.students.bundle import CARD, check_files, read_card

BUNDLE = "bundle"
HELD_BACK = "held_back"
PAIRS = "pairs"
TRAIN = "train"


def make_student(run: Run, material: Material, number: int, facts: Mapping[str, object]) -> list[HeldBackRow]:
    """Train and export the student of a stage whose pairs are there; return its scores of what is held back.

    Args:
        run: the run.
        material: what all stages share.
        number: of the stage, from 1.
        facts: further entries of the bundle's card.

    Raises:
        StoreError: the training was begun on other pairs, or something is damaged or cannot be written.
        W2SVQAError: the student cannot be trained or calibrated.
    """
    pairs = read_artifact(run.stage(number) / PAIRS, PairRow, kind="pairs").rows
    model = _trained(run, material, number, pairs)
    return _exported(run, material, number, model, {"pairs": shares(pairs), **facts})


def train_stage(folder: Path, stage: int, progress: Callable[[int, int, str], None] = lambda *_: None) -> nn.Module:
    """Train the student of one stage whose tables are in the folder of a run, or what is left of that training.

    Every process of a distributed training calls this; the one with rank 0 writes.

    Args:
        folder: of the run.
        stage: from 1.
        progress: called as ``progress(step, steps, text)``.

    Raises:
        StoreError: the folder is no run's, a table is missing, or another process trains there.
        W2SVQAError: the loss is not finite.
    """
    config = config_of(folder)
    versions = read_artifact(folder / "versions", VersionRow, kind="versions").rows
    pairs = read_artifact(stage_folder(folder, stage) / PAIRS, PairRow, kind="pairs").rows
    if process_index() > 0:
        return _train(config, folder, stage, versions, pairs, progress)
    with hold(stage_folder(folder, stage) / TRAIN):
        _bind(stage_folder(folder, stage) / TRAIN, pairs)
        return _train(config, folder, stage, versions, pairs, progress)


def publish(run: Run, number: int) -> Path:
    """Make the bundle of a stage that of the run, and return its folder."""
    target, made = run.folder / BUNDLE, run.stage(number) / BUNDLE
    if _card_hash(target) != sha256_file(made / CARD) or not _is_whole(target):
        scratch = target.with_name(f".{BUNDLE}.part")
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
        shutil.copytree(made, scratch)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    return target


def shares(pairs: Sequence[PairRow]) -> dict[str, int]:
    """Return how many pairs there are of each origin."""
    return dict(sorted(Counter(pair.origin for pair in pairs).items()))


def _trained(run: Run, material: Material, number: int, pairs: Sequence[PairRow]) -> nn.Module:
    folder = run.stage(number) / TRAIN
    tell = run.tell("train", number)
    with hold(folder):
        _bind(folder, pairs)
        if run.launch.here:
            return _train(run.config, run.folder, number, material.versions, pairs, tell)
    if not _is_trained(folder, training_of(run.config, number).steps):
        launch_training(
            run.folder,
            number,
            processes=run.launch.processes,
            launcher=run.launch.launcher,
            accelerate_config=run.launch.accelerate_config,
            progress=tell,
        )
    # nothing is left to do but to load the last checkpoint
    return _train(run.config, run.folder, number, material.versions, pairs, tell)


def _train(
    config: RunConfig,
    folder: Path,
    number: int,
    versions: Sequence[VersionRow],
    pairs: Sequence[PairRow],
    progress: Callable[[int, int, str], None],
) -> nn.Module:
    return train(
        versions,
        pairs,
        training_of(config, number),
        stage_folder(folder, number) / TRAIN,
        crops_folder=folder / "versions",
        kinds=config.distort.kinds,
        seed=config.seed,
        initial=_initial(config, folder, number),
        progress=progress,
    )


def _initial(config: RunConfig, folder: Path, number: int) -> Mapping[str, Tensor] | None:
    """The weights that a stage begins with: those of the stage before; ``None`` for fresh ones."""
    if number == 1 or config.later.anew:
        return None
    return family_of(config.train.model).weights(stage_folder(folder, number - 1) / BUNDLE)


def _bind(folder: Path, pairs: Sequence[PairRow]) -> None:
    """Write which pairs the folder trains on, or refuse one that was begun on others."""
    path, found = folder / "pairs.sha", config_hash([to_mapping(pair) for pair in pairs])
    if not path.exists():
        with atomic_write(path) as file:
            file.write(found.encode("ascii"))
    elif path.read_text(encoding="ascii", errors="replace") != found:
        raise StoreError(
            "the training was begun on other pairs than there are now", path=folder, remedy="delete this folder"
        )


def _exported(
    run: Run, material: Material, number: int, model: nn.Module, facts: Mapping[str, object]
) -> list[HeldBackRow]:
    """Export the bundle of a stage and keep its scores of what is held back, unless both are there."""
    folder, config, seed = run.stage(number), run.config.export, run.config.seed
    checkpoint = folder / TRAIN / CHECKPOINT
    inputs = {
        "clips": config_hash([to_mapping(row) for row in material.clips]),
        "versions": config_hash([row.version_id for row in material.versions]),
        "checkpoint": sha256_file(checkpoint) if checkpoint.exists() else "",  # none after 0 steps
    }
    made_of = fingerprint("bundle", config, inputs, seed=seed)
    tell = run.tell("export", number)
    held = fingerprint(HELD_BACK, config, {"bundle": made_of}, seed=seed)
    if _is_whole(folder / BUNDLE, made_of) and is_complete(folder / HELD_BACK, held):
        tell(1, 1, "was exported before")
        return read_artifact(folder / HELD_BACK, HeldBackRow, kind=HELD_BACK).rows
    made = export(
        model,
        material.clips,
        material.versions,
        config,
        folder / BUNDLE,
        views_folder=run.folder / "versions",
        name=run.config.name,
        seed=seed,
        facts={
            "made_of": made_of,
            "stage": number,
            "teachers": material.judged.facts if material.judged else {},
            "config": without_folders(run.config),
            **facts,
        },
        progress=tell,
        family=family_of(run.config.train.model),
        frames=run.config.distort.frames,
    )
    write_artifact(
        folder / HELD_BACK,
        made.held_back,
        HeldBackRow,
        kind=HELD_BACK,
        config=config,
        inputs={"bundle": made_of},
        seed=seed,
        extra={"figures": made.figures},
    )
    return list(made.held_back)


def _is_whole(folder: Path, made_of: str | None = None) -> bool:
    """Whether the folder holds an undamaged bundle, and of these inputs if they are given."""
    try:
        card = read_card(folder)
        check_files(folder, card)
    except BundleError:
        return False
    return made_of is None or card.get("made_of") == made_of


def _card_hash(folder: Path) -> str:
    path = folder / CARD
    return sha256_file(path) if path.exists() else ""


def _is_trained(folder: Path, steps: int) -> bool:
    """Whether the last checkpoint is that of the last step."""
    last = max((int(record["step"]) for record in log_records(folder)), default=0)
    return (folder / CHECKPOINT).exists() and last >= steps
