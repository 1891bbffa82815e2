"""The views of a key frame and the motion frames of a second: native pixels, any size, any count."""

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.students.views import (
    DETAIL_GRID,
    MOTION_FRAMES,
    MOTION_SIZE,
    VIEW_SIZE,
    VIEWS,
    join_views,
    make_details,
    make_motion,
    make_views,
    make_whole,
)


def frame(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def track(count: int) -> NDArray[np.uint8]:
    """Motion frames whose grey is their number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, *MOTION_SIZE))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (90, 130), (128, 128), (240, 320), (321, 641)])
@pytest.mark.parametrize("margin", [0, 16])
def test_shape_for_any_size(size: tuple[int, int], margin: int) -> None:
    picture, side = frame(*size), VIEW_SIZE + margin
    views, details = make_views(picture), make_details(picture, margin=margin)
    assert views.shape == (VIEWS, VIEW_SIZE, VIEW_SIZE, 3)
    assert details.shape == (VIEWS - 1, side, side, 3)
    assert views.dtype == details.dtype == np.uint8
    assert (views[-1] == make_whole(picture)[..., None]).all()


def test_a_margin_lies_around_the_same_detail() -> None:
    picture = frame(400, 600)
    assert (make_details(picture, margin=16)[:, 8:-8, 8:-8] == make_views(picture)[:-1]).all()


@pytest.mark.parametrize(("size", "grid"), [((400, 600), DETAIL_GRID), ((600, 400), DETAIL_GRID[::-1])])
def test_details_are_pixels_of_the_frame_in_a_grid(size: tuple[int, int], grid: tuple[int, int]) -> None:
    picture = frame(*size)
    views = make_views(picture)
    for index, view in enumerate(views[:-1]):
        row, column = divmod(index, grid[1])
        top = round((row + 0.5) * size[0] / grid[0] - VIEW_SIZE / 2)
        left = round((column + 0.5) * size[1] / grid[1] - VIEW_SIZE / 2)
        assert (view == picture[top : top + VIEW_SIZE, left : left + VIEW_SIZE]).all()


def test_small_frames_are_continued_by_reflection() -> None:
    picture = frame(100, 200)
    view = make_views(picture)[0]
    assert (view[:100] == picture[:, :VIEW_SIZE]).all()
    assert (view[100] == view[99]).all()
    assert (view[101] == view[98]).all()


def test_the_last_view_is_the_whole_picture() -> None:
    picture = np.zeros((256, 512, 3), np.uint8)
    picture[:, 256:] = 200
    whole = make_views(picture)[-1]
    assert abs(float(whole[:, : VIEW_SIZE // 2].mean())) < 2
    assert float(whole[:, VIEW_SIZE // 2 :].mean()) == pytest.approx(200, abs=2)


@pytest.mark.parametrize("count", [0, 1, 25, MOTION_FRAMES])
def test_motion_frames_that_fit_are_kept_and_filled_with_zeros(count: int) -> None:
    motion, real = make_motion(track(count))
    assert (motion.shape, real) == ((MOTION_FRAMES, *MOTION_SIZE), count)
    assert motion.dtype == np.uint8
    assert (motion[:count] == track(count)).all()
    assert not motion[count:].any()


@pytest.mark.parametrize("count", [MOTION_FRAMES + 1, 120, 250])
def test_of_more_motion_frames_evenly_spaced_ones_are_taken(count: int) -> None:
    motion, real = make_motion(track(count))
    numbers = motion[:, 0, 0].astype(int)
    assert real == MOTION_FRAMES
    assert numbers[0] == 0
    steps = np.diff(np.append(numbers, count))
    assert set(steps.tolist()) <= {count // MOTION_FRAMES, -(-count // MOTION_FRAMES)}


@pytest.mark.parametrize("shape", [(3, 32, 16), (3, 16, 32), (32, 32), (3, 32, 32, 3)])
def test_motion_frames_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have shape"):
        make_motion(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(("colour", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((9, 9, 9), 9)])
def test_the_whole_picture_is_luma(colour: tuple[int, int, int], luma: int) -> None:
    picture = np.full((200, 300, 3), colour, np.uint8)
    whole = make_whole(picture)
    assert whole.shape == (VIEW_SIZE, VIEW_SIZE)
    assert whole.dtype == np.uint8
    assert (whole == luma).all()


def test_joined_views_are_the_details_and_the_whole_in_grey() -> None:
    picture = frame(200, 300)
    details, whole = make_details(picture)[:2], make_whole(picture)
    views = join_views(details, whole)
    assert (views[:2] == details).all()
    assert (views[2:] == whole[None, ..., None]).all()
