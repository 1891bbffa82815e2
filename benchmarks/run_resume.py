"""A whole run that is killed again and again: are its tables and weights those of a run that nobody disturbed?

    python benchmarks/run_resume.py [--kills N] [--seed N] [--small] [--data DIR]

`w2svqa run` makes a student in two stages from generated clips, with a weak teacher and VMAF. It is killed (SIGKILL) at
20 random moments, whatever it is doing, and started again each time; what it was doing is told. In the end every table,
the weights of every stage and every file of the bundles are compared with those of an undisturbed run. --small is three
kills. --data is accepted and ignored. The last line is JSON.
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
from pathlib import Path

import numpy as np

from w2svqa.core.files import sha256_file
from w2svqa.students.bundle import CARD

_KILLS = 20
_RUN = "run"
_PROGRAM = "from w2svqa.cli.app import main; main()"
_CONFIG = {
    "name": "resumed",
    "seed": 16,
    "ingest": {
        "scenes": 10,
        "scene_size": [64, 80],
        "scene_seconds": 2,
        "anchor_share": 0.25,
        "calibration_share": 0.4,
    },
    "distort": {
        "kinds": ["resizing", "blur"],
        "first_seconds": 1,
        "codec_details": 1,
        "vmaf_frames": 1,
        "held_out_seconds": 2,
    },
    "label": {
        "teachers": [{"name": "cpbd"}],
        "test_primaries": 8,
        "seconds": 1,
        "admission": {"floor": -1.0, "worst_floor": -1.0, "least_contents": 1, "resamples": 20},
        "calibration_kinds": ["resizing", "blur"],
    },
    "train": {
        "model": {"widths": [4, 4, 8, 8], "token": 8, "hidden": 8},
        "batch": {"severity_groups": 2, "vmaf_groups": 1},
        "steps": 60,
        "checkpoint_steps": 10,
        "learning_rate": 0.01,
        "threads": 1,
    },
    "export": {"calibrate": {"anchors": 3}},
    "later": {"stages": 1, "steps": 30, "stop": {"resamples": 50}},
}
_NAMES = ("table.parquet", "pairs.sha", "stopping.json", "held_back.json")
"""Files whose bytes must be the same, beside those of the bundles and the weights."""


def main() -> None:
    """Run undisturbed and disturbed, compare, print."""
    options = parse()
    kills = 3 if options.small else options.kills
    if options.small:
        print(f"small run: {kills} kills")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "config.yaml").write_text(json.dumps(_CONFIG), encoding="utf-8")  # JSON is YAML
        begin = time.perf_counter()
        finish(place)
        whole = time.perf_counter() - begin
        theirs = contents(place / _RUN)
        (place / _RUN).rename(place / "undisturbed")  # tables hold paths, so the other run is in the same place
        random = np.random.default_rng(options.seed)
        # a start needs some seconds before it does anything; what is left of the run lasts longer than all of them
        moments = random.uniform(2, 2 + whole / 12, kills).tolist()
        met = [kill_once(place, moment) for moment in moments]
        finish(place)
        ours = contents(place / _RUN)
    different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    for part, count in Counter(met).items():
        print(f"killed while {part}: {count}")
    print(f"{len(ours)} files compared, different: {', '.join(different) or 'none'}")
    figures = {
        "kills": sum(part != "nothing: it had ended" for part in met),
        "equal": not different,
        "files": len(ours),
        "undisturbed_seconds": round(whole, 1),
        "units": "files whose bytes (of weights: whose values) are compared",
        "small": options.small,
    }
    print(json.dumps(figures))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=_KILLS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--small", action="store_true", help="three kills")
    parser.add_argument("--data", help="ignored: nothing is read")
    return parser.parse_args()


def start(place: Path) -> subprocess.Popen[str]:
    """Start the run."""
    words = ["run", str(place / "config.yaml"), "--output", str(place / _RUN), "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_once(place: Path, moment: float) -> str:
    """Start, kill after so many seconds, and return what the run was doing."""
    with start(place) as process:
        time.sleep(moment)
        ended = process.poll() is not None
        process.kill()
        said = process.stderr.read().splitlines() if process.stderr else []
    if ended:
        return "nothing: it had ended"
    told = [line.removeprefix("w2svqa: ") for line in said if line.startswith("w2svqa: ")]
    return told[-1].rpartition("/")[0].rpartition(" ")[0] if told else "starting"


def finish(place: Path) -> None:
    """Run to the end."""
    with start(place) as process:
        _, problems = process.communicate()
    if process.returncode != 0:
        raise SystemExit(problems)


def contents(folder: Path) -> dict[str, str]:
    """Return the hashes of what a run has made; of a checkpoint those of its weights, of a bundle those in its card."""
    found = {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name in _NAMES
    }
    for path in sorted(folder.rglob(CARD)):
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        found |= {(path.parent / each).relative_to(folder).as_posix(): hash_ for each, hash_ in files.items()}
    for path in sorted(folder.rglob("checkpoint.pt")):
        found[path.relative_to(folder).as_posix()] = weights_of(path)
    return found


def weights_of(path: Path) -> str:
    """Return a hash over the weights of a checkpoint; the file itself holds more than values."""
    import hashlib

    import torch

    state = torch.load(path, weights_only=True)
    digest = hashlib.sha256(str(state["step"]).encode())
    for name, value in sorted(state["model"].items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
