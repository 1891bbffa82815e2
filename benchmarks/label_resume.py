"""Labelling that is killed again and again: how much is computed more than once, and whether the tables are the same.

    python benchmarks/label_resume.py [--small] [--data DIR]

A generated pool is labelled by `w2svqa label` with two workers and a slow teacher. The command is killed (SIGKILL) at
20 random moments while it scores, and started again each time. Every score that is computed adds a line to a file, so
what was computed and lost can be counted for each kill: at most one video per worker. The tables at the end are
compared with those of a run that nobody disturbed. --data is accepted and ignored. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import _slow_teacher
from _clips import grainy_frames
from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.store import read_artifact
from w2svqa.video.encode import write_video

_KILLS = 20
_WORKERS = 2
_PROGRAM = "from w2svqa.cli.app import main; main()"


@dataclass(frozen=True)
class Workplace:
    """A pool, and what the command needs to label it."""

    folder: Path
    seconds: float

    @property
    def pool(self) -> Path:
        """Folder of the videos."""
        return self.folder / "pool"

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start labelling into the output of that name."""
        places = [str(Path(__file__).parent), str(self.folder), *(path for path in sys.path if path)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(places),
            _slow_teacher.LOG: str(self.log(name)),
            _slow_teacher.SECONDS: str(self.seconds),
        }
        words = [
            "label",
            str(self.pool),
            "--teachers",
            "slow",
            "--workers",
            str(_WORKERS),
            "--output",
            str(self.output(name)),
        ]
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def output(self, name: str) -> Path:
        """Return the output folder of that name."""
        return self.folder / name

    def log(self, name: str) -> Path:
        """Return the file with a line per computed score."""
        return self.folder / f"{name}.log"

    def computed(self, name: str) -> list[str]:
        """Return the names of the videos whose scores were computed so far."""
        path = self.log(name)
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def kept(self, name: str) -> int:
        """Return how many scores the journal has."""
        return sum(path.read_bytes().count(b"\n") - 1 for path in self.output(name).glob("journals/*.jsonl"))

    def tables(self, name: str) -> tuple[list[VideoRow], list[TeacherScoreRow]]:
        """Return the two tables of an output."""
        folder = self.output(name)
        return (
            read_artifact(folder / "videos", VideoRow).rows,
            read_artifact(folder / "scores", TeacherScoreRow).rows,
        )


def main() -> None:
    """Make the pool, label it undisturbed and disturbed, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="fewer videos and kills: less than a minute")
    parser.add_argument("--data", help="ignored: nothing is read")
    small = parser.parse_args().small
    kills, per_kill = (4, 6) if small else (_KILLS, 8)
    if small:
        print(f"small run: {kills} kills")
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), seconds=0.25)
        _make_pool(place, videos=kills * per_kill)
        _finish(place, "undisturbed")
        lost = [_kill_once(place, moment) for moment in _moments(kills)]
        _finish(place, "disturbed")
        videos, scores = place.tables("disturbed")
        again = Counter(place.computed("disturbed"))
        equal = (videos, scores) == place.tables("undisturbed")
    _print(lost, again, len(videos))
    figures = {
        "kills": len(lost),
        "recomputed_max": max(lost),
        "recomputed_total": again.total() - len(again),
        "equal": equal,
        "videos": len(videos),
        "scored": sum(row.value is not None for row in scores),
        "workers": _WORKERS,
        "units": "videos computed more than once, per kill",
        "small": small,
    }
    print(json.dumps(figures))


def _make_pool(place: Workplace, *, videos: int) -> None:
    place.pool.mkdir()
    _slow_teacher.install(place.folder)
    frames = list(grainy_frames(96, 64, videos + 1))
    for index in range(videos):
        write_video(place.pool / f"clip-{index:03d}.mp4", frames[index : index + 2], fps=2)


def _moments(kills: int) -> list[float]:
    """Seconds after the first new score of a start at which it is killed."""
    return [float(each) for each in np.random.default_rng(0).uniform(0, 0.6, kills)]


def _kill_once(place: Workplace, moment: float) -> int:
    """Start, kill while it scores, and return how many computed scores were lost by it."""
    before, kept_before = len(place.computed("disturbed")), place.kept("disturbed")
    with place.start("disturbed") as process:
        while len(place.computed("disturbed")) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moment)
        if process.poll() is not None:
            raise SystemExit(f"it ended before it could be killed: {process.stderr and process.stderr.read()!r}")
        process.kill()
    time.sleep(0.5)  # what a worker is at in this moment, it may still write down
    return len(place.computed("disturbed")) - before - (place.kept("disturbed") - kept_before)


def _finish(place: Workplace, name: str) -> None:
    with place.start(name) as process:
        _, problems = process.communicate()
    if process.returncode != 0:
        raise SystemExit(problems.decode("utf-8", "replace"))


def _print(lost: list[int], again: Counter[str], videos: int) -> None:
    print(f"{'kill':>6}{'computed and lost':>20}")
    for number, count in enumerate(lost, start=1):
        print(f"{number:>6}{count:>20}")
    times = Counter(again.values())
    print(f"{videos} videos: " + ", ".join(f"{times[each]} computed {each} times" for each in sorted(times)))


if __name__ == "__main__":
    main()
