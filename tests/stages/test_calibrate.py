"""Calibration of a student on stored looks: anchors, scale, diagnosis and what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError
from w2svqa.core.records import Tokens
from w2svqa.core.rows import Split, VersionRow
from w2svqa.stages.calibrate import CalibrateConfig, Calibrated, calibrate
from w2svqa.students.looks import Looks, load_looks, save_looks
from w2svqa.students.runtime import CompactStudent

KINDS = ("blur", "jitter")
LEVELS = 5
SECONDS = 4
CONFIG = CalibrateConfig(anchors=3)


class Seeing(CompactStudent):
    """Its token is (quality, kind) as the test painted them: quality into the views, kind into the motion."""

    def __init__(self) -> None:
        self.name, self.kinds, self.seen = "seeing", KINDS, 0

    def encode_looks(self, looks: Looks) -> Tokens:
        self.seen += 1
        quality = looks.views.reshape(len(looks), -1).mean(axis=1) / 255
        return np.stack([quality, looks.motion.reshape(len(looks), -1).mean(axis=1)], axis=1).astype(np.float32)

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        gain = [float(right[:, 0].mean() - left[:, 0].mean()) for left, right in zip(first, second, strict=True)]
        return np.array([[8 * step * difference for step in (-2, -1, 0, 1, 2)] for difference in gain])

    def diagnosis(self, videos: Sequence[Tokens]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        kinds = [round(float(video[:, 1].mean())) for video in videos]
        return 20 * np.eye(1 + len(KINDS))[kinds], np.zeros((len(kinds), len(KINDS)))


def write_clip(
    folder: Path, clip: str, split: Split, *, primary: bool = True, is_still: bool = False
) -> list[VersionRow]:
    random = np.random.default_rng(int(clip, 16))
    names = [("none", 0), *((kind, level) for kind in KINDS for level in range(1, LEVELS + 1))]
    versions = []
    for kind, level in names:
        bright = 220 - 35 * level + random.normal(0, 4, (SECONDS, 1, 1, 1, 1)) + random.normal(0, 5)
        views = np.broadcast_to(bright.clip(0, 255), (SECONDS, 1, 2, 2, 3)).astype(np.uint8)
        motion = np.full((SECONDS, 1, 2, 2), ("none", *KINDS).index(kind), np.uint8)
        versions.append(Looks(views=views, motion=motion, counts=np.ones(SECONDS, np.int64)))
    save_looks(folder / clip, versions)
    return [
        VersionRow(
            version_id=f"{clip}-{kind}-{level}",
            clip_id=clip,
            kind=kind,
            level=level,
            severity=level / LEVELS,
            primary=primary,
            split=split,
            is_still=is_still,
            vmaf=None,
            views=clip,
            row=row,
            stored=True,
            seconds=SECONDS,
        )
        for row, (kind, level) in enumerate(names)
    ]


def made(folder: Path, student: Seeing, rows: Sequence[VersionRow]) -> Calibrated:
    def encode(row: VersionRow) -> Tokens:
        return student.encode_looks(load_looks(folder / row.views)[row.row])

    return calibrate(student, rows, CONFIG, encode=encode, seed=0, progress=lambda *_: None)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, Calibrated]:
    folder, student = tmp_path_factory.mktemp("looks"), Seeing()
    rows = [row for number in range(8) for row in write_clip(folder, f"a{number}", "calibration", primary=number < 6)]
    rows += [row for number in range(3) for row in write_clip(folder, f"b{number}", "anchor")]
    rows += write_clip(folder, "c0", "anchor", is_still=True)
    rows += write_clip(folder, "d0", "train")
    return student, made(folder, student, rows)


def test_only_held_out_versions_are_encoded(calibrated: tuple[Seeing, Calibrated]) -> None:
    assert calibrated[0].seen == 12 * (1 + LEVELS * len(KINDS))


def test_anchors_are_clips_of_the_anchor_split_worst_first(calibrated: tuple[Seeing, Calibrated]) -> None:
    anchors = calibrated[1].anchors
    assert len(anchors) == CONFIG.anchors
    assert all(row.split == "anchor" and not row.is_still for row in anchors)
    assert anchors[0].severity > anchors[-1].severity


def test_a_perfect_diagnosis_is_found_to_be_one(calibrated: tuple[Seeing, Calibrated]) -> None:
    found: Any = calibrated[1].figures["diagnosis"]
    assert found["top1"] == dict.fromkeys(KINDS, 1.0)
    assert found["none_rate"] == 1
    assert found["calibration_error"] < 0.01
    # the half that measures has four of the eight contents, of which three are primaries
    assert (found["clean"], found["distorted"]) == (3, 3 * 3 * 2)


def test_figures_are_per_kind(calibrated: tuple[Seeing, Calibrated]) -> None:
    figures: Any = calibrated[1].figures
    assert set(figures["within"]) == set(figures["across"]) == set(KINDS)
    assert min(figures["within"].values()) > 0.9


def test_splits_without_clips_are_refused(tmp_path: Path) -> None:
    rows = write_clip(tmp_path, "a0", "calibration")
    with pytest.raises(ConfigError, match="anchor split has 0"):
        made(tmp_path, Seeing(), rows)
