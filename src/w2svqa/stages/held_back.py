"""What a stage's student is worth on contents that nothing was trained on: kept per content, for the stage after."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from w2svqa.core.errors import StrPath
from w2svqa.core.plain_files import read_plain, write_plain
from w2svqa.core.random import generator
from w2svqa.stages.ladder_intervals import percentiles

HELD_BACK: Final = "held_back.json"
"""File in a stage's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A figure of one student by content.

    Attributes:
        measure: what it is, in words, such as ``"rank correlation with severity"``; higher is better.
        values: by content, finite.
    """

    measure: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBackMean:
    """Its mean with an interval.

    Attributes:
        value: mean over contents; ``None`` where there are none.
        low: lower end of the interval by the bootstrap over contents.
        high: upper end.
        contents: how many.
    """

    value: float | None
    low: float | None
    high: float | None
    contents: int


def write_held_back(folder: StrPath, measure: str, values: Mapping[str, float]) -> HeldBack:
    """Keep a student's figure in its stage's folder, and return what is kept: contents without a finite one are not.

    Raises:
        StoreError: it cannot be written.
    """
    known = {content: float(value) for content, value in sorted(values.items()) if math.isfinite(value)}
    found = HeldBack(measure=measure, values=known)
    write_plain(Path(folder) / HELD_BACK, found)
    return found


def read_held_back(folder: StrPath) -> HeldBack | None:
    """Return what was kept in a stage's folder; ``None`` if nothing was yet.

    Raises:
        StoreError: the file is damaged or cannot be read.
    """
    return read_plain(Path(folder) / HELD_BACK, HeldBack, remedy="delete it; the run measures again")


def held_back_mean(found: HeldBack, *, level: float = 0.9, resamples: int = 1000, seed: int = 0) -> HeldBackMean:
    """Return the mean over contents.

    Args:
        found: the figure by content.
        level: of the interval.
        resamples: of the bootstrap.
        seed: of its draws.

    Example:
        >>> held_back_mean(HeldBack(measure="srcc", values={"a": 0.5, "b": 0.7})).value
        0.6
    """
    values = np.array(list(found.values.values()))
    if not len(values):
        return HeldBackMean(value=None, low=None, high=None, contents=0)
    draws = generator(seed, "held-back mean").integers(len(values), size=(resamples, len(values)))
    low, high = percentiles(values[draws].mean(axis=1), level)
    return HeldBackMean(value=float(values.mean()), low=low, high=high, contents=len(values))
