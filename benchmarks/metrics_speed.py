"""Speed and memory of the nine low-level metrics beside decoding: the same clip, one after the other, in one run.

Usage: python benchmarks/metrics_speed.py [--small] [--data DIR]

The clip is the speed clip (1920x1080, 30 fps, 10 s, H.264 at 10 Mb/s). Each round decodes it with PyAV, all threads,
and then measures it, from path to values; ratios are medians over rounds, of wall time and of processor time (which
other programs on the machine disturb less). Peak memory is that of a fresh process that measures the clip once. Then
copies of a smaller clip are measured by one worker and by as many as there are cores, one thread each. Beside it, from
one measurement on two cores: FFmpeg's siti, blockdetect, blurdetect and signalstats at one frame per second take 1.9
times as long as decoding. --data is accepted and ignored. The last line is JSON.
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

from _clips import write_speed_clip
from score_speed import decode
from w2svqa.core.executor import ProcessExecutor
from w2svqa.metrics import NAMES, measure
from w2svqa.stages.measure_clip import prepare

_ROUNDS = 7
_SMALL_ROUNDS = 3

# The peak that Linux keeps per address space; getrusage's would include that of the process it was forked from.
_CHILD = """
import sys
from pathlib import Path
from w2svqa.metrics import measure
measure(sys.argv[1])
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024)
"""


def times_of(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def one_thread(path: str) -> dict[str, float | None]:
    """Measure a clip on one thread; in a worker process."""
    return dict(measure(path, threads=1).values)


def scaling(clip: Path, workers: int, clips: int, rounds: int) -> float:
    """Return how many times as fast all workers are as one, start-up aside; the median over rounds in turns."""
    ratios = [seconds_per_clip(clip, 1, clips) / seconds_per_clip(clip, workers, clips) for _ in range(rounds)]
    return statistics.median(ratios)


def seconds_per_clip(clip: Path, workers: int, clips: int) -> float:
    """Wall seconds per clip while all workers are busy."""
    executor = ProcessExecutor(workers, initializer=prepare, initargs=(1,))
    ends = []
    # the first clip of each worker brings its start-up, and is not counted
    for outcome in executor.map(one_thread, [str(clip)] * (workers * (clips + 1))):
        if outcome.error is not None:
            raise SystemExit(str(outcome.error))
        ends.append(time.perf_counter())
    return (ends[-1] - ends[workers - 1]) / (workers * clips)


def main() -> None:
    """Make the clips, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a smaller clip and fewer rounds; ends within a minute")
    parser.add_argument("--data", help="ignored: nothing is read")
    small = parser.parse_args().small
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        clip, short = Path(folder, "speed.mp4"), Path(folder, "short.mp4")
        if small:
            print("small run: 1280x720, 4 s instead of 1920x1080, 10 s")
            write_speed_clip(clip, width=1280, height=720, seconds=4)
        else:
            write_speed_clip(clip)
        figures = time_all(clip, _SMALL_ROUNDS if small else _ROUNDS)
        write_speed_clip(short, width=640, height=360, seconds=2)
        speed_up = scaling(short, workers, *((2, 1) if small else (8, 5)))
    print(f"{workers} workers are {speed_up:.2f} times as fast as one")
    print(json.dumps({**figures, "workers": workers, "speed_up": round(speed_up, 2), "small": small}))


def time_all(clip: Path, rounds: int) -> dict[str, object]:
    """Time decoding and measuring in turns; print the table; return the figures."""
    decode(clip)  # once unmeasured, so that the file is in memory
    measure(clip)
    pairs = [(times_of(lambda: decode(clip)), times_of(lambda: measure(clip))) for _ in range(rounds)]
    walls = [measured[0] / decoded[0] for decoded, measured in pairs]
    processor = statistics.median(measured[1] / decoded[1] for decoded, measured in pairs)
    child = subprocess.run([sys.executable, "-c", _CHILD, str(clip)], check=True, capture_output=True, text=True)
    peak = float(child.stdout)
    size = clip.stat().st_size
    print(f"{clip.name}: {size / 1e6:.1f} MB, {os.cpu_count()} cores, {rounds} rounds in turns, {len(NAMES)} metrics")
    print(f"{'':20}{'median s':>10}{'best s':>10}")
    for name, column in (("decode (PyAV)", 0), ("measure", 1)):
        seconds = [pair[column][0] for pair in pairs]
        print(f"{name:20}{statistics.median(seconds):>10.2f}{min(seconds):>10.2f}")
    ratio = statistics.median(walls)
    print(f"x decode: {ratio:.2f} (rounds {min(walls):.2f} to {max(walls):.2f}), of processor time {processor:.2f}")
    print(f"peak memory of a fresh process: {peak:.0f} MiB")
    return {
        "ratio_to_decode": round(ratio, 3),
        "ratio_of_processor_time": round(processor, 3),
        "peak_mb": round(peak, 1),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "units": {"ratio_to_decode": "wall / wall", "peak_mb": "MiB, resident"},
    }


if __name__ == "__main__":
    main()
