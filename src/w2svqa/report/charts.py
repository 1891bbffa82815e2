"""Charts for pages: data in, an SVG element out. Each tells its series apart without colour too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.core.extras import require
from w2svqa.report.svg import BEFORE, INK, SERIES, Svg, drawing, finished, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH: Final = 4.4  # inches; at 9 points the text is as large as the page's small print
_HEIGHT: Final = 2.7
_BAR: Final = 0.16  # inches per bar
_MARKERS: Final = "os^Dvx"
_DASHES: Final = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
MOST_POINTS: Final = 5000
"""Points of a scatter that are drawn; of more, evenly spaced ones in the order of their horizontal values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Numbers under one name.

    Attributes:
        name: in the legend.
        values: one per group or place; NaN for none.
        low: lower ends of their intervals, as many; empty for none.
        high: upper ends.

    Raises:
        ValueError: the numbers do not fit together.
    """

    name: str
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()

    def __post_init__(self) -> None:
        """Reject what does not fit together."""
        if len(self.low) != len(self.high) or len(self.low) not in (0, len(self.values)):
            raise ValueError(
                f"{self.name}: {len(self.values)} values, {len(self.low)} lower and {len(self.high)} upper ends"
            )


def histogram(edges: ArrayLike, *, before: ArrayLike, after: ArrayLike, target: ArrayLike, label: str, alt: str) -> Svg:
    """Return three distributions over the same bins: before (filled), after (thick line), target (dashed line).

    Args:
        edges: ascending, one more than there are bins.
        before: shares of the bins, 0 to 1.
        after: the same.
        target: the same.
        label: of the horizontal axis, with its unit.
        alt: what it shows, in words.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    places = _apart(np.asarray(edges, np.float64))
    with drawing(_WIDTH, _HEIGHT) as figure:
        panel = figure.subplots()
        panel.stairs(before, places, fill=True, color=BEFORE, alpha=0.55, label="before")
        panel.stairs(after, places, color=SERIES[0], linewidth=1.6, label="after")
        panel.stairs(target, places, color=SERIES[1], linewidth=1.3, linestyle=(0, (3, 1.5)), label="target")
        panel.set_xlim(places[0], places[-1])
        panel.set_ylim(bottom=0)
        panel.set_xlabel(short(label, 60))
        _shares(panel)
        _legend(figure, panel)
        return finished(figure, alt)


def bars(groups: Sequence[str], series: Sequence[Series], *, label: str, alt: str, shares: bool = False) -> Svg:
    """Return horizontal bars, those of a group beside each other, with whiskers where there are intervals.

    Args:
        groups: names, from the top.
        series: each with a value per group.
        label: of the axis of values, with its unit.
        alt: what it shows, in words.
        shares: values are shares of 1, and their axis is in per cent.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ValueError: a series has another number of values.
    """
    _same_lengths(len(groups), series)
    thickness = 0.8 / max(1, len(series))
    places = np.arange(len(groups), dtype=np.float64)
    with drawing(_WIDTH, 0.9 + len(groups) * (_BAR * len(series) + 0.08)) as figure:
        panel = figure.subplots()
        for number, each in enumerate(series):
            colour = BEFORE if number == 0 and len(series) > 1 else SERIES[(number or 1) - 1]
            at = places - 0.4 + thickness * (number + 0.5)
            panel.barh(at, each.values, thickness, color=colour, label=short(each.name), linewidth=0)
            if each.low:
                panel.errorbar(each.values, at, xerr=_whiskers(each), fmt="none", color=INK, elinewidth=0.9, capsize=2)
        panel.set_yticks(places, [short(group) for group in groups])
        panel.set_ylim(len(groups) - 0.5, -0.5)
        panel.grid(visible=False, axis="y")
        panel.set_xlabel(short(label, 60))
        if shares:
            _shares(panel, axis="x")
        if len(series) > 1:
            _legend(figure, panel)
        return finished(figure, alt)


def scatter(
    x: ArrayLike, y: ArrayLike, *, labels: tuple[str, str], alt: str, fit: tuple[ArrayLike, ArrayLike] | None = None
) -> Svg:
    """Return a cloud of points, and a fitted line if there is one.

    Args:
        x: horizontal values, ``(points,)``; points with NaN are left out.
        y: vertical values, ``(points,)``.
        labels: of the two axes, with their units.
        alt: what it shows, in words.
        fit: horizontal and vertical values of the line, in order.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ValueError: there are not as many ``x`` as ``y``.
    """
    across, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if across.shape != up.shape or across.ndim != 1:
        raise ValueError(f"x has the shape {across.shape}, y {up.shape}")
    known = np.flatnonzero(np.isfinite(across) & np.isfinite(up))
    order = known[np.argsort(across[known], kind="stable")]
    drawn = order[np.linspace(0, len(order) - 1, min(len(order), MOST_POINTS)).round().astype(np.intp)]
    with drawing(_WIDTH, 3.4) as figure:
        panel = figure.subplots()
        panel.plot(across[drawn], up[drawn], ".", color=SERIES[0], markersize=4, alpha=0.6, markeredgewidth=0)
        if fit is not None:
            panel.plot(*fit, color=SERIES[1], linewidth=1.6)
        panel.set_xlabel(short(labels[0], 60))
        panel.set_ylabel(short(labels[1], 40))
        return finished(figure, alt)


def lines(x: Sequence[float], series: Sequence[Series], *, labels: tuple[str, str], alt: str) -> Svg:
    """Return a line per series, with a band where there are intervals.

    Args:
        x: places, ascending.
        series: each with a value per place.
        labels: of the two axes, with their units.
        alt: what it shows, in words.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ValueError: a series has another number of values.
    """
    _same_lengths(len(x), series)
    require("matplotlib", extra="plot")
    from matplotlib.ticker import MaxNLocator

    with drawing(_WIDTH, 3.0) as figure:
        panel = figure.subplots()
        for number, each in enumerate(series):
            style = number % len(SERIES)
            if each.low:
                panel.fill_between(x, each.low, each.high, color=SERIES[style], alpha=0.18, linewidth=0)
            panel.plot(
                x,
                each.values,
                color=SERIES[style],
                linestyle=_DASHES[style],
                marker=_MARKERS[style] if len(x) <= 20 else "",
                markersize=4,
                linewidth=1.5,
                label=short(each.name),
            )
        if all(float(each).is_integer() for each in x):
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_xlabel(short(labels[0], 60))
        panel.set_ylabel(short(labels[1], 40))
        if len(series) > 1:
            _legend(figure, panel)
        return finished(figure, alt)


def _same_lengths(count: int, series: Sequence[Series]) -> None:
    if wrong := [each for each in series if len(each.values) != count]:
        raise ValueError(f"{wrong[0].name}: {len(wrong[0].values)} values, where {count} are due")


def _apart(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges that a picture can show: a metric that is everywhere the same has a bin without a width."""
    if edges[-1] > edges[0]:
        return edges
    return np.linspace(edges[0] - 0.5, edges[0] + 0.5, len(edges))


def _whiskers(series: Series) -> NDArray[np.float64]:
    values = np.asarray(series.values, np.float64)
    below, above = values - np.asarray(series.low), np.asarray(series.high) - values
    ends: NDArray[np.float64] = np.clip(np.stack([below, above]), 0.0, None)
    return ends


def _shares(panel: Axes, axis: str = "y") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    scale = panel.yaxis if axis == "y" else panel.xaxis
    scale.set_major_locator(MaxNLocator(5))
    scale.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.6g}%"))


def _legend(figure: Figure, panel: Axes) -> None:
    handles, names = panel.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(3, len(names)), handlelength=1.8)
