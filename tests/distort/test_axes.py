"""Filters along an axis: against their definitions, and block products against the plain sum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.distort.axes import (
    COLUMNS,
    ROWS,
    Banded,
    Taps,
    cubic_taps,
    enlarging_taps,
    filter_frame,
    gaussian_taps,
    rounded,
    shrinking_taps,
)

LENGTHS = st.integers(1, 200)


def _matrix(taps: Taps, length: int) -> NDArray[np.float64]:
    return taps.apply(np.eye(length))


@settings(deadline=None)
@given(LENGTHS, st.floats(0.1, 8), st.data())
def test_all_filters_keep_flat_signals(length: int, sigma: float, data: st.DataObject) -> None:
    cells = data.draw(st.integers(1, length))
    positions = np.linspace(-3, length + 2, 17)
    for taps, inputs in (
        (gaussian_taps(length, sigma), length),
        (shrinking_taps(length, cells), length),
        (enlarging_taps(cells, length), cells),
        (cubic_taps(positions, length), length),
    ):
        assert taps.indices.min() >= 0
        assert taps.indices.max() < inputs
        np.testing.assert_allclose(taps.weights.sum(axis=1), 1, atol=1e-9)


@settings(deadline=None)
@given(LENGTHS, st.data())
def test_shrinking_keeps_the_mean(length: int, data: st.DataObject) -> None:
    cells = data.draw(st.integers(1, length))
    matrix = _matrix(shrinking_taps(length, cells), length)
    np.testing.assert_allclose(matrix.mean(axis=0), 1 / length, atol=1e-9)
    assert (matrix >= 0).all()


def test_shrinking_by_a_whole_factor_averages_blocks() -> None:
    signal = np.random.default_rng(0).random((24, 1))
    np.testing.assert_allclose(shrinking_taps(24, 6).apply(signal).ravel(), signal.reshape(6, 4).mean(axis=1))


def test_cubic_interpolation_keeps_straight_lines_and_pixels() -> None:
    line = np.arange(20, dtype=float)[:, None] * 3 + 1
    positions = np.array([2.0, 5.25, 9.5, 16.9])
    np.testing.assert_allclose(cubic_taps(positions, 20).apply(line).ravel(), positions * 3 + 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.floats(0.3, 6), st.sampled_from([ROWS, COLUMNS]))
def test_blocks_equal_the_plain_sum(height: int, width: int, sigma: float, axis: int) -> None:
    planes = np.random.default_rng(height).random((3, height, width), dtype=np.float32)
    taps = gaussian_taps(planes.shape[axis], sigma)
    plain = np.moveaxis(np.tensordot(_matrix(taps, planes.shape[axis]), planes, (1, axis)), 0, axis)
    np.testing.assert_allclose(Banded(taps).apply(planes, axis), plain, atol=1e-5)


def test_filters_may_change_the_size() -> None:
    frame = np.full((30, 40, 3), 77, np.uint8)
    small = filter_frame(frame, [(ROWS, Banded(shrinking_taps(30, 7))), (COLUMNS, Banded(shrinking_taps(40, 3)))])
    assert small.shape == (7, 3, 3)
    assert (small == 77).all()


@given(st.integers(1, 60), st.floats(0.3, 20))
def test_the_matrix_does_what_the_taps_do(length: int, sigma: float) -> None:
    taps = gaussian_taps(length, sigma)
    np.testing.assert_allclose(taps.matrix(length), _matrix(taps, length), atol=1e-12)


def test_rounding_clips() -> None:
    values = np.array([-9, -0.4, 0.49, 0.51, 254.4, 254.6, 255.4, 300], np.float32)
    assert rounded(values).tolist() == [0, 0, 0, 1, 254, 255, 255, 255]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_wide_kernels_fold_more_than_once(length: int) -> None:
    signal = np.arange(length, dtype=float)[:, None]
    padded = np.pad(signal, ((20, 20), (0, 0)), mode="reflect" if length > 1 else "edge")
    kernel = np.exp(-0.5 * (np.arange(-20, 21) / 5) ** 2)
    expected = [float(kernel @ padded[place : place + 41, 0] / kernel.sum()) for place in range(length)]
    np.testing.assert_allclose(gaussian_taps(length, 5).apply(signal).ravel(), expected)
