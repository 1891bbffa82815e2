from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.statistics import spearman
from w2svqa.stages.feature_judge import feature_judge, tokens_of
from w2svqa.stages.feature_training import (
    FeatureTrainConfig,
    LevelPairs,
    rated_pairs,
    train_on_pairs,
    train_on_ratings,
)
from w2svqa.stages.mining_gmad import random_pairs
from w2svqa.students.features import FeatureModel, FeatureStudent

Floats = NDArray[np.float64]
VIDEOS = 120
CONFIG = FeatureTrainConfig(epochs=6, batch=64, hidden=16, learning_rate=1e-2)


def pool(seed: int = 0) -> tuple[Floats, Floats]:
    """Videos whose true quality is a curve of two of eight features, some cells missing."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(VIDEOS, 8)) * 10 ** np.arange(-2.0, 6.0) + 5
    quality = np.tanh((features[:, 0] - 5) / 1e-2) + 0.5 * (features[:, 3] - 5) / 10
    features[::17, 5], features[::23, 6] = np.nan, np.inf
    return features, quality


def true_pairs(quality: Floats, count: int = 1500, seed: int = 0) -> LevelPairs:
    return rated_pairs(*random_pairs(len(quality), count, seed=seed), quality, 0.3)


def qualities(model: FeatureModel, features: Floats) -> Floats:
    with torch.inference_mode():
        found: Floats = model.quality(model.standardised(features)).double().numpy()
    return found


def weights(model: FeatureModel) -> list[NDArray[np.float32]]:
    return [value.detach().numpy().copy() for value in model.state_dict().values()]


def test_a_student_of_pairs_learns_the_order_of_videos_it_never_saw() -> None:
    features, quality = pool()
    model = train_on_pairs(features, true_pairs(quality), CONFIG, seed=1)
    others, truth = pool(1)
    assert spearman(qualities(model, others), truth) > 0.9


def test_map_scores_keep_the_order_of_the_qualities() -> None:
    features, quality = pool()
    model = train_on_pairs(features, true_pairs(quality), CONFIG, seed=1)
    judge = feature_judge(FeatureStudent(model), tokens_of(features), seed=0)
    placed = judge.place(tokens_of(features)).latent
    assert spearman(placed, quality) > 0.9
    # one quality per video; the sharpness of pairs may exchange near neighbours only
    assert spearman(placed, qualities(model, features)) > 0.98
    assert list(judge.scale.anchor_positions) == sorted(judge.scale.anchor_positions)


def test_ratings_are_learned_and_videos_without_one_take_no_part() -> None:
    features, quality = pool()
    rated = quality.copy()
    rated[::2] = np.nan
    config = dataclasses.replace(CONFIG, epochs=60)
    model = train_on_ratings(features, rated, config, seed=0)
    assert spearman(qualities(model, features)[1::2], quality[1::2]) > 0.95
    swapped = features.copy()
    swapped[::2] = 1e9
    again = train_on_ratings(swapped, rated, config, seed=0)
    for one, other in zip(weights(model), weights(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fine_tuning_on_ratings_begins_with_what_was_learned() -> None:
    features, quality = pool()
    student = train_on_pairs(features, true_pairs(quality), CONFIG, seed=0)
    untouched = weights(student)
    few = np.where(np.arange(VIDEOS) < 12, quality, np.nan)
    config = dataclasses.replace(CONFIG, epochs=3, learning_rate=1e-4)
    tuned = train_on_ratings(features, few, config, seed=0, start=student)
    fresh = train_on_ratings(features, few, config, seed=0)
    assert spearman(qualities(tuned, features), quality) > spearman(qualities(fresh, features), quality) + 0.2
    for one, other in zip(untouched, weights(student), strict=True):
        np.testing.assert_array_equal(one, other)


def test_zero_epochs_return_the_student_to_go_on_from() -> None:
    features, quality = pool()
    student = train_on_pairs(features, true_pairs(quality), CONFIG, seed=0)
    same = train_on_pairs(features, true_pairs(quality), dataclasses.replace(CONFIG, epochs=0), seed=9, start=student)
    for one, other in zip(weights(student), weights(same), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_weights_and_leaves_global_chance_alone() -> None:
    features, quality = pool()
    config = dataclasses.replace(CONFIG, epochs=1, dropout=0.3)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, two, other = (train_on_pairs(features, true_pairs(quality), config, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(np.array_equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_exchanging_first_and_second_of_every_pair_teaches_the_same() -> None:
    features, quality = pool()
    pairs = true_pairs(quality)
    turned = LevelPairs(pairs.second, pairs.first, 4 - pairs.level)
    one, other = (train_on_pairs(features, each, CONFIG, seed=0) for each in (pairs, turned))
    assert spearman(qualities(one, features), qualities(other, features)) > 0.99


def test_reversed_labels_teach_the_reverse() -> None:
    features, quality = pool()
    pairs = true_pairs(quality)
    model = train_on_pairs(features, pairs._replace(level=4 - pairs.level), CONFIG, seed=0)
    assert spearman(qualities(model, features), quality) < -0.9


def test_levels_by_ratings_follow_the_papers_rule() -> None:
    ratings = np.array([3.0, 3.0 + 0.3, 3.0 + 0.6, 3.0 + 0.9])
    first, second = np.zeros(4, np.int64), np.arange(4)
    # one deviation of a difference is 0.2 * sqrt(2) = 0.283
    assert rated_pairs(first, second, ratings, 0.2).level.tolist() == [2, 3, 4, 4]
    assert rated_pairs(second, first, ratings, 0.2).level.tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(
    "pairs",
    [
        LevelPairs(*(np.empty(0, np.int64) for _ in range(3))),
        LevelPairs(np.array([0]), np.array([VIDEOS]), np.array([2])),
        LevelPairs(np.array([-1]), np.array([0]), np.array([2])),
        LevelPairs(np.array([0]), np.array([1]), np.array([5])),
    ],
)
def test_pairs_that_cannot_be_are_refused(pairs: LevelPairs) -> None:
    with pytest.raises(ValueError, match=r"pairs|places"):
        train_on_pairs(pool()[0], pairs, CONFIG, seed=0)


def test_ratings_that_teach_nothing_are_refused() -> None:
    features, quality = pool()
    for ratings in (np.full(VIDEOS, 3.0), np.full(VIDEOS, np.nan), quality[1:]):
        with pytest.raises(ValueError, match="ratings"):
            train_on_ratings(features, ratings, CONFIG, seed=0)


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    features, quality = pool()
    with pytest.raises(W2SVQAError, match="the loss of step 2 is nan"):
        train_on_pairs(features, true_pairs(quality), dataclasses.replace(CONFIG, learning_rate=1e30), seed=0)


def test_vectors_of_another_length_are_refused() -> None:
    features, quality = pool()
    student = train_on_pairs(features, true_pairs(quality), dataclasses.replace(CONFIG, epochs=0), seed=0)
    with pytest.raises(ValueError, match=r"\(120, 7\)"):
        train_on_pairs(features[:, 1:], true_pairs(quality), CONFIG, seed=0, start=student)


@pytest.mark.parametrize("wrong", [{"epochs": -1}, {"batch": 1}, {"dropout": 1.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="epochs"):
        FeatureTrainConfig(**wrong)  # type: ignore[arg-type]
