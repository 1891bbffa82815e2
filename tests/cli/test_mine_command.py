"""``w2svqa mine`` from the outside: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Run, WriteClip

from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.stage_rows import HardPairRow
from w2svqa.core.store import read_artifact, write_artifact

STUDENT = "student:compact"


@pytest.fixture
def labelled(write_clip: WriteClip, tmp_path: Path) -> Path:
    """Four videos: the student and the teacher disagree about all of them, a third model says nothing."""
    videos = [
        VideoRow(clip_id=f"c{n}", path=str(write_clip(f"{n}.mkv", (60 * n + 30,))), name=f"{n}", sha256=f"{n}" * 64)
        for n in range(4)
    ]
    scores = [
        TeacherScoreRow(clip_id=row.clip_id, teacher=name, version="1", value=value)
        for name, sign in ((STUDENT, 1), ("scores:x", -1), ("scores:flat", 0))
        for row, value in zip(videos, (sign * float(n) for n in range(4)), strict=True)
    ]
    write_artifact(tmp_path / "pool" / "videos", videos, VideoRow, kind="videos", config={})
    write_artifact(tmp_path / "pool" / "scores", scores, TeacherScoreRow, kind="scores", config={})
    return tmp_path / "pool"


OPTIONS = ("--student", STUDENT, "--bins", "1", "--higher-is-better", "scores:x", "--higher-is-better", "scores:flat")


def test_hard_pairs_are_made_and_what_was_found_is_said(run: Run, labelled: Path) -> None:
    done = run("mine", labelled, *OPTIONS, "--count", "9", "--random", "2", "--seed", "3")
    assert done.code == 0, done.err
    rows = read_artifact(labelled / "hard", HardPairRow, kind="hard")
    assert len(rows.rows) == 6
    assert rows.manifest.seed == 3
    assert len(read_artifact(labelled / "control", HardPairRow, kind="control").rows) == 2
    assert "6 of 9 gMAD pairs were found" in done.err
    assert "left out: scores:flat: it gives all of its 4 videos the same score" in done.err
    assert "comparing and scores give" in done.err
    (role,) = (line.split() for line in done.out.splitlines() if "100.0%" in line)
    assert role[:3] == ["scores:x", "student", "6"]
    assert [line.split()[-1] for line in done.out.splitlines() if line.strip().startswith(("gmad", "random"))] == [
        "6",
        "2",
    ]


def test_a_video_that_is_gone_is_said_and_the_code_is_1(run: Run, labelled: Path) -> None:
    (labelled.parent / "2.mkv").unlink()
    done = run("mine", labelled, *OPTIONS, "--count", "9")
    assert done.code == 1
    assert "c2: " in done.err
    assert "2.mkv: there is no such file" in done.err
    assert "3 pairs were left out" in done.err
    assert len(read_artifact(labelled / "hard", HardPairRow).rows) == 3


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("--count", "9"), 2, "--student"),
        (("--student", STUDENT), 2, "--count"),
        ((*OPTIONS, "--count", "9", "--labels", "mos"), 2, "direct"),
        ((*OPTIONS, "--count", "9", "--stage", "1"), 2, "stage"),
        ((*OPTIONS, "--count", "9", "--labels", "ensemble"), 1, "ask for a wrong order"),
        (("--student", "student:none", "--count", "9"), 1, "student:none did not score the pool"),
        ((*OPTIONS, "--count", "0"), 1, "no pair is mined"),
    ],
)
def test_what_is_wrong_is_said(run: Run, labelled: Path, words: tuple[str, ...], code: int, problem: str) -> None:
    done = run("mine", labelled, *words)
    assert done.code == code
    assert problem in done.err
    assert "Traceback" not in done.err
    assert not (labelled / "hard").exists()
