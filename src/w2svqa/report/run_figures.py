"""The figures of a run: what its bundle's card says, flat, with direction, and what its label qualities are called."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from w2svqa.core.rows import LabelQualityRow

HEADLINES: Final = ("pair_accuracy", "within_mean", "across_mean")
"""What a list of runs shows of each student."""

_MEANS: Final = ("within", "across")
_LOWER: Final = ("calibration_error", "clean_spread")
_COUNTS: Final = {"clean", "contents", "count", "distorted", "n", "pairs", "scale_contents", "versions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigure:
    """One number of a card.

    Attributes:
        value: finite.
        low: lower end of its interval; ``None`` where the card has none.
        high: upper end.
        n: how many things it is of; ``None`` where the card does not say beside it.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def text(self) -> str:
        """Such as ``0.874 [0.823, 0.911]``."""
        ends = "" if self.low is None or self.high is None else f" [{_short(self.low)}, {_short(self.high)}]"
        return f"{_short(self.value)}{ends}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and abs(value) > 1 else f"{value:.3f}"


def figures_of(card: Mapping[str, Any] | None) -> dict[str, RunFigure]:
    """Return the figures of a bundle's card by their path, such as ``"within/blur"``; what is no number is left out.

    Example:
        >>> figures = figures_of({"figures": {"within": {"blur": 0.9, "noise": 0.8}}})
        >>> {name: round(figure.value, 3) for name, figure in figures.items()}
        {'within_mean': 0.85, 'within/blur': 0.9, 'within/noise': 0.8}
    """
    figures = dict(_flat((card or {}).get("figures"), ""))
    means: dict[str, RunFigure] = {}
    for name in _MEANS:
        parts = [figure.value for path, figure in figures.items() if path.partition("/")[0] == name]
        if parts and f"{name}_mean" not in figures:
            means[f"{name}_mean"] = RunFigure(value=sum(parts) / len(parts))
    return means | figures


def _flat(value: object, path: str) -> Iterator[tuple[str, RunFigure]]:
    if isinstance(value, Mapping):
        if _is_number(value.get("value")):
            yield path, _with_interval(value)
            return
        for name, each in value.items():
            yield from _flat(each, f"{path}/{name}" if path else str(name))
    elif path and _is_number(value):
        yield path, RunFigure(value=float(value))  # type: ignore[arg-type]  # a number, as was just seen


def _with_interval(entry: Mapping[str, Any]) -> RunFigure:
    ends, n = entry.get("interval"), entry.get("n")
    known = isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))
    low, high = map(float, ends) if known and ends is not None else (None, None)
    return RunFigure(value=float(entry["value"]), low=low, high=high, n=n if isinstance(n, int) else None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def direction(name: str) -> int:
    """Return 1 for a figure of which higher is better, -1 for one of which lower is, 0 for a count.

    Example:
        >>> direction("within/blur"), direction("diagnosis/calibration_error"), direction("versions")
        (1, -1, 0)
    """
    last = name.rpartition("/")[2]
    if last in _COUNTS:
        return 0
    return -1 if any(word in name for word in _LOWER) else 1


def quality_name(row: LabelQualityRow) -> str:
    """Return what a row of label quality is of, in words.

    Example:
        >>> figures = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 9, "contents": 3}
        >>> what = {"source": "student-1", "against": "severity", "kind": "blur", "measure": "srcc"}
        >>> quality_name(LabelQualityRow(stage=2, **what, **figures))
        'stage 2: student-1, rank correlation with severity (blur)'
    """
    words = MEASURES[row.measure].format(against=_TRUTHS[row.against])
    return f"stage {row.stage}: {row.source}, {words}" + (f" ({row.kind})" if row.kind else "")


MEASURES: Final = {
    "accuracy": "right order by {against}",
    "level_accuracy": "right level by {against}",
    "srcc": "rank correlation with {against}",
    "agreement": "same order as {against}",
    "kappa": "kappa with {against}",
}
"""How each measure is said."""

_TRUTHS: Final = {"mos": "MOS", "severity": "severity", "vmaf": "VMAF", "before": "the stage before"}


def quality_figure(row: LabelQualityRow) -> RunFigure | None:
    """Return the number of a row; ``None`` where nothing counts."""
    return None if row.value is None else RunFigure(value=row.value, low=row.low, high=row.high, n=row.n)
