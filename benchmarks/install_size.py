"""What the scoring install costs: its size on disk, the size of the shipped student, and the time to import.

Usage: python benchmarks/install_size.py [--small] [--data DIR]

Sizes are those of the installed files of w2svqa and of everything it requires without extras, in the environment that
runs this script. Times are wall times in fresh processes, the median of several; the bare import of numpy, PyAV and
onnxruntime beside them shows what this machine takes. --data is accepted and ignored. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from w2svqa.students.bundle import bundle_folder

_ROUNDS = 9
_SMALL_ROUNDS = 3
_MEGABYTE = 1_000_000


def requirements_of(name: str) -> set[str]:
    """Names of everything that ``name`` requires without extras, itself included."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop().lower().replace("_", "-")
        if current in found:
            continue
        found.add(current)
        for line in metadata.requires(current) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def installed_bytes(name: str) -> int:
    """Bytes of the files that a package installed; for one installed in place, of its source folder."""
    paths = [Path(str(file.locate())) for file in metadata.files(name) or []]
    if name == "w2svqa":
        folder = bundle_folder().parents[2]
        paths += [path for path in folder.rglob("*") if path.suffix != ".pyc" and path not in paths]
    return sum(path.stat().st_size for path in paths if path.is_file())


def seconds_of(arguments: list[str], rounds: int) -> float:
    """Median wall time of a fresh process."""
    times = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])  # the first one warms the file cache


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="fewer rounds")
    parser.add_argument("--data", help="ignored: nothing is read")
    small = parser.parse_args().small
    rounds = _SMALL_ROUNDS if small else _ROUNDS
    if small:
        print(f"small run: {rounds} rounds instead of {_ROUNDS}")
    sizes = {name: installed_bytes(name) for name in sorted(requirements_of("w2svqa"))}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{name:24}{size / _MEGABYTE:>10.1f} MB")
    total = sum(sizes.values()) / _MEGABYTE
    bundle = sum(path.stat().st_size for path in bundle_folder().iterdir()) / _MEGABYTE
    nothing = seconds_of(["-c", ""], rounds)
    times = {
        "import w2svqa": seconds_of(["-c", "import w2svqa"], rounds) - nothing,
        "import w2svqa; w2svqa.Scorer": seconds_of(["-c", "import w2svqa; w2svqa.Scorer"], rounds) - nothing,
        "import numpy, av, onnxruntime": seconds_of(["-c", "import numpy, av, onnxruntime"], rounds) - nothing,
        "w2svqa --help (whole process)": seconds_of(["-m", "w2svqa", "--help"], rounds),
    }
    print(f"{'all':24}{total:>10.1f} MB, of which the student {bundle:.1f} MB")
    for name, seconds in times.items():
        print(f"{name:32}{seconds:>8.3f} s")
    loaded, scorer, bare, helped = times.values()
    figures = {
        "install_mb": round(total, 1),
        "bundle_mb": round(bundle, 2),
        "import_s": round(loaded, 3),
        "scorer_s": round(scorer, 3),
        "scorer_to_bare": round(scorer / bare, 2),
        "help_s": round(helped, 3),
        "rounds": rounds,
        "packages": len(sizes),
        "units": {"install_mb": "10^6 bytes", "import_s": "seconds, median", "scorer_to_bare": "wall / wall"},
        "small": small,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
