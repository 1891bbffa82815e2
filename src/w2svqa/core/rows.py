"""The rows of the tables by which stages meet. One frozen dataclass per table; its fields are the columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "anchor", "calibration"]
"""``train``: the student learns from it; ``anchor``: gives the anchors; ``calibration``: fits scale and interval."""

Origin = Literal["severity", "same", "cross", "peer", "vmaf", "teacher", "gmad", "misclassified", "random"]
"""Why a pair has its level; for the first six see :mod:`w2svqa.stages.pair`.

From stage 2 on: ``gmad``, where student and teachers disagree most, and ``random``, its control, both of real clips and
labelled by the student of the stage before; ``misclassified``, a synthetic pair that this student got wrong, with the
level that is known.
"""


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
        is_still: as in :class:`ClipRow`.
        vmaf: VMAF against the untouched clip, 0-100, higher is better; ``None`` where it was not measured, 100 for the
            untouched clip where others were.
        views: where the pictures of the clip are, relative to the table's folder: for ``train`` a file of the crop
            cache (:mod:`w2svqa.students.crops`), else the stem of its looks (:mod:`w2svqa.students.looks`).
        row: which rendition (in a crop file: or is made from which) or which version of the looks it is.
        stored: the rendition is in the file; otherwise it is made from the untouched one when it is needed.
        seconds: how many seconds of it the file holds.
    """

    version_id: str
    clip_id: str
    kind: str
    level: int
    severity: float
    primary: bool
    split: Split
    is_still: bool
    vmaf: float | None
    views: str
    row: int
    stored: bool
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """What one teacher says of one version.

    Attributes:
        version_id: the version; ``clip_id-none-0`` is the untouched clip.
        clip_id: the source.
        teacher: its name.
        value: on the teacher's own scale and direction.
    """

    version_id: str
    clip_id: str
    teacher: str
    value: float


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


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRow:
    """A video of a pool that teachers label, and what its manifest says of it.

    Attributes:
        clip_id: first 16 hex digits of the file's SHA-256; of its path's, where the file cannot be read.
        path: the file, as it was given or found.
        name: as the manifest calls it, or the file's name.
        sha256: of the file, hex; empty where it cannot be read.
        source: where it comes from; empty if unknown.
        license: as the manifest states it; empty if unknown.
        reference: path of the untouched video it was made from; ``None`` where it is none's version.
        primary: name of the clean source of a distorted version; empty for others.
        kind: distortion of such a version; empty for others.
        level: its severity, 1 (mild) upwards; 0 for the untouched source and for others.
        mos: mean opinion score as the manifest states it, on its own scale; ``None`` if unknown.
    """

    clip_id: str
    path: str
    name: str
    sha256: str
    source: str = ""
    license: str = ""
    reference: str | None = None
    primary: str = ""
    kind: str = ""
    level: int = 0
    mos: float | None = None


PoolStatus = Literal["ok", "unreadable", "damaged", "license", "duplicate", "near duplicate", "split", "unsplit"]
"""What ingest made of a file: ``ok`` is a clip of the pool, everything else is not, for the reason in the message.
``split``: clips were cut from it; ``unsplit``: none could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolClipRow:
    """A file that was offered to a pool: what is known of it, and whether it is a clip of the pool.

    Attributes:
        clip_id: first 16 hex digits of the file's SHA-256; of its path's, where the file cannot be read.
        path: where it can be read, absolute: the file, the local copy of an object, or a cut segment.
        url: address of the object that it is a copy of; empty for local files.
        name: as the manifest calls it, or the file's name.
        sha256: of the file, hex; empty where it cannot be read.
        size: bytes; 0 where it cannot be read.
        source: where it comes from; empty if unknown.
        license: as the manifest states it; empty if unknown.
        category: what it shows, as the manifest states it; empty if unknown.
        width: pixels as shown, after rotation and with square pixels.
        height: pixels as shown.
        fps: average frames per second; ``None`` for stills and where the container does not say.
        duration: seconds; ``None`` for stills and where nothing says.
        codec: FFmpeg's name.
        pixel_format: FFmpeg's name.
        bit_rate: bits per second of the video stream, or of the file where that does not say; ``None`` if unknown.
        rotation: degrees clockwise that a player turns the picture by: 0, 90, 180 or 270.
        is_still: a still image.
        status: what became of it.
        message: why the status is not ``"ok"``; ``None`` where it is.
        duplicate_of: path or address of the file with the same content that counts instead.
        near_duplicate_of: clip id of the clip that shows the same and is kept instead.
        parent: clip id of the video that it was cut from.
        start: seconds into that video at which it begins.
    """

    clip_id: str
    path: str
    url: str = ""
    name: str
    sha256: str = ""
    size: int = 0
    source: str = ""
    license: str = ""
    category: str = ""
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    duration: float | None = None
    codec: str = ""
    pixel_format: str = ""
    bit_rate: int | None = None
    rotation: int | None = None
    is_still: bool = False
    status: PoolStatus = "ok"
    message: str | None = None
    duplicate_of: str | None = None
    near_duplicate_of: str | None = None
    parent: str | None = None
    start: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherScoreRow:
    """What one teacher says of one video of a pool, or why it says nothing.

    Attributes:
        clip_id: the video.
        teacher: its name.
        version: of the teacher.
        value: on the teacher's own scale and direction; ``None`` where there is none.
        message: why there is no value; ``None`` where there is one.
    """

    clip_id: str
    teacher: str
    version: str
    value: float | None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabelRow:
    """What the teachers say together of one video of a pool.

    Attributes:
        clip_id: the video.
        mean: over teachers, on the common scale, 0-100, higher is better.
        variance: over teachers, squared points, 0 or more.
        teachers: how many were heard.
    """

    clip_id: str
    mean: float
    variance: float
    teachers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPairRow:
    """Two videos of a pool and the level of the second relative to the first.

    Attributes:
        first: clip id.
        second: clip id.
        level: 0 (inferior) to 4 (superior).
        source: who says so: ``"ensemble"``, ``"severity"``, or a student's name.
        uncertainty: standard deviation of the difference of qualities, in points of the common scale; 0 where the level
            is known.
        stage: of weak-to-strong training, from 1.
    """

    first: str
    second: str
    level: int
    source: str
    uncertainty: float
    stage: int


Truth = Literal["mos", "severity", "vmaf", "before"]
"""What labels are held against: human ratings, known severities, VMAF, or the labels of the stage before."""

Measure = Literal["accuracy", "level_accuracy", "srcc", "agreement", "kappa"]
"""How: see :mod:`w2svqa.stages.label_quality`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelQualityRow:
    """How good the labels of one source are, at one stage.

    Attributes:
        stage: of weak-to-strong training that the labels are for, from 1.
        source: who gave them: a teacher's name, ``"ensemble"``, ``"student-1"``.
        against: what they are held against.
        kind: the distortion; empty for all together.
        measure: how.
        value: the figure, higher is better; ``None`` where nothing counts.
        low: lower end of the 95 % interval; ``None`` as above.
        high: upper end.
        n: how many pairs, ladders or videos it is of.
        contents: how many contents these come from, which are what the bootstrap draws.
    """

    stage: int
    source: str
    against: Truth
    kind: str
    measure: Measure
    value: float | None
    low: float | None
    high: float | None
    n: int
    contents: int
