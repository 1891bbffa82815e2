"""The table of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from w2svqa.core.errors import ConfigError
from w2svqa.core.registry import Registry
from w2svqa.metrics.base import Metric

NAMES: Final = (
    "blockiness",
    "blur",
    "contrast",
    "noise",
    "flickering",
    "colourfulness",
    "luminance",
    "si",
    "ti",
)
"""The nine metrics of the paper, in its order."""

METRICS: Final = Registry("metric", {name: f"w2svqa.metrics.{name}:METRIC" for name in NAMES}, group="w2svqa.metrics")
"""Names and metrics. Other packages add theirs by an entry point, whose object is a
:class:`~w2svqa.metrics.base.Metric` of that name."""


def load_metrics(names: Sequence[str] = NAMES) -> tuple[Metric, ...]:
    """Return metrics by name, in the order asked for.

    Raises:
        ConfigError: none is named or one twice, a name is unknown, or what another package brings is no metric.

    Example:
        >>> [(metric.name, metric.pooling) for metric in load_metrics(["noise", "ti"])]
        [('noise', 'mean'), ('ti', 'max')]
    """
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"the metrics {', '.join(names) or 'of no name'}", remedy="name one or more, each once")
    return tuple(_load(name) for name in names)


def _load(name: str) -> Metric:
    try:
        metric = METRICS.load(name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the metric {name!r} cannot be loaded: {error}", remedy="mend the package it is of"
        ) from error
    if not isinstance(metric, Metric) or metric.name != name:
        raise ConfigError(
            f"the entry point {name!r} leads to {metric!r}", remedy=f"let it lead to a Metric whose name is {name!r}"
        )
    return metric
