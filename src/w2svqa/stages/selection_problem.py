"""The selection as numbers: videos in cells of their joint histogram, the wish per bin, quotas, and what is left over.

Videos of one cell (the same bin in every metric, the same group) are interchangeable, so only their number matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Places = NDArray[np.intp]

_JOINT: Final = 4096  # bins of neighbouring metrics are looked up together, up to a table that the first cache holds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Which videos there are, and what is wished of the chosen ones.

    The value of a choice is the sum over metrics of weight x L1 distance of shares, 0 (as wished) to 2 per weight.

    Attributes:
        rows: of each cell and metric the row among all bins of all metrics, ``(cells, metrics)``.
        sizes: videos in each cell, ``(cells,)``, 1 or more.
        groups: of each cell, ``(cells,)``.
        quotas: videos to choose from each group, ``(groups,)``, at most what it has.
        wish: wished number of videos per row, ``(rows,)``; need not be whole.
        base: videos per row that are chosen already, ``(rows,)``.
        weights: of each row's metric, ``(rows,)``, above 0.
        starts: first row of each metric, and the number of rows, ``(metrics + 1,)``.
        count: videos that are chosen in the end, with those that are chosen already.
        cell_of: the cell of each video, ``(videos,)``.
    """

    rows: Places
    sizes: Counts
    groups: Places
    quotas: Counts
    wish: Floats
    base: Counts
    weights: Floats
    starts: Places
    count: int
    cell_of: Places

    def totals(self, chosen: Floats | Counts) -> Floats:
        """Return the videos per row for a number per cell, with those chosen already, ``(rows,)``."""
        totals = self.base.astype(np.float64)
        for column in self.rows.T:
            totals += np.bincount(column, weights=chosen, minlength=len(totals))
        return totals

    def distances(self, totals: Floats) -> Floats:
        """Return the L1 distance of shares per metric, 0 to 2, ``(metrics,)``."""
        return np.add.reduceat(np.abs(totals - self.wish), self.starts[:-1]) / self.count

    def value(self, totals: Floats) -> float:
        """Return the weighted sum of the distances."""
        return float(self.weights @ np.abs(totals - self.wish)) / self.count


def make_problem(
    bins: Sequence[Places],
    shares: Sequence[Floats],
    *,
    weights: Sequence[float],
    quotas: Counts,
    groups: Places | None = None,
    base: Sequence[Counts] | None = None,
) -> Problem:
    """Put videos into cells.

    Args:
        bins: of each metric the bin of each video.
        shares: of each metric the wished share per bin; sums to 1.
        weights: of each metric, above 0.
        quotas: videos to choose from each group, besides those of ``base``.
        groups: of each video; ``None`` for one group.
        base: of each metric the number of videos per bin that are chosen already; ``None`` for none.
    """
    sizes = [len(each) for each in shares]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    label = np.zeros(len(bins[0]), np.intp) if groups is None else groups
    chosen = np.concatenate(base).astype(np.int64) if base is not None else np.zeros(starts[-1], np.int64)
    count = int(quotas.sum() + chosen[: sizes[0]].sum())
    first, cell_of, counts = _cells([label, *bins], [len(quotas), *sizes])
    return Problem(
        rows=np.column_stack([column[first] + start for column, start in zip(bins, starts, strict=False)]),
        sizes=counts,
        groups=label[first],
        quotas=quotas,
        wish=np.concatenate(shares) * count,
        base=chosen,
        weights=np.repeat(np.asarray(weights, np.float64), sizes),
        starts=starts,
        count=count,
        cell_of=cell_of,
    )


def _cells(columns: Sequence[Places], sizes: Sequence[int]) -> tuple[Places, Places, Counts]:
    """Return of each cell a video and the number of its videos, and of each video its cell; cells sorted by columns."""
    key, span = np.zeros(len(columns[0]), np.int64), 1
    for column, size in zip(columns, sizes, strict=True):
        if span * size > np.iinfo(np.int64).max:  # give the numbers so far away again without gaps
            found, key = np.unique(key, return_inverse=True)
            span = len(found)
        key, span = key * size + column, span * size
    _, first, cell_of, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    return first, cell_of, counts


class Lookup:
    """Sums over a video's bins, and histograms, with the bins of neighbouring metrics looked up together.

    Args:
        problem: whose cells.
        which: only these of them; ``None`` for all.
    """

    def __init__(self, problem: Problem, which: Places | None = None) -> None:
        rows = problem.rows if which is None else problem.rows[which]
        self._spans: list[list[slice]] = []
        self._places: list[Places] = []
        self._rows = int(problem.starts[-1])
        joint = _JOINT + 1
        for metric, (start, end) in enumerate(zip(problem.starts[:-1], problem.starts[1:], strict=True)):
            size, column = int(end - start), rows[:, metric] - start
            if joint * size <= _JOINT:
                self._places[-1] = self._places[-1] * size + column
                self._spans[-1].append(slice(int(start), int(end)))
                joint *= size
            else:
                self._places.append(np.ascontiguousarray(column))
                self._spans.append([slice(int(start), int(end))])
                joint = size

    def sums(self, prices: Floats) -> Floats:
        """Return the sum of the prices of each cell's rows, ``(cells,)``."""
        total: Floats | None = None
        for spans, places in zip(self._spans, self._places, strict=True):
            table = np.zeros(())
            for span in spans:
                table = table[..., None] + prices[span]
            part = table.reshape(-1)[places]
            total = part if total is None else np.add(total, part, out=total)
        return np.zeros(0) if total is None else total

    def totals(self, chosen: Floats) -> Floats:
        """Return the sum of ``chosen`` over the cells of each row, ``(rows,)``."""
        totals = np.empty(self._rows)
        for spans, places in zip(self._spans, self._places, strict=True):
            sizes = [span.stop - span.start for span in spans]
            table = np.bincount(places, weights=chosen, minlength=int(np.prod(sizes))).reshape(sizes)
            for axis, span in enumerate(spans):
                totals[span] = table.sum(axis=tuple(other for other in range(len(spans)) if other != axis))
        return totals
