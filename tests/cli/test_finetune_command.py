"""``w2svqa finetune`` and ``w2svqa report`` from the outside: what they print and write, exit codes, and refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import PACKAGE

pytest.importorskip("torch")
pytest.importorskip("scipy")


class Command:
    """One of the commands, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(PACKAGE), "COLUMNS": "200"}
        command = [sys.executable, "-m", "w2svqa", self.name, *words]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def finetune(tmp_path: Path) -> Command:
    rows = [(f"v{place}", 1 + place % 17 / 4, -(place % 17), place % 5) for place in range(80)]
    (tmp_path / "mos.csv").write_text("name,mos\n" + "".join(f"{name},{mos}\n" for name, mos, _, _ in rows))
    (tmp_path / "features.csv").write_text(
        "video,mos,sharpness,other\n" + "".join(f"{name},{mos},{one},{other}\n" for name, mos, one, other in rows)
    )
    return Command(tmp_path, "finetune")


@pytest.mark.slow
def test_features_are_learned_and_a_rerun_goes_on(finetune: Command) -> None:
    words = ["--features", "features.csv", "--mos", "mos.csv", "--output", "student", "--seeds", "1"]
    done = finetune(*words)
    assert done.returncode == 0, done.stderr
    assert "80 videos, 2 features, 1 splits" in done.stdout
    assert float(done.stdout.split("SRCC")[1].split()[0]) > 0.9
    assert "mos say what people said, and are no features" in done.stderr
    assert {"weights.safetensors", "card.json", "scores.csv", "seeds.jsonl"} <= {
        path.name for path in (finetune.folder / "student").iterdir()
    }
    again = finetune(*words)
    assert again.stdout == done.stdout


def test_wrong_usage_and_bad_ratings(finetune: Command) -> None:
    base = ["--mos", "mos.csv", "--output", "student"]
    for words in (
        base,
        [*base, "--features", "features.csv", "clip.mp4"],
        [*base, "--features", "features.csv", "--student", "compact"],
        [*base, "clip.mp4", "--content", "("],
    ):
        assert finetune(*words).returncode == 2, words
    (finetune.folder / "bad.csv").write_text("name,mos\nv1,good\n")
    done = finetune("--mos", "bad.csv", "--output", "student", "--features", "features.csv")
    assert done.returncode == 1
    assert "mos in row 1 is no number: 'good'" in done.stderr
    (finetune.folder / "twice.csv").write_text("name,mos\nv1,1\nv1,2\n")
    done = finetune("--mos", "twice.csv", "--output", "student", "--features", "features.csv")
    assert (done.returncode, "1 names have several ratings: v1 (1 and 2)" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def test_too_few_videos_are_one_line(finetune: Command) -> None:
    (finetune.folder / "clips").mkdir()
    for place in range(3):
        (finetune.folder / "clips" / f"v{place}.mp4").write_bytes(bytes([place]))
    done = finetune("--mos", "mos.csv", "--output", "student", "clips")
    assert done.returncode == 1
    assert "3 rated videos of mos are here, fine-tuning takes 20 at least" in done.stderr
    assert not (finetune.folder / "student").exists()


def test_a_card_is_printed_or_written(tmp_path: Path) -> None:
    report = Command(tmp_path, "report")
    done = report("compact")
    assert done.returncode == 0
    assert done.stdout.startswith("---\nlicense: other\n")
    assert "## Weaknesses" in done.stdout
    from w2svqa.students.bundle import write_card

    (tmp_path / "mine").mkdir()
    write_card(tmp_path / "mine", {"name": "mine"})
    (tmp_path / "mine" / "README.md").unlink()
    done = report("mine", "--license", "mit")
    assert (done.returncode, done.stdout.strip()) == (0, "mine/README.md")
    assert "license: mit" in (tmp_path / "mine" / "README.md").read_text()
    (tmp_path / "empty").mkdir()
    assert report("empty", "--push", "me/x").returncode == 2
    done = report("empty")
    assert done.returncode == 1
    assert "is no folder of a run" in done.stderr
    done = report("mine", "--push", "nobody")
    assert done.returncode == 1
    assert "write OWNER/NAME" in done.stderr
