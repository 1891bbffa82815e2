from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from slow_statistics import Border, slow_half, slow_mscn
from teacher_fixtures import texture

from w2svqa.teachers.scene_statistics import (
    NEIGHBOURS,
    fit_asymmetric,
    fit_symmetric,
    half_size,
    moments,
    mscn,
    neighbour_products,
    pooled,
)


@pytest.mark.parametrize("border", ["replicate", "zero"])
@pytest.mark.parametrize("brightness", [0, 60, 120])
def test_mscn_agrees_with_its_equations(border: Border, brightness: int) -> None:
    luma = np.clip(texture(40, 50)[..., 0] // 4 + brightness, 0, 255).astype(np.uint8)
    # float32 keeps a deviation near 0 to about 0.005 of the 1 that is added to it.
    np.testing.assert_allclose(mscn(luma, border), slow_mscn(luma, border), atol=5e-3)


@pytest.mark.parametrize("level", [0, 1, 17, 127, 200, 255])
def test_a_flat_picture_has_coefficients_of_exactly_zero(level: int) -> None:
    assert not mscn(np.full((30, 33), level, np.uint8), "replicate").any()


def test_one_grey_level_of_texture_is_not_taken_for_rounding() -> None:
    luma = np.full((31, 31), 254, np.uint8)
    luma[15, 15] = 255
    seen = mscn(luma, "replicate") != 0
    assert seen[12:19, 12:19].all()
    assert seen.sum() == 49


@pytest.mark.parametrize("size", [(32, 40), (33, 41)])
def test_half_size_agrees_with_the_cubic_kernel(size: tuple[int, int]) -> None:
    luma = texture(*size)[..., 0]
    np.testing.assert_allclose(half_size(luma), slow_half(luma), atol=1e-3)


def test_half_size_keeps_brightness() -> None:
    np.testing.assert_allclose(half_size(np.full((20, 20), 77, np.uint8)), 77, rtol=1e-6)


def test_neighbours_wrap_around_inside_their_block() -> None:
    block = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    expected = {
        (0, 1): [[0 * 2, 1 * 0, 2 * 1], [3 * 5, 4 * 3, 5 * 4]],
        (1, 0): [[0 * 3, 1 * 4, 2 * 5], [3 * 0, 4 * 1, 5 * 2]],
        (1, 1): [[0 * 5, 1 * 3, 2 * 4], [3 * 2, 4 * 0, 5 * 1]],
        (1, -1): [[0 * 4, 1 * 5, 2 * 3], [3 * 1, 4 * 2, 5 * 0]],
    }
    assert {shift: neighbour_products(block, shift)[0].tolist() for shift in NEIGHBOURS} == expected


@given(seed=st.integers(0, 2**32 - 1), groups=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_moments_agree_with_their_definition_and_pool(seed: int, groups: int) -> None:
    samples = np.random.default_rng(seed).normal(0.2, 1, (groups, 50)).astype(np.float32)
    samples[:, :3] = 0
    found = moments(samples)
    whole = pooled(found)
    for row, each in enumerate(samples.astype(np.float64)):
        assert found.below[row] == (each < 0).sum()
        assert found.above[row] == (each > 0).sum()
        assert found.absolute[row] == pytest.approx(np.abs(each).sum(), rel=1e-5)
        assert found.square_below[row] == pytest.approx((each[each < 0] ** 2).sum(), rel=1e-4, abs=1e-5)
        assert found.square_above[row] == pytest.approx((each[each > 0] ** 2).sum(), rel=1e-4, abs=1e-5)
    assert whole.size == samples.size
    assert whole.below[0] + whole.above[0] == samples.size - 3 * groups
    assert whole.square_above[0] == pytest.approx(found.square_above.sum())


def asymmetric_samples(shape: float, left: float, right: float, count: int, seed: int) -> NDArray[np.float32]:
    """Draw from the density: |x| = scale * gamma(1/shape) ** (1/shape), sides in proportion to their scales."""
    generator = np.random.default_rng(seed)
    below = generator.random(count) < left / (left + right)
    size = generator.gamma(1 / shape, size=count) ** (1 / shape)
    return np.where(below, -left * size, right * size).astype(np.float32)[None]


@given(
    shape=st.floats(0.5, 4),
    left=st.floats(0.2, 2),
    right=st.floats(0.2, 2),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_the_asymmetric_fit_recovers_what_samples_were_drawn_from(
    shape: float, left: float, right: float, seed: int
) -> None:
    samples = asymmetric_samples(shape, left, right, 60_000, seed)
    fit = fit_asymmetric(moments(samples))
    # 60 000 samples tell shape and widths to a few per cent: less well the larger the shape, the heavier the tails.
    width = math.sqrt(math.gamma(3 / shape) / math.gamma(1 / shape))
    assert fit.shape[0] == pytest.approx(shape, rel=0.1)
    assert fit.left[0] == pytest.approx(left * width, rel=0.15)
    assert fit.right[0] == pytest.approx(right * width, rel=0.15)
    assert fit.mean[0] == pytest.approx(samples.mean(), abs=0.1 * (left + right) * width)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 4.0])
def test_the_symmetric_fit_recovers_shape_and_variance(shape: float) -> None:
    samples = asymmetric_samples(shape, 1.5, 1.5, 200_000, 7)
    found, variance = fit_symmetric(moments(samples))
    assert found[0] == pytest.approx(shape, rel=0.05)
    assert variance[0] == pytest.approx(1.5**2 * math.gamma(3 / shape) / math.gamma(1 / shape), rel=0.05)


@pytest.mark.parametrize("samples", [[0, 0, 0], [1, 2, 0], [-1, -2, -3]])
def test_samples_of_one_sign_have_no_fit(samples: list[float]) -> None:
    fit = fit_asymmetric(moments(np.array([samples], np.float32)))
    assert np.isnan([fit.shape[0], fit.left[0], fit.right[0], fit.mean[0], fit.width_ratio[0]]).all()


def test_a_group_without_fit_leaves_the_others_alone() -> None:
    good = asymmetric_samples(2, 1, 1, 1000, 1)
    both = fit_asymmetric(moments(np.concatenate([np.zeros_like(good), good])))
    alone = fit_asymmetric(moments(good))
    assert np.isnan(both.shape[0])
    assert (both.shape[1], both.left[1]) == (alone.shape[0], alone.left[0])
