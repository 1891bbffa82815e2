"""The rows of the tables of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Facet = Literal["", "content", "distortion"]
"""What a figure is of: a whole benchmark, the videos of one content, or those of one distortion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedRow:
    """A rated video and what one model says of it.

    Attributes:
        benchmark: its name.
        video: as the table of ratings names it.
        path: the file, where the model was given files; empty where its scores came by name.
        model: its name.
        score: on the model's own scale and direction; ``None`` where there is none.
        rating: on the benchmark's own scale and direction.
        deviation: of the rating over raters; ``None`` if unknown.
        content: what the video shows.
        distortion: what was done to it; empty if unknown.
        message: why there is no score; ``None`` where there is one.
    """

    benchmark: str
    video: str
    path: str
    model: str
    score: float | None
    rating: float
    deviation: float | None
    content: str
    distortion: str
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRow:
    """A figure of one model on one benchmark, or over a group of them.

    Attributes:
        benchmark: its name; ``in-domain-overall`` or ``OOD-overall`` for a group.
        model: its name.
        facet: what it is of.
        part: which content or distortion; empty for a whole benchmark.
        measure: see :mod:`w2svqa.stages.evaluation_statistics`.
        value: ``None`` where there is none.
        low: lower end of the 95 % interval; ``None`` where there is none.
        high: upper end.
        n: videos that it is of.
        expected: videos that it should be of.
        contents: how many these show.
        message: why there is no value; ``None`` where there is one.
    """

    benchmark: str
    model: str
    facet: Facet
    part: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    expected: int
    contents: int
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """Two models on the videos of a benchmark that both have scored.

    Attributes:
        benchmark: its name.
        first: a model.
        second: another.
        measure: ``"srcc"`` or ``"plcc"``.
        value: of the first minus that of the second.
        low: lower end of the 95 % interval, by the paired bootstrap.
        high: upper end.
        p: of the paired bootstrap, two-sided.
        p_holm: raised for all pairs of models of this benchmark and measure.
        z: of Meng, Rosenthal and Rubin.
        p_meng: its p.
        p_meng_holm: raised likewise.
        f: ratio of the residuals' variances after the fits; of ``"plcc"`` alone.
        p_f: its p.
        n: videos.
        contents: how many these show.
    """

    benchmark: str
    first: str
    second: str
    measure: str
    value: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    z: float | None
    p_meng: float | None
    p_meng_holm: float | None
    f: float | None
    p_f: float | None
    n: int
    contents: int
