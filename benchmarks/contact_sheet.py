"""The contact sheet of the simulators: one row per kind, one column per level, the untouched scene first.

Usage: python benchmarks/contact_sheet.py [--output PNG] [--small] [--data DIR]

Crops are shown pixel for pixel. Temporal kinds, which a still cannot show, appear as x-t slices: one row of pixels of
each frame in turn, time running down, so that steady motion is a slanted line, jitter frays it and a frozen picture
stands upright. Everything is made from the procedural scene; the same call draws the same pixels. --small draws fewer
frames, to try it; --data is accepted and ignored. Needs the extra "plot". The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from w2svqa.distort import SIMULATORS, UNSEEN_CODECS, Simulator, distort_frame, distort_frames, distort_video
from w2svqa.video.encode import write_lossless
from w2svqa.video.frames import read_frames
from w2svqa.video.scene import scene_frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = NDArray[np.uint8]

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "contact_sheet.png"

_SEED, _WIDTH, _HEIGHT, _FRAMES = 9, 480, 270, 48
_SMALL_FRAMES = 12
_SHOWN = 6  # the frame that is cut out; not the first, which codecs favour
_CROP_HEIGHT, _CROP_WIDTH = 82, 120
_CROP = (slice(100, 100 + _CROP_HEIGHT), slice(296, 296 + _CROP_WIDTH))  # a striped box, edges and smooth ground
_SLICED_ROW = 150
_KEPT_BITS = np.uint8(0b11111100)  # of each colour, so that noise and texture do not make a huge file

# Layout, in pixels of the sheet.
_LABELS, _LABEL_LETTERS, _GAP, _CAPTION, _TOP, _EDGE = 144, 24, 8, 18, 62, 12
_DPI = 100
_INK, _FAINT, _PAPER = "#222222", "#777777", "#ffffff"
_COLUMNS = 1 + max(len(simulator.levels) for simulator in SIMULATORS.values())


@dataclass(frozen=True)
class Cell:
    """One picture of the sheet, uint8 ``(height, width, 3)``, and the line beneath it."""

    picture: Picture
    caption: str


def cells_of(simulator: Simulator, frames: Sequence[Picture], scene: Path, folder: Path) -> list[Cell]:
    """Return the untouched scene and each level, cut out or sliced as the kind needs it."""
    is_temporal = simulator.family == "temporal"
    cells = [Cell(slice_of(frames) if is_temporal else frames[_SHOWN][_CROP], "untouched")]
    for level, value in enumerate(simulator.levels, start=1):
        if is_temporal:
            picture = slice_of(list(distort_frames(frames, simulator.kind, level)))
        elif simulator.family == "spatial":
            picture = distort_frame(frames[_SHOWN], simulator.kind, level, index=_SHOWN)[_CROP]
        else:
            path = folder / f"{simulator.kind}-{level}.mkv"
            distort_video(scene, path, simulator.kind, level)
            picture = list(read_frames(path))[_SHOWN][_CROP]
        cells.append(Cell(picture, f"{value:g}"))
    return cells


def slice_of(frames: Sequence[Picture]) -> Picture:
    """Stack one row of pixels of every frame, each as high as fills a crop."""
    rows = np.stack([frame[_SLICED_ROW, _CROP[1]] for frame in frames])
    return np.repeat(rows, -(-_CROP_HEIGHT // len(frames)), axis=0)[:_CROP_HEIGHT]


def draw(rows: Sequence[tuple[Simulator, Sequence[Cell]]]) -> Figure:
    """Lay the cells out, a screen pixel for each of theirs."""
    from matplotlib.figure import Figure

    step = _CROP_HEIGHT + _CAPTION + _GAP
    width = 2 * _EDGE + _LABELS + _COLUMNS * (_CROP_WIDTH + _GAP) - _GAP
    height = _TOP + len(rows) * step + _EDGE
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER)

    def write(
        x: float, y: float, text: str, size: float, *, color: str = _INK, weight: str = "normal", ha: str = "left"
    ) -> None:
        position = (x / width, 1 - y / height)
        figure.text(*position, text, fontsize=size, color=color, weight=weight, ha=ha, va="top")

    write(_EDGE, 10, "Simulated distortions", 13, weight="bold")
    note = "Crops of one frame, pixel for pixel. Jitter and stuttering: one row of pixels over time, which runs down."
    write(width - _EDGE, 14, note, 8, ha="right", color=_FAINT)
    for column in range(_COLUMNS):
        middle = _EDGE + _LABELS + column * (_CROP_WIDTH + _GAP) + _CROP_WIDTH / 2
        write(middle, _TOP - 20, f"level {column}" if column else "untouched", 9, ha="center", weight="bold")
    for number, (simulator, cells) in enumerate(rows):
        top = _TOP + number * step
        write(_EDGE, top + 12, simulator.kind, 11, weight="bold")
        trained = simulator.family if simulator.kind in SIMULATORS else f"{simulator.family}, unseen"
        write(_EDGE, top + 31, "\n".join((trained, *wrap(simulator.parameter, _LABEL_LETTERS))), 8, color=_FAINT)
        for column, cell in enumerate(cells):
            left = _EDGE + _LABELS + column * (_CROP_WIDTH + _GAP)
            box = (left / width, 1 - (top + _CROP_HEIGHT) / height, _CROP_WIDTH / width, _CROP_HEIGHT / height)
            axes = figure.add_axes(box)
            axes.imshow(cell.picture & _KEPT_BITS, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            if column:
                write(left + _CROP_WIDTH / 2, top + _CROP_HEIGHT + 3, cell.caption, 8, ha="center")
    return figure


def main() -> None:
    """Draw the sheet and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, metavar="PNG", help="default: that of docs/; none with --small")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args()

    begin = time.perf_counter()
    count = _SMALL_FRAMES if options.small else _FRAMES
    frames = list(scene_frames(seed=_SEED, width=_WIDTH, height=_HEIGHT, frames=count))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = folder / "scene.mkv"
        write_lossless(scene, frames, fps=30)
        simulators = list(chain(SIMULATORS.values(), UNSEEN_CODECS.values()))
        rows = [(simulator, cells_of(simulator, frames, scene, folder)) for simulator in simulators]
    picture = io.BytesIO()
    draw(rows).savefig(picture, format="png", dpi=_DPI, facecolor=_PAPER, pil_kwargs={"optimize": True})
    size, output = picture.tell(), options.output or (None if options.small else OUTPUT)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(picture.getvalue())
    print(f"{len(rows)} kinds in {time.perf_counter() - begin:.1f} s, {size / 1000:.0f} KB: {output or 'not written'}")
    print(json.dumps({"kinds": len(rows), "kilobytes": round(size / 1000)}))


if __name__ == "__main__":
    main()
