"""Two metric tables side by side: how far a pool is from what teachers were trained on, and which videos are strangers.

```
OUTPUT/
├── mismatch/       table of the columns that both have     (MismatchRow)
└── outside/        table of the pool's strangers           (StrangerRow)
```

A video lies outside the other table's experience by this rule: one of its values is in a bin that holds less than
``least`` of the other's videos (bins as for a selection: of equal width over both, the outer ones open), or beyond all
of the other's values; or its values are each usual, but not together: the Mahalanobis distance of its normal scores
(each value's rank among the other's, as a quantile of the normal distribution) is above that of all but ``least`` of
the other's videos. By the same rule some of the other's own videos are strangers; their share is reported beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.files import hold
from w2svqa.core.metric_table import MetricTable
from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import write_artifact
from w2svqa.stages.clip_list import path_of
from w2svqa.stages.selection_bins import inner_edges, robust_range
from w2svqa.stages.selection_problem import Floats

MISMATCH: Final = "mismatch"
"""Folder of the table of columns in the output, and the artifact's kind."""

OUTSIDE: Final = "outside"
"""Folder of the table of strangers in the output, and the artifact's kind."""

LEAST: Final = 0.001
"""Share of the other's videos below which a bin is one without experience."""

_ENOUGH: Final = 20  # complete videos per column of the other table, from which on they are judged together
_RIDGE: Final = 0.01  # added to the variances of normal scores, 1 each: columns may depend on each other

