"""Clips that show the same: copies in another size, coding or container, found by the perceptual hashes of five frames.

Two clips are near duplicates if both are videos or both stills, their durations agree, and on average at most
:data:`MOST_BITS` of the 64 bits per frame differ, over the frames that can be compared. Flat frames cannot: the hash of
a black frame says nothing. So clips that show less than three frames of anything are never near duplicates.

Not found: copies that are cut, mirrored, cropped or have borders.

Comparing all with all would take days for millions. So clips are compared that agree in a random choice of 20 of their
320 bits, for 64 such choices (locality-sensitive hashing: Indyk & Motwani 1998): that overlooks one in 10^9 of the
pairs that differ in 6 % of the bits, one in 4000 at a tenth, and one in 100 at the limit. Of many clips with one key
each is compared with the first and with its next neighbours, so the work grows little faster than the number of clips,
whatever they show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require

FRAMES: Final = 5
"""Frames that a clip is known by."""

BITS: Final = 64
"""Bits of a frame's hash."""

MOST_BITS: Final = 8.0
"""Bits per frame that may differ, on average over the frames: an eighth.

Of 27 clips, copies of half the size at CRF 35 or in another codec differed in at most 2.8 bits, copies of a quarter of
the size at CRF 45 in at most 8.8 (median 3.6), and different clips in at least 24.8.
"""

LEAST_FRAMES: Final = 3
"""Frames that must be comparable."""

LEAST_CONTRAST: Final = 4.0
"""Standard deviation of a frame's luma, 0-255, below which it is flat."""

LONGEST_DIFFERENCE: Final = (0.5, 0.05)
"""Seconds, and part of the longer duration, by which durations may differ: the larger counts."""

