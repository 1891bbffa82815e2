"""Speed and memory of the nine low-level metrics beside decoding: the same clip, one after the other, in one run.

Usage: python benchmarks/metrics_speed.py [--small] [--data DIR]

The clip is the speed clip (1920x1080, 30 fps, 10 s, H.264 at 10 Mb/s). Each round decodes it with PyAV, all threads,
and then measures it, from path to values; ratios are medians over rounds, of wall time and of processor time (which
other programs on the machine disturb less). Peak memory is that of a fresh process that measures the clip once. Then
a smaller clip is measured again and again, by one worker and by as many as there are cores, one thread each, in turns;
beside how much faster they are stands how much more processor time a clip takes, for others may load the machine. From
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


def one_thread(path: str) -> float:
    """Measure a clip on one thread, in a worker process; return its processor seconds."""
    begin = time.process_time()
    measure(path, threads=1)
    return time.process_time() - begin


def scaling(clip: Path, workers: int, clips: int, rounds: int) -> tuple[float, float]:
    """Return how many times as fast all workers are as one, and how much more processor time each clip takes then.

    Start-up aside; medians over rounds in turns. A machine that others load as well has no cores left for more workers,
    so the first says little there; the second does: where it is 1, nothing but the number of cores limits the speed.
    """
    pairs = [(seconds_per_clip(clip, 1, clips), seconds_per_clip(clip, workers, clips)) for _ in range(rounds)]
    faster = statistics.median(alone[0] / together[0] for alone, together in pairs)
    return faster, statistics.median(together[1] / alone[1] for alone, together in pairs)


def seconds_per_clip(clip: Path, workers: int, clips: int) -> tuple[float, float]:
    """Wall seconds per clip while all workers are busy, and processor seconds per clip."""
    executor = ProcessExecutor(workers, initializer=prepare, initargs=(1,))
    ends, processor = [], []
    # the first clip of each worker brings its start-up, and is not counted
    for outcome in executor.map(one_thread, [str(clip)] * (workers * (clips + 1))):
        if outcome.error is not None:
            raise SystemExit(str(outcome.error))
        ends.append(time.perf_counter())
        processor.append(outcome.value or 0.0)
    return (ends[-1] - ends[workers - 1]) / (workers * clips), statistics.median(processor)


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
        speed_up, growth = scaling(short, workers, *((2, 1) if small else (8, 5)))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    print(
        f"{workers} workers are {speed_up:.2f} times as fast as one; a clip takes {growth:.2f} times the processor time"
    )
    print(f"load of the machine at the end: {load}")
    scaled = {"workers": workers, "speed_up": round(speed_up, 2), "processor_time_per_clip_growth": round(growth, 3)}
    print(json.dumps({**figures, **scaled, "load": load, "small": small}))


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
