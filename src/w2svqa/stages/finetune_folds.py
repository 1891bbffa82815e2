"""Cross-validation of fine-tuning: what is chosen, is chosen without the videos that it is measured on.

```
all contents ─┬─ test fold k                    scored once, by a student that never saw it
              └─ the others ─┬─ inner fold j    says which candidate, and after how many steps
                             └─ the rest        trains
```

The student that is kept is chosen and trained in the same way, on all contents; its figures are those of the test
folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import StoreError
from w2svqa.core.statistics import spearman
from w2svqa.stages.finetune_data import RatedVideos, content_folds, filled_deviations
from w2svqa.stages.finetune_scale import Judged, fit_judge
from w2svqa.stages.finetune_seen import LadderVersions, Vectors
from w2svqa.stages.finetune_train import (
    Candidate,
    LastLayers,
    Lessons,
    TuneConfig,
    order_accuracy,
    qualities,
    tune,
)
from w2svqa.students.bundle import Bundle
from w2svqa.students.compact import CompactModel
from w2svqa.students.runtime import DiagnosisScale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNTOUCHED: Final = -1
"""In place of a candidate: no training was better on the inner folds than none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """All that folds are made of.

    Attributes:
        rated: the videos.
        seen: mean statistics of each, float32 ``(N, F)``.
        ladders: of some videos, by place.
        model: the student to start from.
        bundle: the same as it ships.
        ends: ratings that score 0 and 100, higher is better.
    """

    rated: RatedVideos
    seen: Vectors
    ladders: Mapping[int, LadderVersions]
    model: CompactModel
    bundle: Bundle
    ends: tuple[float, float]

    @property
    def original(self) -> Judged:
        """The student as it ships."""
        return Judged.of_bundle(self.model, self.bundle)

    @property
    def diagnosis_scale(self) -> DiagnosisScale:
        """What makes probabilities of the diagnosis' logits."""
        return DiagnosisScale(**{str(key): float(value) for key, value in self.bundle.card["diagnosis"].items()})

    def judged(self, model: CompactModel, places: Sequence[int], config: FoldConfig) -> Judged:
        """Return a fine-tuned student with anchors and scale by some of the videos."""
        videos = [self.rated.videos[place] for place in places]
        seen = self.seen[list(places)]
        return fit_judge(model, seen, videos, self.bundle, anchors=config.anchors, seed=config.seed, ends=self.ends)

    def lessons(self, places: Sequence[int], config: TuneConfig) -> Lessons:
        """Return some of the videos to learn from, with their ladders."""
        videos = [self.rated.videos[place] for place in places]
        return Lessons(
            seen=self.seen[list(places)],
            ratings=np.array([video.rating for video in videos]),
            deviations=filled_deviations(videos, config.deviation),
            ladders=tuple(self.ladders[place] for place in places if place in self.ladders),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the inner folds chose.

    Attributes:
        candidate: its number; :data:`UNTOUCHED` for none.
        steps: of training.
        before: mean SRCC on the inner folds before training.
        after: the same of what was chosen, averaged with the checks beside it.
        curves: mean SRCC of each candidate at every check.
    """

    candidate: int
    steps: int
    before: float
    after: float
    curves: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFound:
    """What is known of one test fold.

    Attributes:
        places: of its videos.
        raw: score of each on the scale of the ratings, 0-100, before clipping, by the fold's student.
        deviation: of each score, in points.
        ladders: places of its videos that have a ladder.
        orders: raw scores of all versions of each of these.
        agreed: share of videos and versions of which the diagnosis says the same first as before.
        choice: of the inner folds.
    """

    places: tuple[int, ...]
    raw: tuple[float, ...]
    deviation: tuple[float, ...]
    ladders: tuple[int, ...]
    orders: tuple[LadderScores, ...]
    agreed: float
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderScores:
    """Raw scores of the versions of one video, in the order of its ladder."""

    raw: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldConfig:
    """How videos are divided and what is chosen.

    Attributes:
        tune: how the last layers are trained.
        folds: test folds.
        inner: folds of the others, which choose.
        tolerance: share of severity pairs that may come out of order where they were in order before.
        anchors: of a fold's student.
        seed: of folds, draws and training.
    """

    tune: TuneConfig = field(default_factory=TuneConfig)
    folds: int = 5
    inner: int = 4
    tolerance: float = 0.02
    anchors: int = 5
    seed: int = 0


def choose(material: Material, places: Sequence[int], config: FoldConfig, label: str) -> Choice:
    """Find out on inner folds which candidate to train, and for how long.

    A check counts with half the weight of its neighbours besides, for a few videos order by chance, and only where the
    order of the held-out ladders is within the tolerance of what it was before. Where no training is better than none,
    none is chosen.

    Args:
        material: all videos.
        places: those that may be looked at.
        config: candidates, folds, tolerance.
        label: of the draws: two calls with other labels divide otherwise.
    """
    contents = [material.rated.videos[place].content for place in places]
    folds = content_folds(contents, min(config.inner, len(set(contents))), config.seed, "inner", label)
    tables = []
    for number, candidate in enumerate(config.tune.candidates):
        checks = [_checks(material, places, folds, fold, candidate, config) for fold in range(folds.max() + 1)]
        means = np.mean([[check.srcc for check in fold] for fold in checks], axis=0)
        orders = np.array([[check.order for check in fold] for fold in checks])
        # folds without a ladder say nothing of its order
        fall = np.zeros(len(means)) if np.isnan(orders).all() else np.nanmean(orders[:, :1] - orders, axis=0)
        tables.append((number, means, smoothed(means), fall <= config.tolerance))
    before = float(tables[0][1][0])
    number, check, after = UNTOUCHED, 0, before
    for candidate_number, _, smooth, allowed in tables:
        best = int(np.argmax(np.where(allowed, smooth, -np.inf)))
        if smooth[best] > after:
            number, check, after = candidate_number, best, float(smooth[best])
    return Choice(
        candidate=number,
        steps=check * config.tune.check_steps,
        before=before,
        after=after,
        curves=tuple(tuple(means.tolist()) for _, means, _, _ in tables),
    )


def smoothed(values: Floats) -> Floats:
    """Return checks averaged with their neighbours, which count half; the first, before training, stays as it is.

    Example:
        >>> smoothed(np.array([0.0, 1.0, 5.0, 1.0])).tolist()
        [0.0, 2.3333333333333335, 3.0, 2.3333333333333335]
    """
    found = values.copy()
    for place in range(1, len(values)):
        near = slice(max(1, place - 1), place + 2)
        weights = np.where(np.arange(len(values))[near] == place, 2.0, 1.0)
        found[place] = np.average(values[near], weights=weights)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    srcc: float
    order: float


def _checks(
    material: Material, places: Sequence[int], folds: Ints, fold: int, candidate: Candidate, config: FoldConfig
) -> list[_Check]:
    """Train on all inner folds but one, and look at that one now and then."""
    learned = [place for place, own in zip(places, folds.tolist(), strict=True) if own != fold]
    held = [place for place, own in zip(places, folds.tolist(), strict=True) if own == fold]
    ratings = [material.rated.videos[place].rating for place in held]
    ladders = [material.ladders[place] for place in held if place in material.ladders]
    found: list[_Check] = []

    def check(step: int, layers: LastLayers) -> None:
        del step
        orders = order_accuracy(layers, ladders)
        found.append(
            _Check(
                srcc=spearman(qualities(layers, material.seen[held]), ratings),
                order=float(np.mean(orders)) if orders else np.nan,
            )
        )

    lessons = material.lessons(learned, config.tune)
    tune(material.model, lessons, candidate, config.tune, steps=config.tune.steps, seed=config.seed, check=check)
    return found


def train_chosen(material: Material, places: Sequence[int], choice: Choice, config: FoldConfig) -> CompactModel:
    """Return the student that was chosen, trained on all of the given videos."""
    if choice.candidate == UNTOUCHED:
        return material.model
    candidate = config.tune.candidates[choice.candidate]
    lessons = material.lessons(places, config.tune)
    layers = tune(material.model, lessons, candidate, config.tune, steps=choice.steps, seed=config.seed)
    return layers.put_into(material.model)


def run_fold(material: Material, folds: Ints, fold: int, config: FoldConfig) -> FoldFound:
    """Choose, train and place a fold's student without its videos, then score them once.

    Args:
        material: all videos.
        folds: of each video, from :func:`w2svqa.stages.finetune_data.content_folds`.
        fold: which one is the test.
        config: of everything.

    Raises:
        W2SVQAError: the student cannot be trained, or tells no qualities apart.
    """
    learned, held = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
    choice = choose(material, learned, config, f"fold {fold}")
    model = train_chosen(material, learned, choice, config)
    judged = material.judged(model, learned, config)
    scored = judged.score(material.seen[held])
    ladders = [place for place in held if place in material.ladders]
    versions = [material.ladders[place].seen for place in ladders]
    shown = np.concatenate([material.seen[held], *versions])
    return FoldFound(
        places=tuple(held),
        raw=tuple(scored.raw.tolist()),
        deviation=tuple(scored.deviation.tolist()),
        ladders=tuple(ladders),
        orders=tuple(LadderScores(raw=tuple(judged.score(each).raw.tolist())) for each in versions),
        agreed=judged.agreement(material.original, shown, material.diagnosis_scale),
        choice=choice,
    )


def encode_fold(found: FoldFound) -> object:
    """Return a fold as plain values for a journal."""
    return to_mapping(found)


def decode_fold(value: object) -> FoldFound:
    """Return a fold from a journal.

    Raises:
        StoreError: it is none.
    """
    if not isinstance(value, dict):
        raise StoreError("a kept fold is no mapping", remedy="delete the work folder")
    return from_mapping(FoldFound, value)
