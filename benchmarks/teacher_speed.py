"""Speed and memory of the networks among the teachers, with random weights, beside decoding the same clip.

Usage: python benchmarks/teacher_speed.py [--teachers NAME ...] [--rounds N] [--small] [--data DIR]

The clip is the speed clip (1920x1080, 30 fps, 10 s, H.264 at 10 Mb/s). Each round decodes it with PyAV, all threads,
and then lets each teacher score it in a process of its own, loaded already; a ratio is the median over rounds of
scoring by the decoding before it. Nothing depends on the weights, so they are drawn at random. Beside them: what the
official code of three of them takes on two cores, in the same terms. --small takes one teacher and one round. --data is
accepted and ignored. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _clips import write_speed_clip
from score_speed import decode, seconds_of

OFFICIAL = {"fast-vqa": (9.2, 5572), "faster-vqa": (4.1, 3961), "dover": (8.9, 4736)}
"""Wall time by decoding and peak memory in MiB of the official code, measured once on two cores."""

TEACHERS = (
    "fast-vqa",
    "fast-vqa-m",
    "faster-vqa",
    "dover",
    "dover-mobile",
    "minimalistic-vii",
    "minimalistic-ix",
)

# A fresh process, so that its peak is its own; the weights are made by another one before.
_MAKE = """
import sys, torch
from pathlib import Path
from w2svqa.teachers.registry import TEACHERS
torch.manual_seed(0)
kind = TEACHERS.load(sys.argv[1])
if hasattr(kind, "build"):
    networks = [kind.build()]
else:
    from w2svqa.teachers.minimalistic import MOTION_FEATURES
    from w2svqa.teachers.networks.minimalistic import MinimalisticNetwork
    from w2svqa.networks.slowfast import SlowFast
    moves = len(kind.files) > 1
    networks = [MinimalisticNetwork(MOTION_FEATURES if moves else 0), *([SlowFast()] if moves else [])]
for name, network in zip(kind.files, networks):
    torch.save(network.state_dict(), Path(sys.argv[2], name))
"""
_SCORE = """
import json, sys, time
from pathlib import Path
from w2svqa.core.memory import return_large_buffers
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.whole import VideoFile
return_large_buffers()
teacher = load_teacher(sys.argv[1], sys.argv[2])
begin = time.perf_counter()
teacher.score(VideoFile(sys.argv[3]))
seconds = time.perf_counter() - begin
status = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
print(json.dumps({"seconds": seconds, "peak_mb": peak}))
"""


def child(code: str, *arguments: str) -> str:
    """Run code in a fresh process; return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def main() -> None:
    """Make clip and weights, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", nargs="+", choices=TEACHERS, default=list(TEACHERS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="one teacher, one round, a smaller clip")
    parser.add_argument("--data", help="ignored: nothing is read")
    options = parser.parse_args()
    names, rounds = (["fast-vqa-m"], 1) if options.small else (options.teachers, options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "speed.mp4")
        if options.small:
            print("small run: fast-vqa-m alone, 1280x720, 4 s: its figures mean little")
            write_speed_clip(clip, width=1280, height=720, seconds=4)
        else:
            write_speed_clip(clip)
        figures = time_all(clip, names, rounds, Path(folder))
    print(json.dumps({"rows": figures, "rounds": rounds, "cores": os.cpu_count(), "small": options.small}))


def time_all(clip: Path, names: list[str], rounds: int, folder: Path) -> list[dict[str, object]]:
    """Time decoding and every teacher in turns; print the table; return its rows."""
    for name in names:
        (folder / name).mkdir()
        child(_MAKE, name, str(folder / name))
    decode(clip)  # once unmeasured, so that the file is in memory
    ratios: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, float] = dict.fromkeys(names, 0.0)
    for _ in range(rounds):
        for name in names:
            base = seconds_of(lambda: decode(clip))
            found = json.loads(child(_SCORE, name, str(folder / name), str(clip)))
            ratios[name].append(found["seconds"] / base)
            peaks[name] = max(peaks[name], found["peak_mb"])
    print(f"{'':20}{'x decode':>10}{'least':>8}{'peak MiB':>10}{'official':>10}{'peak':>7}")
    for name in names:
        ratio, peak = OFFICIAL.get(name, ("", ""))
        published = f"{ratio:>10}{peak:>7}"
        print(
            f"{name:20}{statistics.median(ratios[name]):>10.1f}{min(ratios[name]):>8.1f}{peaks[name]:>10.0f}{published}"
        )
    return [
        {
            "teacher": name,
            "ratio_to_decode": round(statistics.median(ratios[name]), 2),
            "peak_mb": round(peaks[name]),
            "n": rounds,
        }
        for name in names
    ]


if __name__ == "__main__":
    main()
