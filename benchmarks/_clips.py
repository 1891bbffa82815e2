"""Clips that the benchmarks make for themselves, and measuring a whole process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import av
import numpy as np
from numpy.typing import NDArray

from w2svqa.video.encode import write_video
from w2svqa.video.scene import scene_frames

_LOOP = 30  # frames of the scene that are made; played forth and back with fresh grain on each
_GRAIN = 3.0

# The peak that Linux keeps per address space; getrusage's would include that of the process it was forked from.
_CHILD = """
import json, resource, sys, time
from pathlib import Path
from w2svqa import Scorer
scorer = Scorer.load()
begin = time.perf_counter()
score = scorer.score(sys.argv[1])
seconds = time.perf_counter() - begin
status = Path("/proc/self/status")
if status.exists():
    kib = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
else:
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print(json.dumps({"seconds": seconds, "peak_mb": kib / 1024, "scored": len(score.seconds), "status": score.status}))
"""


def grainy_frames(width: int, height: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    """Yield a panning scene with fresh grain on every frame, so that an encoder has bits to spend.

    uint8 ``(height, width, 3)``.
    """
    loop = list(scene_frames(width=width, height=height, frames=_LOOP))
    random = np.random.default_rng(0)
    grain = random.normal(0, _GRAIN, (height * 2, width * 2, 1))
    for index in range(frames):
        position = index % (2 * _LOOP - 2)
        frame = loop[position if position < _LOOP else 2 * _LOOP - 2 - position]
        top, left = random.integers(height), random.integers(width)
        piece = grain[top : top + height, left : left + width]
        yield np.clip(frame + piece, 0, 255).astype(np.uint8)


def write_speed_clip(path: Path, *, width: int = 1920, height: int = 1080, seconds: int = 10, fps: int = 30) -> None:
    """Write the speed clip: H.264 at 10 Mb/s, a key frame every 60 frames, one slice per picture."""
    rate = str(10_000_000 * width * height // (1920 * 1080))
    options = {"b": rate, "maxrate": rate, "bufsize": rate, "g": "60", "preset": "fast", "nal-hrd": "cbr"}
    write_video(path, grainy_frames(width, height, seconds * fps), fps=fps, options=options)


def write_long_clip(source: Path, target: Path, *, seconds: int) -> None:
    """Repeat the packets of a clip without B-frames until ``seconds`` are full, without encoding anew."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = read.streams.video[0]
        packets = [(bytes(each), each.is_keyframe, each.duration or 0) for each in read.demux(stream) if each.size]
        time_base = stream.time_base or Fraction(1)
        copy = written.add_stream_from_template(stream)
        time = 0
        while time * time_base < seconds:
            for data, is_key, duration in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = copy, time_base, is_key
                packet.pts = packet.dts = time
                packet.duration = duration
                written.mux(packet)
                time += duration


class Measured(TypedDict):
    """What the scoring process says of itself: wall seconds, peak in MiB, seconds of video scored, status."""

    seconds: float
    peak_mb: float
    scored: int
    status: str


def measure(clip: Path) -> Measured:
    """Score a clip in a fresh process; seconds of scoring with the student loaded, and the process's peak in MB."""
    done = subprocess.run([sys.executable, "-c", _CHILD, str(clip)], capture_output=True, text=True, check=True)
    found: Measured = json.loads(done.stdout)
    if found["status"] != "ok":
        raise SystemExit(f"{clip}: the benchmark's own clip was not scored as a whole")
    return found
