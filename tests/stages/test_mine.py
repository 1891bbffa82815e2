"""A labelled pool becomes hard pairs: what is mined, who labels, what is left out, and what is said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from brightness_student import BrightnessStudent, brightness_bundle

from w2svqa.core.config import from_mapping
from w2svqa.core.errors import ConfigError, InputError, StoreError, StrPath
from w2svqa.core.records import Chunk, Tokens
from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.stage_rows import HardPairRow
from w2svqa.core.store import read_artifact, write_artifact
from w2svqa.stages import score, watched
from w2svqa.stages.mine import MineConfig, MinedPool, mine_pool
from w2svqa.stages.mining_labels import most_probable_levels
from w2svqa.students.bundle import Bundle
from w2svqa.video.encode import write_lossless

STUDENT = "student:compact"  # its name in the table; what is loaded is the brightness student
GREY = {"a": 20, "b": 60, "c": 100, "d": 140, "e": 180, "f": 220}
WEAK = {"a": 1.0, "b": 1.1, "c": 1.2, "d": 3.0, "e": 2.0, "f": 1.3}
"""To this teacher, for whom lower is better, a is the best; the student likes f."""


class CountingStudent(BrightnessStudent):
    """Counts the videos that it encodes."""

    seen = 0

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        CountingStudent.seen += 1
        return super().encode(chunks)


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def load(name_or_path: StrPath | None = None, options: object = None) -> Bundle:
        del name_or_path, options
        return brightness_bundle(CountingStudent())

    CountingStudent.seen = 0
    watched._scorer.cache_clear()
    monkeypatch.setattr(score, "load_bundle", load)
    yield
    watched._scorer.cache_clear()  # no other test meets the fake


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Six grey videos, and two versions of "f": a mild one that got brighter and a heavy one that got darker."""
    versions = {"f1": ("noise", 1, 240), "f3": ("noise", 3, 200)}
    shown = GREY | {name: level for name, (_, _, level) in versions.items()}
    for name, level in shown.items():
        frames = (np.full((32, 48, 3), level, np.uint8) for _ in range(4))
        write_lossless(tmp_path / f"{name}.mkv", frames, fps=Fraction(4))
    videos = [video(tmp_path, name) for name in GREY]
    videos += [
        video(tmp_path, name, primary="f", kind=kind, level=severity) for name, (kind, severity, _) in versions.items()
    ]
    write_pool(tmp_path / "pool", videos, {STUDENT: shown, "weak": WEAK})
    return tmp_path / "pool"


def video(folder: Path, name: str, **more: object) -> VideoRow:
    row = {"clip_id": name, "path": str(folder / f"{name}.mkv"), "name": name, "sha256": name * 4}
    return from_mapping(VideoRow, row | more)


def write_pool(folder: Path, videos: list[VideoRow], scores: Mapping[str, Mapping[str, float]]) -> None:
    rows = [
        TeacherScoreRow(clip_id=clip, teacher=name, version="1", value=None if math.isnan(value) else float(value))
        for name, values in scores.items()
        for clip, value in values.items()
    ]
    facts = {"teachers": {"weak": {"higher_is_better": False}}}
    write_artifact(folder / "videos", videos, VideoRow, kind="videos", config={})
    write_artifact(folder / "scores", rows, TeacherScoreRow, kind="scores", config={}, extra=facts)


def mine(pool: Path, **options: object) -> MinedPool:
    return mine_pool(pool, from_mapping(MineConfig, {"student": STUDENT, "count": 9, "bins": 1} | options))


def of(mined: MinedPool, origin: str) -> list[HardPairRow]:
    return [row for row in mined.rows if row.origin == origin]


def test_pairs_are_mined_labelled_and_stored(pool: Path) -> None:
    mined = mine(pool, count=4, random=3)
    stored = read_artifact(pool / "hard", HardPairRow, kind="hard")
    assert tuple(stored.rows) == mined.rows
    assert tuple(read_artifact(pool / "control", HardPairRow, kind="control").rows) == mined.control
    first = mined.rows[0]
    assert {first.first, first.second} == {"a", "f"}  # no version of f, and the largest difference
    assert [(row.source, row.stage, row.origin) for row in of(mined, "gmad")] == [(STUDENT, 2, "gmad")] * 4
    assert {(row.by, row.attacked) for row in of(mined, "gmad")} == {("weak", "student"), ("student", "weak")}
    for row in of(mined, "gmad"):
        brighter = GREY[row.second] - GREY[row.first]
        assert row.level == (4 if brighter > 0 else 0)
        assert row.uncertainty >= math.sqrt(2)
        if row.attacked == "student":
            assert np.sign(row.gap) == np.sign(brighter)
    assert [row.origin for row in mined.control] == ["random"] * 3
    assert stored.manifest.extra["origins"] == {"gmad": 4, "misclassified": len(mined.rows) - 4}
    assert mined.agreement is not None


def test_severity_pairs_that_the_student_gets_wrong_keep_their_true_level(pool: Path) -> None:
    by_order = of(mine(pool, wrong="order"), "misclassified")
    assert [({row.first, row.second}, row.level) for row in by_order] == [
        ({"f", "f1"}, 1 if by_order[0].first == "f" else 3)  # the mild version is brighter: liked better, and is worse
    ]
    assert (by_order[0].source, by_order[0].uncertainty, by_order[0].by, by_order[0].gap) == ("severity", 0.0, "", 0.0)
    mined = mine(pool)
    assert mined.possible == 3
    assert {"f", "f1"} in [{row.first, row.second} for row in of(mined, "misclassified")]
    assert len(of(mine(pool, misclassified=1), "misclassified")) == 1
    assert of(mine(pool, misclassified=0), "misclassified") == []


