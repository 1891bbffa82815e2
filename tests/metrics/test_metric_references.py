"""The metrics against straightforward implementations of their formulas, pixel by pixel or by whole arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from metric_pictures import SEEDS, SIZES, Grey, random_grey, random_rgb, rgb, texture

from w2svqa.core.records import Chunk
from w2svqa.metrics.base import BAND, Moment, bands, mean_and_spread
from w2svqa.metrics.blockiness import FLOOR, blockiness
from w2svqa.metrics.blur import blur
from w2svqa.metrics.colourfulness import colourfulness
from w2svqa.metrics.contrast import contrast
from w2svqa.metrics.flickering import THRESHOLD, flickering
from w2svqa.metrics.luminance import luminance
from w2svqa.metrics.noise import noise
from w2svqa.metrics.si import si
from w2svqa.metrics.ti import ti
from w2svqa.teachers.cpbd import Cpbd

few = settings(max_examples=25, deadline=None)


@few
@given(SIZES, SEEDS)
def test_blockiness_is_the_ratio_of_mean_steps(size: tuple[int, int], seed: int) -> None:
    picture = random_grey(size, seed).astype(int)
    steps: dict[bool, list[int]] = {True: [], False: []}
    for row in range(size[0]):
        for column in range(size[1]):
            if column + 1 < size[1]:
                steps[(column + 1) % 8 == 0].append(abs(picture[row, column + 1] - picture[row, column]))
            if row + 1 < size[0]:
                steps[(row + 1) % 8 == 0].append(abs(picture[row + 1, column] - picture[row, column]))
    expected = (np.mean(steps[True]) + FLOOR) / (np.mean(steps[False]) + FLOOR)
    assert blockiness(picture.astype(np.uint8)) == pytest.approx(expected, rel=1e-12)


@few
@given(SIZES, SEEDS)
def test_contrast_is_the_standard_deviation(size: tuple[int, int], seed: int) -> None:
    picture = random_grey(size, seed)
    assert contrast(picture) == pytest.approx(picture.astype(float).std(), rel=1e-9)


@few
@given(SIZES, SEEDS)
def test_noise_is_the_mean_answer_to_the_mask(size: tuple[int, int], seed: int) -> None:
    picture = random_grey(size, seed).astype(int)
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    windows = np.lib.stride_tricks.sliding_window_view(picture, (3, 3))
    total = np.abs((windows * mask).sum(axis=(2, 3))).sum()
    expected = math.sqrt(math.pi / 2) * total / (6 * (size[0] - 2) * (size[1] - 2))
    assert noise(picture.astype(np.uint8)) == pytest.approx(expected, rel=1e-9)


@few
@given(SIZES, SEEDS)
def test_flickering_counts_macroblocks_that_begin_to_change(size: tuple[int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 256, size, dtype=np.uint8)
    second, third = (_partly_changed(each, generator) for each in (first, first))
    counts = []
    for top in range(0, size[0], 16):
        for left in range(0, size[1], 16):
            cell = np.s_[top : top + 16, left : left + 16]
            before = np.abs(second[cell].astype(int) - first[cell]).mean() > THRESHOLD
            after = np.abs(third[cell].astype(int) - second[cell]).mean() > THRESHOLD
            counts.append(after and not before)
    assert flickering(first, second, third) == pytest.approx(np.mean(counts), abs=1e-12)


def _partly_changed(picture: Grey, generator: np.random.Generator) -> Grey:
    changed = picture.copy()
    top, left = (generator.integers(size) for size in picture.shape)
    changed[top:, left:] ^= 4
    return changed


@few
@given(SIZES, SEEDS)
def test_colourfulness_is_that_of_its_formula(size: tuple[int, int], seed: int) -> None:
    picture = random_rgb(size, seed).astype(float) * np.random.default_rng(seed).random(3)
    frame = picture.astype(np.uint8)
    red, green, blue = np.moveaxis(frame.astype(float), 2, 0)
    rg, yb = red - green, 0.5 * (red + green) - blue
    expected = math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean())
    assert colourfulness(frame) == pytest.approx(expected, rel=1e-9)


@few
@given(SIZES, SEEDS)
def test_luminance_is_the_mean_sum(size: tuple[int, int], seed: int) -> None:
    frame = random_rgb(size, seed)
    assert luminance(frame) == pytest.approx(frame.astype(float).sum(axis=2).mean(), rel=1e-12)


@few
@given(SIZES, SEEDS)
def test_si_and_ti_are_those_of_their_formulas(size: tuple[int, int], seed: int) -> None:
    before, after = (random_grey(size, seed + index).astype(float) for index in range(2))
    windows = np.lib.stride_tricks.sliding_window_view(after, (3, 3))
    mask = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    across, down = ((windows * each).sum(axis=(2, 3)) for each in (mask, mask.T))
    assert si(after.astype(np.uint8)) == pytest.approx(np.hypot(across, down).std(), rel=1e-6)
    assert ti(before.astype(np.uint8), after.astype(np.uint8)) == pytest.approx((after - before).std(), rel=1e-9)


def test_bands_make_no_difference() -> None:
    picture = texture(3 * BAND + 7, 50)
    windows = np.lib.stride_tricks.sliding_window_view(picture.astype(float), (3, 3))
    mask = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    across, down = ((windows * each).sum(axis=(2, 3)) for each in (mask, mask.T))
    assert si(picture) == pytest.approx(np.hypot(across, down).std(), rel=1e-6)
    assert [rows.stop - rows.start for rows in bands(2 * BAND)] == [BAND, BAND]
    parts = [picture[rows] for rows in bands(len(picture))]
    assert mean_and_spread(parts) == pytest.approx((picture.mean(), picture.std()), rel=1e-9)


def test_blur_is_the_teachers_cpbd() -> None:
    frame = rgb(texture(130, 200))
    none = np.zeros((0, 8, 8), np.uint8)
    chunk = Chunk(index=0, start=0.0, key_frame=frame, motion=none, motion_times=np.zeros(0), luma=(frame[..., 0],))
    assert blur(Moment(chunk)) == Cpbd.load(None).score_frame(frame)
