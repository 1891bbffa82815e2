"""``w2svqa evaluate`` from the outside: what it prints and writes, its exit codes, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import PACKAGE, WriteClip

STAGES = Path(__file__).parents[1] / "stages"

pytest.importorskip("scipy")
pytest.importorskip("pyarrow")


class Evaluate:
    """The command, with the fakes of ``label_fakes`` among the teachers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sys.path.insert(0, str(STAGES))
        try:
            from label_fakes import LOG, install
        finally:
            sys.path.remove(str(STAGES))
        self.log = folder / "log"
        places = [str(install(folder)), str(STAGES), str(PACKAGE)]
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(places), LOG: str(self.log), "COLUMNS": "200"}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "w2svqa", "evaluate", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    rows = [(f"{number}.mp4", 1 + number % 37 / 10) for number in range(60)]
    (tmp_path / "kvq.csv").write_text("name,mos\n" + "".join(f"{name},{mos}\n" for name, mos in rows))
    for model, wrong in (("good", 9), ("weak", 3)):
        lines = [f"{name},{-mos if place % wrong == 0 else mos}\n" for place, (name, mos) in enumerate(rows)]
        (tmp_path / f"{model}.csv").write_text("name,score\n" + "".join(lines))
    return Evaluate(tmp_path)


def test_figures_tables_pages_and_a_leaderboard(evaluate: Evaluate) -> None:
    words = ["--benchmark", "kvq", "--labels", ".", "--scores", "good.csv", "--scores", "weak.csv", "--output", "out"]
    done = evaluate(*words, "--tables", "md,latex,html", "--gmad", "good", "weak", "--resamples", "100")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("kvq")]
    assert [(line[1], line[-1]) for line in lines] == [("good", "60/2926"), ("weak", "60/2926")]
    assert "60 videos have a rating, where 2926 are expected" in done.stderr
    assert "kvq: SRCC of good minus weak:" in done.stderr
    made = sorted(path.name for path in (evaluate.folder / "out").iterdir() if not path.name.startswith("."))
    assert made == ["differences", "evaluation.html", "figures", "gmad.html", "joined", "tables"]
    tables = sorted(path.name for path in (evaluate.folder / "out" / "tables").iterdir())
    assert tables == ["ood.html", "ood.md", "ood.tex"]
    board = evaluate("out", "--leaderboard", "board.html")
    assert board.returncode == 0, board.stderr
    assert [line.split()[0] for line in board.stdout.splitlines() if "[" in line] == ["good", "weak"]
    assert (evaluate.folder / "board.html").read_text().startswith("<!DOCTYPE html>")


def test_bad_files_are_rows_and_a_rerun_decodes_nothing(evaluate: Evaluate, write_clip: WriteClip) -> None:
    (evaluate.folder / "clips").mkdir()
    for number, level in enumerate((40, 90, 120, 200)):
        write_clip(f"clips/{number}.mkv", (level,))
    (evaluate.folder / "clips" / "4.mkv").write_bytes(b"no video")
    (evaluate.folder / "my.csv").write_text("video,mos\n0,1\n1,2\n2,4\n3,3\n4,5\n")
    words = ["--ratings", "my.csv", "--videos", "clips", "--teacher", "grey", "--output", "out", "--resamples", "20"]
    done = evaluate(*words)
    assert done.returncode == 1, done.stderr
    assert "0.800" in done.stdout
    assert "4/5" in done.stdout
    assert "1 videos could not be scored: 4:" in done.stderr
    asked = evaluate.log.read_text()
    again = evaluate(*words)
    assert again.stdout == done.stdout
    assert evaluate.log.read_text() == asked


def test_direction_is_told_and_can_be_declared(evaluate: Evaluate) -> None:
    (evaluate.folder / "down.csv").write_text("name,score\n" + "".join(f"{n},{-(n % 37)}\n" for n in range(60)))
    words = ["--ratings", "kvq.csv", "--scores", "down.csv", "--resamples", "50"]
    done = evaluate(*words)
    assert done.returncode == 0, done.stderr
    assert "scores fall where ratings rise (SRCC -1.000" in done.stderr
    declared = evaluate(*words, "--lower-is-better", "down")
    assert "fall where" not in declared.stderr
    assert "1.000 [1.000, 1.000]" in declared.stdout


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--benchmark", "kqv", "--scores", "good.csv"], 1, "did you mean 'kvq'"),
        (["--benchmark", "kvq", "--labels", "nowhere", "--scores", "good.csv"], 1, "were not found"),
        (["--ratings", "twice.csv", "--scores", "good.csv"], 1, "several ratings: 1.mp4 (1 and 2)"),
        (["--ratings", "kvq.csv", "--scores", "words.csv"], 1, "the score in row 1 is no number: 'fine'"),
        (["--ratings", "few.csv", "--scores", "good.csv"], 1, "a correlation takes 3"),
        (["--ratings", "kvq.csv"], 2, "name a --student, a --teacher or --scores"),
        (["--scores", "good.csv"], 2, "give either --benchmark or --ratings"),
        (["--ratings", "kvq.csv", "--scores", "good.csv", "--tables", "md"], 2, "give --output"),
        (["--ratings", "kvq.csv", "--scores", "good.csv", "--output", "o", "--tables", "doc"], 2, "of md, latex, html"),
        (["--ratings", "kvq.csv", "--scores", "good.csv", "--lower-is-better", "god"], 2, "god: of good, ratings"),
        (["--leaderboard", "x.html"], 2, "name the folders of evaluations"),
        (["nowhere"], 1, "nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(evaluate: Evaluate, words: list[str], code: int, text: str) -> None:
    (evaluate.folder / "twice.csv").write_text("name,mos\n1.mp4,1\n1.mp4,2\n2.mp4,2\n")
    (evaluate.folder / "words.csv").write_text("name,score\n1.mp4,fine\n")
    (evaluate.folder / "few.csv").write_text("name,mos\n1.mp4,1\n2.mp4,2\n")
    done = evaluate(*words)
    assert done.returncode == code, done.stderr
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
