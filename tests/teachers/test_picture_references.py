"""NIQE, BRISQUE and CPBD on known pictures, beside other implementations (made by benchmarks/goldens)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from teacher_fixtures import write_brisque, write_niqe

from w2svqa.teachers.brisque import Brisque, picture_features
from w2svqa.teachers.cpbd import Cpbd
from w2svqa.teachers.niqe import Niqe, patch_features

with np.load(Path(__file__).with_name("goldens") / "picture_statistics.npz") as _file:
    STORED: dict[str, NDArray[np.float64]] = dict(_file)

PICTURES = ("camera", "astronaut")


def picture(name: str) -> NDArray[np.uint8]:
    return STORED[f"{name}.picture"].astype(np.uint8)


def frame(name: str) -> NDArray[np.uint8]:
    """Grey as RGB, of which luma is the same picture again."""
    return np.repeat(picture(name)[..., None], 3, axis=2)


@pytest.mark.parametrize("name", PICTURES)
def test_niqe_has_the_features_and_the_distance_of_the_release(name: str, tmp_path: Path) -> None:
    expected = STORED[f"{name}.niqe_features"]
    found = patch_features(picture(name))
    assert found.shape == expected.shape
    # Shapes come from a table in steps of 0.001, flat maxima of the match take a few of them; means hang on shapes.
    np.testing.assert_allclose(found, expected, atol=0.011)
    assert np.abs(found - expected).mean() < 5e-4
    score = Niqe.load(write_niqe(tmp_path)).score_frame(frame(name))
    assert score == pytest.approx(float(STORED[f"{name}.niqe_score"]), rel=1e-3)


@pytest.mark.parametrize("name", PICTURES)
def test_brisque_has_the_features_of_the_release_and_the_regression_of_libsvm(name: str, tmp_path: Path) -> None:
    np.testing.assert_allclose(picture_features(picture(name)), STORED[f"{name}.brisque_features"], atol=2.5e-3)
    score = Brisque.load(write_brisque(tmp_path)).score_frame(frame(name))
    assert score == pytest.approx(float(STORED[f"{name}.brisque_score"]), abs=2e-3)


@pytest.mark.parametrize("name", PICTURES)
def test_cpbd_is_that_of_python_cpbd(name: str) -> None:
    assert Cpbd.load(None).score_frame(frame(name)) == pytest.approx(float(STORED[f"{name}.cpbd"]), rel=1e-12)


def test_the_values_differ_between_the_pictures() -> None:
    """Or agreeing with them would show nothing."""
    for key in ("niqe_score", "brisque_score", "cpbd"):
        first, second = (float(STORED[f"{name}.{key}"]) for name in PICTURES)
        assert abs(first - second) > 0.01 * abs(first) or key == "brisque_score"
