"""Which clips count as the same, at what distance, and that they are found among many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from w2svqa.stages import near_duplicates
from w2svqa.stages.near_duplicates import BITS, FRAMES, Looks, frame_hashes, kept_instead, near_pairs
from w2svqa.video.scene import scene_frames

Hashes = NDArray[np.uint64]


def random_hashes(count: int, seed: int = 0) -> Hashes:
    return np.random.default_rng(seed).integers(0, 2**64, (count, FRAMES), dtype=np.uint64)


def flipped(hashes: Hashes, bits: int, seed: int = 1) -> Hashes:
    """Return the hashes with so many of the bits of each clip changed."""
    random, changed = np.random.default_rng(seed), hashes.copy()
    for clip in changed:
        for bit in random.choice(FRAMES * BITS, bits, replace=False):
            clip[bit // BITS] ^= np.uint64(1) << np.uint64(bit % BITS)
    return changed


def looks(hashes: Hashes, durations: float | list[float] = 8.0) -> Looks:
    return Looks(
        hashes=hashes,
        comparable=np.ones(hashes.shape, np.bool_),
        durations=np.broadcast_to(np.array(durations, np.float64), len(hashes)),
    )


def test_copies_are_found_among_many_and_nothing_else() -> None:
    originals = random_hashes(2000)
    copies = flipped(originals[:300], bits=16)  # a twentieth
    owners = kept_instead(looks(np.concatenate([originals, copies])))
    assert owners[2000:].tolist() == list(range(300))
    assert owners[:2000].tolist() == list(range(2000))


@given(st.integers(0, 64), st.integers(0, 5))
def test_the_limit_is_an_eighth_of_the_bits(bits: int, seed: int) -> None:
    first = random_hashes(1, seed)
    pair = looks(np.concatenate([first, flipped(first, bits, seed)]))
    found = near_duplicates._near(pair, np.array([0]), np.array([1]))
    assert (len(found[0]) == 1) == (bits <= 40)


def test_the_best_stands_for_the_others_and_chains_do_not_join() -> None:
    best = random_hashes(1)
    step = [best]
    for seed in range(1, 4):
        step.append(flipped(step[-1], 28, seed))  # the limit is 40: each is near its neighbours alone
    owners = kept_instead(looks(np.concatenate(step)))
    assert owners.tolist() == [0, 0, 2, 2]


def test_a_crowd_of_copies_leaves_one() -> None:
    crowd = np.repeat(random_hashes(1), 500, axis=0)
    assert set(kept_instead(looks(crowd)).tolist()) == {0}


@pytest.mark.parametrize(
    ("durations", "is_near"),
    [
        ([8.0, 8.4], True),
        ([8.0, 9.0], False),
        ([60.0, 62.9], True),
        ([-1.0, -1.0], True),
        ([-1.0, 0.2], False),
        ([float("nan"), 8.0], False),
    ],
)
def test_durations_must_agree(durations: list[float], is_near: bool) -> None:
    pair = looks(np.repeat(random_hashes(1), 2, axis=0), durations)
    assert (len(near_pairs(pair)[0]) == 1) == is_near


def test_no_clip_and_flat_clips_are_no_duplicates() -> None:
    assert kept_instead(Looks.of([], [])).tolist() == []
    flat: list[str | None] = [None, None, None, "00", "00"]
    assert kept_instead(Looks.of([flat, flat], [8.0, 8.0])).tolist() == [0, 1]
    enough: list[str | None] = [None, None, "00", "00", "00"]
    assert kept_instead(Looks.of([enough, enough], [8.0, 8.0])).tolist() == [0, 0]


def test_hashes_are_of_what_is_shown() -> None:
    pytest.importorskip("imagehash")
    pictures = [next(scene_frames(seed=seed, width=32, height=32, frames=1)).mean(axis=2) for seed in (1, 2)]
    first, second = (picture.astype(np.uint8) for picture in pictures)
    darker = (first * 0.7).astype(np.uint8)
    flat = np.full((32, 32), 90, np.uint8)
    hashes = frame_hashes(np.stack([first, darker, second, flat]))
    assert hashes[3] is None
    values = [int(each or "", 16) for each in hashes[:3]]
    assert (values[0] ^ values[1]).bit_count() <= 4
    assert (values[0] ^ values[2]).bit_count() >= 16
