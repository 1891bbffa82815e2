"""precomputed features + ratings -> feature student, measured on splits by content: no video is needed.

Each seed divides the contents into training and test. The training part alone says, on inner folds, how the student is
trained; the test part is scored once. The student of all ratings is trained as most seeds chose.

A student is the mean of a few networks with other starts: on some hundred ratings a single one depends much on its
own.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import ConfigError, InputError, StoreError, StrPath
from w2svqa.core.files import atomic_write
from w2svqa.core.random import generator
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.statistics import spearman
from w2svqa.core.store import fingerprint
from w2svqa.stages.evaluation_statistics import Drawing, measure_agreement
from w2svqa.stages.feature_tables import RatedFeatures, read_features
from w2svqa.stages.feature_training import FeatureTrainConfig, rated_pairs, train_on_pairs, train_on_ratings
from w2svqa.stages.finetune_data import content_folds
from w2svqa.students.features import FeatureConfig, FeatureModel

__all__ = [
    "FeatureTuneConfig",
    "FeaturesTuned",
    "RatedFeatures",
    "SeedFound",
    "feature_scores",
    "finetune_features",
    "read_feature_student",
    "read_features",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Objective = Literal["pairs", "scores"]
Progress = Callable[[int, int, str], None]

WEIGHTS: Final = "weights.safetensors"
CARD: Final = "card.json"
SCORES: Final = "scores.csv"
JOURNAL: Final = "seeds.jsonl"

_MEASURES: Final = ("srcc", "krcc", "plcc", "rmse")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTuneConfig:
    """How a feature student is trained and measured.

    Attributes:
        seeds: splits.
        test_share: of the videos, by content.
        candidates: ways of training; the best on inner folds is taken.
        inner: folds that choose.
        members: networks of a student.
        seed: of the first split; the others follow it.
        objective: the score itself, or levels of pairs by the paper's rule.
        deviation: of a rating, as a share of the standard deviation of all; only for pairs.
        pairs_per_video: only for pairs.
    """

    seeds: int = 10
    test_share: float = 0.2
    candidates: tuple[FeatureTrainConfig, ...] = field(
        default=(
            FeatureTrainConfig(epochs=20, batch=128, learning_rate=1e-3),
            FeatureTrainConfig(epochs=40, batch=128, learning_rate=1e-3),
            FeatureTrainConfig(epochs=40, batch=128, learning_rate=1e-3, dropout=0.1),
            FeatureTrainConfig(epochs=60, batch=128, learning_rate=1e-3, dropout=0.3),
        )
    )
    inner: int = 4
    members: int = 5
    seed: int = 0
    objective: Objective = "scores"
    deviation: float = 0.25
    pairs_per_video: int = 20

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ConfigError: no seed, candidate, member or inner folds, or a share outside (0, 1).
        """
        if min(self.seeds, self.members, len(self.candidates)) < 1 or self.inner < 2 or not 0 < self.test_share < 1:
            raise ConfigError(
                f"{self.seeds} seeds, {self.members} members, {self.inner} inner folds, test share {self.test_share}",
                remedy="seeds and members 1 or more, inner 2 or more, a share between 0 and 1",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFound:
    """One split.

    Attributes:
        candidate: number of the one chosen.
        figures: by measure, on the test part.
        test: places of the test part.
        scores: of these, on the scale of the ratings' deviations around their mean.
    """

    candidate: int
    figures: Mapping[str, float]
    test: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeaturesTuned:
    """What came of it.

    Attributes:
        seeds: each split.
        members: networks of the student of all ratings.
        candidate: number of the way they were trained.
        rated: what they learned from.
    """

    seeds: tuple[SeedFound, ...]
    members: tuple[FeatureModel, ...]
    candidate: int
    rated: RatedFeatures

    def mean(self, measure: str) -> tuple[float, float]:
        """Return a measure's mean over the splits and its standard deviation; the latter NaN for one split."""
        found = [seed.figures[measure] for seed in self.seeds]
        return float(np.mean(found)), float(np.std(found, ddof=1)) if len(found) > 1 else math.nan


def finetune_features(
    rated: RatedFeatures,
    config: FeatureTuneConfig | None = None,
    output: StrPath | None = None,
    *,
    workers: int = 1,
    progress: Progress = lambda done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> FeaturesTuned:
    """Train and measure a feature student on ratings.

    Args:
        rated: from :func:`read_features`.
        config: how.
        output: folder that gets the student of all ratings, the test scores of every video and the journal of finished
            seeds; ``None`` writes nothing.
        workers: seeds side by side.
        progress: called as ``progress(done, total, text)``.

    Raises:
        InputError: too few contents to divide, or all ratings are the same.
        StoreError: the folder is of other features, ratings or settings, or cannot be written.
        W2SVQAError: a split cannot be trained.
    """
    config = config or FeatureTuneConfig()
    _check(rated, config)
    seeds = _seeds(rated, config, output, workers, progress)
    votes = Counter(seed.candidate for seed in seeds)
    candidate = max(votes, key=lambda number: (votes[number], -number))
    members = _members(rated.features, rated.values, config.candidates[candidate], config, "all")
    tuned = FeaturesTuned(seeds=tuple(seeds), members=members, candidate=candidate, rated=rated)
    if output is not None:
        _write(Path(output), tuned, config)
    return tuned


def _check(rated: RatedFeatures, config: FeatureTuneConfig) -> None:
    contents = len(set(rated.contents))
    if contents < 2 * config.inner or round(contents * config.test_share) < 1:
        raise InputError(
            f"{contents} contents are too few for {config.inner} inner folds and a test",
            remedy="rate other contents, or ask for fewer inner folds",
        )
    if np.ptp(rated.values) == 0:
        raise InputError("all ratings are the same", remedy="check the column of ratings")


def _seeds(
    rated: RatedFeatures, config: FeatureTuneConfig, output: StrPath | None, workers: int, progress: Progress
) -> list[SeedFound]:
    numbers = list(range(config.seeds))
    split = _Split(rated=rated, config=config)
    if output is None:
        found = []
        for number in numbers:
            found.append(split(number))
            progress(len(found), len(numbers), f"seed {number}")
        return found
    kept: Kept[int, SeedFound] = Kept(
        path=Path(output) / JOURNAL,
        fingerprint=fingerprint("finetune features", _settings(config), {"features": _hash(rated)}),
        key=str,
        name=lambda number: f"seed {number}",
        encode=to_mapping,
        decode=_decode,
    )
    made, failed = map_resumed(split, numbers, kept, workers=workers, progress=progress)
    if failed:
        raise StoreError("; ".join(f"seed {seed}: {problem}" for seed, problem in failed.items()), path=output)
    return [made[str(number)] for number in numbers]


def _settings(config: FeatureTuneConfig) -> dict[str, object]:
    """What a seed depends on; more seeds go on with those that are there."""
    return {key: value for key, value in to_mapping(config).items() if key != "seeds"}


def _decode(value: object) -> SeedFound:
    if not isinstance(value, dict):
        raise StoreError("a kept seed is no mapping", remedy=f"delete {JOURNAL}")
    return from_mapping(SeedFound, value)


def _hash(rated: RatedFeatures) -> str:
    said = json.dumps([[row.name, row.content] for row in rated.rows]).encode()
    return sha256(said + rated.features.tobytes() + rated.values.tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """The work of one seed; it can be sent to another process."""

    rated: RatedFeatures
    config: FeatureTuneConfig

    def __call__(self, number: int) -> SeedFound:
        config, rated = self.config, self.rated
        test = held_out_places(rated.contents, config.test_share, config.seed + number)
        learned = np.setdiff1d(np.arange(len(rated.rows)), test)
        features, ratings = rated.features[learned], rated.values[learned]
        contents = [rated.contents[place] for place in learned.tolist()]
        candidate = _choose(features, ratings, contents, config, number)
        members = _members(features, ratings, config.candidates[candidate], config, f"seed {number}")
        scores = feature_scores(members, rated.features[test])
        told = measure_agreement(
            scores, rated.values[test], [rated.contents[place] for place in test.tolist()], Drawing(resamples=0)
        )
        return SeedFound(
            candidate=candidate,
            figures={measure: told.figures[measure].value for measure in _MEASURES},
            test=tuple(test.tolist()),
            scores=tuple(scores.tolist()),
        )


def held_out_places(contents: Sequence[str], share: float, seed: int) -> Ints:
    """Return the places of a test part of about a share of the videos, whole contents, in rising order.

    Example:
        >>> held_out_places(["a", "a", "b", "b", "c", "c"], 0.3, 0).size
        2
    """
    sizes = Counter(contents)
    known = sorted(sizes)
    taken: set[str] = set()
    count = 0
    for place in generator(seed, "feature test").permutation(len(known)).tolist():
        if count >= share * len(contents):
            break
        taken.add(known[place])
        count += sizes[known[place]]
    return np.array([place for place, content in enumerate(contents) if content in taken], np.int64)


def _choose(features: Floats, ratings: Floats, contents: Sequence[str], config: FeatureTuneConfig, number: int) -> int:
    """The candidate that orders the inner folds best; the first among equals."""
    folds = content_folds(contents, config.inner, config.seed + number, "feature inner")
    means = []
    for candidate in config.candidates:
        found = []
        for fold in range(config.inner):
            own, others = folds == fold, folds != fold
            members = _members(features[others], ratings[others], candidate, config, f"inner {number} {fold}")
            found.append(spearman(feature_scores(members, features[own]), ratings[own]))
        means.append(float(np.mean(found)))
    return int(np.argmax(means))


def _members(
    features: Floats, ratings: Floats, candidate: FeatureTrainConfig, config: FeatureTuneConfig, label: str
) -> tuple[FeatureModel, ...]:
    random = generator(config.seed, "feature members", label)
    seeds = random.integers(1 << 31, size=config.members).tolist()
    if config.objective == "scores":
        return tuple(train_on_ratings(features, ratings, candidate, seed=seed) for seed in seeds)
    count = len(ratings)
    first = random.integers(count, size=config.pairs_per_video * count)
    second = (first + random.integers(1, count, size=len(first))) % count
    pairs = rated_pairs(first, second, ratings, config.deviation * float(ratings.std()))
    return tuple(train_on_pairs(features, pairs, candidate, seed=seed) for seed in seeds)


def feature_scores(members: Sequence[FeatureModel], features: Floats) -> Floats:
    """Return the scores of videos, float64 ``(N,)``, higher is better: the mean of the networks' qualities.

    Args:
        members: of one student.
        features: float64 ``(N, F)``; what is not finite is missing.

    Raises:
        ValueError: vectors of another length.
    """
    with torch.inference_mode():
        each = [member.quality(member.standardised(features)).double().numpy() for member in members]
    scores: Floats = np.mean(each, axis=0)
    return scores


def _write(folder: Path, tuned: FeaturesTuned, config: FeatureTuneConfig) -> None:
    """Write the student, its card and the test scores."""
    weights = {
        f"{number}.{name}": tensor.contiguous()
        for number, member in enumerate(tuned.members)
        for name, tensor in member.state_dict().items()
    }
    with atomic_write(folder / WEIGHTS) as file:
        file.write(save(weights))
    with atomic_write(folder / SCORES) as file:
        file.write(_test_scores(tuned).encode())
    card = {
        "format": "w2svqa-features",
        "format_version": 1,
        "columns": list(tuned.rated.columns),
        "model": to_mapping(tuned.members[0].config),
        "members": len(tuned.members),
        "trained": to_mapping(config.candidates[tuned.candidate]),
        "videos": len(tuned.rated.rows),
        "figures": {
            name: {"value": round(tuned.mean(name)[0], 4), "sd": _rounded(tuned.mean(name)[1]), "n": len(tuned.seeds)}
            for name in _MEASURES
        },
    }
    with atomic_write(folder / CARD) as file:
        file.write(json.dumps(card, indent=1).encode() + b"\n")


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _test_scores(tuned: FeaturesTuned) -> str:
    """Of every video the mean of its scores in the splits that tested it; those that none did have no row."""
    said: dict[int, list[float]] = {}
    for seed in tuned.seeds:
        for place, score in zip(seed.test, seed.scores, strict=True):
            said.setdefault(place, []).append(score)
    lines = [f"{tuned.rated.rows[place].name},{np.mean(scores)!r}" for place, scores in sorted(said.items())]
    return "\n".join(["name,score", *lines]) + "\n"


def read_feature_student(folder: StrPath) -> tuple[tuple[FeatureModel, ...], tuple[str, ...]]:
    """Return the networks of a feature student and the names of the features that it takes, in order.

    Raises:
        StoreError: the folder holds none, or it is damaged.
    """
    path = Path(folder)
    try:
        card = json.loads((path / CARD).read_bytes())
        size = from_mapping(FeatureConfig, card["model"])
        weights = load_file(path / WEIGHTS)
        members = []
        for number in range(int(card["members"])):
            member = FeatureModel(size)
            own = f"{number}."
            member.load_state_dict({key.removeprefix(own): weights[key] for key in weights if key.startswith(own)})
            members.append(member.eval())
        return tuple(members), tuple(str(column) for column in card["columns"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ConfigError, SafetensorError) as error:
        raise StoreError(
            f"holds no feature student: {error}", path=folder, remedy="run w2svqa finetune --features again"
        ) from None
