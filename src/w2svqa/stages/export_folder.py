"""The student of a stage -> a folder of its own: copied out of a run, checked by hash before and after."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2svqa.core.errors import MissingInputError, StoreError
from w2svqa.stages.run_folder import BUNDLE, CONFIG
from w2svqa.students.bundle import CARD, check_files, read_card
from w2svqa.students.model_card import README


def export_student(run: Path, target: Path, *, stage: int | None = None) -> str:
    """Copy the bundle of a run's student to a folder of its own.

    Args:
        run: folder of the run.
        target: folder to write; it must be empty or not there.
        stage: whose student; ``None`` for the one that the run ended with.

    Returns:
        The student's name.

    Raises:
        MissingInputError: it is no folder of a run, or has no such student yet.
        BundleError: the bundle is damaged.
        StoreError: the target is not empty.
    """
    if not (run / CONFIG).is_file():
        raise MissingInputError("is no folder of a run", path=run, remedy="name the folder that `w2svqa run` wrote")
    source = run / BUNDLE if stage is None else run / f"stage-{stage}" / BUNDLE
    if not (source / CARD).is_file():
        raise MissingInputError(
            f"has no student {'at its end' if stage is None else f'of stage {stage}'}; {_there(run)}",
            path=run,
            remedy="let `w2svqa run` go on, or name a stage that is exported",
        )
    card = read_card(source)
    check_files(source, card)
    with new_folder(target) as scratch:
        # the card in words is not vouched for, and may have been taken away
        words = [README] if (source / README).is_file() else []
        for name in [*card["files"], *words, CARD]:
            shutil.copyfile(source / name, scratch / name)
        check_files(scratch, card)
    return str(card.get("name", ""))


def _there(run: Path) -> str:
    stages = sorted(path.parents[1].name for path in run.glob(f"stage-*/{BUNDLE}/{CARD}"))
    return f"there are those of {', '.join(stages)}" if stages else "no stage has one yet"


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside ``target``, which takes its place at the end, all or nothing.

    Raises:
        StoreError: the target is there and not empty.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError("is there, and no empty folder", path=target, remedy="name a new folder")
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    scratch.mkdir(parents=True)
    try:
        yield scratch
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
