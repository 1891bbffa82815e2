"""Speed of scoring beside decoding: the same clip, one after the other, in one run.

Usage: python benchmarks/score_speed.py [--small] [--data DIR]

The clip is made by the script: 1920x1080, 30 fps, 10 s, H.264 at 10 Mb/s, a key frame every 60 frames. Decoding is
PyAV's with all its threads and nothing else done. Scoring is a loaded student, from path to score; the last row is the
whole command in a fresh process, imports included. --data is accepted and ignored. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

from _clips import measure, write_speed_clip
from w2svqa import Scorer

_ROUNDS = 7
_SMALL_ROUNDS = 3


def decode(path: Path) -> None:
    """Decode all frames with as many threads as FFmpeg likes."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    """Make the clip, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a smaller clip and fewer rounds; ends within a minute")
    parser.add_argument("--data", help="ignored: nothing is read")
    small = parser.parse_args().small
    rounds = _SMALL_ROUNDS if small else _ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "speed.mp4")
        if small:
            print("small run: 1280x720, 4 s instead of 1920x1080, 10 s")
            write_speed_clip(clip, width=1280, height=720, seconds=4)
        else:
            write_speed_clip(clip)
        figures = time_all(clip, rounds)
    print(json.dumps({**figures, "rounds": rounds, "small": small}))


def time_all(clip: Path, rounds: int) -> dict[str, object]:
    """Time decoding, scoring and the whole command in turns; print the table; return the figures."""
    scorer = Scorer.load()
    command = [sys.executable, "-m", "w2svqa", "score", "--json", str(clip)]
    works: dict[str, Callable[[], object]] = {
        "decode (PyAV)": lambda: decode(clip),
        "score, student loaded": lambda: scorer.score(clip),
        "w2svqa score, fresh process": lambda: subprocess.run(command, check=True, capture_output=True),
    }
    for work in works.values():  # once unmeasured, so that the file is in memory
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds_of(work))
    base = times["decode (PyAV)"]
    ratios = {
        name: statistics.median(mine / decoding for mine, decoding in zip(values, base, strict=True))
        for name, values in times.items()
    }
    peak = measure(clip)["peak_mb"]
    size = clip.stat().st_size
    print(f"{clip.name}: {size / 1e6:.1f} MB, {os.cpu_count()} cores, {rounds} rounds in turns")
    print(f"{'':30}{'median s':>10}{'best s':>10}{'x decode':>10}")
    for name, values in times.items():
        print(f"{name:30}{statistics.median(values):>10.2f}{min(values):>10.2f}{ratios[name]:>10.2f}")
    print(f"peak memory of the scoring process: {peak:.0f} MB")
    loaded, fresh = list(ratios.values())[1:]
    return {
        "ratio_to_decode": round(loaded, 3),
        "ratio_fresh_process": round(fresh, 3),
        "peak_mb": round(peak, 1),
        "cores": os.cpu_count(),
        "units": {"ratio_to_decode": "wall / wall", "peak_mb": "MiB, resident"},
    }


if __name__ == "__main__":
    main()
