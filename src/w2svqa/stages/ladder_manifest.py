"""Frozen manifests: which clips a student is measured on, that they are the very same, and that it never saw them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.files import sha256_file

SEED: Final = 3
"""Of everything that the evaluation draws: the simulators' random parts and the resamples of intervals."""

COLUMNS: Final = ("name", "clip_id", "sha256", "source", "license", "primary", "width", "height", "still")


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderClip:
    """A line of a frozen manifest.

    Attributes:
        name: of the file.
        sha256: of its content.
        source: the repository it comes from.
        license: as stated there.
        primary: visually clean: its untouched version counts as level 0.
        width: pixels.
        height: pixels.
        is_still: a photograph.
    """

    name: str
    sha256: str
    source: str
    license: str
    primary: bool
    width: int
    height: int
    is_still: bool

    @property
    def clip_id(self) -> str:
        """First 16 hex digits of the hash."""
        return self.sha256[:16]


def read_clips(path: StrPath) -> tuple[LadderClip, ...]:
    """Return the clips of a frozen manifest.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        return tuple(
            LadderClip(
                name=line["name"],
                sha256=line["sha256"],
                source=line["source"],
                license=line["license"],
                primary=line["primary"] == "1",
                width=int(line["width"]),
                height=int(line["height"]),
                is_still=line["still"] == "1",
            )
            for line in lines
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        problem = f"is no manifest with the columns {', '.join(COLUMNS)}: {type(error).__name__} {error}"
        raise InputError(problem, path=path, remedy="restore it from the repository") from None


def check_files(clips: Iterable[LadderClip], folder: Path) -> None:
    """Compare every file with the hash in the manifest.

    Raises:
        InputError: some are missing or differ; all are named.
    """
    wrong = [clip.name for clip in clips if _hash(folder / clip.name) != clip.sha256]
    if wrong:
        raise InputError(
            f"{len(wrong)} files are missing or differ from the manifest: {', '.join(wrong)}",
            path=folder,
            remedy="the figures hold for the frozen files only; restore them",
        )


def _hash(path: Path) -> str | None:
    try:
        return sha256_file(path)
    except OSError:
        return None


def check_unseen(card: Mapping[str, Any], clips: Iterable[LadderClip]) -> None:
    """Refuse to measure a student on what it was made from.

    Args:
        card: of the bundle; its ``data.clips`` lists what the student was made from.
        clips: of the manifest.

    Raises:
        ConfigError: a clip, or another clip of its repository, is on the card; or the card has no such list.
    """
    try:
        used = [(str(clip["sha256_16"]), str(clip["source"])) for clip in card["data"]["clips"]]
    except (KeyError, TypeError):
        raise ConfigError(
            "the bundle's card does not list what the student was made from", remedy="export the bundle again"
        ) from None
    hashes, sources = {digest for digest, _ in used}, {source for _, source in used}
    seen = [clip.name for clip in clips if clip.clip_id in hashes or clip.source in sources]
    if seen:
        raise ConfigError(
            f"the student was made from {len(seen)} of these clips or their repositories: {', '.join(seen)}",
            remedy="train on the training manifest alone",
        )
