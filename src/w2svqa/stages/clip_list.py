"""Chosen clips as a list that every other command takes: a CSV file with the columns of a manifest.

`w2svqa ingest --manifest`, `w2svqa label --manifest` and a run's ``ingest.sources`` read it; paths are absolute, so it
may be moved, the videos may not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from w2svqa.core.errors import StrPath
from w2svqa.core.files import atomic_write
from w2svqa.core.rows import PoolClipRow

COLUMNS: Final = ("clip", "source", "license", "category", "primary", "clip_id")
"""The header of a list."""


def path_of(clips: Mapping[str, PoolClipRow], clip_id: str) -> str:
    """Return the path of a clip; empty where it is not known."""
    return clips[clip_id].path if clip_id in clips else ""


def write_clip_list(
    path: StrPath, ids: Sequence[str], clips: Mapping[str, PoolClipRow], *, primary: bool = False
) -> None:
    """Write clips as a manifest; where no path is known there is none, and an older one is removed.

    A clip whose source is not known gets the id of the video that it was cut from, or its own, so that what is split by
    sources (training and calibration, say) never has cuts of one video on both sides.

    Args:
        path: the CSV file; one that is there is replaced, all or nothing. Names that are no UTF-8 keep their bytes.
        ids: of the clips.
        clips: what is known of their files, by id; those of which nothing is known are left out.
        primary: they are visually clean.

    Raises:
        UnwritableError: the disk is full or fails, or the folder may not be written to.
    """
    known = [clips[clip_id] for clip_id in ids if clip_id in clips]
    if not known:
        Path(path).unlink(missing_ok=True)
        return
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for clip in known:
            source = clip.source or clip.parent or clip.clip_id
            name = str(Path(clip.path).absolute())
            writer.writerow([name, source, clip.license, clip.category, int(primary), clip.clip_id])
        text.detach()  # flushes, and leaves closing to whoever opened it
