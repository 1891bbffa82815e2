"""Batches of kept seconds: every video once, pairs point at them, a version with itself shows two halves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from second_pool import LENGTHS, SecondPool

from w2svqa.core.errors import StoreError
from w2svqa.core.rows import PairRow
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.second_batches import SecondBatch, SecondBatches
from w2svqa.students.seconds import read_seconds

NOTHING = {f"{name}_groups": 0 for name in BatchConfig().groups}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SecondPool:
    return SecondPool(tmp_path_factory.mktemp("seconds"), 8)


def batches(pool: SecondPool, pairs: list[PairRow] | None = None, **groups: int) -> SecondBatches:
    config = BatchConfig(**NOTHING | groups)
    return SecondBatches(pool.versions, pool.pairs if pairs is None else pairs, pool.folder, config=config, seed=0)


def videos(batch: SecondBatch) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    ends = np.cumsum(batch.counts)[:-1]
    return list(zip(np.split(batch.frames, ends), np.split(batch.motion, ends), strict=True))


def test_videos_are_whole_as_they_were_kept_and_each_is_there_once(pool: SecondPool) -> None:
    batch = batches(pool, severity_groups=3).at(0)
    rows = {row.version_id: row for row in pool.versions}
    assert len(set(batch.names)) == len(batch.names) == len(batch.counts)
    assert batch.counts.sum() == len(batch.frames) == len(batch.motion)
    for name, (frames, motion) in zip(batch.names, videos(batch), strict=True):
        kept = read_seconds(pool.folder / rows[name].views, rows[name].row)
        assert (frames == kept.frames).all()
        assert (motion == kept.motion).all()
        assert len(frames) == LENGTHS[rows[name].clip_id]


def test_pairs_point_at_their_videos_and_a_group_counts_one(pool: SecondPool) -> None:
    batch = batches(pool, severity_groups=2, cross_groups=1).at(1)
    known = {(pair.first, pair.second): pair.level for pair in pool.pairs}
    named = [(batch.names[one], batch.names[other]) for one, other in zip(batch.first, batch.second, strict=True)]
    assert [known[pair] for pair in named] == batch.levels.tolist()
    assert batch.weights.sum() == pytest.approx(3)


def test_a_version_with_itself_shows_even_and_odd_seconds(pool: SecondPool) -> None:
    same = [pair for pair in pool.pairs if pair.origin == "same"]
    for clip, counts in (("a", [1]), ("b", [1, 1]), ("c", [2, 1])):
        chosen = [pair for pair in same if pair.first.startswith(clip)][:1]
        batch = batches(pool, chosen, same_groups=1).at(0)
        assert batch.counts.tolist() == counts
        kept = read_seconds(pool.folder / f"seconds/{clip}.npz", int(chosen[0].first.rpartition("-")[2]))
        shown = [frames for frames, _ in videos(batch)]
        halves = [kept.frames] if clip == "a" else [kept.frames[0::2], kept.frames[1::2]]
        assert all((left == right).all() for left, right in zip(shown, halves, strict=True))
        assert (batch.first.tolist(), batch.second.tolist()) == ([0], [len(counts) - 1])


def test_stills_have_no_motion_and_go_with_videos(pool: SecondPool) -> None:
    pairs = [pair for pair in pool.pairs if pair.origin == "cross" and {pair.first[0], pair.second[0]} == {"a", "c"}]
    assert pairs
    batch = batches(pool, pairs[:1], cross_groups=1).at(0)
    moving = {name[0]: bool(motion.any()) for name, (_, motion) in zip(batch.names, videos(batch), strict=True)}
    assert moving == {"a": False, "c": True}


def test_a_missing_file_is_named(pool: SecondPool, tmp_path: Path) -> None:
    drawn = SecondBatches(pool.versions, pool.pairs, tmp_path, config=BatchConfig(), seed=0)
    with pytest.raises(StoreError, match=r"seconds.*\.npz"):
        drawn.at(0)
    assert drawn.names(0)
