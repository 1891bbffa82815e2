"""The rows of the tables by which stages meet. One frozen dataclass per table; its fields are the columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "anchor", "calibration"]
"""``train``: the student learns from it; ``anchor``: gives the anchors; ``calibration``: fits scale and interval."""

Origin = Literal["severity", "same", "cross", "peer"]
"""Why a pair has its level: see :mod:`w2svqa.stages.pair`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRow:
    """A source video or photograph that passed ingest.

    Attributes:
        clip_id: first 16 hex digits of the file's SHA-256.
        path: the file.
        name: as the manifest calls it, or the file's name.
        source: where it comes from; clips of one source share a split.
        license: as the manifest states it.
        primary: visually clean: its untouched version counts as severity 0.
        split: what it is used for.
        width: pixels as shown.
        height: pixels as shown.
        fps: average frames per second; ``None`` for stills.
        duration: seconds; ``None`` for stills.
        codec: FFmpeg's name.
        is_still: a photograph.
    """

    clip_id: str
    path: str
    name: str
    source: str
    license: str
    primary: bool
    split: Split
    width: int
    height: int
    fps: float | None
    duration: float | None
    codec: str
    is_still: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """A clip at one severity of one distortion, or untouched.

    Attributes:
        version_id: ``clip_id-kind-level``.
        clip_id: the source.
        kind: name of the simulator; ``"none"`` for the untouched clip.
        level: 1 (mild) upwards; 0 for the untouched clip.
        severity: ``level`` / number of levels, 0-1.
        primary: as in :class:`ClipRow`.
        split: as in :class:`ClipRow`.
        views: file with the views of all versions of the clip, relative to the table's folder.
        row: index of this version in that file.
        seconds: how many seconds of it the file holds.
    """

    version_id: str
    clip_id: str
    kind: str
    level: int
    severity: float
    primary: bool
    split: Split
    views: str
    row: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """Two versions and the level of the second relative to the first.

    Attributes:
        first: version id.
        second: version id.
        level: 0 (inferior) to 4 (superior).
        origin: why.
        kind: the distortion the pair is about.
        group: pairs of one group share versions and are drawn together, so that each version is encoded once.
    """

    first: str
    second: str
    level: int
    origin: Origin
    kind: str
    group: str