_KEY_BITS: Final = 20
_KEYS: Final = 64
_NEIGHBOURS: Final = 32
_ONES: Final = np.array([value.bit_count() for value in range(256)], np.uint8)

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The earlier and the later clip of each pair."""


def frame_hashes(frames: NDArray[np.uint8]) -> tuple[str | None, ...]:
    """Return the perceptual hash of each frame, 16 hex digits; ``None`` where it is flat.

    Args:
        frames: uint8 ``(n, 32, 32)``, luma 0-255.

    Raises:
        MissingExtraError: imagehash is not installed.

    Source: ``imagehash.phash``: signs of the lowest 8 x 8 coefficients of the DCT against their median.
    """
    imagehash = require("imagehash", extra="curate")
    image = require("PIL.Image", extra="curate")
    return tuple(
        str(imagehash.phash(image.fromarray(frame))) if float(frame.std()) >= LEAST_CONTRAST else None
        for frame in frames
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """What clips look like, best clip first.

    Attributes:
        hashes: uint64 ``(clips, FRAMES)``.
        comparable: bool ``(clips, FRAMES)``: the frame has a hash.
        durations: float64 ``(clips,)``, seconds; -1 for stills, NaN where unknown, which agrees with no other.
    """

    hashes: NDArray[np.uint64]
    comparable: NDArray[np.bool_]
    durations: NDArray[np.float64]

    @classmethod
    def of(cls, hashes: Sequence[Sequence[str | None]], durations: Sequence[float]) -> Looks:
        """Put together the hashes of clips, best clip first, and their durations."""
        values = np.array([[int(each or "0", 16) for each in clip] for clip in hashes], np.uint64)
        comparable = np.array([[each is not None for each in clip] for clip in hashes], np.bool_)
        shape = (len(hashes), FRAMES)
        return cls(
            hashes=values.reshape(shape),
            comparable=comparable.reshape(shape),
            durations=np.array(durations, np.float64),
        )

    def of_some(self, positions: NDArray[np.int64]) -> Looks:
        """Return those of some of the clips."""
        return Looks(
            hashes=self.hashes[positions], comparable=self.comparable[positions], durations=self.durations[positions]
        )


def kept_instead(looks: Looks, *, seed: int = 0) -> NDArray[np.int64]:
    """Return for each clip the position of the one that is kept instead; its own if it is kept itself.

    From the best clip down, each is kept unless it is a near duplicate of one that is kept: the best of these stands
    for it. So a chain of clips, each a little different from the next, does not become one group.

    Args:
        looks: the clips, best first.
        seed: of the choices of bits.
    """
    # crowds that look exactly alike are told by sorting; what is left is compared
    firsts = _first_alike(looks)
    chosen = np.flatnonzero(firsts == np.arange(len(firsts)))
    owners = _owners(looks.of_some(chosen), seed)
    positions = np.zeros(len(firsts), np.int64)
    positions[chosen] = np.arange(len(chosen))
    return np.asarray(chosen[owners[positions[firsts]]], np.int64)


def _first_alike(looks: Looks) -> NDArray[np.int64]:
    """Return for each clip the first with the same hashes and duration; itself where it cannot be compared."""
    rows = np.column_stack(
        [looks.hashes, looks.comparable.astype(np.uint64), np.ascontiguousarray(looks.durations).view(np.uint64)]
    )
    positions = np.arange(len(rows))
    if not len(rows):
        return positions
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    usable = (looks.comparable.sum(axis=1) >= LEAST_FRAMES) & ~np.isnan(looks.durations)
    return np.where(usable, first[group.reshape(-1)], positions)


def _owners(looks: Looks, seed: int) -> NDArray[np.int64]:
    owners = np.arange(len(looks.hashes))
    firsts, seconds = near_pairs(looks, seed=seed)
    order = np.lexsort((firsts, seconds))
    for first, second in zip(firsts[order].tolist(), seconds[order].tolist(), strict=True):
        if owners[second] == second and owners[first] == first:
            owners[second] = first
    return owners


def near_pairs(looks: Looks, *, seed: int = 0) -> Pairs:
    """Return the pairs of near duplicates that were found, each once.

    Args:
        looks: the clips.
        seed: of the choices of bits.
    """
    random = np.random.default_rng(seed)
    usable = np.flatnonzero(looks.comparable.sum(axis=1) >= LEAST_FRAMES)
    count = len(looks.hashes)
    found = np.zeros(0, np.int64)
    for _ in range(_KEYS):
        keys = _keys(looks.hashes[usable], random.choice(FRAMES * BITS, _KEY_BITS, replace=False))
        order = np.argsort(keys, kind="stable")  # clips of one key stay in the order of the best
        ranked, keys = usable[order], keys[order]
        near = [_near(looks, ranked[first], ranked[second]) for first, second in _same_key(keys)]
        found = np.unique(np.concatenate([found, *(firsts * count + seconds for firsts, seconds in near)]))
    return found // max(1, count), found % max(1, count)


def _keys(hashes: NDArray[np.uint64], bits: NDArray[np.int64]) -> NDArray[np.uint32]:
    keys = np.zeros(len(hashes), np.uint32)
    for bit in bits.tolist():
        keys <<= np.uint32(1)
        keys |= (hashes[:, bit // BITS] >> np.uint64(bit % BITS) & np.uint64(1)).astype(np.uint32)
    return keys


def _same_key(keys: NDArray[np.uint32]) -> Iterator[Pairs]:
    """Yield positions in the rising ``keys`` that hold the same: with the first of them, and with near neighbours."""
    positions = np.arange(len(keys))
    starts = np.searchsorted(keys, keys, side="left")
    yield starts[starts < positions], positions[starts < positions]
    for distance in range(1, _NEIGHBOURS):
        same = np.flatnonzero(keys[distance:] == keys[:-distance])
        if not len(same):
            return
        yield same, same + distance


def _near(looks: Looks, firsts: NDArray[np.int64], seconds: NDArray[np.int64]) -> Pairs:
    common = looks.comparable[firsts] & looks.comparable[seconds]
    differing = _ONES[(looks.hashes[firsts] ^ looks.hashes[seconds]).view(np.uint8)].reshape(len(firsts), FRAMES, 8)
    bits = (differing.sum(axis=2, dtype=np.int64) * common).sum(axis=1)
    frames = common.sum(axis=1)
    near = (frames >= LEAST_FRAMES) & (bits <= MOST_BITS * frames)
    near &= _last_as_long(looks.durations[firsts], looks.durations[seconds])
    return firsts[near], seconds[near]


def _last_as_long(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    seconds, part = LONGEST_DIFFERENCE
    agree = np.abs(first - second) <= np.maximum(seconds, part * np.maximum(first, second))
    return np.asarray(agree & ((first < 0) == (second < 0)), np.bool_)
