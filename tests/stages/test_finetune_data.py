"""Rated videos: contents are never divided, files are known by their bytes, and too little is refused."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rated_pictures import rated_videos, write_rated

from w2svqa.core.errors import ConfigError, InputError
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluation_models import rated_set
from w2svqa.stages.finetune_data import (
    ENOUGH,
    FEWEST,
    check_enough,
    content_folds,
    content_groups,
    filled_deviations,
    gather,
    refuse_shared,
)
from w2svqa.stages.pool_videos import FileHashes
from w2svqa.stages.ratings import read_ratings


def silent(done: int, total: int, text: str) -> None:
    del done, total, text


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123456")), max_size=14))
def test_groups_are_the_connected_components(pairs: list[tuple[str, str]]) -> None:
    contents, clips = [content for content, _ in pairs], [clip for _, clip in pairs]
    groups = content_groups(contents, clips)
    count = len(pairs)
    reach = np.array([[a[0] == b[0] or a[1] == b[1] for b in pairs] for a in pairs], bool).reshape(count, count)
    for _ in range(count):
        reach = reach @ reach
    assert [[one == other for other in groups] for one in groups] == reach.tolist()


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.integers(1, 4), st.integers(0, 3))
def test_folds_divide_no_content_and_are_of_about_one_size(contents: list[str], folds: int, seed: int) -> None:
    sizes = Counter(contents)
    if len(sizes) < folds:
        with pytest.raises(ValueError, match="cannot be divided"):
            content_folds(contents, folds, seed)
        return
    found = content_folds(contents, folds, seed)
    assert {(content, fold) for content, fold in zip(contents, found.tolist(), strict=True)} == {
        (content, found[contents.index(content)]) for content in sizes
    }
    loads = np.bincount(found, minlength=folds)
    assert loads.min() > 0
    assert loads.max() - loads.min() <= max(sizes.values())
    assert found.tolist() == content_folds(contents, folds, seed).tolist()


def test_another_seed_divides_otherwise() -> None:
    contents = [str(place) for place in range(40)]
    assert content_folds(contents, 4, 0).tolist() != content_folds(contents, 4, 1).tolist()
    assert content_folds(contents, 4, 0, "a").tolist() != content_folds(contents, 4, 0, "b").tolist()


def test_equal_files_are_one_content_whatever_they_are_called(tmp_path: Path) -> None:
    rated = write_rated(tmp_path, contents=3, blocks=(1, 2))
    pictures = tmp_path / "pictures"
    (pictures / "copy.png").write_bytes((pictures / "0-1.png").read_bytes())
    text = (tmp_path / "mos.csv").read_text() + "copy.png,2.5,0.3,another\nabsent.png,3,0.3,far\n"
    (tmp_path / "mos.csv").write_text(text)
    rated = rated_set(read_ratings(tmp_path / "mos.csv", Benchmark(name="pictures")), pictures)
    with FileHashes(tmp_path / "files.jsonl") as hashes:
        found = gather(rated, hashes, progress=silent)
    contents = {video.name: video.content for video in found.videos}
    assert contents["copy.png"] == contents["0-1.png"] == contents["0-2.png"]
    assert len(set(contents.values())) == 3
    assert "absent.png" not in contents
    assert [row.name for row in found.ratings.rows] == [video.name for video in found.videos]
    assert any("same bytes" in note for note in found.notes)
    assert any("absent.png" in note for note in found.notes)


def test_differential_ratings_are_turned_and_a_file_that_went_is_left_out(tmp_path: Path) -> None:
    write_rated(tmp_path, contents=2, blocks=(1, 8))
    ratings = read_ratings(tmp_path / "mos.csv", Benchmark(name="pictures", higher_is_better=False))
    rated = rated_set(ratings, tmp_path / "pictures")
    (tmp_path / "pictures" / "1-8.png").unlink()
    with FileHashes(tmp_path / "files.jsonl") as hashes:
        found = gather(rated, hashes, progress=silent)
    assert found.values.tolist() == [-row.value for row in ratings.rows[:3]]
    assert any(note.startswith("left out:") and "1-8.png" in note for note in found.notes)


def test_too_little_is_refused_and_little_is_told() -> None:
    many = [str(place) for place in range(ENOUGH)]
    rising = [float(place) for place in range(ENOUGH)]
    with pytest.raises(InputError, match=f"{FEWEST - 1} rated videos .* takes {FEWEST} at least"):
        check_enough(rated_videos(rising[: FEWEST - 1], many[: FEWEST - 1]), 5)
    with pytest.raises(InputError, match="show 2 contents, 5 folds take 10"):
        check_enough(rated_videos(rising[:30], ["a", "b"] * 15), 5)
    with pytest.raises(InputError, match="are the same"):
        check_enough(rated_videos([3.0] * ENOUGH, many), 5)
    [note] = check_enough(rated_videos(rising[:-1], many[:-1]), 5)
    assert "are few" in note
    assert check_enough(rated_videos(rising, many), 5) == []


def test_a_file_in_training_and_test_is_refused_by_its_bytes() -> None:
    train = rated_videos([1.0, 2.0], ["a", "b"], ["same", "other"])
    test = rated_videos([1.0], ["z"], ["same"])
    with pytest.raises(ConfigError, match=r"1 videos are in training and test: v0\.mp4 is v0\.mp4"):
        refuse_shared(train, test)
    assert refuse_shared(train, rated_videos([1.0], ["z"], ["third"])) == []
    [note] = refuse_shared(train, rated_videos([1.0], ["b"], ["third"]))
    assert "the test flatters" in note


def test_unknown_deviations_are_a_share_of_the_spread() -> None:
    videos = rated_videos([1.0, 2.0, 3.0], ["a", "b", "c"]).videos
    unknown = [replace(video, deviation=math.nan) for video in videos]
    assert filled_deviations(videos, 0.25).tolist() == [0.3] * 3
    assert filled_deviations(unknown, 0.25) == pytest.approx([0.25 * np.std([1, 2, 3])] * 3)
    none = [replace(video, deviation=0.0) for video in videos]
    assert (filled_deviations(none, 0.25) > 0).all()
