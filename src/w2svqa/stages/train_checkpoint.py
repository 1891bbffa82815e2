"""Checkpoints: two are kept, so that a damaged one costs the steps since the one before, not the training."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from w2svqa.core.errors import StoreError
from w2svqa.core.files import atomic_path

CHECKPOINT: Final = "checkpoint.pt"
BEFORE: Final = "checkpoint-before.pt"

State = dict[str, Any]

_DAMAGE = (
    AttributeError,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


class Checkpoints:
    """The newest checkpoint of a training and the one before.

    Args:
        folder: of the training.
    """

    def __init__(self, folder: Path) -> None:
        self._newest, self._before = folder / CHECKPOINT, folder / BEFORE
        self._is_newest_whole = self._newest.exists()

    def resume(self, apply: Callable[[State], int], tell: Callable[[str], None]) -> int:
        """Return the step to go on from: that of the newest checkpoint, or of the one before if it is damaged.

        Args:
            apply: takes a checkpoint and returns its step; whatever it raises for one that does not fit is damage.
            tell: is told that the newest checkpoint cannot be used.

        Raises:
            StoreError: there are checkpoints, but none can be used.
        """
        found = [path for path in (self._newest, self._before) if path.exists()]
        problems: list[str] = []
        for path in found:
            try:
                step = apply(_read(path))
            except _DAMAGE as error:
                problems.append(str(error) or type(error).__name__)
                continue
            self._is_newest_whole = path == self._newest
            if problems:
                tell(f"{self._newest.name} cannot be read ({problems[0]}): going on from the one before, step {step}")
            return step
        if found:
            raise StoreError(
                f"the checkpoint cannot be read: {problems[0]}", path=found[0], remedy="delete it to start again"
            )
        return 0

    def save(self, state: State) -> None:
        """Write a checkpoint; the newest becomes the one before, unless it is damaged.

        Raises:
            UnwritableError: the disk is full or fails; the checkpoints are as they were.
        """
        packed = io.BytesIO()  # torch reports a full disk by an error of its own
        torch.save(state, packed)
        with atomic_path(self._newest) as temporary:
            temporary.write_bytes(packed.getbuffer())
            if self._is_newest_whole:
                self._newest.replace(self._before)
        self._is_newest_whole = True


def _read(path: Path) -> State:
    """Read a checkpoint; PyTorch itself does not look at the checksums in the file."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} is damaged")
    state: State = torch.load(path, weights_only=True, map_location="cpu")
    return state
