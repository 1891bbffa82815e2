"""What is wished: bins per metric and the share that each of them should have.

Bins are of equal width, as in the paper's Figure 9, between the least 0.5 % quantile and the greatest 99.5 % quantile
of pool and target; the first and the last bin are open, so heavy tails fall into these and do not stretch the others.
A stated distribution brings its own edges, and one bin on each side for what lies beyond them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from w2svqa.core.config import from_mapping
from w2svqa.core.document import read_document
from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.metric_table import MetricTable, read_metric_table
from w2svqa.stages.selection_problem import Floats, Places

TAIL: Final = 0.005
"""Share of the values on each side that the bins' range leaves to the open bins."""

_STATED: Final = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """The wished distribution of one metric.

    Attributes:
        edges: ascending, one more than ``shares``; bins are [edge, next edge), the last with its end.
        shares: of each bin, 0 or more; brought to sum 1. Empty: all the same.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Reject what is no histogram.

        Raises:
            ValueError: edges do not ascend, the number of shares does not fit, or they are negative or all 0.
        """
        if len(self.edges) < 2 or not np.isfinite(self.edges).all() or not (np.diff(self.edges) > 0).all():
            raise ValueError("edges: two or more finite numbers that ascend")
        if self.shares and len(self.shares) != len(self.edges) - 1:
            raise ValueError(f"shares: {len(self.shares)} for {len(self.edges) - 1} bins")
        if self.shares and not (np.isfinite(self.shares).all() and min(self.shares) >= 0 and sum(self.shares) > 0):
            raise ValueError("shares: numbers of 0 or more, not all 0")


Target = MetricTable | Mapping[str, Stated] | Literal["uniform"]
"""Whose distributions are wished: those of a table, stated ones, or the same share in every bin of the pool's range."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricBins:
    """The bins of one metric and what is wished of them.

    Attributes:
        name: of the metric.
        inner: edges between the bins, ascending, ``(bins - 1,)``; the first and the last bin are open.
        low: where a picture of the first bin starts.
        high: where a picture of the last bin ends.
        shares: wished, ``(bins,)``, sum 1.
    """

    name: str
    inner: Floats
    low: float
    high: float
    shares: Floats

    def places(self, values: Floats) -> Places:
        """Return the bin of each value."""
        return np.searchsorted(self.inner, values, side="right")

    @property
    def edges(self) -> Floats:
        """All edges, for pictures, ``(bins + 1,)``."""
        return np.concatenate([[self.low], self.inner, [self.high]])


def read_target(text: str) -> Target:
    """Return the target that a command line names: ``uniform``, a file of stated distributions, or a metric table.

    A stated file is JSON or YAML: ``metric: {edges: [...], shares: [...]}``, without ``shares`` all bins alike.

    Raises:
        ConfigError: a stated distribution is none.
        StoreError: the table cannot be read.
    """
    if text == "uniform":
        return "uniform"
    if Path(text).suffix.lower() in _STATED:
        return _read_stated(text)
    return read_metric_table(text)


def make_bins(pool: MetricTable, target: Target, *, bins: int) -> tuple[MetricBins, ...]:
    """Return the bins and wishes of the pool's metrics.

    Args:
        pool: finite values only, of the metrics that count.
        target: what is wished; a table may have empty cells and further metrics.
        bins: number of bins of a metric.

    Raises:
        ConfigError: the target lacks a metric, or has no value of one; a stated one is unknown; or a metric is the same
            in the whole pool, but not in the target.
    """
    if isinstance(target, str):
        return tuple(_uniform(name, pool.column(name), bins) for name in pool.names)
    if isinstance(target, MetricTable):
        if lacking := [name for name in pool.names if name not in target.names]:
            raise ConfigError(
                f"the target has no metric {', '.join(lacking)}",
                remedy=f"measure it, or leave it out: --weight {lacking[0]}=0",
            )
        return tuple(_as_table(name, pool.column(name), target.column(name), bins) for name in pool.names)
    if unknown := sorted(set(target) - set(pool.names)):
        raise ConfigError(
            f"the target states {', '.join(unknown)}, which the pool does not have or which has no weight",
            remedy=f"the pool has {', '.join(pool.names)}",
        )
    return tuple(_as_stated(name, each) for name, each in target.items())


def _read_stated(path: StrPath) -> dict[str, Stated]:
    document = read_document(path)  # JSON is YAML
    stated = {}
    for name, each in document.mapping.items():
        if not isinstance(each, Mapping):
            raise ConfigError(f"{name}: {each!r} is no distribution", path=path, remedy="edges: [...], shares: [...]")
        try:
            stated[name] = from_mapping(Stated, each)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error.problem}", path=path, remedy=error.remedy) from None
    if not stated:
        raise ConfigError("no distribution is stated", path=path, remedy="metric: {edges: [...], shares: [...]}")
    return stated


def _as_stated(name: str, stated: Stated) -> MetricBins:
    edges = np.array(stated.edges)
    shares = np.array(stated.shares or [1.0] * (len(edges) - 1))
    width = np.diff(edges)
    # the bins on the sides, of which nothing is wished; the end itself belongs to the last stated bin
    inner = np.append(edges[:-1], np.nextafter(edges[-1], np.inf))
    return MetricBins(
        name=name,
        inner=inner,
        low=float(edges[0] - width[0]),
        high=float(edges[-1] + width[-1]),
        shares=np.concatenate([[0.0], shares / shares.sum(), [0.0]]),
    )


def _uniform(name: str, values: Floats, bins: int) -> MetricBins:
    low, high = robust_range([values])
    inner = inner_edges(low, high, bins)
    shares = np.full(len(inner) + 1, 1.0 / (len(inner) + 1))
    return MetricBins(name=name, inner=inner, low=low, high=high, shares=shares)


def _as_table(name: str, values: Floats, others: Floats, bins: int) -> MetricBins:
    known = others[np.isfinite(others)]
    if not len(known):
        raise ConfigError(
            f"the target has no value of {name}", remedy=f"measure it, or leave it out: --weight {name}=0"
        )
    if values.min() == values.max() and known.min() != known.max():
        raise ConfigError(
            f"{name} is {values[0]:g} for the whole pool, so no choice can match the target's",
            remedy=f"leave it out: --weight {name}=0",
        )
    low, high = robust_range([values, known])
    inner = inner_edges(low, high, bins)
    counts = np.bincount(np.searchsorted(inner, known, side="right"), minlength=len(inner) + 1)
    return MetricBins(name=name, inner=inner, low=low, high=high, shares=counts / counts.sum())


def robust_range(columns: Sequence[Floats]) -> tuple[float, float]:
    """Return the least low and the greatest high quantile; the whole range where these are the same.

    Args:
        columns: finite values, none empty.
    """
    ends = np.array([np.quantile(values, [TAIL, 1.0 - TAIL]) for values in columns])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    if low == high:  # nearly all are the same
        low, high = float(min(each.min() for each in columns)), float(max(each.max() for each in columns))
    return low, high


def inner_edges(low: float, high: float, bins: int) -> Floats:
    """Return the edges between bins of equal width, ``(bins - 1,)``; none where the range is a point."""
    inner = np.unique(np.linspace(low, high, bins + 1)[1:-1])  # a range of a few rounding errors has fewer
    return inner if high > low else np.empty(0)
