"""Memory of scoring against the length of the video: flat, or not.

Usage: python benchmarks/score_memory.py [--small] [--data DIR]

Each clip is 1920x1080 at 5 fps (few frames, so that hours can be scored in minutes; memory depends on the picture and
the seconds), made by repeating the same packets, and scored in a fresh process. --data is accepted and ignored. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from _clips import grainy_frames, measure, write_long_clip
from w2svqa.video.encode import write_video

_LENGTHS = {"10s": 10, "10min": 600, "1h": 3600, "2h": 7200}
_SMALL_LENGTHS = {"10s": 10, "2min": 120}
_FPS = 5


def main() -> None:
    """Make the clips, score each, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="640x360 and minutes instead of hours")
    parser.add_argument("--data", help="ignored: nothing is read")
    small = parser.parse_args().small
    if small:
        print("small run: 640x360, up to 2 minutes")
    width, height = (640, 360) if small else (1920, 1080)
    figures: dict[str, object] = {}
    print(f"{'length':>8}{'seconds scored':>16}{'peak MB':>10}{'wall s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder, "short.mp4"), Path(folder, "long.mp4")
        frames = grainy_frames(width, height, 10 * _FPS)
        write_video(short, frames, fps=_FPS, options={"bf": "0", "g": "10", "preset": "fast", "crf": "26"})
        for name, seconds in (_SMALL_LENGTHS if small else _LENGTHS).items():
            write_long_clip(short, long, seconds=seconds)
            found = measure(long)
            figures[f"peak_mb_{name}"] = round(found["peak_mb"], 1)
            print(f"{name:>8}{found['scored']:>16.0f}{found['peak_mb']:>10.0f}{found['seconds']:>10.1f}", flush=True)
    print(json.dumps({**figures, "units": "MiB, peak resident memory of the process", "small": small}))


if __name__ == "__main__":
    main()
