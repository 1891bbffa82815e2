"""When to stop: a further stage is worth it only while its gain on held-back contents is surely more than 0."""

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

STOPPING: Final = "stopping.json"
"""File in a stage's folder: what was decided after it."""

LEAST_CONTENTS: Final = 2
"""One content says nothing of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopConfig:
    """The stopping rule.

    Attributes:
        enabled: stop before the last stage where the rule says so; otherwise all stages are run and it is only told.
        level: of the interval of the gain, between 0 and 1.
        resamples: of the bootstrap.
        minimum: the gain has to be more.
    """

    enabled: bool = True
    level: float = 0.9
    resamples: int = 1000
    minimum: float = 0.0

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: the level is not between 0 and 1, fewer than 1 resamples, or a minimum that is not finite.
        """
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, not {self.level}")
        if self.resamples < 1:
            raise ValueError(f"resamples must be at least 1, not {self.resamples}")
        if not math.isfinite(self.minimum):
            raise ValueError(f"minimum must be finite, not {self.minimum}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a stage gained.

    Attributes:
        value: mean over contents of after less before; ``None`` where there are none.
        low: lower end of its interval; ``None`` for fewer than :data:`LEAST_CONTENTS`.
        high: upper end.
        level: of the interval.
        contents: that have a finite value before and after.
        left_out: that have one on one side only, or none.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    contents: int
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether to stop.

    Attributes:
        stop: no further stage.
        reason: why, in a sentence.
        gain: what it rests on.
    """

    stop: bool
    reason: str
    gain: Gain


def held_back_gain(
    before: Mapping[str, float], after: Mapping[str, float], config: StopConfig | None = None, *, seed: int
) -> Gain:
    """Return what a stage gained on contents that nothing was trained on.

    The contents are drawn with replacement, before and after together: what makes a content hard is then in both and
    falls out of the difference.

    Args:
        before: a figure of the student before, higher is better, by content.
        after: that of the student after.
        config: level and resamples; ``None`` for the defaults.
        seed: of the draws.

    Source: B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, chapter 13; paired, contents as wholes.

    Example:
        >>> gain = held_back_gain({"a": 0.5, "b": 0.7}, {"a": 0.6, "b": 0.8}, seed=0)
        >>> round(gain.value, 3), gain.contents
        (0.1, 2)
    """
    rule = config or StopConfig()
    gaps = {name: after[name] - before[name] for name in sorted(before.keys() & after.keys())}
    values = np.array([gap for gap in gaps.values() if math.isfinite(gap)])
    value: float | None = None
    low, high = None, None
    if len(values):
        value = float(values.mean())
    if len(values) >= LEAST_CONTENTS:
        draws = generator(seed, "held-back gain").integers(len(values), size=(rule.resamples, len(values)))
        low, high = percentiles(values[draws].mean(axis=1), rule.level)
    return Gain(
        value=value,
        low=low,
        high=high,
        level=rule.level,
        contents=len(values),
        left_out=len(before.keys() | after.keys()) - len(values),
    )


def should_stop(gain: Gain, minimum: float = 0.0) -> Decision:
    """Stop unless the gain is more than ``minimum`` beyond its interval.

    Where fewer than :data:`LEAST_CONTENTS` contents are held back, nothing is known of the gain, and the run goes on.

    Example:
        >>> gain = Gain(value=0.01, low=-0.02, high=0.04, level=0.9, contents=12)
        >>> should_stop(gain).reason
        'gained 0.010 [-0.020, 0.040] on 12 held-back contents; the 90 % interval holds 0: no further stage'
    """
    if gain.value is None or gain.low is None or gain.high is None:
        reason = f"{gain.contents} held-back contents are too few to measure a gain: the run goes on"
        return Decision(stop=False, reason=reason, gain=gain)
    found = f"gained {gain.value:.3f} [{gain.low:.3f}, {gain.high:.3f}] on {gain.contents} held-back contents"
    interval = f"the {100 * gain.level:g} % interval"
    if gain.low > minimum:
        return Decision(stop=False, reason=f"{found}; {interval} is above {minimum:g}: the run goes on", gain=gain)
    place = "holds" if gain.high >= minimum else "is below"
    return Decision(stop=True, reason=f"{found}; {interval} {place} {minimum:g}: no further stage", gain=gain)


def write_decision(folder: StrPath, decision: Decision) -> None:
    """Keep what was decided after the stage of ``folder``.

    Raises:
        StoreError: it cannot be written.
    """
    write_plain(Path(folder) / STOPPING, decision)


def read_decision(folder: StrPath) -> Decision | None:
    """Return what was decided after the stage of ``folder``; ``None`` if nothing was yet.

    Raises:
        StoreError: the file is damaged or cannot be read.
    """
    return read_plain(Path(folder) / STOPPING, Decision, remedy="delete it; the run decides again")
