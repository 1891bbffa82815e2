"""The crop cache: what is written comes back bit for bit, and trouble with a file is named."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.core.errors import StoreError
from w2svqa.students import crops as module
from w2svqa.students.crops import MARGIN, SIDE, Crops, Rendition, read_crops, write_crops
from w2svqa.students.views import MOTION_SIZE, VIEW_SIZE, make_details, make_whole


def rendition(seed: int, *, details: int = 2, frames: int = 3, smooth: bool = False) -> Rendition:
    """Noise, which no lossy coding would bring back; or few grey levels, which pack into a small file."""
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.uint8]:
        if smooth:
            return np.full(shape, random.integers(256), np.uint8)
        return random.integers(0, 256, shape, dtype=np.uint8)

    whole = draw(VIEW_SIZE, VIEW_SIZE)
    return Rendition(details=draw(details, SIDE, SIDE, 3), whole=whole, motion=draw(frames, *MOTION_SIZE))


def assert_same(one: Crops, other: Crops) -> None:
    assert one.size == other.size
    assert len(one.renditions) == len(other.renditions)
    for ours, theirs in zip(one.renditions, other.renditions, strict=True):
        for part in ("details", "whole", "motion"):
            left, right = getattr(ours, part), getattr(theirs, part)
            assert (left.dtype, left.shape) == (right.dtype, right.shape)
            assert (left == right).all()


@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    amounts=st.lists(st.tuples(st.integers(1, 6), st.sampled_from([0, 1, 2, 25, 240])), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
@settings(max_examples=12, deadline=None)
def test_the_round_trip_is_exact(
    tmp_path_factory: pytest.TempPathFactory, size: tuple[int, int], amounts: list[tuple[int, int]], seed: int
) -> None:
    path = tmp_path_factory.mktemp("crops") / "clip.npz"
    drawn = [rendition(seed + index, details=details, frames=frames) for index, (details, frames) in enumerate(amounts)]
    crops = Crops(size=size, renditions=tuple(drawn))
    write_crops(path, crops)
    assert_same(read_crops(path), crops)


@pytest.mark.parametrize("size", [(1, 1), (17, 23), (143, 301), (721, 1279)])
def test_pictures_of_clips_of_any_size_come_back(tmp_path: Path, size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    details = make_details(frame, margin=MARGIN)
    still = Rendition(details=details, whole=make_whole(frame), motion=np.zeros((0, *MOTION_SIZE), np.uint8))
    crops = Crops(size=size, renditions=(still,))
    write_crops(tmp_path / "clip.npz", crops)
    assert_same(read_crops(tmp_path / "clip.npz"), crops)


def test_colours_keep_their_order_and_motion_its_extremes(tmp_path: Path) -> None:
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 255
    flicker = np.zeros((4, *MOTION_SIZE), np.uint8)
    flicker[::2] = 255
    rendition = Rendition(details=red[None], whole=red[:VIEW_SIZE, :VIEW_SIZE, 0], motion=flicker)
    crops = Crops(size=(9, 9), renditions=(rendition,))
    write_crops(tmp_path / "clip.npz", crops)
    assert_same(read_crops(tmp_path / "clip.npz"), crops)


def test_the_same_crops_give_the_same_bytes_and_a_file_is_replaced(tmp_path: Path) -> None:
    crops = Crops(size=(9, 9), renditions=(rendition(1),))
    write_crops(tmp_path / "new" / "one.npz", crops)
    write_crops(tmp_path / "new" / "two.npz", Crops(size=(9, 9), renditions=(rendition(2), rendition(3))))
    write_crops(tmp_path / "new" / "two.npz", crops)
    one, two = ((tmp_path / "new" / f"{name}.npz").read_bytes() for name in ("one", "two"))
    assert one == two


def small() -> Crops:
    return Crops(size=(9, 9), renditions=tuple(rendition(index, details=1, frames=2, smooth=True) for index in (1, 2)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "clip.npz"
    write_crops(path, small())
    return path.read_bytes()


def array_file(**arrays: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def one_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


FACTS = np.array([9, 9, 1])
NOTHING = np.zeros(0, np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        one_array(),
        array_file(facts=np.array(1)),
        array_file(facts=FACTS),
        array_file(facts=FACTS, pictures_0=NOTHING, motion_0=NOTHING),
        array_file(facts=FACTS, pictures_0=np.zeros(9), motion_0=NOTHING),
        array_file(facts=FACTS, pictures_0=np.zeros(99, np.uint8), motion_0=NOTHING),
    ],
)
def test_what_is_no_crop_cache_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.npz"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        read_crops(path)
    assert caught.value.path == str(path)
    assert caught.value.remedy is not None


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    for name in ("nothing.npz", "folder.npz"):
        with pytest.raises(StoreError, match=name):
            read_crops(tmp_path / name)


def attempt(path: Path, content: bytes) -> Crops | None:
    path.write_bytes(content)
    try:
        return read_crops(path)
    except StoreError:
        return None


@pytest.mark.parametrize("change", [0x01, 0x0A, 0x83])
def test_no_changed_byte_changes_what_is_read(tmp_path: Path, written: bytes, change: int) -> None:
    wanted = small()
    for place in range(change % 8, len(written), 8):
        damaged = bytearray(written)
        damaged[place] ^= change
        found = attempt(tmp_path / "clip.npz", bytes(damaged))
        if found is not None:  # a time of day, say
            assert_same(found, wanted)


def test_a_file_that_was_cut_off_is_never_read(tmp_path: Path, written: bytes) -> None:
    assert attempt(tmp_path / "clip.npz", written) is not None
    for length in range(0, len(written), 23):
        assert attempt(tmp_path / "clip.npz", written[:length]) is None


class FullFile(io.BytesIO):
    """A file on a disk without room."""

    def write(self, _: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_and_nothing_stays(
    tmp_path: Path, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.npz"
    path.write_bytes(written)
    opened = Path.open

    def full(self: Path, mode: str = "r", *arguments: object, **options: object) -> object:
        handle = opened(self, mode, *arguments, **options)  # type: ignore[call-overload]  # passed on as they are
        if "x" not in mode:
            return handle
        handle.close()
        return FullFile()

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        write_crops(path, Crops(size=(9, 9), renditions=(rendition(5),)))
    assert caught.value.path == str(path)
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.npz"]
    assert_same(read_crops(path), small())


def test_pictures_that_opencv_cannot_encode_are_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        IMWRITE_WEBP_QUALITY = 64

        def imencode(self, *_: object) -> tuple[bool, None]:
            return False, None

    def refusing(*_: object, **__: object) -> Refusing:
        return Refusing()

    monkeypatch.setattr(module, "require", refusing)
    with pytest.raises(ValueError, match="cannot encode"):
        write_crops(tmp_path / "clip.npz", small())
    assert list(tmp_path.iterdir()) == []
