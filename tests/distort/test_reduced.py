"""Distorting averaged pictures against averaging distorted frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.core.errors import InputError
from w2svqa.distort import SIMULATORS, distort_frame, distort_reduced, shown_indices
from w2svqa.distort.axes import shrinking_taps
from w2svqa.distort.reduced import last_shown
from w2svqa.video.scene import scene_frames

LUMA = np.array([0.299, 0.587, 0.114])  # below 720 lines
NATIVE = (180, 320)
SMALL = (32, 32)
NOT_CODECS = [kind for kind, chosen in SIMULATORS.items() if chosen.family != "streaming"]


def _averaged(picture: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    for axis, cells in enumerate(size):
        length = picture.shape[axis]
        matrix = shrinking_taps(length, cells).apply(np.eye(length))
        picture = np.moveaxis(np.tensordot(matrix, picture, (1, axis)), 0, axis)
    return picture


def _coded(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(picture), dtype=np.uint8)


@pytest.fixture(scope="module")
def scenes() -> list[NDArray[np.uint8]]:
    return [next(scene_frames(seed=seed, height=NATIVE[0], width=NATIVE[1], frames=1)) for seed in range(3)]


def _mean_error(scene: NDArray[np.uint8], kind: str, level: int, size: tuple[int, int], *, luma: bool) -> float:
    distorted = distort_frame(scene, kind, level, seed=6, index=4).astype(float)
    native = scene.astype(float)
    if luma:
        native, distorted = native @ LUMA, distorted @ LUMA
    small = _coded(_averaged(native, size))
    made = distort_reduced(small[None], kind, level, size=NATIVE, seed=6, start=4)[0]
    return float(np.abs(made - _averaged(distorted, size)).mean())


# Grey levels, mean absolute. 0.25 is the rounding of the result, another 0.25 that of the picture it starts from. What
# is left: detail lost by averaging (filters), lightness that is not bent alike under one pixel or is not luma.
TOLERANCES = {"resizing": 1.5, "blur": 0.8, "jitter": 3.5, "darkening": 6.0, "brightening": 8.5}


@pytest.mark.parametrize("luma", [False, True])
@pytest.mark.parametrize("kind", TOLERANCES)
def test_it_agrees_with_averaging_the_distorted_frame(kind: str, luma: bool, scenes: list[NDArray[np.uint8]]) -> None:
    for level in range(1, len(SIMULATORS[kind].levels) + 1):
        for scene in scenes:
            assert _mean_error(scene, kind, level, SMALL, luma=luma) < TOLERANCES[kind], level


@pytest.mark.parametrize("kind", ["resizing", "blur", "jitter"])
def test_distorted_at_four_times_the_size_and_then_averaged_only_rounding_is_left(
    kind: str, scenes: list[NDArray[np.uint8]]
) -> None:
    for level in range(1, len(SIMULATORS[kind].levels) + 1):
        native = scenes[0].astype(float) @ LUMA
        distorted = distort_frame(scenes[0], kind, level, seed=6, index=4).astype(float) @ LUMA
        middle = _coded(_averaged(native, (128, 128)))
        made = distort_reduced(middle[None], kind, level, size=NATIVE, seed=6, start=4)[0]
        assert np.abs(_averaged(made.astype(float), SMALL) - _averaged(distorted, SMALL)).mean() < 0.4


@pytest.mark.parametrize("kind", ["resizing", "blur", "jitter", "darkening", "brightening", "stuttering"])
def test_at_native_size_it_is_the_frame_function(kind: str, scenes: list[NDArray[np.uint8]]) -> None:
    frames = np.stack(scenes)[:, :96, :128]
    for level in (1, len(SIMULATORS[kind].levels)):
        made = distort_reduced(frames, kind, level, size=frames.shape[1:3], seed=2, start=7)
        if kind == "stuttering":
            assert (made == frames[shown_indices(3, kind, level, seed=2, start=7)]).all()
            continue
        expected = [distort_frame(frame, kind, level, seed=2, index=7 + place) for place, frame in enumerate(frames)]
        # jitter goes through a finer grid; a few pixels at edges differ, the mean does not
        assert np.abs(made.astype(int) - np.stack(expected)).mean() < (0.3 if kind == "jitter" else 0.01)


@pytest.mark.parametrize("level", [1, 3, 5])
@pytest.mark.parametrize("grey", [0, 6, 128, 255])
def test_noise_has_the_mean_and_strength_of_averaged_noise(level: int, grey: int) -> None:
    size = (128, 192)
    native = np.full((*size, 3), grey, np.uint8)
    small = np.full((1, 32, 48), grey, np.uint8)
    truth, made = [], []
    for index in range(6):
        frame = distort_frame(native, "noise", level, seed=1, index=index)
        truth.append(_averaged(frame.astype(float) @ LUMA, (32, 48)))
        made.append(distort_reduced(small, "noise", level, size=size, seed=1, start=index)[0])
    # a mean over 9216 pixels; the rounding of the result adds a twelfth to its variance
    assert np.mean(made) == pytest.approx(np.mean(truth), abs=0.15)
    assert np.std(made) == pytest.approx(np.sqrt(np.var(truth) + 1 / 12), rel=0.08, abs=0.1)


def test_noise_of_colour_is_stronger_than_of_luma_and_independent() -> None:
    grey = np.full((1, 64, 64, 3), 128, np.uint8)
    colour = distort_reduced(grey, "noise", 5, size=(128, 128)).astype(float)
    luma = distort_reduced(grey[..., 0], "noise", 5, size=(128, 128)).astype(float)
    assert colour.std() == pytest.approx(25.5 / 2, rel=0.05)
    assert luma.std() == pytest.approx(25.5 / 2 * np.sqrt((LUMA**2).sum()), rel=0.05)
    assert abs(np.corrcoef(colour[..., 0].ravel(), colour[..., 1].ravel())[0, 1]) < 0.1


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(NOT_CODECS),
    st.integers(16, 700),
    st.integers(16, 700),
    st.tuples(st.integers(0, 3), st.integers(1, 40), st.integers(1, 40)),
    st.booleans(),
    st.integers(0, 2**40),
)
def test_any_size_keeps_shape_and_flat_pictures(
    kind: str, height: int, width: int, shape: tuple[int, int, int], colour: bool, seed: int
) -> None:
    pictures = np.full((*shape, 3) if colour else shape, 128, np.uint8)
    for level in range(len(SIMULATORS[kind].levels) + 1):
        made = distort_reduced(pictures, kind, level, size=(height, width), seed=seed)
        assert made.shape == pictures.shape
        assert made.dtype == np.uint8
        assert (made == distort_reduced(pictures, kind, level, size=(height, width), seed=seed)).all()
        if kind in ("resizing", "blur", "jitter", "stuttering") or level == 0:
            assert (made == pictures).all()


@pytest.mark.parametrize("kind", ["resizing", "blur", "noise", "darkening", "brightening", "jitter"])
def test_it_grows_worse_with_the_level(kind: str, scenes: list[NDArray[np.uint8]]) -> None:
    small = np.stack([_coded(_averaged(scene.astype(float) @ LUMA, SMALL)) for scene in scenes])
    changes = [
        float(np.abs(distort_reduced(small, kind, level, size=NATIVE).astype(float) - small).mean())
        for level in range(len(SIMULATORS[kind].levels) + 1)
    ]
    # where the averaging hides a level there is nothing to see; never may a worse one change less
    assert changes == sorted(changes)
    assert changes[-1] > 0.3


def test_stuttering_repeats_pictures() -> None:
    pictures = np.arange(40, dtype=np.uint8)[:, None, None].repeat(2, axis=1).repeat(2, axis=2)
    made = distort_reduced(pictures, "stuttering", 3, size=(48, 64), seed=5)
    assert (made[:, 0, 0] == shown_indices(40, "stuttering", 3, seed=5)).all()
    assert last_shown(np.zeros(0, np.bool_)).shape == (0,)


def test_a_grid_finer_than_the_picture_hardly_shows() -> None:
    stripes = np.zeros((1, 16, 16), np.uint8)
    stripes[:, :, ::2] = 200
    made = distort_reduced(stripes, "resizing", 1, size=(2160, 3840)).astype(int)
    assert np.abs(made - stripes).max() <= 1


def test_what_is_refused() -> None:
    pictures = np.zeros((2, 8, 8), np.uint8)
    with pytest.raises(InputError, match="height of at least 16 pixels, and this one has 15"):
        distort_reduced(pictures, "resizing", 5, size=(15, 300))
    with pytest.raises(InputError, match="distort_video"):
        distort_reduced(pictures, "vp9", 1, size=(64, 64))
    with pytest.raises(InputError, match="no level 6"):
        distort_reduced(pictures, "blur", 6, size=(64, 64))
    for wrong in (np.zeros((8, 8), np.uint8), np.zeros((2, 8, 8, 2), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            distort_reduced(wrong, "blur", 2, size=(64, 64))
    with pytest.raises(ValueError, match="float64"):
        distort_reduced(np.zeros((2, 8, 8)), "blur", 2, size=(64, 64))  # type: ignore[arg-type] # the type is what is wrong
