"""Two models against each other: the pairs of videos on which they disagree most.

One holds, and sees no difference between two videos; the other is attacked, and sees the largest. One of them must be
wrong, and a look at the two videos tells which: a comparison of models that needs few pairs and no ratings.

Source: K. Ma et al., "Group maximum differentiation competition: model comparison with few samples", TPAMI 42 (2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from w2svqa.core.conversion import near_name
from w2svqa.core.errors import ConfigError
from w2svqa.stages.evaluate import Evaluated, Evaluation
from w2svqa.stages.mining_gmad import BINS, STUDENT, gmad_pairs, normal_scores

PAIRS: Final = 6
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """What one video is to the two models.

    Attributes:
        video: its name in the ratings.
        benchmark: title of its benchmark.
        path: the file; empty where there is none.
        rating: what people said, on the benchmark's own scale.
        scores: of the two models, on their own scales.
        places: of these among all videos that both have scored, as normal scores: a difference of 1 is a standard
            deviation; higher is better.
    """

    video: str
    benchmark: str
    path: str
    rating: float
    scores: tuple[float, float]
    places: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """A pair on which two models disagree.

    Attributes:
        holder: the model that sees no difference.
        attacked: the model that sees one.
        better: the video that the attacked model prefers.
        worse: the other.
        gap: by how many standard deviations.
        agrees: whether people prefer the same video as the attacked model; ``None`` where they do not prefer one, or
            rated the two on different scales.
    """

    holder: str
    attacked: str
    better: Contender
    worse: Contender
    gap: float
    agrees: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Competition:
    """All duels of two models.

    Attributes:
        models: their names.
        duels: those in which the second is attacked first, each by falling gap.
        videos: how many both have scored.
    """

    models: tuple[str, str]
    duels: tuple[Duel, ...]
    videos: int


def compete(
    evaluation: Evaluation, first: str, second: str, *, pairs: int = PAIRS, bins: int = BINS, seed: int = 0
) -> Competition:
    """Return the pairs of largest disagreement of two models that were evaluated together.

    A video is in one pair at most, so that the pairs show different things.

    Args:
        evaluation: of both.
        first: a model.
        second: another.
        pairs: wanted of each role, 1 or more.
        bins: of equal quality, see :func:`w2svqa.stages.mining_gmad.quality_bins`.
        seed: settles ties.

    Raises:
        ConfigError: a model was not evaluated, the two are one, or a number is below 1.
    """
    for name in (first, second):
        if name not in evaluation.models:
            near = near_name(name, list(evaluation.models))
            hint = f"did you mean {near!r}? " if near else ""
            raise ConfigError(f"{name!r} was not evaluated", remedy=f"{hint}there are {', '.join(evaluation.models)}")
    if first == second or min(pairs, bins) < 1:
        raise ConfigError(f"{first} against {second}, {pairs} pairs, {bins} bins", remedy="name two models, 1 or more")
    videos = [each for rated in evaluation.sets for each in _contenders(rated, first, second)]
    scores = np.array([each.scores for each in videos], np.float64).reshape(-1, 2)
    turned = scores * np.array([1 if _higher(evaluation, name) else -1 for name in (first, second)])
    known = [place for place in range(len(videos)) if np.isfinite(turned[place]).all()]
    videos, turned = [videos[place] for place in known], turned[known]
    places = np.stack([normal_scores(turned[:, side]) for side in (0, 1)], axis=1) if known else turned
    shown = [replace(video, places=(one, other)) for video, (one, other) in zip(videos, places.tolist(), strict=True)]
    names = {STUDENT: first, _OTHER: second}
    found = gmad_pairs(
        turned[:, 0],
        {_OTHER: turned[:, 1]},
        count=2 * pairs,
        bins=bins,
        most_per_video=1,
        most_per_role=pairs,
        seed=seed,
    )
    duels = []
    for one, other, gap, by, attacked in zip(
        found.first.tolist(), found.second.tolist(), found.gap.tolist(), found.by, found.attacked, strict=True
    ):
        better, worse = (shown[other], shown[one]) if gap > 0 else (shown[one], shown[other])
        duels.append(_duel(names[by], names[attacked], better, worse, abs(gap), evaluation))
    duels.sort(key=lambda duel: duel.attacked != second)  # stable: by falling gap within each role
    return Competition(models=(first, second), duels=tuple(duels), videos=len(videos))


def _contenders(rated: Evaluated, first: str, second: str) -> list[Contender]:
    said = {scores.model: scores.values for scores in rated.scores}
    if first not in said or second not in said:
        return []
    return [
        Contender(
            video=row.name,
            benchmark=rated.benchmark.shown,
            path=rated.rated.files.get(row.name, ""),
            rating=row.value,
            scores=(float(said[first][place]), float(said[second][place])),
            places=(math.nan, math.nan),
        )
        for place, row in enumerate(rated.rated.ratings.rows)
    ]


def _higher(evaluation: Evaluation, model: str) -> bool:
    return next(scores.higher_is_better for each in evaluation.sets for scores in each.scores if scores.model == model)


def _duel(holder: str, attacked: str, better: Contender, worse: Contender, gap: float, evaluation: Evaluation) -> Duel:
    agrees: bool | None = None
    if better.benchmark == worse.benchmark and better.rating != worse.rating:
        higher = next(
            each.benchmark.higher_is_better for each in evaluation.sets if each.benchmark.shown == better.benchmark
        )
        agrees = (better.rating > worse.rating) == higher
    return Duel(holder=holder, attacked=attacked, better=better, worse=worse, gap=gap, agrees=agrees)
