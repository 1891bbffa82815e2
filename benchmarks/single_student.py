"""Section 3 of the paper in small: one student for single videos per weak teacher, laid beside its teacher.

Usage: python benchmarks/single_student.py [--scenes N] [--steps N] [--small] [--data DIR]

Generated scenes are degraded; each teacher scores every version, and a student of random tiny networks is trained on
its scores of two thirds of the scenes, blurred and resized. Both are then tested on the other scenes, against the
severities that nobody was told: in-domain on the same kinds, out of domain on noise and H.264. CPBD needs no
parameters; --data adds NIQE. --small is four scenes and ten steps. The students know nothing of pictures beforehand, so
their figures mean nothing beyond that all of it runs: what the paper found needs its checkpoint, its clips and GPUs.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2svqa.core.errors import InputError, W2SVQAError
from w2svqa.core.protocols import Teacher
from w2svqa.core.statistics import spearman
from w2svqa.distort import SIMULATORS
from w2svqa.stages.kept_seconds import FramesConfig, load_slowfast
from w2svqa.stages.single_scores import seconds_scores
from w2svqa.stages.train_single import ScoredVideo, SingleConfig, to_hundred, train_single
from w2svqa.stages.train_strong import LlavaRates, LlavaTraining
from w2svqa.stages.versions import Source, make_versions
from w2svqa.students.llava.checkpoint import RANDOM_TINY
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.pictures import key_picture
from w2svqa.students.seconds import Seconds, read_seconds, write_seconds
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.scene import write_scene
from w2svqa.video.whole import FramesVideo

KNOWN, UNKNOWN = ("blur", "resizing"), ("noise", "h264")
SIDE = 56
FRAMES = FramesConfig(slowfast=RANDOM_TINY, seconds=2, side=SIDE)
MODEL = LlavaTraining(checkpoint=RANDOM_TINY, network=LlavaConfig(frame_side=SIDE), rates=LlavaRates(vision_tower=1.0))
COLUMNS = ("teacher_in", "student_in", "teacher_out", "student_out")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A version of a scene: where its seconds are kept, how severe it is, and what the teachers say of it."""

    scene: int
    kind: str
    severity: float
    path: Path
    row: int
    said: Mapping[str, float]


def main() -> None:
    """Make the clips, train and lay beside each other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=18)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--small", action="store_true", help="four scenes, ten steps")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("W2SVQA_DATA"), help="folder of the development data"
    )
    options = parser.parse_args()
    if options.small:
        options.scenes, options.steps = 4, 10
    print("random tiny networks: the students' figures mean nothing")
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = measured(Path(folder), options)
    except W2SVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    show(rows, options)


def measured(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    """Return one row of figures per teacher."""
    teachers = [load_teacher("cpbd", None)]
    if options.data:
        teachers.append(load_teacher("niqe", Path(options.data) / "teachers" / "niqe"))
    items = [item for scene in range(options.scenes) for item in versions_of(scene, teachers, folder)]
    return [beside(teacher, items, folder / teacher.name, options) for teacher in teachers]


def versions_of(scene: int, teachers: Sequence[Teacher], folder: Path) -> list[Item]:
    """Make a scene, keep what students see of its versions, and let the teachers score them."""
    clip, kept = folder / f"{scene}.mkv", folder / f"{scene}.npz"
    write_scene(clip, seed=scene, width=256, height=192, seconds=FRAMES.seconds, fps=5)
    source = Source(path=str(clip), is_still=False, seconds=FRAMES.seconds, spec=FRAMES.spec)
    encoder = load_slowfast(FRAMES.slowfast, FRAMES.span)
    items, seen = list[Item](), list[Seconds]()
    for version in make_versions(source, [SIMULATORS[kind] for kind in KNOWN + UNKNOWN], seed=scene):
        said = {teacher.name: said_by(teacher, FramesVideo(version.key_frames)) for teacher in teachers}
        items.append(
            Item(scene=scene, kind=version.kind, severity=version.severity, path=kept, row=len(items), said=said)
        )
        frames = np.stack([key_picture(frame, SIDE) for frame in version.key_frames])
        seen.append(Seconds(frames=frames, motion=encoder.features(version.motion)))
    write_seconds(kept, seen)
    return items


def said_by(teacher: Teacher, video: FramesVideo) -> float:
    """Return a score, NaN where the teacher has none: CPBD of a picture without edges, say."""
    try:
        return teacher.score(video)
    except InputError:
        return float("nan")


def beside(teacher: Teacher, items: Sequence[Item], folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Train a student on a teacher's scores, and return both one's rank correlations with the severities."""
    name, first_test = teacher.name, max(1, options.scenes * 2 // 3)
    scored = [item for item in items if np.isfinite(item.said[name])]
    lessons = [item for item in scored if item.scene < first_test and item.kind not in UNKNOWN]
    targets = to_hundred([item.said[name] for item in lessons], higher_is_better=teacher.higher_is_better)
    videos = [
        ScoredVideo(name=f"{item.scene}-{item.row}", path=item.path, row=item.row, score=score)
        for item, score in zip(lessons, targets, strict=True)
    ]
    config = SingleConfig(model=MODEL, steps=options.steps, learning_rate=5e-3, checkpoint_steps=options.steps)
    student = train_single(videos, config, folder, seed=0, progress=lambda *_: None)
    row: dict[str, object] = {"teacher": name, "videos": len(videos)}
    for domain, left_out in (("in", UNKNOWN), ("out", KNOWN)):
        tests = [item for item in scored if item.scene >= first_test and item.kind not in left_out]
        better = [-item.severity for item in tests]
        sign = 1 if teacher.higher_is_better else -1
        said = seconds_scores(student, [read_seconds(item.path, item.row) for item in tests])
        row[f"n_{domain}"] = len(tests)
        row[f"teacher_{domain}"] = spearman([sign * item.said[name] for item in tests], better)
        row[f"student_{domain}"] = spearman(said, better)
    return row


def show(rows: Sequence[Mapping[str, object]], options: argparse.Namespace) -> None:
    """Print the table, then JSON."""
    print(f"{options.scenes} scenes, {options.steps} steps; SRCC with the severities of held-out scenes")
    print(f"{'':8}{'videos':>8}" + "".join(f"{column.replace('_', ' '):>14}" for column in COLUMNS))
    for row in rows:
        print(f"{row['teacher']:8}{row['videos']:8}" + "".join(f"{row[column]:14.3f}" for column in COLUMNS))
    print(json.dumps({"rows": rows, "scenes": options.scenes, "steps": options.steps, "small": options.small}))


if __name__ == "__main__":
    main()
