"""Darkening and brightening against CIELAB written out, and the laws of the curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.distort import SIMULATORS, distort_frame
from w2svqa.distort.lightness import change_lightness, lightness_curve

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)
LIGHTNESS = st.floats(0, 1)


def _to_lab(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    codes = frame / 255
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    ratio = light @ TO_XYZ.T / WHITE
    x, y, z = np.moveaxis(np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _to_rgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    y = (lab[..., 0] + 16) / 116
    roots = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratio = np.where(roots > 6 / 29, roots**3, (116 * roots - 16) / (24389 / 27))
    light = np.clip((ratio * WHITE) @ np.linalg.inv(TO_XYZ).T, 0, 1)
    return 255 * np.asarray(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


@pytest.fixture(scope="module")
def colours() -> NDArray[np.uint8]:
    steps = np.linspace(0, 255, 22).astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 22, 3)


@pytest.mark.parametrize("change", [0.0, -0.05, -0.1, -0.2, -0.4, -0.8, 0.1, 0.2, 0.4, 0.7, 1.1])
def test_colours_are_those_of_cielab(change: float, colours: NDArray[np.uint8]) -> None:
    lab = _to_lab(colours)
    lab[..., 0] = 100 * lightness_curve(lab[..., 0] / 100, change)
    # 0.5 is rounding, the rest are steps of the tables
    assert np.abs(change_lightness(colours, change) - _to_rgb(lab)).max() < 0.75


def test_no_change_is_the_identity(colours: NDArray[np.uint8]) -> None:
    assert (change_lightness(colours, 0.0) == colours).all()


def test_grey_stays_grey() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for change in (-0.8, -0.05, 0.1, 1.1):
        changed = change_lightness(greys, change)
        assert (np.ptp(changed, axis=1) == 0).all()
        assert changed[0, 0] == 0
        assert changed[255, 0] == 255


@given(LIGHTNESS, st.floats(-0.8, 1.1), st.floats(-0.8, 1.1))
def test_the_curve_rises_with_the_change(lightness: float, one: float, other: float) -> None:
    low, high = (float(lightness_curve(np.array(lightness), change)) for change in sorted((one, other)))
    assert 0 <= low <= high <= 1


@given(st.floats(0, 1.1))
def test_the_curve_passes_its_three_points(amount: float) -> None:
    points = np.array([0, 0.5, 1])
    expected = [0, min(1.0, 0.5 + amount / 2), 1]
    np.testing.assert_allclose(lightness_curve(points, amount), expected, atol=1e-12)
    if amount <= 1:
        np.testing.assert_allclose(lightness_curve(points, -amount), [0, 0.5 - amount / 2, 1], atol=1e-12)


def test_the_worst_levels_are_severe_but_keep_something() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    dark, bright = (distort_frame(greys, kind, 5)[0, :, 0].astype(int) for kind in ("darkening", "brightening"))
    assert (SIMULATORS["darkening"].value(5), SIMULATORS["brightening"].value(5)) == (0.8, 1.1)
    assert dark[119] < 50
    assert dark[230] > 100
    assert (np.diff(bright[:100]) > 0).all()
    assert bright[119] == 255


def test_long_frames_do_not_depend_on_how_they_are_cut() -> None:
    frame = np.random.default_rng(3).integers(0, 256, (7, 9001, 3), dtype=np.uint8)
    whole = change_lightness(frame, -0.4)
    assert all((change_lightness(row, -0.4) == expected).all() for row, expected in zip(frame, whole, strict=True))
