"""rated videos -> what the student's last layers see of them, kept on disk: each video is decoded once.

```
FOLDER/
├── seen/STUDENT/CLIP.npy       statistics of each second of a video, float32 (S, F)
└── ladders/STUDENT/CLIP.npz    the same of its versions at every level of the simulators, averaged: float32 (V, F)
```

``STUDENT`` stands for the weights. Statistics are 5 kB a second where pictures were 400, and all that is trained
here lies behind them: see :meth:`w2svqa.students.compact.Encoder.statistics`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from w2svqa.core.config import config_hash, from_mapping
from w2svqa.core.errors import BundleError, ConfigError, StoreError, StrPath, UnwritableError
from w2svqa.core.executor import make_executor
from w2svqa.core.files import atomic_write, sha256_file
from w2svqa.distort import SIMULATORS
from w2svqa.stages.versions import Source, make_versions
from w2svqa.students.bundle import CARD, WEIGHTS, bundle_folder, check_files, read_card
from w2svqa.students.compact import CompactConfig, CompactModel
from w2svqa.students.views import MOTION_SPEC, make_motion, make_views
from w2svqa.video.decode import open_clip
from w2svqa.video.probe import probe

Vectors = NDArray[np.float32]
Progress = Callable[[int, int, str], None]

LADDER_SECONDS: Final = 1
"""Seconds of a video that its ladder is made of."""

_AT_ONCE: Final = 8  # seconds that go through the network together


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderVersions:
    """A video at the severities of the simulators.

    Attributes:
        kinds: of each version, ``V``.
        levels: of each, from 1 (mild).
        seen: mean statistics of each, float32 ``(V, F)``.
    """

    kinds: tuple[str, ...]
    levels: tuple[int, ...]
    seen: Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    clip: str
    path: str
    student: str
    digest: str
    target: Path
    kinds: tuple[str, ...] = ()
    seed: int = 0


def read_model(student: StrPath | None) -> CompactModel:
    """Return the PyTorch model of a compact student's bundle, in evaluation mode.

    Raises:
        BundleError: there is no such bundle, it is damaged, holds another kind of student, or has no weights.
    """
    folder = bundle_folder(student)
    card = read_card(folder)
    check_files(folder, card)
    if card.get("student") != "compact":
        raise BundleError(
            f"holds a student of kind {card.get('student')!r}", path=folder, remedy="fine-tune a compact student"
        )
    if WEIGHTS not in card["files"] or not isinstance(card.get("model"), dict):
        raise BundleError(f"has no {WEIGHTS} to train on", path=folder, remedy="export the bundle again")
    try:
        model = CompactModel(from_mapping(CompactConfig, card["model"]))
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (ConfigError, ValueError, RuntimeError, SafetensorError) as error:
        raise BundleError(f"its weights do not fit its card: {error}", path=folder, remedy="export it again") from None
    return model.eval()


def student_digest(student: StrPath | None) -> str:
    """Return 16 hex digits that stand for a bundle: its card holds the hashes of all other files."""
    return sha256_file(bundle_folder(student) / CARD)[:16]


def see_videos(
    paths: Mapping[str, str], student: str, folder: StrPath, *, workers: int = 1, progress: Progress
) -> tuple[dict[str, Vectors], dict[str, str]]:
    """Return the statistics of videos, from disk where they were seen before.

    Args:
        paths: files by clip id.
        student: name or folder of a compact bundle.
        folder: where they are kept.
        workers: processes.
        progress: called as ``progress(done, total, path)``.

    Returns:
        Per clip id float32 ``(S, F)``; and why others could not be decoded.

    Raises:
        StoreError: something cannot be written or read.
        BundleError: as :func:`read_model`.
    """
    digest = student_digest(student)
    place = Path(folder) / "seen" / digest
    items = [
        _Item(clip=clip, path=path, student=student, digest=digest, target=place / f"{clip}.npy")
        for clip, path in paths.items()
    ]
    failed = _make(_see, items, workers, progress)
    return {item.clip: _load(item.target) for item in items if item.clip not in failed}, failed


def see_ladders(
    paths: Mapping[str, str],
    student: str,
    folder: StrPath,
    *,
    kinds: Sequence[str],
    seed: int,
    workers: int = 1,
    progress: Progress,
) -> tuple[dict[str, LadderVersions], dict[str, str]]:
    """Return videos at every level of some simulators, from disk where they were made before.

    Args:
        paths: as for :func:`see_videos`, like all that follow.
        student: name or folder of a compact bundle.
        folder: where they are kept.
        kinds: names of simulators. Stills have no temporal kinds, and a level that changes nothing is left out, as is
            a video of which nothing is left.
        seed: of the simulators' random parts.
        workers: processes.
        progress: called as ``progress(done, total, path)``.

    Raises:
        StoreError: something cannot be written or read.
        BundleError: as :func:`read_model`.
    """
    digest, told = student_digest(student), tuple(kinds)
    place = Path(folder) / "ladders" / f"{digest}-{config_hash({'kinds': told, 'seed': seed})[:8]}"
    items = [
        _Item(
            clip=clip,
            path=path,
            student=student,
            digest=digest,
            target=place / f"{clip}.npz",
            kinds=told,
            seed=seed,
        )
        for clip, path in paths.items()
    ]
    failed = _make(_see_ladder, items, workers, progress)
    found = {item.clip: _load_ladder(item.target) for item in items if item.clip not in failed}
    return {clip: ladder for clip, ladder in found.items() if ladder.levels}, failed


def _make(work: Callable[[_Item], str], items: Sequence[_Item], workers: int, progress: Progress) -> dict[str, str]:
    """Do what is missing; return why items failed, by clip id."""
    missing = [item for item in items if not item.target.exists()]
    failed: dict[str, str] = {}
    outcomes = make_executor(workers).map(work, missing, key=lambda item: item.path)
    for done, outcome in enumerate(outcomes, start=len(items) - len(missing) + 1):
        if isinstance(outcome.error, UnwritableError):
            raise outcome.error
        if outcome.error is not None:
            failed[missing[outcome.index].clip] = str(outcome.error)
        progress(done, len(items), outcome.key)
    return failed


def _see(item: _Item) -> str:
    model = _model(item.student, item.digest)
    parts: list[Vectors] = []
    with open_clip(item.path, MOTION_SPEC) as clip:
        chunks = clip.chunks()
        while seconds := [(chunk.key_frame, chunk.motion) for chunk in islice(chunks, _AT_ONCE)]:
            parts.append(statistics_of(model, seconds))
    item.target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(item.target) as file:
        np.save(file, np.concatenate(parts))
    return item.clip


def _see_ladder(item: _Item) -> str:
    model = _model(item.student, item.digest)
    source = Source(path=item.path, is_still=probe(item.path).is_still, seconds=LADDER_SECONDS)
    simulators = [SIMULATORS[kind] for kind in item.kinds]
    kinds, levels, seen = list[str](), list[int](), list[Vectors]()
    # a kind that cannot be applied to this file, such as an encoder to tiny pictures, is left out of its ladder
    problems: list[tuple[str, str]] = []
    for version in make_versions(source, simulators, seed=item.seed, problems=problems):
        if version.kind != "none":
            seconds = list(zip(version.key_frames, version.motion, strict=True))
            seen.append(statistics_of(model, seconds).mean(axis=0))
            kinds.append(version.kind)
            levels.append(version.level)
    item.target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(item.target) as file:
        np.savez(file, kinds=np.array(kinds, np.str_), levels=np.array(levels, np.int64), seen=np.array(seen))
    return item.clip


def statistics_of(model: CompactModel, seconds: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Vectors:
    """Return the statistics of seconds, float32 ``(S, F)``.

    Args:
        model: in evaluation mode.
        seconds: key frame, uint8 ``(height, width, 3)``, and motion frames, uint8 ``(T, 32, 32)``, of each.
    """
    views, tracks, counts = [], [], []
    for frame, motion in seconds:
        track, count = make_motion(motion)
        views.append(make_views(frame))
        tracks.append(track)
        counts.append(count)
    with torch.inference_mode():
        found: Vectors = model.encoder.statistics(
            torch.from_numpy(np.stack(views)), torch.from_numpy(np.stack(tracks)), torch.tensor(counts)
        ).numpy()
    return found


def _load(path: Path) -> Vectors:
    try:
        found: Vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"cannot be read: {error}", path=path, remedy="delete it and run the command again") from None
    return found


def _load_ladder(path: Path) -> LadderVersions:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            kinds, levels, seen = (arrays[name] for name in ("kinds", "levels", "seen"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"cannot be read: {error}", path=path, remedy="delete it and run the command again") from None
    return LadderVersions(kinds=tuple(kinds.tolist()), levels=tuple(levels.tolist()), seen=seen)


@lru_cache(maxsize=1)
def _model(student: str, digest: str) -> CompactModel:
    """The student, loaded once per process."""
    del digest  # a part of the key
    return read_model(student)
