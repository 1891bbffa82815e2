"""``w2svqa demo``: a quality ladder made on the spot, and whether the scores follow it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from w2svqa.cli import exits
from w2svqa.core.errors import StoreError

if TYPE_CHECKING:
    from rich.table import Table

    from w2svqa.core.records import Score

LEAST_CORRELATION: Final = 0.9
"""Spearman's rank correlation from which an order counts as right: one pair of neighbours may be exchanged."""

_ROUNDING: Final = 1e-9
_SECONDS: Final = 2.0
_FRAMES_PER_SECOND: Final = 10  # a third of the usual, so that the demo takes seconds, not a minute
# What every student that ships was trained on. Nothing temporal: at this frame rate it would be another distortion than
# the one that was learned. No second codec: it takes longest and looks like the first.
_KINDS: Final = ("resizing", "blur", "noise", "h264")
_CLEAN: Final = "clean"
_PREFIX: Final = "w2svqa-demo-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One file of the ladder.

    Attributes:
        kind: the distortion, or ``"clean"``.
        level: 0 for the clean scene, then 1 (mild) and up.
        parameter: what was set, such as ``"sigma (pixels) 2"``.
        path: the file.
    """

    kind: str
    level: int
    parameter: str
    path: Path


def demo(
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Make the clips here, and keep them.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the clips; the last line says where.")] = False,
    student: Annotated[
        str | None, typer.Option(metavar="PATH", help="Folder of a student bundle; the shipped one if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Picks the scene.")] = 0,
) -> None:
    """Make a clean scene and distorted versions of rising severity, score them, and check the order.

    Exit code 1 if the scores of a distortion do not fall with its severity.
    """
    from w2svqa.cli.console import progress, show, uses_ascii
    from w2svqa.stages.score import Scorer

    scorer = Scorer.load(student)
    with _working_folder(folder, keep=keep) as place:
        rungs = []
        with progress(_rung_count(), "making clips") as done:
            for rung in make_ladder(place, seed=seed):
                rungs.append(rung)
                done()
        with progress(len(rungs), "scoring") as done:
            scores = []
            for rung in rungs:
                scores.append(scorer.score(rung.path))
                done()
    show(ladder_table(rungs, scores, ascii_only=uses_ascii(sys.stdout)))
    correlations = order(rungs, scores)
    for kind, correlation in correlations.items():
        exits.say(f"{kind}: severity and score correlate by {correlation:+.2f} (Spearman; -1 is a perfect order)")
    wrong = [kind for kind, correlation in correlations.items() if correlation > -LEAST_CORRELATION + _ROUNDING]
    if wrong:
        raise typer.Exit(exits.fail(f"the order does not come out for {', '.join(wrong)}"))
    exits.say("The order comes out: the worse the distortion, the lower the score.")


def make_ladder(folder: Path, *, seed: int = 0) -> Iterator[Rung]:
    """Write a clean procedural scene and some simulators' visible levels into ``folder``; yield each when made."""
    from w2svqa.distort import SIMULATORS, distort_video
    from w2svqa.video.scene import write_scene

    clean = folder / f"{_CLEAN}.mkv"
    write_scene(clean, seed=seed, seconds=_SECONDS, fps=_FRAMES_PER_SECOND)
    yield Rung(kind=_CLEAN, level=0, parameter="", path=clean)
    for kind in _KINDS:
        simulator = SIMULATORS[kind]
        for level in _visible_levels(kind):
            path = folder / f"{kind}-{level}.mkv"
            distort_video(clean, path, kind, level, seed=seed)
            parameter = f"{simulator.parameter} {simulator.value(level):g}"
            yield Rung(kind=kind, level=level, parameter=parameter, path=path)


def _visible_levels(kind: str) -> list[int]:
    """Return the levels that change a pixel; blur of a tenth of a pixel changes none in 8 bits."""
    import numpy as np

    from w2svqa.core.random import generator
    from w2svqa.distort import SIMULATORS, distort_frame

    levels = range(1, len(SIMULATORS[kind].levels) + 1)
    if SIMULATORS[kind].on_frame is None:
        return list(levels)
    grain = generator(0, "demo").integers(0, 256, (32, 32, 3), dtype=np.uint8)  # where any change shows
    return [level for level in levels if not np.array_equal(distort_frame(grain, kind, level), grain)]


def order(rungs: Sequence[Rung], scores: Sequence[Score]) -> dict[str, float]:
    """Return, per distortion, the rank correlation of severity and score, the clean scene being level 0.

    Unclipped scores are ranked, so that levels beyond the ends of the scale still differ.
    """
    from w2svqa.core.statistics import spearman

    raw = [score.raw if score.raw is not None else score.value or 0.0 for score in scores]
    clean = [value for rung, value in zip(rungs, raw, strict=True) if rung.kind == _CLEAN]
    found: dict[str, float] = {}
    for kind in dict.fromkeys(rung.kind for rung in rungs if rung.kind != _CLEAN):
        ladder = [(rung.level, value) for rung, value in zip(rungs, raw, strict=True) if rung.kind == kind]
        levels, values = zip(*ladder, strict=True)
        found[kind] = spearman([0] * len(clean) + list(levels), clean + list(values))
    return found


def ladder_table(rungs: Sequence[Rung], scores: Sequence[Score], *, ascii_only: bool = False) -> Table:
    """Lay out the ladder: distortion, level, parameter, score, a bar from 0 to 100, the most probable reason."""
    from rich.table import Table
    from rich.text import Text

    from w2svqa.report.terminal import bar, interval, plain_box, reason_text

    table = Table(box=plain_box(ascii_only), header_style="bold")
    for name in ("distortion", "level", "parameter", "score [90 %]", "", "seen as"):
        table.add_column(name, no_wrap=True)
    for rung, score in zip(rungs, scores, strict=True):
        filled = bar(score.value or 0.0, ascii_only)
        reason = reason_text(score.reasons[0]) if score.reasons else ""
        table.add_row(*map(Text, (rung.kind, str(rung.level), rung.parameter, interval(score), filled, reason)))
    return table


@contextmanager
def _working_folder(folder: Path | None, *, keep: bool) -> Iterator[Path]:
    if folder is None and not keep:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as temporary:
            yield Path(temporary)
        return
    place = Path(tempfile.mkdtemp(prefix=_PREFIX)) if folder is None else folder
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder cannot be made: {error.strerror}", path=place, remedy="choose another --folder"
        ) from None
    yield place
    exits.note(f"the clips are in {place}")


def _rung_count() -> int:
    return 1 + sum(len(_visible_levels(kind)) for kind in _KINDS)
