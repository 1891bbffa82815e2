"""student + videos of a pool -> tokens on disk: each video is decoded once, however many pairs it is in.

```
FOLDER/
└── 3f2a.../            the student's version
    └── CLIP.npy        its tokens of one video, float32 (seconds, ...)
```

A rerun encodes what is missing. Only the tokens of a few hundred videos are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StoreError, StrPath, UnwritableError
from w2svqa.core.executor import make_executor
from w2svqa.core.files import atomic_write, sha256_file
from w2svqa.core.records import Tokens
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.soft import judge_both
from w2svqa.stages.score import Scorer
from w2svqa.students.bundle import CARD, bundle_folder
from w2svqa.teachers.calibration import LEAST_VARIANCE

Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]

_BLOCK: Final = 512
"""Pairs, or videos, whose tokens are in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    path: str
    student: str
    digest: str
    target: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Videos that a student has encoded.

    Attributes:
        judge: the student with its anchors and scale.
        folder: of the tokens.
        failed: why videos could not be encoded, by clip id.
    """

    judge: AnchoredJudge
    folder: Path
    failed: Mapping[str, str]

    def compare(self, first: Sequence[str], second: Sequence[str]) -> Floats:
        """Return the level probabilities of pairs, float64 ``(n, 5)``, of the second relative to the first.

        Args:
            first: clip ids.
            second: as many.
        """
        blocks = [np.empty((0, 5))]
        for start in range(0, len(first), _BLOCK):
            pairs = (first[start : start + _BLOCK], second[start : start + _BLOCK])
            tokens = {clip: self._tokens(clip) for clips in pairs for clip in clips}
            left, right = ([tokens[clip] for clip in clips] for clips in pairs)
            blocks.append(judge_both(self.judge.student, left, right, self.judge.scale.temperature))
        return np.concatenate(blocks)

    def place(self, clips: Sequence[str]) -> tuple[Floats, Floats]:
        """Return the scores of videos before clipping, and the variance of each in squared points, float64 ``(n,)``.

        The variance is that of the posterior, at least a squared point as for the labels of teachers.
        """
        scale = self.judge.scale
        unit = 100 / (scale.latent_hundred - scale.latent_zero)
        raw, variance = np.empty(len(clips)), np.empty(len(clips))
        for start in range(0, len(clips), _BLOCK):
            piece = slice(start, start + _BLOCK)
            placed = self.judge.place([self._tokens(clip) for clip in clips[piece]])
            raw[piece] = (placed.latent - scale.latent_zero) * unit
            variance[piece] = np.maximum((placed.deviation * unit) ** 2, LEAST_VARIANCE)
        return raw, variance

    def _tokens(self, clip: str) -> Tokens:
        path = self.folder / f"{clip}.npy"
        try:
            tokens: Tokens = np.load(path)
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"no readable tokens: {error}", path=path, remedy="delete it and mine again") from None
        return tokens


def watch(
    paths: Mapping[str, str],
    student: str,
    folder: StrPath,
    *,
    workers: int = 1,
    progress: Progress = lambda done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> Watched:
    """Let a student encode videos, as far as that is still to do.

    Args:
        paths: files by clip id.
        student: name of a shipped bundle, or a bundle's folder.
        folder: where tokens of all students are kept.
        workers: processes that encode side by side.
        progress: called as ``progress(done, total, path)``.

    Raises:
        BundleError: the student cannot be loaded.
        StoreError: tokens cannot be written.
    """
    digest = sha256_file(bundle_folder(student) / CARD)  # the card holds the hashes of all other files
    place = Path(folder) / digest[:16]
    items = {
        clip: _Item(path=path, student=student, digest=digest, target=place / f"{clip}.npy")
        for clip, path in paths.items()
    }
    missing = [clip for clip, item in items.items() if not item.target.exists()]
    failed: dict[str, str] = {}
    outcomes = make_executor(workers).map(_encode, [items[clip] for clip in missing], key=lambda item: item.path)
    for done, outcome in enumerate(outcomes, start=len(items) - len(missing) + 1):
        if isinstance(outcome.error, UnwritableError):
            raise outcome.error
        if outcome.error is not None:
            failed[missing[outcome.index]] = str(outcome.error)
        progress(done, len(items), outcome.key)
    return Watched(judge=_scorer(student, digest).judge, folder=place, failed=failed)


def _encode(item: _Item) -> str:
    tokens = _scorer(item.student, item.digest).encode(item.path)
    item.target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(item.target) as file:
        np.save(file, tokens)
    return item.path


@lru_cache(maxsize=1)
def _scorer(student: str, digest: str) -> Scorer:
    """The student, loaded once per process."""
    del digest  # a part of the key
    return Scorer.load(student)
