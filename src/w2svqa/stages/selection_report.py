"""What a selection says of itself: the chosen videos, histograms before and after, distances, what the pool lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reason = Literal["selected", "included"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRow:
    """A video that was chosen.

    Attributes:
        clip_id: the video.
        group: what the selection was stratified by; empty where it was not.
        reason: ``"selected"`` for the histograms' sake, or ``"included"`` because it had to be.
        path: the file, where that is known.
    """

    clip_id: str
    group: str
    reason: Reason
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramRow:
    """One bin of one metric before and after the selection.

    Attributes:
        metric: its name.
        bin: from 0.
        low: lower edge; the first bin is open and has all below its upper edge.
        high: upper edge; the last bin is open.
        before: share of the pool.
        after: share of the chosen videos.
        target: share that was wished.
        available: videos of the pool.
        chosen: videos that were chosen.
        wished: ``target`` times the number of chosen videos.
    """

    metric: str
    bin: int
    low: float
    high: float
    before: float
    after: float
    target: float
    available: int
    chosen: int
    wished: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFit:
    """How well one metric matches.

    Attributes:
        metric: its name.
        weight: in the sum that was minimised.
        before: L1 distance of the pool's shares from the wished ones, 0 to 2.
        after: the same of the chosen videos.
        lacking: of the wished videos those that the pool does not have, bin by bin.
    """

    metric: str
    weight: float
    before: float
    after: float
    lacking: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A bin of which more is wished than there is: no selection can fill it.

    Attributes:
        metric: its name.
        low: lower edge of the bin.
        high: upper edge.
        wished: videos.
        available: videos.
    """

    metric: str
    low: float
    high: float
    wished: float
    available: int

    def __str__(self) -> str:
        lacking = self.wished - self.available
        return (
            f"{self.metric} from {self.low:.4g} to {self.high:.4g}: {self.wished:.0f} wished, {self.available} there,"
            f" {lacking:.0f} lacking"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFit:
    """One value of the column that a selection is stratified by.

    Attributes:
        group: the value.
        available: videos of the pool.
        wished: share of the chosen videos.
        chosen: videos that were chosen.
    """

    group: str
    available: int
    wished: float
    chosen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A selection and what is to be said of it.

    Attributes:
        rows: the chosen videos, in the order of the pool.
        histograms: every bin of every metric.
        metrics: how well each matches.
        groups: what it is stratified by; empty where it is not.
        value: weighted sum of the metrics' L1 distances.
        lp_bound: no selection has a lower value, by the linear programme.
        bound: the best known lower bound; above ``lp_bound`` where a solver of whole numbers found it.
        optimal: no selection is better.
        candidates: videos there were to choose from, must-includes counted.
        left_out: why others were none, and how many.
        lacks: bins that cannot be filled, worst first.
        notes: what else a reader should know.
    """

    rows: tuple[ChosenRow, ...]
    histograms: tuple[HistogramRow, ...]
    metrics: tuple[MetricFit, ...]
    groups: tuple[GroupFit, ...]
    value: float
    lp_bound: float
    bound: float
    optimal: bool
    candidates: int
    left_out: Mapping[str, int]
    lacks: tuple[Lack, ...]
    notes: tuple[str, ...]

    @property
    def gap(self) -> float:
        """By how much the value may exceed the least one: at most this."""
        return self.value - self.bound

    @property
    def worst(self) -> float:
        """The largest L1 distance of a metric."""
        return max(each.after for each in self.metrics)
