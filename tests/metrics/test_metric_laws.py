"""What metrics must do whatever the picture: rise with what they measure, and with nothing else."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_pictures import SEEDS, blurred, coded, random_grey, random_rgb, rgb, rounded, texture

from w2svqa.core.cpbd import sharpness
from w2svqa.metrics.blockiness import blockiness
from w2svqa.metrics.colourfulness import colourfulness
from w2svqa.metrics.contrast import contrast
from w2svqa.metrics.flickering import flickering
from w2svqa.metrics.luminance import luminance
from w2svqa.metrics.noise import noise
from w2svqa.metrics.si import si
from w2svqa.metrics.ti import ti

few = settings(max_examples=15, deadline=None)


def rises(values: list[float]) -> bool:
    return all(later > earlier for earlier, later in itertools.pairwise(values))


# blockiness


@few
@given(SEEDS)
def test_coding_in_blocks_raises_blockiness(seed: int) -> None:
    picture = texture(96, 120, seed)
    values = [blockiness(picture), *(blockiness(coded(picture, step)) for step in (60, 120, 240))]
    assert values[0] == pytest.approx(1, abs=0.1)
    assert rises(values)


@few
@given(SEEDS, st.integers(1, 7), st.integers(1, 7))
def test_only_the_grid_at_the_first_pixel_counts(seed: int, down: int, right: int) -> None:
    picture = coded(texture(104, 128, seed), 120)
    assert blockiness(picture[8:, 16:]) == pytest.approx(blockiness(picture), rel=0.15)
    assert blockiness(picture[down:, right:]) < 1.05 < blockiness(picture)


@few
@given(SEEDS)
def test_blockiness_is_the_same_of_the_negative_and_on_its_side(seed: int) -> None:
    picture = random_grey((40, 57), seed)
    assert blockiness(255 - picture) == blockiness(picture)
    assert blockiness(np.ascontiguousarray(picture.T)) == pytest.approx(blockiness(picture), rel=1e-12)


def test_noise_and_ramps_show_no_blocks() -> None:
    ramp = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (80, 1))
    assert blockiness(ramp) == pytest.approx(1, abs=0.02)
    assert blockiness(random_grey((400, 400), 3)) == pytest.approx(1, abs=0.01)


def test_the_greatest_blockiness_is_that_of_chequered_blocks() -> None:
    chequered = np.kron(np.indices((5, 6)).sum(axis=0) % 2 * 255, np.ones((8, 8))).astype(np.uint8)
    assert blockiness(chequered) == pytest.approx(2551)


# blur


def test_blurring_lowers_cpbd() -> None:
    picture = texture(192, 256, 5)
    values = [sharpness(picture), *(sharpness(blurred(picture, sigma)) for sigma in (0.7, 1.2, 2.5))]
    assert rises(values[::-1])


# contrast and luminance


@few
@given(SEEDS)
def test_contrast_knows_neither_sign_nor_place(seed: int) -> None:
    picture = random_grey((30, 41), seed)
    shuffled = np.random.default_rng(seed).permutation(picture.ravel()).reshape(picture.shape)
    assert contrast(255 - picture) == pytest.approx(contrast(picture), rel=1e-9)
    assert contrast(shuffled) == pytest.approx(contrast(picture), rel=1e-9)


@few
@given(SEEDS, st.integers(2, 5))
def test_contrast_falls_as_levels_come_closer(seed: int, divisor: int) -> None:
    picture = random_grey((30, 41), seed) // divisor * divisor
    assert contrast(picture // divisor) == pytest.approx(contrast(picture) / divisor, rel=1e-9)


def test_contrast_and_luminance_of_known_pictures() -> None:
    chequered = (np.indices((10, 10)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert contrast(chequered) == 127.5
    assert contrast(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(math.sqrt((256**2 - 1) / 12))
    assert luminance(rgb(chequered)) == 382.5


@few
@given(SEEDS, st.integers(1, 60))
def test_brightening_raises_luminance_alone(seed: int, more: int) -> None:
    frame = random_rgb((20, 31), seed) // 2
    brighter = frame + np.uint8(more)
    assert luminance(brighter) == pytest.approx(luminance(frame) + 3 * more)
    assert contrast(brighter[..., 0]) == pytest.approx(contrast(frame[..., 0]), rel=1e-9)
    assert colourfulness(brighter) == pytest.approx(colourfulness(frame), rel=1e-9)


# noise


@few
@given(SEEDS, st.floats(2, 20))
def test_noise_of_known_spread_in_a_flat_picture_is_found(seed: int, spread: float) -> None:
    grain = np.random.default_rng(seed).normal(0, spread, (160, 200))
    assert noise(rounded(128 + grain)) == pytest.approx(math.hypot(spread, 1 / math.sqrt(12)), rel=0.05)


@few
@given(SEEDS)
def test_noise_rises_with_grain_and_falls_with_smoothing(seed: int) -> None:
    picture = texture(120, 160, seed)
    grain = np.random.default_rng(seed).normal(size=picture.shape)
    assert rises([noise(rounded(picture + spread * grain)) for spread in (0, 3, 8, 16)])
    assert noise(blurred(picture, 1.0)) < noise(picture)


@few
@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 50))
def test_planes_and_edges_along_rows_are_no_noise(right: int, down: int, level: int) -> None:
    rows, columns = np.indices((30, 40))
    assert noise((level + right * columns + down * rows).astype(np.uint8)) == 0
    assert noise(np.where(columns < 17, level, 200).astype(np.uint8)) == 0


# flickering


def test_flickering_is_the_share_that_stood_still_before() -> None:
    steady = texture(64, 96, 1)
    jumped = steady.copy()
    jumped[:16, :48] += 3  # 3 of 24 macroblocks
    assert flickering(steady, steady, jumped) == 3 / 24
    assert flickering(steady, jumped, jumped) == 0
    assert flickering(jumped, steady, jumped) == 0
    assert flickering(steady, steady, steady) == 0
    assert flickering(steady, steady, 255 - steady) == 1


def test_flickering_has_a_threshold_in_grey_levels() -> None:
    steady = np.full((32, 32), 90, np.uint8)
    assert flickering(steady, steady, steady + np.uint8(1)) == 0
    over = steady + np.uint8(1)
    over[0, 0] += 1
    assert flickering(steady, steady, over) == 1 / 4


@few
@given(SEEDS)
def test_a_picture_that_always_moves_does_not_flicker(seed: int) -> None:
    wide = random_grey((48, 100), seed)
    assert flickering(wide[:, :80], wide[:, 3:83], wide[:, 6:86]) == 0


# colourfulness


@few
@given(SEEDS)
def test_grey_has_no_colour(seed: int) -> None:
    assert colourfulness(rgb(random_grey((20, 31), seed))) == 0


@few
@given(SEEDS)
def test_colourfulness_rises_with_saturation(seed: int) -> None:
    frame = random_rgb((40, 50), seed).astype(float)
    grey = frame.mean(axis=2, keepdims=True)
    assert rises([colourfulness(rounded(grey + amount * (frame - grey))) for amount in (0.0, 0.2, 0.5, 1.0)])


def test_colourfulness_of_one_colour_is_in_its_mean() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert colourfulness(red) == pytest.approx(0.3 * math.hypot(255, 127.5))


# SI and TI


@few
@given(SEEDS)
def test_si_falls_with_blur_and_knows_no_direction(seed: int) -> None:
    picture = texture(90, 110, seed)
    assert rises([si(blurred(picture, sigma)) for sigma in (4, 2, 1)])
    for other in (255 - picture, picture[::-1], np.ascontiguousarray(picture.T)):
        assert si(np.ascontiguousarray(other)) == pytest.approx(si(picture), rel=1e-6)


def test_si_of_known_pictures() -> None:
    assert si(np.full((20, 30), 77, np.uint8)) == 0
    assert si(np.tile(np.arange(0, 120, 4, dtype=np.uint8), (20, 1))) == 0
    step = np.zeros((10, 22), np.uint8)
    step[:, 11:] = 100  # 2 of 20 inner columns answer 400
    assert si(step) == pytest.approx(math.sqrt(0.1 * 0.9) * 400)


@few
@given(SEEDS, st.integers(1, 60))
def test_ti_sees_change_but_no_fade(seed: int, more: int) -> None:
    picture = random_grey((30, 44), seed) // 2
    assert ti(picture, picture) == 0
    assert ti(picture, picture + np.uint8(more)) == 0
    assert ti(picture, np.roll(picture, 5, axis=1)) == pytest.approx(ti(np.roll(picture, 5, axis=1), picture), rel=1e-9)


def test_ti_rises_with_speed() -> None:
    wide = blurred(texture(80, 200, 2), 3.0)
    assert rises([ti(wide[:, 20:160], wide[:, 20 + speed : 160 + speed]) for speed in (0, 1, 2, 4)])


# whatever the metric


@few
@given(SEEDS, st.sampled_from([(9, 9), (17, 31), (64, 65)]))
def test_pictures_are_left_as_they_were(seed: int, size: tuple[int, int]) -> None:
    one, other, frame = random_grey(size, seed), random_grey(size, seed + 1), random_rgb(size, seed)
    copies = [each.copy() for each in (one, other, frame)]
    for measure in (blockiness, contrast, noise, si):
        assert math.isfinite(measure(one))
    assert all(math.isfinite(each) for each in (ti(one, other), flickering(one, other, one), colourfulness(frame)))
    assert all(np.array_equal(*pair) for pair in zip(copies, (one, other, frame), strict=True))
