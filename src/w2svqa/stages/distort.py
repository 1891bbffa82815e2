"""clips -> severities: every clip at every level of every simulator, as the student will see it.

Of a training clip the crop cache keeps the untouched pictures and what only an encoder can make; spatial and temporal
kinds are applied while training. Of a held-out clip (anchor, calibration) every version is kept as scoring sees it.
Clips are independent: they are made in parallel, and a rerun makes only those that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2svqa.core.random import generator
from w2svqa.core.rows import ClipRow, VersionRow
from w2svqa.distort import SIMULATORS, Simulator
from w2svqa.stages.kept_seconds import FOLDER as SECONDS
from w2svqa.stages.kept_seconds import FramesConfig, keep_seconds
from w2svqa.stages.versions import Source, Version, make_versions, version_row
from w2svqa.students.crops import MARGIN, Crops, Rendition, write_crops
from w2svqa.students.looks import look_at, save_looks
from w2svqa.students.views import VIEWS, make_details, make_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class DistortConfig:
    """Which distortions, and how much of each clip.

    Attributes:
        kinds: names of simulators.
        first_seconds: a training clip gives one second, drawn from its first so many.
        codec_details: detail crops kept of each encoded version of a moving primary, of the six that scoring looks at
            and that are kept of the untouched clip; of other training clips one fewer.
        codecs_per_clip: how many codecs a photograph, or a training clip that is no primary, is encoded with; moving
            primaries take all.
        vmaf_frames: frames on which VMAF is measured for the versions of training primaries; 0 not to measure it.
        held_out_seconds: seconds per anchor or calibration clip; even, because the interval is fitted on halves.
        frames: what is kept for a student with a vision tower; ``None`` for the compact student, to whom alone
            ``first_seconds`` and ``codec_details`` matter.
    """

    kinds: tuple[str, ...] = tuple(SIMULATORS)
    first_seconds: int = 2
    codec_details: int = 3
    codecs_per_clip: int = 1
    vmaf_frames: int = 12
    held_out_seconds: int = 4
    frames: FramesConfig | None = None

    def __post_init__(self) -> None:
        """Reject kinds that training does not distort with, and counts that cannot be.

        Raises:
            ValueError: an unknown kind or one that comes twice, no second, no details, more details than there are, or
                a negative count.
        """
        if unknown := sorted(set(self.kinds) - set(SIMULATORS)):
            raise ValueError(f"kinds {', '.join(unknown)} must be of {', '.join(SIMULATORS)}")
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds must be different, not {', '.join(self.kinds)}")
        if not 1 <= self.codec_details < VIEWS:
            raise ValueError(f"codec_details {self.codec_details} must be 1 to {VIEWS - 1}")
        if self.first_seconds < 1 or self.held_out_seconds < 1:
            raise ValueError("first_seconds and held_out_seconds must be at least 1")
        if self.codecs_per_clip < 0 or self.vmaf_frames < 0:
            raise ValueError(f"codecs and frames must be 0 or more, not {self.codecs_per_clip} and {self.vmaf_frames}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distorted:
    """What became of a clip.

    Attributes:
        rows: one per version, the untouched clip first.
        problems: kinds that could not be made, or not at every level, and why.
    """

    rows: tuple[VersionRow, ...]
    problems: tuple[tuple[str, str], ...] = ()


def distort_clip(clip: ClipRow, config: DistortConfig, folder: Path, *, seed: int) -> Distorted:
    """Make all versions of a clip and write what the student sees of them below ``folder``.

    Args:
        clip: the source.
        config: kinds and amounts.
        folder: of the stage; crops go to ``crops/<clip id>.npz``, views of held-out clips to ``views/<clip id>.*.npy``;
            with ``config.frames``, all goes to ``seconds/<clip id>.npz``.
        seed: fixes all that is drawn.

    Returns:
        the versions. Rows of spatial and temporal kinds of training clips are not ``stored``: they are listed because
        they differ from the next milder level. A kind that the clip is too small for is left out, and named.

    Raises:
        InputError: the clip cannot be decoded.
        StoreError: the pictures cannot be written.
        W2SVQAError: FFmpeg fails to measure VMAF.
    """
    if config.frames is not None:
        return _kept_seconds(clip, config, config.frames, folder, seed)
    work = _training_versions if clip.split == "train" else _held_out_versions
    return work(clip, config, folder, seed)


def _kept_seconds(clip: ClipRow, config: DistortConfig, frames: FramesConfig, folder: Path, seed: int) -> Distorted:
    is_training = clip.split == "train"
    source = Source(
        path=clip.path,
        is_still=clip.is_still,
        seconds=frames.seconds if is_training else config.held_out_seconds,
        vmaf_frames=config.vmaf_frames if clip.primary and is_training else 0,
        spec=frames.spec,
    )
    simulators = [SIMULATORS[kind] for kind in config.kinds]
    if is_training:
        simulators = _simulators(clip, config, generator(seed, "crops", clip.clip_id))
    problems: list[tuple[str, str]] = []
    versions = make_versions(source, simulators, seed=_seed_of(clip, seed), problems=problems)
    return Distorted(rows=keep_seconds(clip, versions, frames, folder), problems=tuple(problems))


def _training_versions(clip: ClipRow, config: DistortConfig, folder: Path, seed: int) -> Distorted:
    random = generator(seed, "crops", clip.clip_id)
    length = 1 if clip.is_still else max(1, int(clip.duration or 1))
    seconds = int(random.integers(min(config.first_seconds, length))) + 1
    details = random.permutation(VIEWS - 1).tolist()
    encoded = details[: max(1, config.codec_details - (not _is_rich(clip)))]
    source = Source(
        path=clip.path,
        is_still=clip.is_still,
        seconds=seconds,
        vmaf_frames=config.vmaf_frames if clip.primary else 0,
    )
    name = f"crops/{clip.clip_id}.npz"
    renditions: list[Rendition] = []
    rows: list[VersionRow] = []
    problems: list[tuple[str, str]] = []
    size = (clip.height, clip.width)
    simulators = _simulators(clip, config, random)
    for version in make_versions(source, simulators, seed=_seed_of(clip, seed), problems=problems):
        stored = version.kind == "none" or SIMULATORS[version.kind].family == "streaming"
        if stored:
            chosen = details if version.kind == "none" else encoded
            renditions.append(_rendition(version, chosen))
            size = version.key_frames[-1].shape[:2] if version.kind == "none" else size
        rows.append(
            version_row(clip, version, views=name, row=len(renditions) - 1 if stored else 0, stored=stored, seconds=1)
        )
    write_crops(folder / name, Crops(size=size, renditions=tuple(renditions)))
    return Distorted(rows=tuple(rows), problems=tuple(problems))


def _simulators(clip: ClipRow, config: DistortConfig, random: np.random.Generator) -> list[Simulator]:
    """The kinds of a training clip. Most take few codecs, for the cache must stay small."""
    codecs = [kind for kind in config.kinds if SIMULATORS[kind].family == "streaming"]
    kept = set(codecs)
    if not _is_rich(clip):
        kept = {codecs[index] for index in random.permutation(len(codecs))[: config.codecs_per_clip].tolist()}
    return [SIMULATORS[kind] for kind in config.kinds if kind not in codecs or kind in kept]


def _seed_of(clip: ClipRow, seed: int) -> int:
    """A seed of its own, or every clip would shake and stall at the same moments."""
    return int(generator(seed, "versions", clip.clip_id).integers(1 << 30))


def _is_rich(clip: ClipRow) -> bool:
    """A moving primary is worth the most room: there are few, and every kind of pair can be made of it."""
    return clip.primary and not clip.is_still


def _rendition(version: Version, details: Sequence[int]) -> Rendition:
    """The last second of a version, as the cache keeps it."""
    frame = version.key_frames[-1]
    return Rendition(
        details=make_details(frame, margin=MARGIN)[list(details)], whole=make_whole(frame), motion=version.motion[-1]
    )


def _held_out_versions(clip: ClipRow, config: DistortConfig, folder: Path, seed: int) -> Distorted:
    source = Source(path=clip.path, is_still=clip.is_still, seconds=config.held_out_seconds)
    name = f"views/{clip.clip_id}"
    problems: list[tuple[str, str]] = []
    simulators = [SIMULATORS[kind] for kind in config.kinds]
    versions = make_versions(source, simulators, seed=_seed_of(clip, seed), problems=problems)
    seen = [(_headless(version), look_at(version.key_frames, version.motion)) for version in versions]
    seconds = min(len(looks) for _, looks in seen)
    save_looks(folder / name, [looks[:seconds] for _, looks in seen])
    rows = (
        version_row(clip, version, views=name, row=row, stored=True, seconds=seconds)
        for row, (version, _) in enumerate(seen)
    )
    return Distorted(rows=tuple(rows), problems=tuple(problems))


def _headless(version: Version) -> Version:
    """The version without its frames, which would fill the memory."""
    return Version(kind=version.kind, level=version.level, levels=version.levels, key_frames=[], motion=[])


def cache_size(folder: Path) -> int:
    """Return the bytes of the crop cache, or of what is kept in its place, below the folder of the stage."""
    return sum(path.stat().st_size for path in (*crop_files(folder), *(folder / SECONDS).glob("*.npz")))


def crop_files(folder: Path) -> Iterator[Path]:
    """Yield the files of the crop cache, sorted."""
    yield from sorted((folder / "crops").glob("*.npz"))