_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchRow:
    """One column of both tables.

    Attributes:
        metric: its name.
        l1: summed absolute difference of the shares per bin, 0 to 2.
        emd: earth mover's distance of the values, in the metric's unit.
        emd_spread: the same in the other's spread: half the distance of its 16 % and 84 % quantiles; ``None`` if 0.
        outside: share of the pool beyond all of the other's values.
        thin: share of the pool in bins with almost none of the other's videos, those outside counted.
        pool_median: of the pool.
        other_median: of the other.
        pool_missing: videos of the pool without a value.
        other_missing: videos of the other without a value.
    """

    metric: str
    l1: float
    emd: float
    emd_spread: float | None
    outside: float
    thin: float
    pool_median: float
    other_median: float
    pool_missing: int
    other_missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangerRow:
    """A video of the pool that lies outside the other's experience.

    Attributes:
        clip_id: the video.
        reason: in which metrics, with its values and the range that 99 % of the other's have.
        path: the file, where that is known.
    """

    clip_id: str
    reason: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Two tables side by side.

    Attributes:
        rows: of the columns that both have, in the pool's order.
        strangers: videos of the pool outside the other's experience, in the pool's order.
        videos: of the pool.
        usual: share of the other's own videos that the same rule calls strangers.
        only_pool: columns that only the pool has values in.
        only_other: columns that only the other has values in.
    """

    rows: tuple[MismatchRow, ...]
    strangers: tuple[StrangerRow, ...]
    videos: int
    usual: float
    only_pool: tuple[str, ...]
    only_other: tuple[str, ...]


def compare_tables(pool: MetricTable, other: MetricTable, *, bins: int = 50, least: float = LEAST) -> Mismatch:
    """Compare all columns of numbers that two tables share: metrics, width, height, frame rate, whatever they hold.

    Args:
        pool: the videos that are judged.
        other: what is known, such as the data that teachers were trained on, or a benchmark.
        bins: per column.
        least: see the module.

    Raises:
        ConfigError: no column has values in both.
        MissingExtraError: scipy is not installed.

    Source: Y. Rubner, C. Tomasi, L. J. Guibas, "The Earth Mover's Distance as a Metric for Image Retrieval", IJCV 40,
    2000; on a line it is the area between the two distribution functions.
    """
    here, there = _known(pool), _known(other)
    names = [name for name in here if name in there]
    if not names:
        raise ConfigError("the tables have no column in common that has numbers in both", remedy="measure the same")
    columns = [_Column(name, pool.column(name), other.column(name), bins, least) for name in names]
    unusual, usual = _unusual(pool.only(names).values, other.only(names).values, least)
    own = usual | np.any([column.other_strange for column in columns], axis=0)
    strange = np.flatnonzero(unusual | np.any([column.strange for column in columns], axis=0))
    strangers = tuple(
        StrangerRow(clip_id=str(pool.ids[place]), reason=_reason(columns, place)) for place in strange.tolist()
    )
    return Mismatch(
        rows=tuple(column.row() for column in columns),
        strangers=strangers,
        videos=len(pool),
        usual=float(own.mean()),
        only_pool=tuple(name for name in here if name not in names),
        only_other=tuple(name for name in there if name not in names),
    )


def write_mismatch(
    folder: StrPath,
    mismatch: Mismatch,
    inputs: Mapping[str, str] | None = None,
    *,
    clips: Mapping[str, PoolClipRow] | None = None,
) -> None:
    """Store a comparison as the tables ``mismatch/`` and ``outside/``.

    Args:
        folder: where to.
        mismatch: what :func:`compare_tables` returned.
        inputs: hashes of the two tables, by name.
        clips: what is known of the strangers' files, by id.

    Raises:
        StoreError: another process works in the folder, or the disk is full or fails.
        MissingExtraError: pyarrow is not installed.
    """
    facts = {
        "videos": mismatch.videos,
        "strangers": len(mismatch.strangers),
        "usual": mismatch.usual,
        "only_pool": list(mismatch.only_pool),
        "only_other": list(mismatch.only_other),
    }
    place, clips = Path(folder), clips or {}
    strangers = [replace(row, path=path_of(clips, row.clip_id)) for row in mismatch.strangers]
    with hold(place):
        write_artifact(place / OUTSIDE, strangers, StrangerRow, kind=OUTSIDE, config={}, inputs=inputs)
        write_artifact(
            place / MISMATCH, mismatch.rows, MismatchRow, kind=MISMATCH, config={}, inputs=inputs, extra=facts
        )


def earth_movers_distance(first: Floats, second: Floats) -> float:
    """Return how far, on average, values must be moved to turn one distribution into the other.

    Args:
        first: finite values, ``(videos,)``, none or more of them the same.
        second: the same; as many or not.

    Example:
        >>> earth_movers_distance(np.array([0.0, 1.0]), np.array([2.0, 3.0, 2.0, 3.0]))
        2.0
    """
    ordered = np.sort(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(each), ordered[:-1], side="right") / len(each) for each in (first, second)]
    return float((np.abs(shares[0] - shares[1]) * np.diff(ordered)).sum())


def _known(table: MetricTable) -> list[str]:
    """Return the columns that have a value at all: a pool of stills has no motion, say."""
    return [name for name in table.names if np.isfinite(table.column(name)).any()]


def _reason(columns: Sequence[_Column], place: int) -> str:
    reasons = [text for column in columns if (text := column.reason(place)) is not None]
    return "; ".join(reasons) or "each value is usual, but not all together"


class _Column:
    """One column of both tables."""

    def __init__(self, name: str, pool: Floats, other: Floats, bins: int, least: float) -> None:
        self._name, self._pool = name, pool
        self._known, self._there = other[np.isfinite(other)], pool[np.isfinite(pool)]
        self._missing = (len(pool) - len(self._there), len(other) - len(self._known))
        self._inner = inner_edges(*robust_range([self._there, self._known]), bins)
        self._shares = self._histogram(self._known)
        self._least = least
        self._ends = (float(self._known.min()), float(self._known.max()))
        self._usual = np.quantile(self._known, [0.005, 0.995])
        self._outside = (pool < self._ends[0]) | (pool > self._ends[1])
        self.strange = self._outside | self._thin(pool)
        self.other_strange = self._thin(other)

    def reason(self, place: int) -> str | None:
        """Return why the value of a video of the pool is strange; ``None`` if it is not."""
        if not self.strange[place]:
            return None
        low, high = self._usual
        return f"{self._name} {self._pool[place]:.4g} (usual: {low:.4g} to {high:.4g})"

    def row(self) -> MismatchRow:
        """Return what is to be said of the column."""
        distance = earth_movers_distance(self._there, self._known)
        spread = float(np.subtract(*np.quantile(self._known, [0.8413, 0.1587]))) / 2
        return MismatchRow(
            metric=self._name,
            l1=float(np.abs(self._histogram(self._there) - self._shares).sum()),
            emd=distance,
            emd_spread=distance / spread if spread > 0 else None,
            outside=float(self._outside.sum() / len(self._there)),
            thin=float(self.strange.sum() / len(self._there)),
            pool_median=float(np.median(self._there)),
            other_median=float(np.median(self._known)),
            pool_missing=self._missing[0],
            other_missing=self._missing[1],
        )

    def _places(self, values: Floats) -> NDArray[np.intp]:
        return np.searchsorted(self._inner, values, side="right")

    def _histogram(self, values: Floats) -> Floats:
        return np.bincount(self._places(values), minlength=len(self._inner) + 1) / len(values)

    def _thin(self, values: Floats) -> _Mask:
        known = np.isfinite(values)
        thin: _Mask = known & (self._shares[self._places(np.where(known, values, 0.0))] < self._least)
        return thin


def _unusual(pool: Floats, other: Floats, least: float) -> tuple[_Mask, _Mask]:
    """Return which videos of the two tables have values that do not go together; none with a missing value."""
    complete, known = np.isfinite(pool).all(axis=1), np.isfinite(other).all(axis=1)
    none = np.zeros(len(pool), np.bool_), np.zeros(len(other), np.bool_)
    if known.sum() < _ENOUGH * pool.shape[1]:
        return none
    scores = _normal_scores(other[known], other[known])
    centre = scores.mean(axis=0)
    precision = np.linalg.inv(np.cov(scores, rowvar=False).reshape(pool.shape[1], -1) + _RIDGE * np.eye(pool.shape[1]))

    def far(values: Floats) -> Floats:
        offset = values - centre
        return np.asarray(np.einsum("vm,mn,vn->v", offset, precision, offset))

    limit = np.quantile(far(scores), 1.0 - least)
    none[0][complete] = far(_normal_scores(pool[complete], other[known])) > limit
    none[1][known] = far(scores) > limit
    return none


def _normal_scores(values: Floats, reference: Floats) -> Floats:
    special = require("scipy.special", extra="train")
    columns = []
    for column, known in zip(values.T, np.sort(reference, axis=0).T, strict=True):
        rank = (np.searchsorted(known, column, "left") + np.searchsorted(known, column, "right")) / 2
        columns.append(special.ndtri((rank + 0.5) / (len(known) + 1.0)))
    return np.column_stack(columns)
