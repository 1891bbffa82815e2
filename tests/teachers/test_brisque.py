from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from slow_statistics import slow_brisque_features
from teacher_fixtures import blurred, texture, write_brisque

from w2svqa.core.errors import InputError, MissingInputError
from w2svqa.teachers.brisque import MODEL_FILE, RANGES_FILE, Brisque, picture_features, read_regression
from w2svqa.teachers.frames import luma

SMALL_MODEL = b"""svm_type epsilon_svr
kernel_type rbf
gamma 0.5
total_sv 2
rho 1.25
SV
2 1:0.5 3:-1
-3 36:2
"""


def test_the_decision_function_by_hand() -> None:
    regression = read_regression(SMALL_MODEL, "model")
    features = np.zeros(36)
    features[2], features[35] = -1, 1
    # Squared distances: 0.5^2 + 0 + 1^2 to the first vector, 1^2 + 1^2 to the second.
    expected = 2 * math.exp(-0.5 * 1.25) - 3 * math.exp(-0.5 * 2) - 1.25
    assert regression.predict(features) == pytest.approx(expected, rel=1e-12)


def test_indices_left_out_are_zero() -> None:
    vectors = read_regression(SMALL_MODEL, "model").vectors
    assert np.argwhere(vectors).tolist() == [[0, 0], [0, 2], [1, 35]]
    assert vectors[np.nonzero(vectors)].tolist() == [0.5, -1, 2]


def test_a_score_is_the_regression_at_the_scaled_features(tmp_path: Path) -> None:
    write_brisque(tmp_path)
    frame = texture(70, 81)
    numbers = np.arange(1, 37)
    scaled = -1 + 2 * (picture_features(luma(frame)) + 0.5 * numbers) / (1.5 * numbers)
    total = 30.5
    for line in (tmp_path / MODEL_FILE).read_text().splitlines()[7:]:
        coefficient, *cells = line.split()
        vector = {int(index): float(value) for index, value in (cell.split(":") for cell in cells)}
        distance = sum((scaled[index - 1] - vector.get(index, 0.0)) ** 2 for index in range(1, 37))
        total += float(coefficient) * math.exp(-0.05 * distance)
    assert Brisque.load(tmp_path).score_frame(frame) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("size", [(64, 90), (61, 75)])
def test_features_agree_with_their_equations(size: tuple[int, int]) -> None:
    grey = luma(texture(*size))
    # One step of the table of shapes is 0.001, and what hangs on the shape moves with it.
    np.testing.assert_allclose(picture_features(grey), slow_brisque_features(grey), atol=3e-3)


def test_blur_narrows_the_coefficients_and_ties_neighbours() -> None:
    clean = luma(texture(128, 160))
    soft = picture_features(np.asarray(blurred(clean, 2), np.uint8))
    sharp = picture_features(clean)
    assert soft[1] < sharp[1]
    assert (soft[[5, 9]] / soft[[4, 8]] > sharp[[5, 9]] / sharp[[4, 8]]).all()


def test_flat_pictures_have_no_finite_score(tmp_path: Path) -> None:
    assert np.isnan(picture_features(np.full((64, 64), 0, np.uint8))).any()
    with pytest.raises(InputError, match="no texture"):
        Brisque.load(write_brisque(tmp_path)).score_frame(np.full((64, 64, 3), 0, np.uint8))


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        (b"epsilon_svr", b"c_svc", "kind c_svc with kernel rbf instead of epsilon_svr"),
        (b"rbf", b"linear", "epsilon_svr with kernel linear"),
        (b"total_sv 2", b"total_sv 3", "2 support vectors instead of 3"),
        (b"rho 1.25\n", b"", "no line 'rho'"),
        (b"gamma 0.5", b"gamma wide", "could not convert string to float"),
        (b"36:2", b"37:2", "index 37 of support vector 2 is not 1 to 36"),
        (b"36:2", b"0:2", "index 0 of support vector 2"),
        (b"36:2", b"36", "no model of LIBSVM"),
        (b"-3 36", b"nan 36", "not finite"),
        (b"36:2", b"36:inf", "not finite"),
        (b"\nSV\n", b"\n", "no model of LIBSVM"),
        (b"rho", b"\xff", "no model of LIBSVM"),
    ],
)
def test_damaged_models_are_refused(find: bytes, put: bytes, message: str) -> None:
    assert find in SMALL_MODEL
    with pytest.raises(InputError, match=message):
        read_regression(SMALL_MODEL.replace(find, put), "model")


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ("low,high", "least,most", "no table of feature, low, high"),
        ("\n7,-3.5,7", "", "features 1 to 36 in order"),
        ("7,-3.5,7", "7,-3.5,wide", "no table of feature, low, high"),
        ("7,-3.5,7", "7,-3.5", "no table of feature, low, high"),
        ("7,-3.5,7", "7,-3.5,-3.5", "feature 7 has a high that is not above its low"),
        ("7,-3.5,7", "7,nan,7", "not finite"),
    ],
)
def test_damaged_ranges_are_refused(tmp_path: Path, find: str, put: str, message: str) -> None:
    ranges = write_brisque(tmp_path) / RANGES_FILE
    text = ranges.read_text(encoding="utf-8")
    assert find in text
    ranges.write_text(text.replace(find, put, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Brisque.load(tmp_path)


@pytest.mark.parametrize("name", [MODEL_FILE, RANGES_FILE])
def test_both_files_are_needed(tmp_path: Path, name: str) -> None:
    (write_brisque(tmp_path) / name).unlink()
    with pytest.raises(MissingInputError, match=name):
        Brisque.load(tmp_path)
