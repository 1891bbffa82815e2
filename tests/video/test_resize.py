from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.video.resize import METHODS, Method, resize_grey, resize_rgb

sides = st.integers(4, 80)


def area_weights(before: int, after: int) -> NDArray[np.float64]:
    row, column = np.arange(after)[:, None], np.arange(before)[None]
    edges = np.minimum((row + 1) * before / after, column + 1) - np.maximum(row * before / after, column)
    weights = np.clip(edges, 0, None)
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.integers(4, 40), st.integers(4, 40), st.integers(0, 99))
def test_area_is_the_mean_when_shrinking(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    rows, columns = min(rows, height), min(columns, width)
    picture = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    expected = area_weights(height, rows) @ picture @ area_weights(width, columns).T
    assert np.abs(resize_grey(picture, (rows, columns), method="area") - expected).max() <= 1


@settings(max_examples=40, deadline=None)
@given(sides, sides, sides, sides, st.integers(0, 255), st.sampled_from(sorted(METHODS)))
def test_flat_stays_flat(height: int, width: int, rows: int, columns: int, value: int, method: Method) -> None:
    result = resize_rgb(np.full((height, width, 3), value, np.uint8), (rows, columns), method=method)
    assert result.shape == (rows, columns, 3)
    assert np.abs(result.astype(int) - value).max() <= 1


def test_channels_do_not_mix_and_views_work() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[..., 1] = 200
    result = resize_rgb(picture[::2, ::-1], (10, 30), method="bicubic")
    assert (result[..., 1] == 200).all()
    assert (result[..., [0, 2]] == 0).all()


def test_the_same_size_is_a_copy() -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    result = resize_rgb(picture, (4, 4))
    assert (result == picture).all()
    assert not np.shares_memory(result, picture)


def test_bad_arguments() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="at least 1"):
        resize_rgb(picture, (0, 5))
    with pytest.raises(ValueError, match="shape"):
        resize_rgb(picture[..., 0], (4, 4))
    with pytest.raises(ValueError, match="uint8"):
        resize_grey(np.zeros((8, 8), np.float32), (4, 4))
