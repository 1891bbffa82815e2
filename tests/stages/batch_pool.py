"""A pool of four clips whose pictures tell how they were looked at, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.levels import INFERIOR, SIMILAR, SUPERIOR, WORSE
from w2svqa.core.rows import Origin, PairRow, VersionRow
from w2svqa.distort import SIMULATORS
from w2svqa.stages.batches import Batch, BatchConfig, Batches
from w2svqa.students.crops import SIDE, Crops, Rendition, write_crops
from w2svqa.students.views import MOTION_SIZE, VIEW_SIZE

KINDS = tuple(SIMULATORS)
SIZE = (360, 640)
FRAMES = 25
DETAILS, CODEC_DETAILS = 4, 3
ALONE = {f"{name}_groups": 0 for name in BatchConfig().groups}

LADDERS = {
    "resizing": (1, 4),
    "blur": (3, 5),
    "noise": (1, 5),
    "darkening": (2, 5),
    "brightening": (1, 5),
    "jitter": (1, 3),
    "stuttering": (1, 3),
    "h264": (2, 4),
}


def ladder(clip: str, *, primary: bool = True, is_still: bool = False) -> list[VersionRow]:
    """The versions of a clip; those of the codec are renditions 1 and 2 of its file."""
    rows = []
    for kind, levels in {"none": (0,), **LADDERS}.items():
        if is_still and kind in SIMULATORS and SIMULATORS[kind].family == "temporal":
            continue
        for place, level in enumerate(levels):
            rows.append(
                VersionRow(
                    version_id=f"{clip}-{kind}-{level}",
                    clip_id=clip,
                    kind=kind,
                    level=level,
                    severity=level / len(SIMULATORS[kind].levels) if level else 0,
                    primary=primary,
                    split="train",
                    is_still=is_still,
                    vmaf=None,
                    views=f"crops/{clip}.npz",
                    row=1 + place if kind == "h264" else 0,
                    stored=kind in ("none", "h264"),
                    seconds=1,
                )
            )
    return rows


CLIPS = {
    "clean": ladder("clean"),
    "other": ladder("other"),
    "found": ladder("found", primary=False),
    "photo": ladder("photo", is_still=True),
}
VERSIONS = {row.version_id: row for rows in CLIPS.values() for row in rows}


def pair(first: str, second: str, level: int, origin: Origin, group: str) -> PairRow:
    kind = VERSIONS[second].kind
    return PairRow(first=first, second=second, level=level, origin=origin, kind=kind, group=group)


def severity_pairs(clip: str, kind: str) -> list[PairRow]:
    untouched, group = f"{clip}-none-0", f"{clip}-{kind}"
    mild, heavy = (f"{clip}-{kind}-{level}" for level in LADDERS[kind])
    return [
        pair(untouched, mild, WORSE, "severity", group),
        pair(heavy, untouched, SUPERIOR, "severity", group),
        pair(mild, heavy, WORSE, "severity", group),
    ]


SAME = [
    pair(name, name, SIMILAR, "same", f"{row.clip_id}-same")
    for name, row in VERSIONS.items()
    if row.kind in ("none", "blur", "noise", "h264")
]
CROSS = [pair("clean-none-0", "other-blur-5", INFERIOR, "cross", "cross-0")]
SEVERITY = [
    row
    for clip in ("clean", "other", "photo")
    for kind in LADDERS
    if f"{clip}-{kind}-{LADDERS[kind][0]}" in VERSIONS
    for row in severity_pairs(clip, kind)
]
ALL = [*SEVERITY, *SAME, *CROSS]


def picture(number: int, rendition: int) -> NDArray[np.uint8]:
    """Red tells the row, green the column, blue the picture: a view shows how it was chosen, shifted and mirrored."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.uint8)
    return np.stack([rows, columns, np.full_like(rows, 100 + 10 * rendition + number)], axis=2)


