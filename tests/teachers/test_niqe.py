from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from slow_statistics import slow_niqe_features
from teacher_fixtures import blurred, noisy, texture, write_niqe

from w2svqa.core.errors import InputError, MissingInputError
from w2svqa.teachers.niqe import FILE, Niqe, PristineModel, niqe_distance, patch_features


@pytest.fixture(scope="module")
def niqe(tmp_path_factory: pytest.TempPathFactory) -> Niqe:
    """NIQE whose pristine pictures are such textures as the tests show it."""
    return Niqe.load(write_niqe(tmp_path_factory.mktemp("niqe"), [texture(288, 480, seed) for seed in range(10, 16)]))


def test_stronger_blur_and_noise_are_farther_from_pristine(niqe: Niqe) -> None:
    clean = texture(288, 384, seed=3)
    for worse in ([blurred(clean, sigma) for sigma in (1, 2, 4)], [noisy(clean, size) for size in (8, 16, 32)]):
        values = [niqe.score_frame(frame) for frame in (clean, *worse)]
        assert values == sorted(values)
        assert values[-1] > 2 * values[0]


def test_features_are_those_of_each_patch_from_top_left() -> None:
    luma = texture(96 * 2 + 50, 96 * 3 + 10)[..., 0]
    features = patch_features(luma)
    assert features.shape == (6, 36)
    # A change in the last patch, away from its border, moves its features only.
    luma[110:150, 210:250] //= 2
    changed = (patch_features(luma) != features).any(axis=1)
    assert changed.tolist() == [False] * 5 + [True]


def test_what_lies_beyond_the_last_whole_patch_does_not_count() -> None:
    luma = texture(100, 200)[..., 0]
    assert np.array_equal(patch_features(luma), patch_features(luma[:96, :192]))


def test_features_agree_with_their_equations() -> None:
    luma = texture(96, 200)[..., 0]
    # One step of the table of shapes is 0.001, and what hangs on the shape moves with it.
    np.testing.assert_allclose(patch_features(luma), slow_niqe_features(luma), atol=3e-3)


def test_flat_patches_are_left_out() -> None:
    luma = texture(288, 288)[..., 0]
    luma[80:] = 16  # the bar begins a little above its patch, as windows look beyond it, most of all at half size
    features = patch_features(luma)
    assert np.isnan(features[3:]).all()
    model = PristineModel(np.zeros(36), np.eye(36))
    assert niqe_distance(features, model) == niqe_distance(features[:3], model)


def test_distance_by_hand() -> None:
    """With unit covariance of both it is the Euclidean distance of the means."""
    generator = np.random.default_rng(5)
    rows = generator.normal(size=(400, 36))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    offset = np.arange(36) / 10
    assert niqe_distance(rows + offset, PristineModel(np.zeros(36), np.eye(36))) == pytest.approx(
        math.sqrt((offset**2).sum()), rel=1e-6
    )


def test_a_single_patch_has_a_distance(niqe: Niqe) -> None:
    assert 0 < niqe.score_frame(texture(96, 96)) < math.inf


def test_no_textured_patch_has_none() -> None:
    assert math.isnan(niqe_distance(np.full((2, 36), np.nan), PristineModel(np.zeros(36), np.eye(36))))


def test_a_folder_and_its_file_are_the_same_teacher(tmp_path: Path) -> None:
    folder = write_niqe(tmp_path)
    assert Niqe.load(folder).version == Niqe.load(folder / FILE).version


def test_missing_damaged_and_misshapen_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"niqe_image_params\.mat"):
        Niqe.load(tmp_path)
    content = write_niqe(tmp_path).joinpath(FILE).read_bytes()
    for bad in (b"", b"no matlab" * 50, content[: len(content) // 2], content[:140]):
        (tmp_path / FILE).write_bytes(bad)
        with pytest.raises(InputError, match="no MATLAB file with pop_mu and pop_cov"):
            Niqe.load(tmp_path)
    tables = {"pop_mu": np.zeros((1, 36)), "pop_cov": np.eye(36)}
    bad_tables: list[tuple[dict[str, object], str]] = [
        ({"pop_mu": tables["pop_mu"]}, "no MATLAB file with"),
        ({**tables, "pop_cov": np.eye(35)}, r"pop_cov has the shape \(35, 35\) instead of \(36, 36\)"),
        ({**tables, "pop_mu": np.zeros((1, 18))}, "pop_mu has the shape"),
        ({**tables, "pop_mu": np.full((1, 36), np.nan)}, "pop_mu holds values that are not finite"),
        ({**tables, "pop_mu": "text"}, "no MATLAB file with"),
    ]
    for each, message in bad_tables:
        scipy.io.savemat(tmp_path / FILE, each)
        with pytest.raises(InputError, match=message):
            Niqe.load(tmp_path)
