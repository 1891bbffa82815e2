"""The simulators on frames: what they leave alone, how they grow worse, and what they refuse."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from w2svqa.core.errors import InputError
from w2svqa.distort import SIMULATORS, UNSEEN_CODECS, distort_frame, distort_frames, simulator
from w2svqa.video.scene import scene_frames

ON_FRAMES = [kind for kind, chosen in SIMULATORS.items() if chosen.on_frame is not None]
CODECS = [kind for kind, chosen in (SIMULATORS | UNSEEN_CODECS).items() if chosen.family == "streaming"]
STEPS = [(kind, level) for kind in ON_FRAMES for level in range(1, len(SIMULATORS[kind].levels) + 1)]


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    return next(scene_frames(width=160, height=96, frames=1))


def _change(frame: NDArray[np.uint8], kind: str, level: int, seed: int, index: int) -> float:
    distorted = distort_frame(frame, kind, level, seed=seed, index=index)
    return float(np.abs(distorted.astype(float) - frame).mean())


def test_levels_are_those_of_the_paper() -> None:
    assert {kind: chosen.levels for kind, chosen in SIMULATORS.items()} == {
        "resizing": (2, 3, 4, 8, 16),
        "blur": (0.1, 0.5, 1, 2, 5),
        "noise": (0.001, 0.002, 0.003, 0.005, 0.01),
        "darkening": (0.05, 0.1, 0.2, 0.4, 0.8),
        "brightening": (0.1, 0.2, 0.4, 0.7, 1.1),
        "jitter": (0.005, 0.01, 0.02),
        "stuttering": (0.1, 0.25, 0.5),
        "h264": (24, 36, 48, 51),
        "h265": (36, 40, 44, 48),
    }


def test_order_and_families() -> None:
    families = [chosen.family for chosen in SIMULATORS.values()]
    assert families == ["spatial"] * 5 + ["temporal"] * 2 + ["streaming"] * 2
    assert all(kind == chosen.kind for kind, chosen in (SIMULATORS | UNSEEN_CODECS).items())


def test_codecs_for_evaluation_are_no_part_of_training() -> None:
    assert {kind: chosen.levels for kind, chosen in UNSEEN_CODECS.items()} == {"vp9": (40, 50, 60), "av1": (40, 52, 63)}
    assert not SIMULATORS.keys() & UNSEEN_CODECS.keys()
    assert simulator("av1") is UNSEEN_CODECS["av1"]
    assert simulator("blur") is SIMULATORS["blur"]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 9000), st.integers(0, 40))
def test_every_level_is_worse_than_the_one_before(seed: int, index: int, scene_seed: int) -> None:
    frame = next(scene_frames(seed=scene_seed, width=96, height=64, frames=1))
    for kind in ON_FRAMES:
        changes = [_change(frame, kind, level, seed, index) for level in range(len(SIMULATORS[kind].levels) + 1)]
        visible = changes if kind != "blur" else [changes[0], *changes[2:]]  # a sigma of 0.1 changes no 8-bit pixel
        assert changes[0] == 0
        assert all(worse > better for better, worse in itertools.pairwise(visible)), (kind, changes)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(STEPS), st.integers(16, 70), st.integers(16, 70), st.integers(0, 2**63 - 1), st.integers(0, 10**9)
)
def test_same_call_same_pixels_same_shape(
    step: tuple[str, int], height: int, width: int, seed: int, index: int
) -> None:
    frame = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = frame.copy()
    once = distort_frame(frame, *step, seed=seed, index=index)
    assert once.shape == frame.shape
    assert once.dtype == np.uint8
    assert (once == distort_frame(frame, *step, seed=seed, index=index)).all()
    assert (frame == before).all()


@pytest.mark.parametrize("kind", ON_FRAMES)
def test_views_of_larger_arrays_give_the_same_pixels(kind: str, scene: NDArray[np.uint8]) -> None:
    window = scene[10:70, 20:110]
    assert (distort_frame(window, kind, 3) == distort_frame(window.copy(), kind, 3)).all()
    mirrored = scene[:, ::-1]
    assert (distort_frame(mirrored, kind, 3) == distort_frame(mirrored.copy(), kind, 3)).all()


@pytest.mark.parametrize("kind", ["blur", "noise", "darkening", "brightening"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3)])
def test_tiny_frames_keep_their_shape(kind: str, size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 90, np.uint8)
    for level in range(1, len(SIMULATORS[kind].levels) + 1):
        assert distort_frame(frame, kind, level).shape == frame.shape


@pytest.mark.parametrize(
    ("kind", "level", "size", "words"),
    [
        ("resizing", 5, (15, 40), "height of at least 16 pixels, and this one has 15"),
        ("resizing", 4, (40, 7), "width of at least 8 pixels, and this one has 7"),
        ("jitter", 1, (16, 15), "width of at least 16 pixels, and this one has 15"),
    ],
)
def test_frames_that_are_too_small_are_refused(kind: str, level: int, size: tuple[int, int], words: str) -> None:
    with pytest.raises(InputError) as caught:
        distort_frame(np.zeros((*size, 3), np.uint8), kind, level)
    assert words in str(caught.value)


def test_the_smallest_frame_can_be_resized_at_every_level() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    versions = [distort_frame(frame, "resizing", level) for level in range(1, 6)]
    assert np.ptp(versions[-1], axis=(0, 1)).max() == 0
    assert all((one != other).any() for one, other in itertools.pairwise(versions))


@pytest.mark.parametrize("kind", ["blur", "resizing", "jitter"])
@pytest.mark.parametrize("colour", [(10, 128, 250), (0, 255, 1)])
def test_flat_frames_stay_flat(kind: str, colour: tuple[int, int, int]) -> None:
    frame = np.full((40, 56, 3), colour, np.uint8)
    for level in range(1, len(SIMULATORS[kind].levels) + 1):
        assert (distort_frame(frame, kind, level) == frame).all()


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_blur_is_a_gaussian(level: int, scene: NDArray[np.uint8]) -> None:
    sigma = SIMULATORS["blur"].value(level)
    expected = gaussian_filter(scene.astype(np.float64), (sigma, sigma, 0), mode="mirror", truncate=4)
    # both round a value that float32 sums can move across a half
    assert np.abs(distort_frame(scene, "blur", level) - expected).max() <= 0.51


def test_the_mildest_blur_changes_nothing_and_returns_another_array(scene: NDArray[np.uint8]) -> None:
    checks = (np.indices((20, 20, 3)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for frame in (scene, checks):
        blurred = distort_frame(frame, "blur", 1)
        assert (blurred == frame).all()
        assert not np.shares_memory(blurred, frame)


def test_resizing_by_two_averages_blocks_and_interpolates(scene: NDArray[np.uint8]) -> None:
    blocks = scene.reshape(48, 2, 80, 2, 3).mean(axis=(1, 3))
    # Keys' cubic kernel three quarters of the way from one block to the next: where even rows and columns lie
    weights = np.array([-0.0234375, 0.2265625, 0.8671875, -0.0703125])
    rows = sum(weight * blocks[place : place + 45] for place, weight in enumerate(weights))
    expected = sum(weight * rows[:, place : place + 77] for place, weight in enumerate(weights))
    distorted = distort_frame(scene, "resizing", 1)[4:94:2, 4:158:2]
    assert np.abs(distorted - np.clip(expected, 0, 255)).max() <= 0.51


@pytest.mark.parametrize("level", [1, 5])
def test_noise_has_the_stated_variance_and_no_bias(level: int) -> None:
    frame = np.full((200, 200, 3), 128, np.uint8)
    difference = (distort_frame(frame, "noise", level).astype(float) - 128) / 255
    assert difference.var() == pytest.approx(SIMULATORS["noise"].value(level), rel=0.03)
    assert abs(difference.mean()) < 0.001


@pytest.mark.parametrize("kind", ["noise", "jitter"])
def test_randomness_is_fixed_by_seed_and_differs_between_frames(kind: str, scene: NDArray[np.uint8]) -> None:
    once = distort_frame(scene, kind, 3, seed=5, index=2)
    assert (once == distort_frame(scene, kind, 3, seed=5, index=2)).all()
    assert (once != distort_frame(scene, kind, 3, seed=5, index=3)).any()
    assert (once != distort_frame(scene, kind, 3, seed=6, index=2)).any()


def test_levels_of_noise_are_the_same_grain() -> None:
    frame = np.full((64, 64, 3), 128, np.uint8)
    mild, severe = (distort_frame(frame, "noise", level, seed=1).astype(float) - 128 for level in (1, 5))
    assert np.corrcoef(mild.ravel(), severe.ravel())[0, 1] > 0.995


@pytest.mark.parametrize(
    ("kind", "level", "words"),
    [("blurr", 1, "resizing, blur"), ("blur", 6, "1 (mild) to 5"), ("jitter", 4, "1 (mild) to 3"), ("h264", -1, "no")],
)
def test_unknown_kinds_and_levels_are_refused(kind: str, level: int, words: str, scene: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError) as caught:
        distort_frame(scene, kind, level)
    assert words in str(caught.value)
    with pytest.raises(InputError):
        distort_frames([scene], kind, level)


def test_an_unknown_kind_names_all_that_are_known() -> None:
    with pytest.raises(InputError) as caught:
        simulator("x")
    assert all(kind in str(caught.value) for kind in (*SIMULATORS, *UNSEEN_CODECS))


@pytest.mark.parametrize("kind", [*CODECS, "stuttering"])
def test_kinds_of_whole_videos_do_not_work_on_a_frame(kind: str, scene: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="distort_video"):
        distort_frame(scene, kind, 2)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        distort_frame(np.zeros(shape, np.uint8), "blur", 2)
    with pytest.raises(ValueError, match="float"):
        distort_frame(np.zeros((8, 8, 3)), "blur", 2)  # type: ignore[arg-type] # what is refused is the type
