"""How many videos of a pool, and of those chosen from it, are of each source, licence, resolution or frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.metric_table import Floats, MetricTable, Texts
from w2svqa.report import charts
from w2svqa.report.page import Column, Figure, Table

UNKNOWN: Final = "unknown"
TEXTS: Final = {"source": "Source", "category": "Category", "license": "Licence"}
"""Columns of text that a pool is counted by where it has them, and their headings."""

MOST_GROUPS: Final = 14
"""Values of a column that are listed, the most frequent; the others are counted together."""

_LINES: Final = (240, 360, 480, 720, 1080, 1440, 2160)
_RATES: Final = (14.0, 20.0, 27.0, 40.0, 55.0, 90.0)  # between 10, 15, 24 and 25, 30, 50, 60, 120 and above


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """Counts by the values of one column.

    Attributes:
        title: what is counted by.
        groups: the values, or classes of them.
        before: videos of the pool, per group.
        after: chosen videos, per group.
        rest: values that the last group counts together; 0 if it is one like the others.
    """

    title: str
    groups: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    rest: int = 0

    @property
    def shares(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Shares of the pool and of the chosen videos, per group."""
        before, after = (tuple(count / max(1, sum(counts)) for count in counts) for counts in (self.before, self.after))
        return before, after

    def table(self) -> Table:
        """Return the counts as a table."""
        columns = (
            Column(title=self.title),
            Column(title="before", form=",d"),
            Column(title="share", form=".1%"),
            Column(title="after", form=",d"),
            Column(title="share", form=".1%"),
        )
        rows = zip(self.groups, self.before, self.shares[0], self.after, self.shares[1], strict=True)
        return Table(caption=f"Videos by {self.title.lower()}", columns=columns, rows=tuple(rows))

    def figure(self) -> Figure:
        """Return the shares as bars; without those that are counted together, which would dwarf the others."""
        shown = len(self.groups) - bool(self.rest)
        groups, shares = self.groups[:shown], [each[:shown] for each in self.shares]
        series = [charts.Series(name=name, values=each) for name, each in zip(("before", "after"), shares, strict=True)]
        told = "; ".join(
            f"{group} {before:.0%} before, {after:.0%} after"
            for group, before, after in zip(groups, *shares, strict=True)
        )
        alt = f"Shares by {self.title.lower()}: {told}"
        svg = charts.bars(groups, series, label="share of videos", alt=alt, shares=True)
        return Figure(title=self.title, svg=svg, caption=f"{self.rest} more are in the table" if self.rest else "")


def facets(pool: MetricTable, chosen: NDArray[np.bool_], *, also: str | None = None) -> list[Facet]:
    """Return what can be counted of a pool; nothing of columns that are unknown throughout.

    Args:
        pool: with the columns of :data:`TEXTS`, ``width`` and ``height`` in pixels as shown, and ``fps``, or some of
            them.
        chosen: which videos were chosen, ``(videos,)``.
        also: a further column of text, such as the one that a selection is stratified by.
    """
    texts = TEXTS if also is None or also in TEXTS else {**TEXTS, also: also}
    found = [by_text(title, pool.label(name), chosen) for name, title in texts.items() if name in pool.labels]
    if {"width", "height"} <= set(pool.names):
        lines = np.minimum(pool.column("width"), pool.column("height"))
        found.append(by_class("Resolution (shorter side)", lines, _LINES, "{} lines", chosen))
    if "fps" in pool.names:
        found.append(by_class("Frame rate", pool.column("fps"), _RATES, "{} fps", chosen))
    return [facet for facet in found if facet.groups not in ((), (UNKNOWN,))]


def by_text(title: str, values: Texts, chosen: NDArray[np.bool_]) -> Facet:
    """Return counts by the values of a column of text, the most frequent first.

    Args:
        title: what it is called.
        values: per video; empty where unknown.
        chosen: per video.
    """
    names, place = np.unique(np.where(values == "", UNKNOWN, values), return_inverse=True)
    before, after = _counts(place, chosen, len(names))
    order = np.argsort(-before, kind="stable")
    first, rest = order[:MOST_GROUPS], order[MOST_GROUPS:]
    groups, counts = names[first].tolist(), [before[first].tolist(), after[first].tolist()]
    if len(rest):
        groups.append(f"{len(rest)} others")
        counts[0].append(int(before[rest].sum()))
        counts[1].append(int(after[rest].sum()))
    return Facet(title=title, groups=tuple(groups), before=tuple(counts[0]), after=tuple(counts[1]), rest=len(rest))


def by_class(title: str, values: Floats, limits: Sequence[float], form: str, chosen: NDArray[np.bool_]) -> Facet:
    """Return counts by classes of numbers: from each limit on, below the next. Classes without a video are left out.

    Args:
        title: what it is called.
        values: per video; NaN where unknown.
        limits: ascending.
        form: makes a name of the numbers of a class.
        chosen: per video.

    Example:
        >>> facet = by_class("fps", np.array([25.0, 30.0, np.nan]), (27,), "{} fps", np.array([True, False, False]))
        >>> facet.groups, facet.before, facet.after
        (('below 27 fps', '27 fps and more', 'unknown'), (1, 1, 1), (1, 0, 0))
    """
    ends = [f"{limit:g}" for limit in limits]
    between = [form.format(f"{low} to below {high}") for low, high in pairwise(ends)]
    names = [f"below {form.format(ends[0])}", *between, f"{form.format(ends[-1])} and more", UNKNOWN]
    place = np.where(np.isfinite(values), np.searchsorted(limits, values, side="right"), len(names) - 1)
    before, after = _counts(place, chosen, len(names))
    there = np.flatnonzero(before).tolist()
    return Facet(
        title=title,
        groups=tuple(names[each] for each in there),
        before=tuple(before[there].tolist()),
        after=tuple(after[there].tolist()),
    )


def _counts(
    place: NDArray[np.intp], chosen: NDArray[np.bool_], groups: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.bincount(place, minlength=groups), np.bincount(place[chosen], minlength=groups)
