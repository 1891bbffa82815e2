"""One seed of ``feature_lab.py``: labels, pairs, students of every stage and control, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from _feature_data import Material, Part, Truth
from w2svqa.core.levels import SIMILAR
from w2svqa.core.random import generator
from w2svqa.core.records import Tokens
from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.statistics import spearman
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.soft import judge_pieces
from w2svqa.stages.feature_judge import feature_judge, tokens_of
from w2svqa.stages.feature_training import (
    FeatureTrainConfig,
    LevelPairs,
    rated_pairs,
    train_on_pairs,
    train_on_ratings,
)
from w2svqa.stages.mining_gmad import gmad_pairs, random_pairs
from w2svqa.stages.pool_labels import PoolLabelConfig, PoolLabels, make_labels
from w2svqa.stages.pool_pairs import PoolPairConfig, make_pool_pairs, uncertain_levels
from w2svqa.students.features import FeatureModel, FeatureStudent
from w2svqa.students.losses import ConfidenceConfig

NO_CONFIDENCE: Final = ConfidenceConfig(form="none")
CHECKED: Final = 4000
"""Pairs of the pool, of each data set, on which labels are compared with ratings."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scores = Mapping[str, Floats]
"""By teacher, of the videos of one part."""

LabelledBy = Literal["direct", "scores", "together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is the same for all students of the lab; chosen on the labelled videos alone, by ``--choose``.

    Attributes:
        train: of every student.
        pairs_per_video: of the pool, in the first stage.
        weighted: a teacher counts by r^2 / (1 - r^2), r its correlation on the labelled videos; else all count alike.
        hard_share: pairs that a later stage adds, as a share of the first stage's. The paper: 85 k of 250 k.
        labelled_by: what labels pairs from stage 2 on: the student by comparing (``"direct"``), by its MAP scores and
            their deviations (``"scores"``), or its MAP score as one more teacher (``"together"``).
        anew: later stages begin with fresh weights instead of those of the stage before.
        per_role: most pairs of one gMAD role, as a multiple of its even share; ``None`` for no limit.
        known_first: the first stage sees the pool's videos of KoNViD-1k alone, later stages all of them.
        rating_deviation: of one opinion score, for the levels of the supervised student's pairs.
    """

    train: FeatureTrainConfig = field(
        default_factory=lambda: FeatureTrainConfig(epochs=8, batch=512, learning_rate=3e-3)
    )
    pairs_per_video: int = 10
    weighted: bool = True
    hard_share: float = 0.34
    labelled_by: LabelledBy = "direct"
    anew: bool = False
    per_role: float | None = None
    known_first: bool = False
    rating_deviation: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Student:
    """A trained student with its judge, the pairs it was trained on, and its scores of the pool."""

    model: FeatureModel
    judge: AnchoredJudge
    pairs: LevelPairs
    scores: Floats
    deviation: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One seed's place of work.

    Attributes:
        material: videos, features, the labelled videos' ratings.
        teachers: their scores, by part: ``"pool"``, ``"inside"``, ``"outside"``.
        validation: correlation of each teacher with the labelled videos' ratings, in cross-validation.
        settings: of all students.
        seed: of all chance.
    """

    material: Material
    teachers: Mapping[str, Scores]
    validation: Mapping[str, float]
    settings: Settings
    seed: int

    @property
    def weights(self) -> dict[str, float]:
        """What each teacher counts; empty where all count alike."""
        return {name: r**2 / (1 - r**2) for name, r in self.validation.items()} if self.settings.weighted else {}

    @property
    def seen_first(self) -> int:
        """How many videos of the pool the first stage sees."""
        return self.material.known if self.settings.known_first else len(self.material.pool.names)

    @property
    def first_count(self) -> int:
        """Pairs of the first stage."""
        return self.settings.pairs_per_video * len(self.material.pool.names)

    @property
    def later_count(self) -> int:
        """Pairs that a later stage adds."""
        return round(self.settings.hard_share * self.first_count)


def say_together(pool: Part, scores: Scores, weights: Mapping[str, float] | None = None) -> PoolLabels:
    """Return the pseudo-labels by one or more scorers: consensus calibration, mean and variance, no rating seen."""
    rows = [
        TeacherScoreRow(clip_id=clip, teacher=teacher, version="1", value=value)
        for teacher, values in scores.items()
        for clip, value in zip(pool.names, values.tolist(), strict=True)
    ]
    config = PoolLabelConfig(weights=weights or {}, least_teachers=min(2, len(scores)))
    return make_labels(rows, _videos(pool), higher_is_better=dict.fromkeys(scores, True), config=config)


def label_pairs(pool: Part, labels: PoolLabels, count: int, seed: int) -> LevelPairs:
    """Return pairs of the pool with levels by the labels."""
    place = {name: number for number, name in enumerate(pool.names)}
    rows = make_pool_pairs(labels.rows, _videos(pool), PoolPairConfig(count=count, seed=seed)).rows
    columns = zip(*((place[row.first], place[row.second], row.level) for row in rows), strict=True)
    return LevelPairs(*(np.array(column, dtype=np.int64) for column in columns))


def first_pairs(lab: Lab, count: int, *, only: str | None = None) -> LevelPairs:
    """Return pairs by all teachers together, or by one, of the videos that the first stage sees."""
    seen = lab.seen_first
    scores = {name: values[:seen] for name, values in lab.teachers["pool"].items() if only in (None, name)}
    pool = lab.material.pool.take(range(seen))
    labels = say_together(pool, scores, lab.weights if only is None else None)
    return label_pairs(pool, labels, count, lab.seed)


def learn(lab: Lab, pairs: LevelPairs, config: FeatureTrainConfig, start: Student | None = None) -> Student:
    """Train a student on pairs of the pool, give it anchors, and let it score the pool."""
    before = None if start is None or lab.settings.anew else start.model
    features = lab.material.pool.features[: lab.seen_first if start is None else None]
    return finish(lab, train_on_pairs(features, pairs, config, seed=lab.seed, start=before), pairs)


def finish(lab: Lab, model: FeatureModel, pairs: LevelPairs) -> Student:
    """Give a trained model its anchors, and let it score the pool."""
    tokens = tokens_of(lab.material.pool.features)
    judge = feature_judge(FeatureStudent(model), tokens, seed=lab.seed)
    placed = judge.place(tokens)
    return Student(model=model, judge=judge, pairs=pairs, scores=placed.latent, deviation=placed.deviation)


def next_stage(lab: Lab, before: Student, number: int, *, pick: Literal["gmad", "random"] = "gmad") -> Student:
    """Let the student before label new pairs, and train on all pairs so far."""
    count, videos = lab.later_count, len(lab.material.pool.names)
    seed = int(generator(lab.seed, "feature stage", number).integers(1 << 30))
    most = -(-8 * count // videos)  # four times as many as if all videos had as many
    if pick == "random":
        first, second = random_pairs(videos, count, most_per_video=most, seed=seed)
    else:
        roles = 2 * len(lab.teachers["pool"])
        limit = None if lab.settings.per_role is None else math.ceil(lab.settings.per_role * count / roles)
        mined = gmad_pairs(
            before.scores, lab.teachers["pool"], count=count, most_per_video=most, most_per_role=limit, seed=seed
        )
        first, second = mined.first, mined.second
    added = LevelPairs(first, second, student_levels(lab, before, first, second))
    return learn(lab, before.pairs.joined(added), lab.settings.train, before)


def student_levels(lab: Lab, student: Student, first: Ints, second: Ints) -> Ints:
    """Return the levels that a student gives pairs of the pool, in the way of the settings."""
    if lab.settings.labelled_by == "direct":
        return direct_levels(student, tokens_of(lab.material.pool.features), first, second)
    if lab.settings.labelled_by == "scores":
        return _levels(student.scores, student.deviation**2, first, second)
    scores = {**lab.teachers["pool"], "student": student.scores}
    # the student counts as much as all teachers together
    weights = {name: lab.weights.get(name, 1.0) for name in lab.teachers["pool"]}
    labels = say_together(lab.material.pool, scores, {**weights, "student": sum(weights.values())})
    return label_levels(labels, first, second)


def direct_levels(student: Student, tokens: Sequence[Tokens], first: Ints, second: Ints) -> Ints:
    """Return the most probable levels by direct comparison, int64 ``(pairs,)``."""
    pairs = ([tokens[place] for place in places.tolist()] for places in (first, second))
    levels: Ints = judge_pieces(student.judge.student, *pairs).argmax(axis=1)
    return levels


def label_levels(labels: PoolLabels, first: Ints, second: Ints) -> Ints:
    """Return the levels by labels of all videos of the pool, the paper's rule."""
    mean, variance = (np.array([getattr(row, key) for row in labels.rows]) for key in ("mean", "variance"))
    return _levels(mean, variance, first, second)


def _levels(mean: Floats, variance: Floats, first: Ints, second: Ints) -> Ints:
    return uncertain_levels(mean[second] - mean[first], np.sqrt(variance[first] + variance[second]))


def supervised(lab: Lab, *, by: Literal["regression", "pairs"]) -> Student:
    """Train a student on the ratings of the labelled videos, as many pairs or passes as the first stage has."""
    features, ratings, train = lab.material.labelled.features, lab.material.ratings, lab.settings.train
    if by == "regression":
        steps = train.epochs * lab.first_count / train.batch
        batch = min(64, len(ratings))
        config = replace(train, epochs=round(steps * batch / len(ratings)), batch=batch)
        model = train_on_ratings(features, ratings, config, seed=lab.seed)
        pairs = LevelPairs(*(np.empty(0, dtype=np.int64) for _ in range(3)))
    else:
        drawn = random_pairs(len(ratings), lab.first_count, seed=lab.seed)
        pairs = rated_pairs(*drawn, ratings, lab.settings.rating_deviation)
        model = train_on_pairs(features, pairs, without_confidence(lab), seed=lab.seed)
    return finish(lab, model, pairs)


def without_confidence(lab: Lab) -> FeatureTrainConfig:
    """Return the training with the cross-entropy alone."""
    return replace(lab.settings.train, confidence=NO_CONFIDENCE)


def _videos(pool: Part) -> list[VideoRow]:
    return [VideoRow(clip_id=name, path=name, name=name, sha256="") for name in pool.names]


def scores_of(student: Student, part: Part) -> list[float]:
    """Return the MAP scores of videos, rounded to what ranks need."""
    return [round(value, 6) for value in student.judge.place(tokens_of(part.features)).latent.tolist()]


def together_of(labels: PoolLabels, scores: Scores) -> list[float]:
    """Return the mean over teachers of videos outside the pool, by the curves that the pool gave."""
    each = [fit.curve(scores[fit.teacher]) for fit in labels.calibration.fits]
    weights = [fit.weight for fit in labels.calibration.fits]
    return [round(value, 6) for value in np.average(each, axis=0, weights=weights).tolist()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checked:
    """What a labeller says of the pool: scores, and levels of the pairs that are checked."""

    scores: Floats
    levels: Ints


def checked_pairs(material: Material) -> tuple[Ints, Ints]:
    """Return the pairs on which labels are checked: of one data set each, the same for all labellers and seeds."""
    known, others = material.known, len(material.pool.names) - material.known
    inner, outer = random_pairs(known, CHECKED, seed=0), random_pairs(others, CHECKED, seed=1)
    first, second = (np.concatenate([one, other + known]) for one, other in zip(inner, outer, strict=True))
    return first, second


def label_figures(material: Material, truth: Truth, said: Checked, before: Checked | None) -> dict[str, float | None]:
    """Return how good a labeller's pseudo-labels are, measured on ratings that it has not seen.

    Returns:
        By key, ``_in`` for KoNViD-1k and ``_ood`` for YouTube-UGC: ``srcc`` of its scores, ``decided``, the share of
        pairs that it does not call similar, ``right``, the share of those in the raters' order, and ``agreement``, the
        share of levels that are those of the labeller before.
    """
    first, second = checked_pairs(material)
    inner = first < material.known
    order = np.sign(truth.pool[second] - truth.pool[first])
    side = np.sign(said.levels - SIMILAR)
    found: dict[str, float | None] = {}
    for key, pairs, videos in (
        ("in", inner, slice(0, material.known)),
        ("ood", ~inner, slice(material.known, None)),
    ):
        decided = pairs & (side != 0) & (order != 0)
        found[f"srcc_{key}"] = spearman(said.scores[videos], truth.pool[videos])
        found[f"decided_{key}"] = float((side != 0)[pairs].mean())
        found[f"right_{key}"] = float((side == order)[decided].mean())
    found["agreement"] = None if before is None else float((said.levels == before.levels).mean())
    return found


def record(student: Student, material: Material) -> dict[str, Any]:
    """Return the test scores of a student."""
    return {"in": scores_of(student, material.inside), "ood": scores_of(student, material.outside)}
