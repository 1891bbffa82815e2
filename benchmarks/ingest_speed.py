"""Ingest of 10,000 small files: throughput, and a second run that reads nothing again.

    python benchmarks/ingest_speed.py [--small] [--files N] [--workers N] [--data DIR]

A few dozen clips of 2 s are encoded, and copied under other names with bytes behind their end (a `free` box of MP4), so
that each file has a content of its own while all decode alike. `w2svqa ingest` makes a table of them, without and with
near duplicates, and then runs again. What is opened and read in the second run is counted: every opening in the
process by an audit hook, and all bytes that it read by the operating system's own count (Linux). A last part groups
synthetic hashes of up to a million clips, to see how the time grows. --data is accepted and ignored. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from w2svqa.stages.near_duplicates import FRAMES, Looks, kept_instead
from w2svqa.video.encode import write_video
from w2svqa.video.scene import scene_frames

_CLIPS = 36
# Counts what this process opens below the pool, and what all of it, pool or not, reads.
_CHILD = """
import json, resource, sys, time
from pathlib import Path
pool, output, near, workers = sys.argv[1:]
opened = []
sys.addaudithook(lambda name, values: opened.append(1) if name == "open" and str(values[0]).startswith(pool) else None)
from w2svqa.stages.ingest_pool import IngestPoolConfig, ingest_pool
if __name__ == "__main__":
    io = Path("/proc/self/io")
    count = lambda: int(io.read_text().split()[1]) if io.exists() else None
    before, begin = count(), time.perf_counter()
    found = ingest_pool([pool], output, IngestPoolConfig(near_duplicates=near == "yes", workers=int(workers)))
    seconds, after = time.perf_counter() - begin, count()
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    read = None if before is None else after - before
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "opened": len(opened), "bytes_read": read,
                      "files": len(found.rows), "clips": len(found.clips)}))
"""


@dataclass(frozen=True)
class Run:
    """What one run of ingest took and found.

    Files opened in the pool are those of the main process (in a first run its workers do that; a second starts none);
    bytes read are those of the workers as well.
    """

    seconds: float
    cpu_seconds: float
    opened: int
    bytes_read: int | None
    files: int
    clips: int


def main() -> None:
    """Make the pool, ingest it twice in both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="300 files: about a minute")
    parser.add_argument("--files", type=int, help="how many files")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--data", help="ignored: nothing is read")
    arguments = parser.parse_args()
    count = arguments.files or (300 if arguments.small else 10_000)
    if arguments.small:
        print(f"small run: {count} files")
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool"
        size = _make_pool(pool, count)
        print(f"{count} files, {size / count / 1e3:.1f} kB each\n")
        print(f"{'':34}{'wall s':>9}{'files/s':>9}{'CPU s':>9}{'opened':>8}{'MB read':>9}{'clips':>7}")
        runs: dict[str, Run] = {}
        for near in ("no", "yes"):
            for name in ("first", "second"):
                title = f"{name}, {'with' if near == 'yes' else 'without'} near duplicates"
                runs[f"{name}_{near}"] = _ingest(pool, Path(folder) / f"out-{near}", near, arguments.workers)
                _print(title, runs[f"{name}_{near}"])
    growth = _grouping((10_000, 30_000) if arguments.small else (10_000, 100_000, 1_000_000))
    figures = {
        "files": count,
        "workers": arguments.workers,
        "files_per_second": round(count / runs["first_no"].seconds, 1),
        "files_per_cpu_second": round(count / runs["first_no"].cpu_seconds, 1),
        "second_run_opened": max(runs["second_no"].opened, runs["second_yes"].opened),
        "runs": {name: asdict(run) for name, run in runs.items()},
        "grouping_seconds": growth,
        "small": arguments.small,
    }
    print(json.dumps(figures))


def _make_pool(pool: Path, count: int) -> int:
    """Write the files in folders of a thousand and return their bytes."""
    pool.mkdir()
    contents = []
    for seed in range(min(_CLIPS, count)):
        path = pool / "clip.mp4"
        frames = scene_frames(seed=seed, width=96, height=64, frames=30)
        write_video(path, frames, fps=15, options={"preset": "ultrafast", "threads": "1"})
        contents.append(path.read_bytes())
        path.unlink()
    total = 0
    for number in range(count):
        folder = pool / f"{number // 1000:03d}"
        folder.mkdir(exist_ok=True)
        box = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        content = contents[number % len(contents)] + box
        total += len(content)
        (folder / f"{number:06d}.mp4").write_bytes(content)
    return total


def _ingest(pool: Path, output: Path, near: str, workers: int) -> Run:
    program = output.with_suffix(".py")
    program.write_text(_CHILD, encoding="utf-8")  # a file: worker processes import it
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, str(program), str(pool), str(output), near, str(workers)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return Run(**found)


def _print(title: str, run: Run) -> None:
    read = "?" if run.bytes_read is None else f"{run.bytes_read / 1e6:.1f}"
    print(
        f"{title:34}{run.seconds:>9.1f}{run.files / run.seconds:>9.0f}{run.cpu_seconds:>9.1f}"
        f"{run.opened:>8}{read:>9}{run.clips:>7}",
        flush=True,
    )


def _grouping(counts: tuple[int, ...]) -> dict[str, float]:
    """Return the CPU seconds of grouping random hashes, a tenth of them copies that differ in a twentieth."""
    print(f"\n{'grouping clips':>16}{'CPU s':>9}{'copies found':>14}")
    seconds = {}
    for count in counts:
        random, copies = np.random.default_rng(0), count // 10
        hashes = random.integers(0, 2**64, (count, FRAMES), dtype=np.uint64)
        hashes[-copies:] = hashes[:copies]
        for _ in range(16):
            places = random.integers(FRAMES, size=copies)
            bits = np.left_shift(np.uint64(1), random.integers(64, size=copies).astype(np.uint64))
            hashes[np.arange(count - copies, count), places] ^= bits
        looks = Looks(hashes=hashes, comparable=np.ones(hashes.shape, np.bool_), durations=np.full(count, 8.0))
        begin = time.process_time()
        owners = kept_instead(looks)
        seconds[str(count)] = round(time.process_time() - begin, 2)
        share = float((owners[-copies:] == np.arange(copies)).mean())
        print(f"{count:>16,}{seconds[str(count)]:>9.1f}{share:>14.2%}", flush=True)
    return seconds


if __name__ == "__main__":
    main()
