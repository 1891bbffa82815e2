"""The score of each second as a picture (PNG, SVG or PDF), by matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2svqa.core.errors import InputError, StoreError, StrPath, printable
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_path
from w2svqa.core.records import Score
from w2svqa.report.terminal import spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DATES: Final[dict[str, tuple[str, ...]]] = {".png": (), ".svg": ("Date",), ".pdf": ("CreationDate",)}
PICTURE_SUFFIXES: Final = tuple(_DATES)
MOST_PANELS: Final = 12
"""One panel per file; beyond this the panels are too small to read in print."""

_LINE = "#1f5a99"
_COLOURS: Final = ("#c8442c", "#d99a1e", "#5f8f3a", "#7b4fa3")
_WIDTH_INCHES = 7.0
_PANEL_INCHES = 2.2
_DOTS_PER_INCH = 150


def check_target(target: StrPath, count: int) -> None:
    """Raise, before any work is done, if ``write_timeline`` could not write ``target`` for ``count`` files.

    Raises:
        InputError: the name ends in no picture format or is that of something else, or there are too many files.
        MissingExtraError: matplotlib is not installed.
    """
    path = Path(target)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(
            f"the picture format {path.suffix!r} is unknown", path=target, remedy=f"use {', '.join(PICTURE_SUFFIXES)}"
        )
    if count > MOST_PANELS:
        raise InputError(
            f"{count} files are too many for one picture",
            path=target,
            remedy=f"plot at most {MOST_PANELS} at a time, or use --json for the per-second scores",
        )
    if path.exists() and not path.is_file():
        raise InputError("is no regular file", path=target, remedy="choose another name for the picture")
    require("matplotlib", extra="plot")


def write_timeline(scores: Sequence[Score], target: StrPath) -> None:
    """Write one picture with a panel per scored file: its per-second scores, its score and the 90 % interval.

    Args:
        scores: rows; those without a score are left out.
        target: ``.png``, ``.svg`` or ``.pdf``; written atomically.

    Raises:
        InputError: nothing was scored, or as :func:`check_target`.
        MissingExtraError: matplotlib is not installed.
        StoreError: the picture cannot be written.
    """
    scored = [score for score in scores if score.value is not None]
    check_target(target, len(scored))
    if not scored:
        raise InputError("nothing was scored that could be plotted", path=target, remedy="see the rows' messages")
    figure = _figure(scored)
    with atomic_path(target) as part:
        try:
            save_figure(figure, part)
        except OSError as error:
            problem = f"cannot be written: {error.strerror or error}"
            raise StoreError(problem, path=target, remedy="choose another folder") from None


def _figure(scores: Sequence[Score]) -> Figure:
    # Figure without pyplot: no global state, nothing to close, Agg for PNG whatever the display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, 0.6 + _PANEL_INCHES * len(scores)), layout="constrained")
    panels = figure.subplots(len(scores), 1, squeeze=False)[:, 0]
    for panel, score in zip(panels, scores, strict=True):
        _draw(panel, score)
    panels[-1].set_xlabel("time (s)")
    return figure


def _draw(panel: Axes, score: Score) -> None:
    if score.value is None:
        return
    seconds = score.seconds or (score.value,)
    if score.low is not None and score.high is not None:
        panel.axhspan(score.low, score.high, color=_LINE, alpha=0.15, linewidth=0, label="90 % interval of the score")
    panel.axhline(score.value, color="black", linewidth=1, linestyle="--", label=f"score {score.value:.1f}")
    # a step covers its whole second: [k, k + 1)
    panel.stairs(seconds, range(len(seconds) + 1), baseline=None, color=_LINE, linewidth=1.5, label="each second")
    for number, reason in enumerate(reason for reason in score.reasons if reason.seconds):
        for index, (start, end) in enumerate(spans(reason.seconds)):
            label = printable(reason.distortion) if index == 0 else None
            # a strip at the bottom, one above the other, so that the curve stays readable
            place = {"ymin": 0.03 * number, "ymax": 0.03 * number + 0.025}
            panel.axvspan(start, end, **place, color=_COLOURS[number % len(_COLOURS)], linewidth=0, label=label)
    panel.set_xlim(0, len(seconds))
    panel.set_ylim(0, 100)
    panel.set_ylabel("quality (0-100)")
    panel.grid(visible=True, color="0.85", linewidth=0.6)
    panel.set_axisbelow(True)
    # parse_math off: a "$" in a file name is a dollar
    panel.set_title(_short(printable(score.path)), fontsize="medium", loc="left", parse_math=False)
    panel.legend(loc="best", fontsize="small", framealpha=0.85)


def _short(name: str, limit: int = 80) -> str:
    return name if len(name) <= limit else f"...{name[-(limit - 3) :]}"


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure so that the same figure gives the same bytes; the suffix of ``path`` says the format.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib import rc_context

    # no date and a fixed salt, so that the same scores give the same bytes
    metadata = dict.fromkeys(_DATES[path.suffix.lower()])
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "w2svqa"}):
        # a name in a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=_DOTS_PER_INCH, metadata=metadata)
