"""Does the score still fall where a video is made worse? The order of severities before and after fine-tuning.

The videos are the rated ones themselves, one of each content, made worse by the simulators. None of them needs to be
clean: whatever its faults, more of one is worse. Only the untouched video is no part of the ladder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.stages.evaluation_draws import percentiles
from w2svqa.stages.finetune_data import RatedVideos, by_content
from w2svqa.stages.finetune_seen import LadderVersions
from w2svqa.stages.finetune_train import severity_places

Floats = NDArray[np.float64]

RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderChange:
    """Share of severity pairs in the right order, mean over contents.

    Attributes:
        before: of the student that fine-tuning began with; NaN without a ladder.
        after: of the fine-tuned one, on contents that it was not trained on.
        low: lower end of the 95 % interval of after minus before, by the bootstrap over contents.
        high: upper end.
        final: of the student that is kept, which was trained on these contents.
        pairs: how many.
        contents: how many.
    """

    before: float
    after: float
    low: float
    high: float
    final: float
    pairs: int
    contents: int

    @property
    def fall(self) -> float:
        """How far the order fell, on held-out contents or of the student that is kept, if that is more."""
        falls = [self.before - each for each in (self.after, self.final) if np.isfinite(each)]
        return max(falls, default=0.0)


def ladder_places(rated: RatedVideos, count: int, seed: int) -> list[int]:
    """Return the places of the videos to make worse: the best rated of each of so many contents, drawn at random.

    Args:
        rated: the videos.
        count: of contents, at most.
        seed: of the draw.
    """
    best = [
        max(places, key=lambda place: (rated.videos[place].rating, -place))
        for places in by_content(rated.contents).values()
    ]
    drawn = generator(seed, "ladder contents").permutation(len(best))[:count].tolist()
    return sorted(best[place] for place in drawn)


def share_in_order(ladder: LadderVersions, raw: Sequence[float]) -> float:
    """Return the share of severity pairs whose scores are in the right order, 0 to 1; equal ones count half.

    NaN without a pair.

    Example:
        >>> ladder = LadderVersions(kinds=("blur",) * 3, levels=(1, 2, 3), seen=np.zeros((3, 1), np.float32))
        >>> share_in_order(ladder, [3.0, 1.0, 1.0])
        0.8333333333333334
    """
    pairs = severity_places(ladder)
    if not pairs:
        return np.nan
    values = np.asarray(raw, np.float64)
    milder, worse = np.array(pairs).T
    return float(np.mean((np.sign(values[milder] - values[worse]) + 1) / 2))


def ladder_change(
    ladders: Mapping[int, LadderVersions],
    before: Mapping[int, Sequence[float]],
    after: Mapping[int, Sequence[float]],
    final: Mapping[int, Sequence[float]],
    *,
    seed: int,
) -> LadderChange:
    """Compare the order of severities of three students.

    Args:
        ladders: by place.
        before: scores of all versions, by place.
        after: likewise; of students that did not see the content.
        final: likewise; of the one that is kept.
        seed: of the bootstrap.
    """
    told = [place for place, ladder in ladders.items() if severity_places(ladder)]
    shares = [[share_in_order(ladders[place], said[place]) for place in told] for said in (before, after, final)]
    if not told:
        none = float("nan")
        return LadderChange(before=none, after=none, low=none, high=none, final=none, pairs=0, contents=0)
    one, other, last = (np.array(each) for each in shares)
    draws = generator(seed, "ladder change").integers(len(told), size=(RESAMPLES, len(told)))
    low, high = percentiles((other - one)[draws].mean(axis=1))
    return LadderChange(
        before=float(one.mean()),
        after=float(other.mean()),
        low=low,
        high=high,
        final=float(last.mean()),
        pairs=sum(len(severity_places(ladders[place])) for place in told),
        contents=len(told),
    )
