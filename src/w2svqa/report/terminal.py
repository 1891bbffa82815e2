"""Scores and comparisons in a terminal: tables, sparklines, a per-second plot."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from w2svqa.core.errors import printable
from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Comparison, Reason, Score

if TYPE_CHECKING:
    from rich.box import Box
    from rich.table import Table

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
"""Fill of one character cell in eighths."""

ASCII_BLOCKS: Final = " .:-=+*%#"
"""The same nine steps for terminals that cannot show :data:`BLOCKS`."""

SCALE_TOP: Final = 100.0
_SPARKLINE_WIDTH = 16
_MOST_SPANS = 4
_STATUS_STYLES: Final = {"ok": "green", "partial": "yellow", "error": "red"}
_PHRASES: Final = ("inferior to", "worse than", "similar to", "better than", "superior to")


def squeeze(values: Sequence[float], width: int) -> list[float]:
    """Average ``values`` into at most ``width`` runs of nearly equal length, in order.

    Raises:
        ValueError: ``width`` is below 1.

    Example:
        >>> squeeze([10.0, 20.0, 30.0, 50.0], 2)
        [15.0, 40.0]
    """
    if width < 1:
        raise ValueError(f"width {width} is below 1")
    count = len(values)
    if count <= width:
        return list(values)
    edges = [index * count // width for index in range(width + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]


def sparkline(values: Sequence[float], *, width: int = _SPARKLINE_WIDTH, ascii_only: bool = False) -> str:
    """Draw per-second scores as one line of bars from 0 to 100.

    Args:
        values: scores 0-100 in time order.
        width: most characters; longer series are averaged.
        ascii_only: for terminals without block characters.

    Example:
        >>> sparkline([0.0, 50.0, 100.0])
        '▁▄█'
    """
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    return "".join(blocks[max(1, _eighths(value, SCALE_TOP))] for value in squeeze(values, width))


def bar(value: float, ascii_only: bool = False, *, full: float = SCALE_TOP, width: int = 20) -> str:
    """Draw one value as a bar that is ``width`` characters long at ``full``.

    Example:
        >>> bar(25.0, ascii_only=True)
        '#####'
    """
    return ("#" if ascii_only else "█") * round(width * max(0.0, min(value, full)) / full)


def interval(score: Score) -> str:
    """Return the score with its 90 % interval, such as ``63.1 [58.0, 68.4]``; empty without a score.

    Example:
        >>> interval(Score(path="a.mp4", status="ok", value=63.12, low=58.0, high=68.4))
        '63.1 [58.0, 68.4]'
    """
    if score.value is None:
        return ""
    if score.low is None or score.high is None:
        return f"{score.value:.1f}"
    return f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]"


def reason_text(reason: Reason) -> str:
    """Return a distortion with its severity and probability in words, and where it is if not in the whole video.

    Example:
        >>> reason_text(Reason(distortion="blur", severity=0.6, probability=0.9))
        'blur 60 % (p = 0.90)'
        >>> reason_text(Reason(distortion="stuttering", severity=0.8, probability=0.7, seconds=(3, 4, 61)))
        'stuttering 80 % (p = 0.70) at 0:03-0:05, 1:01-1:02'
    """
    text = f"{reason.distortion} {100 * reason.severity:.0f} % (p = {reason.probability:.2f})"
    return f"{text} at {times(reason.seconds)}" if reason.seconds else text


def spans(seconds: Sequence[int]) -> list[tuple[int, int]]:
    """Join neighbouring seconds to spans of time, from the start of the first to the end of the last.

    Example:
        >>> spans((3, 4, 7))
        [(3, 5), (7, 8)]
    """
    found: list[tuple[int, int]] = []
    for second in seconds:
        start = found.pop()[0] if found and found[-1][1] == second else second
        found.append((start, second + 1))
    return found


def times(seconds: Sequence[int]) -> str:
    """Return seconds as spans of clock time; of many spans only the first few.

    Example:
        >>> times((3, 4, 3600))
        '0:03-0:05, 1:00:00-1:00:01'
    """
    found = spans(seconds)
    text = ", ".join(f"{_clock(start)}-{_clock(end)}" for start, end in found[:_MOST_SPANS])
    return f"{text} and {len(found) - _MOST_SPANS} more" if len(found) > _MOST_SPANS else text


def _clock(second: int) -> str:
    minutes, rest = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def remarks(score: Score) -> str:
    """Return what there is to say about a row: the message, how the file was read, the likely distortions."""
    parts = [] if score.message is None else [score.message]
    parts += [*score.notes, *map(reason_text, score.reasons)]
    return printable("; ".join(parts))


def score_table(scores: Iterable[Score], *, ascii_only: bool = False) -> Table:
    """Lay out scores as a table: file, score with its interval, the seconds as a sparkline, status and remarks."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=plain_box(ascii_only), header_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column("score [90 %]", no_wrap=True)
    table.add_column("per second", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("remarks", overflow="fold")
    for score in scores:
        table.add_row(
            # Text, not str: a file called "[red].mp4" is a name, not markup
            Text(printable(score.path)),
            Text(interval(score)),
            Text(sparkline(score.seconds, ascii_only=ascii_only)),
            Text(score.status, style=_STATUS_STYLES[score.status]),
            Text(remarks(score)),
        )
    return table


def plain_box(ascii_only: bool) -> Box:
    """Return the frame that all our tables have."""
    from rich import box

    return box.ASCII if ascii_only else box.SIMPLE_HEAD


def timeline(score: Score, *, width: int = 72, height: int = 8, ascii_only: bool = False) -> str:
    """Draw the score of each second as a bar plot of ``height`` rows, 0 at the bottom, 100 at the top.

    Args:
        score: a scored file.
        width: most characters of a line; longer videos are averaged.
        height: rows of the plot, 2 or more.
        ascii_only: for terminals without block characters.

    Returns:
        Lines: the file with its score, the plot, the time axis in seconds, and under it a line per reason that is
        confined to some seconds, with ``^`` where it is. Without seconds only the first.

    Example:
        >>> print(timeline(Score(path="a.mp4", status="ok", value=50.0, seconds=(25.0, 75.0)), height=2))
        a.mp4  50.0
        100 |    ▄▄▄▄
            |▄▄▄▄████
          0 +--------
             0    2 s
    """
    title = f"{printable(score.path)}  {interval(score)}".rstrip()
    if not score.seconds:
        return title
    columns = _columns(squeeze(score.seconds, max(1, width - 5)), max(1, width - 5), len(score.seconds))
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    rows = [_plot_row(columns, row, height, blocks) for row in range(height - 1, -1, -1)]
    rows[0] = "100 |" + rows[0]
    rows[1:] = ["    |" + row for row in rows[1:]]
    end = f"{len(score.seconds)} s"
    axis = ["  0 +" + "-" * len(columns), "     0" + end.rjust(max(len(columns) - 1, len(end) + 1))]
    marks = [_marks(reason, len(columns), len(score.seconds)) for reason in score.reasons if reason.seconds]
    return "\n".join(line.rstrip() for line in [title, *rows, *axis, *marks])


def _marks(reason: Reason, width: int, seconds: int) -> str:
    """Mark every column that shows a part of a second of the reason."""
    line = [" "] * width
    for start, end in spans([second for second in reason.seconds if second < seconds]):
        first, last = start * width // seconds, -(-end * width // seconds)
        line[first:last] = "^" * (last - first)
    return f"     {''.join(line)} {printable(reason_text(reason))}"


def _columns(values: list[float], width: int, seconds: int) -> list[float]:
    """Widen short series so that a ten-second clip does not shrink to ten characters."""
    repeat = max(1, min(4, width // max(seconds, 1)))
    return [value for value in values for _ in range(repeat)]


def _plot_row(columns: list[float], row: int, height: int, blocks: str) -> str:
    step = SCALE_TOP / height
    return "".join(blocks[_eighths(value - row * step, step)] for value in columns)


def _eighths(value: float, full: float) -> int:
    return max(0, min(8, round(8 * value / full)))


def sentence(comparison: Comparison) -> str:
    """Say the verdict in words, with the probability that the second is preferred.

    Example:
        >>> levels = (0.0, 0.05, 0.1, 0.7, 0.15)
        >>> sentence(Comparison(first="A", second="B", level="better", probabilities=levels, preference=0.7375))
        'B is better than A (p = 0.70); preference for B: 0.74'
    """
    level = LEVELS.index(comparison.level)
    second, first = printable(comparison.second), printable(comparison.first)
    probability = f"(p = {comparison.probabilities[level]:.2f})"
    return f"{second} is {_PHRASES[level]} {first} {probability}; preference for {second}: {comparison.preference:.2f}"


def comparison_table(comparison: Comparison, *, ascii_only: bool = False) -> Table:
    """Lay out the five level probabilities of a comparison with a bar each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=plain_box(ascii_only), header_style="bold")
    table.add_column("level of the second")
    table.add_column("probability", justify="right")
    table.add_column("")
    for level, probability in zip(LEVELS, comparison.probabilities, strict=True):
        style = "bold" if level == comparison.level else ""
        table.add_row(
            Text(level, style=style),
            Text(f"{probability:.3f}", style=style),
            Text(bar(probability, ascii_only, full=1.0)),
        )
    return table


def check_table(rows: Iterable[tuple[str, str, str, str]], *, ascii_only: bool = False) -> Table:
    """Lay out checks of the installation: name, status, detail, remedy."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=plain_box(ascii_only), header_style="bold")
    for name in ("check", "status", "found", "remedy"):
        table.add_column(name, overflow="fold")
    styles = {"ok": "green", "missing": "yellow", "failed": "red"}
    for name, status, detail, remedy in rows:
        table.add_row(Text(name), Text(status, style=styles[status]), Text(printable(detail)), Text(remedy))
    return table