def test_scores_and_their_deviations_label(pool: Path) -> None:
    direct, scored = mine(pool), mine(pool, labels="scores")
    assert [(row.first, row.second) for row in of(direct, "gmad")] == [
        (row.first, row.second) for row in of(scored, "gmad")
    ]
    same = np.mean([one.level == other.level for one, other in zip(direct.rows, scored.rows, strict=True)])
    assert direct.agreement == scored.agreement
    assert same >= (direct.agreement or 0)


def test_videos_are_encoded_once_and_a_rerun_encodes_none(pool: Path) -> None:
    mined = mine(pool, random=9)
    clips = {clip for row in (*mined.rows, *mined.control) for clip in (row.first, row.second)} | {"f", "f1", "f3"}
    assert CountingStudent.seen == len(clips)
    assert mine(pool, random=9).rows == mined.rows
    assert CountingStudent.seen == len(clips)


def test_a_video_that_cannot_be_read_costs_its_pairs_only(pool: Path) -> None:
    (pool.parent / "f.mkv").unlink()
    mined = mine(pool)
    assert set(mined.failed) == {"f"}
    assert mined.rows
    assert mined.unlabelled > 0
    assert all("f" not in (row.first, row.second) for row in mined.rows)


def test_the_ensemble_labels_without_a_look_at_the_videos(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    quality = dict(enumerate(random.normal(size=80)))
    names = {number: f"v{number}" for number in quality}
    scores = {
        teacher: {names[number]: sign * (each + 0.3 * random.normal()) for number, each in quality.items()}
        for teacher, sign in ((STUDENT, 1), ("weak", -1))
    }
    write_pool(tmp_path, [video(tmp_path, name) for name in names.values()], scores)
    mined = mine(tmp_path, labels="ensemble", wrong="order", count=20, bins=3)
    assert CountingStudent.seen == 0
    assert not (tmp_path / "tokens").exists()
    assert {row.source for row in mined.rows} == {"ensemble"}
    assert mined.agreement is None
    truth = np.sign([quality[int(row.second[1:])] - quality[int(row.first[1:])] for row in mined.rows])
    labelled = np.sign([row.level - 2 for row in mined.rows])
    assert (truth * labelled >= 0).mean() > 0.7


def test_half_a_teacher_and_constant_ones_are_used_as_far_as_they_go(pool: Path) -> None:
    half = {name: value if name in "abc" else math.nan for name, value in WEAK.items()}
    flat = dict.fromkeys(GREY, 3.0)
    videos = read_artifact(pool / "videos", VideoRow).rows
    write_pool(pool, videos, {STUDENT: GREY, "weak": half, "flat": flat})
    mined = mine(pool, higher_is_better=["flat"], misclassified=0)
    assert mined.skipped.keys() == {"flat"}
    assert {clip for row in mined.rows for clip in (row.first, row.second)} == {"a", "b", "c"}
    assert len(mined.rows) == 3  # of the 9 that were wanted
    with pytest.raises(InputError, match="no pair is mined: flat: it gives all of its 6 videos the same score"):
        mine(pool, teachers=["flat"], higher_is_better=["flat"], misclassified=0)


def test_roles_are_balanced_where_that_is_asked_for(pool: Path) -> None:
    roles = mine(pool, count=6, balance=True, misclassified=0).roles
    assert sorted(each.pairs for each in roles) == [3, 3]
    assert all(each.largest >= each.smallest > 0 for each in roles)
    assert all(0 <= each.at_random <= 1 for each in roles)


def test_an_output_of_its_own_leaves_the_pool_alone(pool: Path, tmp_path: Path) -> None:
    mine_pool(pool, MineConfig(student=STUDENT, count=2, bins=1), output=tmp_path / "out")
    assert {each.name for each in (tmp_path / "out").iterdir()} >= {"hard", "tokens"}
    assert {each.name for each in pool.iterdir()} == {"videos", "scores"}


def test_who_did_not_score_the_pool_cannot_take_part(pool: Path) -> None:
    with pytest.raises(ConfigError, match="student:other did not score the pool, but student:compact, weak did"):
        mine(pool, student="student:other")
    with pytest.raises(ConfigError, match="nobody-knows did not score"):
        mine(pool, teachers=["nobody-knows"])
    write_pool(pool, read_artifact(pool / "videos", VideoRow).rows, {STUDENT: GREY})
    with pytest.raises(ConfigError, match="only student:compact scored the pool"):
        mine(pool)
    with pytest.raises(StoreError, match="no complete artifact"):
        mine(pool.parent)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"count": -1}, "a negative number of pairs"),
        ({"random": -1}, "a negative number of pairs"),
        ({"stage": 1}, "the stage 2 or more"),
        ({"most_per_video": 0}, "must be 1 or more"),
        ({"student_weight": 0.0}, "the student has weight 0"),
        ({"teachers": [STUDENT]}, "is the student and a teacher"),
        ({"labels": "ensemble"}, "scores alone do not tell the student's level"),
        ({"student": "scores:x.csv"}, "is no student that could look at videos"),
    ],
)
def test_what_cannot_be_is_refused(pool: Path, options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        mine(pool, **options)


def test_equally_probable_levels_give_their_middle_so_that_exchanging_mirrors() -> None:
    probabilities = np.random.default_rng(0).integers(0, 3, size=(500, 5)) / 10
    levels = most_probable_levels(probabilities)
    assert (most_probable_levels(probabilities[:, ::-1]) == 4 - levels).all()
    assert set(levels.tolist()) == set(range(5))