def whole_picture(rendition: int) -> NDArray[np.uint8]:
    """Grey, rising by one a column and by a half a row: tells mirroring and shift as well."""
    rows, columns = np.mgrid[0:VIEW_SIZE, 0:VIEW_SIZE]
    return np.asarray(rows // 2 + columns + rendition, dtype=np.uint8)


def track(frames: int) -> NDArray[np.uint8]:
    """The left half tells the number of the frame; the right half is dark."""
    motion = np.zeros((frames, *MOTION_SIZE), np.uint8)
    motion[:, :, : MOTION_SIZE[1] // 2] = (100 + 3 * np.arange(frames))[:, None, None]
    return motion


def crops_of(clip: str) -> Crops:
    renditions = []
    for index in range(3):
        details = [picture(number, index) for number in range(CODEC_DETAILS if index else DETAILS)]
        whole, frames = whole_picture(index), 0 if clip == "photo" else FRAMES
        renditions.append(Rendition(details=np.stack(details), whole=whole, motion=track(frames)))
    return Crops(size=SIZE, renditions=tuple(renditions))


def write_pool(root: Path) -> Path:
    """Write the crop cache of all clips."""
    for clip in CLIPS:
        write_crops(root / "crops" / f"{clip}.npz", crops_of(clip))
    return root


def make(folder: Path, pairs: Sequence[PairRow], *, seed: int = 0, mixtures: float = 0, **config: int) -> Batches:
    chosen = BatchConfig(mixtures=mixtures, **config)
    return Batches(list(VERSIONS.values()), pairs, folder, kinds=KINDS, config=chosen, seed=seed)


def only(folder: Path, pairs: Sequence[PairRow], *, mixtures: float = 0, details: int = 2) -> Batches:
    """Batches of one group."""
    return make(folder, pairs, mixtures=mixtures, **{**ALONE, f"{pairs[0].origin}_groups": 1, "details": details})


@dataclass(frozen=True)
class Look:
    """How a version was looked at, read off its views."""

    top: int
    left: int
    mirror: tuple[bool, bool, bool]
    numbers: tuple[int, ...]


def look(views: NDArray[np.uint8]) -> Look:
    """Read the look off the views of a stored version."""
    seen = set()
    for view in views[:-1]:
        seen.add((int(view[..., 0].min()), int(view[..., 1].min()), mirror_of(view)))
    assert len(seen) == 1  # one shift and mirroring for all details of a version
    straight = mirrored_back(views[-1:], next(iter(seen))[2])[0].astype(int)
    assert (straight == straight[..., :1]).all()
    # the whole picture is mirrored alike and never shifted
    assert (straight[..., 0] - straight[0, 0, 0] == whole_picture(0)).all()
    return Look(*seen.pop(), tuple(int(view[0, 0, 2]) % 10 for view in views[:-1]))


def mirror_of(view: NDArray[np.uint8]) -> tuple[bool, bool, bool]:
    """Read off which ways a picture was mirrored: left and right, top and bottom, rows and columns."""
    diagonal = bool(view[0, 0, 0] != view[0, -1, 0])
    down, across = (1, 0) if diagonal else (0, 1)  # the channel that rises along either axis
    return bool(view[0, 0, across] > view[0, -1, across]), bool(view[0, 0, down] > view[-1, 0, down]), diagonal


def mirrored(pictures: NDArray[np.uint8], mirror: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    across, down, diagonal = mirror
    pictures = np.swapaxes(pictures, 1, 2) if diagonal else pictures
    pictures = np.flip(pictures, 1) if down else pictures
    return np.flip(pictures, 2) if across else pictures


def mirrored_back(pictures: NDArray[np.uint8], mirror: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    across, down, diagonal = mirror
    straight = mirrored(pictures, (across, down, False))
    return np.swapaxes(straight, 1, 2) if diagonal else straight


def shown(details: Sequence[NDArray[np.uint8]], whole: NDArray[np.uint8], how: Look) -> NDArray[np.uint8]:
    cut = [detail[how.top : how.top + VIEW_SIZE, how.left : how.left + VIEW_SIZE] for detail in details]
    return mirrored(np.stack([*cut, np.repeat(whole[..., None], 3, axis=2)]), how.mirror)


def stored_row(batch: Batch, name: str) -> int:
    return batch.names.index(name)


def frame_numbers(batch: Batch, row: int) -> list[int]:
    """Read off which motion frames a version of undistorted grey shows."""
    frames = batch.motion[row, : batch.counts[row]]
    brightest = frames.max(axis=(1, 2)).astype(int)
    assert ((brightest - 100) % 3 == 0).all()
    return [int(number) for number in (brightest - 100) // 3]
