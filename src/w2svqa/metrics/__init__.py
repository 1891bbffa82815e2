"""The nine low-level metrics by which a pool is described and chosen, and those of other packages."""

from __future__ import annotations

from w2svqa.metrics.base import Metric, Moment
from w2svqa.metrics.measure import Measured, measure
from w2svqa.metrics.registry import METRICS, NAMES, load_metrics

__all__ = ["METRICS", "NAMES", "Measured", "Metric", "Moment", "load_metrics", "measure"]
