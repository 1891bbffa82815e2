from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from w2svqa.core.protocols import Student
from w2svqa.core.records import Chunk
from w2svqa.students.features import LARGEST, FeatureConfig, FeatureModel, FeatureScale, FeatureStudent

FEATURES = 6


def model(seed: int = 0, **size: float) -> FeatureModel:
    torch.manual_seed(seed)
    values = np.random.default_rng(seed).normal(3.0, 2.0, size=(40, FEATURES))
    return FeatureModel(FeatureConfig(features=FEATURES, hidden=8, **size), FeatureScale.of(values))


def videos(count: int, seconds: int = 1) -> list[np.ndarray]:
    drawn = np.random.default_rng(5).normal(3.0, 2.0, size=(count, seconds, FEATURES))
    return list(drawn.astype(np.float32))


anything = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(allow_nan=True, allow_infinity=True)
)


@given(anything)
def test_a_standardised_table_has_no_gaps_and_no_outliers(features: np.ndarray) -> None:
    # the widest doubles leave no room for differences; feature tables never come near
    features = np.where(np.abs(features) > 1e150, np.inf, features)
    found = FeatureScale.of(features).standardise(features)
    assert found.shape == features.shape
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= LARGEST


def test_what_is_missing_takes_the_median_of_the_training_videos() -> None:
    scale = FeatureScale.of(np.array([[1.0, 10.0], [2.0, 20.0], [np.nan, 30.0], [6.0, np.inf]]))
    assert scale.centre.tolist() == [2.0, 20.0]
    assert scale.standardise(np.array([[np.nan, -np.inf]])).tolist() == [[0.0, 0.0]]


def test_a_standardised_normal_feature_has_deviation_one_whatever_its_unit() -> None:
    values = np.random.default_rng(0).normal(size=(2000, 1))
    for unit in (1e-6, 1.0, 1e6):
        assert FeatureScale.of(values * unit + unit).standardise(values * unit + unit).std() == pytest.approx(
            1, abs=0.1
        )


def test_a_feature_that_is_mostly_constant_still_counts_by_its_deviation() -> None:
    values = np.zeros((100, 1))
    values[:5] = 1.0
    found = FeatureScale.of(values).standardise(values)
    assert found.max() == LARGEST
    assert found.min() == 0.0


def test_it_is_a_student() -> None:
    student = FeatureStudent(model(), "lab-1")
    assert isinstance(student, Student)
    assert student.name == "lab-1"


def test_its_tokens_are_the_vectors_themselves() -> None:
    vectors = [np.array([1, 2, np.nan, 4, np.inf, 6], dtype=np.float64), np.ones(FEATURES)]
    tokens = FeatureStudent(model()).encode(vectors)
    assert tokens.dtype == np.float32
    np.testing.assert_array_equal(tokens, np.stack(vectors).astype(np.float32))


def test_it_refuses_pictures_other_lengths_and_nothing() -> None:
    chunk = Chunk(
        index=0,
        start=0.0,
        key_frame=np.zeros((2, 2, 3), np.uint8),
        motion=np.zeros((0, 2, 2), np.uint8),
        motion_times=np.zeros(0),
    )
    student = FeatureStudent(model())
    wrong: list[list[Chunk | NDArray[np.float64]]] = [[chunk], [np.ones(FEATURES + 1)], [], [np.ones(FEATURES), chunk]]
    for chunks in wrong:
        with pytest.raises(ValueError, match="6 features"):
            student.encode(chunks)


def test_exchanging_the_videos_reverses_the_logits_and_nothing_is_better_than_itself() -> None:
    student, first = FeatureStudent(model()), videos(10)
    second = first[::-1]
    np.testing.assert_allclose(student.judge(first, second), student.judge(second, first)[:, ::-1], atol=1e-6)
    itself = student.judge(first, first)
    np.testing.assert_allclose(itself, itself[:, ::-1], atol=1e-6)


def test_seconds_are_averaged_after_they_are_standardised() -> None:
    student, (video,) = FeatureStudent(model()), videos(1, seconds=3)
    other = videos(2)[1]
    scale = student.model.scale
    mean = scale.standardise(video.astype(np.float64)).mean(axis=0)
    alone = (mean * scale.deviation + scale.centre).astype(np.float32)[None]
    np.testing.assert_allclose(student.judge([other], [video]), student.judge([other], [alone]), atol=1e-4)


def test_gaps_and_infinities_are_judged() -> None:
    student = FeatureStudent(model())
    gap = np.full((1, FEATURES), np.nan, dtype=np.float32)
    assert np.isfinite(student.judge([gap, gap], [np.full_like(gap, np.inf), videos(1)[0]])).all()


def test_judging_uses_no_dropout_and_leaves_no_trace() -> None:
    student, both = FeatureStudent(model(dropout=0.5)), videos(4)
    np.testing.assert_array_equal(student.judge(both[:2], both[2:]), student.judge(both[:2], both[2:]))


def test_sequences_of_other_lengths_are_refused_and_none_gives_none() -> None:
    student = FeatureStudent(model())
    with pytest.raises(ValueError, match="1 first"):
        student.judge(videos(1), videos(2))
    assert student.judge([], []).shape == (0, 5)


def test_the_scale_travels_with_the_weights() -> None:
    trained = model()
    fresh = FeatureModel(trained.config)
    fresh.load_state_dict(trained.state_dict())
    pair = videos(2)
    np.testing.assert_array_equal(
        FeatureStudent(fresh).judge(pair[:1], pair[1:]), FeatureStudent(trained).judge(pair[:1], pair[1:])
    )
