"""The figures that the paper publishes: teachers, peers, the student, and the ablation.

Source: arXiv 2505.03631, Table 1 and the ablation of its CVPR version, in ``published.csv``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the paper says of one method on one set.

    Attributes:
        group: ``teacher``, ``peer``, ``student`` or ``ablation``.
        method: as the paper calls it.
        dataset: title of a benchmark, or ``in-domain-overall`` or ``OOD-overall``.
        srcc: Spearman's correlation; ``None`` where the paper gives none.
        plcc: Pearson's, after the fit; likewise.
    """

    group: str
    method: str
    dataset: str
    srcc: float | None
    plcc: float | None


@cache
def published() -> tuple[Published, ...]:
    """Return all that is published, in the paper's order.

    Example:
        >>> next(each.srcc for each in published() if (each.method, each.dataset) == ("W2S-stage3", "KVQ"))
        0.772
    """
    text = resources.files("w2svqa.report").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        Published(
            group=row["group"],
            method=row["method"],
            dataset=row["dataset"],
            srcc=float(row["srcc"]) if row["srcc"] else None,
            plcc=float(row["plcc"]) if row["plcc"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    )
