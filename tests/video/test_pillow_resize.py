"""Pillow's own resize, to the last bit, for any size: along the rows, then along the columns, whatever its version."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from w2svqa.video.pillow_resize import Filter, pillow_resized

PILLOWS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
FILTERS: tuple[Filter, ...] = ("bilinear", "bicubic")


def pillows(picture: NDArray[np.uint8], size: tuple[int, int], method: Filter) -> NDArray[np.uint8]:
    narrowed = Image.fromarray(picture).resize((size[1], len(picture)), PILLOWS[method])
    return np.asarray(narrowed.resize(size[::-1], PILLOWS[method]))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Half of it black and white, where the cubic overshoots and 8 bits are cut off."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture[: height // 2] = random.choice(np.array([0, 255], np.uint8), (height // 2, width, 1))
    return picture


@pytest.mark.parametrize(("size", "method"), [*product([(1080, 1920), (720, 406), (384, 384), (37, 1000)], FILTERS)])
def test_key_frames_are_those_of_pillow(size: tuple[int, int], method: Filter) -> None:
    picture = noise(*size)
    assert np.array_equal(pillow_resized(picture, (384, 384), method), pillows(picture, (384, 384), method))


@given(st.tuples(*[st.integers(1, 40)] * 4), st.sampled_from(FILTERS), st.integers(0, 9))
def test_any_size_is_that_of_pillow(sizes: tuple[int, int, int, int], method: Filter, seed: int) -> None:
    picture, size = noise(*sizes[:2], seed), sizes[2:]
    assert np.array_equal(pillow_resized(picture, size, method), pillows(picture, size, method))


def test_the_two_filters_differ() -> None:
    picture = noise(50, 50)
    differences = pillow_resized(picture, (20, 20), "bilinear").astype(int) - pillow_resized(
        picture, (20, 20), "bicubic"
    )
    assert np.abs(differences).max() > 8


def test_bad_pictures_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        pillow_resized(np.zeros((4, 4, 3), np.float32), (2, 2), "bicubic")
    with pytest.raises(ValueError, match="must be uint8"):
        pillow_resized(np.zeros((0, 4, 3), np.uint8), (2, 2), "bicubic")
    with pytest.raises(ValueError, match="at least 1 x 1"):
        pillow_resized(np.zeros((4, 4, 3), np.uint8), (0, 2), "bicubic")
