"""videos -> clips: find, check, identify, license, split.

Folders with a manifest, and procedural scenes for runs that need no data.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.files import sha256_file
from w2svqa.core.rows import ClipRow, Split
from w2svqa.video.probe import probe
from w2svqa.video.scene import write_scene


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """A folder of clips with its manifest, a CSV file with a header.

    Attributes:
        folder: where the files are.
        manifest: one line per file; files without a line are left out, because their licence is unknown.
        name_column: file name, relative to ``folder``.
        source_column: where the file comes from; clips of one source share a split.
        license_column: licence.
        primary_column: ``1`` for visually clean files.
    """

    folder: str
    manifest: str
    name_column: str = "clip"
    source_column: str = "source"
    license_column: str = "license"
    primary_column: str = "primary"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """What goes into the pool.

    Attributes:
        sources: folders of clips.
        scenes: how many procedural scenes to add (for tests and the smallest run).
        scene_size: height and width of the scenes in pixels.
        scene_seconds: length of the scenes.
        scene_fps: frames per second of the scenes.
        license_allow: licences that may be trained on; others are left out.
        anchor_share: share of the sources among whose clips the anchors are chosen.
        calibration_share: share of the sources kept for scale and interval.
    """

    sources: tuple[SourceConfig, ...] = ()
    scenes: int = 0
    scene_size: tuple[int, int] = (240, 320)
    scene_seconds: float = 2.0
    scene_fps: int = 30
    license_allow: tuple[str, ...] = ()
    anchor_share: float = 0.1
    calibration_share: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file before it has been opened."""

    path: Path
    name: str
    source: str
    license: str
    primary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What :func:`ingest` found.

    Attributes:
        clips: in the order of the sources; identical files once.
        refused: path and reason of every file that was left out although its licence fits.
    """

    clips: tuple[ClipRow, ...]
    refused: tuple[tuple[str, str], ...]


def ingest(config: IngestConfig, folder: Path, *, seed: int) -> Ingested:
    """Collect the clips of a run.

    Args:
        config: sources, licences and shares.
        folder: where procedural scenes are written.
        seed: fixes the scenes and the split.

    Raises:
        ConfigError: a manifest or one of its columns is missing, or nothing is left.
        StoreError: a scene cannot be written.
    """
    clips: dict[str, ClipRow] = {}
    refused: list[tuple[str, str]] = []
    for candidate in _candidates(config, folder, seed):
        try:
            row = _check(candidate, config, seed)
        except W2SVQAError as error:
            refused.append((str(candidate.path), error.without_path))
            continue
        if row.clip_id in clips:
            refused.append((row.path, f"the same file as {clips[row.clip_id].path}"))
        clips.setdefault(row.clip_id, row)
    if not clips:
        raise ConfigError("ingest found no clip it may use", remedy="check sources, scenes and license_allow")
    return Ingested(clips=tuple(clips.values()), refused=tuple(refused))


def split_of(source: str, config: IngestConfig, *, seed: int) -> Split:
    """Return the split of a source: by a hash of its name, so that adding sources moves no other.

    Example:
        >>> split_of("somewhere", IngestConfig(anchor_share=0, calibration_share=0), seed=0)
        'train'
    """
    digest = blake2b(f"{seed}/{source}".encode(errors="surrogateescape"), digest_size=8).digest()
    position = int.from_bytes(digest) / 2**64
    if position < config.calibration_share:
        return "calibration"
    if position < config.calibration_share + config.anchor_share:
        return "anchor"
    return "train"


def _candidates(config: IngestConfig, folder: Path, seed: int) -> Iterator[Candidate]:
    for source in config.sources:
        yield from _listed(source, config.license_allow)
    for number in range(config.scenes):
        path = folder / "scenes" / f"scene-{number:03d}.mkv"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            height, width = config.scene_size
            write_scene(
                path,
                seed=seed * 100_003 + number,
                width=width,
                height=height,
                seconds=config.scene_seconds,
                fps=config.scene_fps,
            )
        yield Candidate(path=path, name=path.name, source=path.stem, license="generated", primary=True)


def _listed(source: SourceConfig, allowed: tuple[str, ...]) -> Iterator[Candidate]:
    manifest = Path(source.manifest)
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(
            f"the manifest cannot be read: {error.strerror}", path=manifest, remedy="correct ingest.sources"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"the manifest is no CSV file in UTF-8: {error}", path=manifest, remedy="save it as one"
        ) from None
    for line in lines:
        license_ = _cell(line, source.license_column, manifest)
        if license_ not in allowed:
            continue
        name = _cell(line, source.name_column, manifest)
        yield Candidate(
            path=Path(source.folder) / name,
            name=name,
            source=_cell(line, source.source_column, manifest),
            license=license_,
            primary=_cell(line, source.primary_column, manifest) == "1",
        )


def _cell(line: Mapping[str, str | None], column: str, manifest: Path) -> str:
    if column not in line:
        raise ConfigError(
            f"has no column {column!r}", path=manifest, remedy=f"it has {', '.join(key for key in line if key)}"
        )
    value = line[column]
    if value is None:
        raise ConfigError(f"a line ends before column {column!r}", path=manifest, remedy="complete that line")
    return value


def _check(candidate: Candidate, config: IngestConfig, seed: int) -> ClipRow:
    info = probe(candidate.path)
    return ClipRow(
        clip_id=sha256_file(candidate.path)[:16],
        path=str(candidate.path),
        name=candidate.name,
        source=candidate.source,
        license=candidate.license,
        primary=candidate.primary,
        split=split_of(candidate.source, config, seed=seed),
        width=info.width,
        height=info.height,
        fps=info.fps,
        duration=info.duration,
        codec=info.codec,
        is_still=info.is_still,
    )
