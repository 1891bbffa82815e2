"""Tables of ratings: whole, found, and refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.ratings import find_ratings, read_ratings

MINE = Benchmark(name="mine", videos=3, content="(.+)_")


def written(folder: Path, text: str, name: str = "mos.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_names_ratings_and_what_else_is_told_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "Video;MOS;SD;Source;Kind\na_1.mp4;3.5;0.5;;blur\nb_1.mp4;4;;other;\n")
    found = read_ratings(path, MINE)
    first, second = found.rows
    assert (first.name, first.value, first.deviation, first.content, first.distortion) == (
        "a_1.mp4",
        3.5,
        0.5,
        "a",
        "blur",
    )
    assert math.isnan(second.deviation)
    assert second.content == "other"
    assert found.expected == 3
    assert found.notes == ("2 videos have a rating, where 3 are expected",)


def test_numbers_of_videos_are_names_too(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"id": 12, "mos": 1.5}, {"id": 13.0, "mos": 2}]', "mos.json")
    assert read_ratings(path, MINE).names == ["12", "13"]


def test_empty_and_repeated_rows_are_left_out_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, "name,mos\na,1\nb,\na,1.0\nc,2\nd,3\n")
    found = read_ratings(path, MINE)
    assert found.names == ["a", "c", "d"]
    assert found.notes == ("1 rows without a name or a rating were left out", "1 rows repeat others")


def test_a_name_with_two_ratings_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "name,mos\na,1\nb,2\na,3\n")
    with pytest.raises(InputError, match=r"1 names have several ratings: a \(1 and 3\)"):
        read_ratings(path, MINE)


def test_a_rating_that_is_no_number_is_refused_with_its_row(tmp_path: Path) -> None:
    path = written(tmp_path, "name,mos\na,1\nb,good\n")
    with pytest.raises(InputError, match="mos in row 2 is no number: 'good'"):
        read_ratings(path, MINE)


@pytest.mark.parametrize("text", ["name,what\na,1\n", "title,mos\na,1\n"])
def test_columns_that_cannot_be_told_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="has no column"):
        read_ratings(written(tmp_path, text), MINE)


def test_a_column_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "name,mos,again\na,1,5\n")
    assert read_ratings(path, MINE, {"mos": "Again"}).rows[0].value == 5
    with pytest.raises(ConfigError, match="has no column third"):
        read_ratings(path, MINE, {"mos": "third"})


def test_a_table_without_a_rating_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no rating"):
        read_ratings(written(tmp_path, "name,mos\na,\n"), MINE)


def test_ratings_are_found_by_the_layout_of_folders(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "videos").mkdir()
    beside = written(tmp_path / "videos", "", "labels.csv")
    assert find_ratings(MINE, [tmp_path / "videos"]) == beside
    named = written(tmp_path / "labels", "", "mine.csv")
    assert find_ratings(MINE, [tmp_path / "labels", tmp_path / "videos"]) == named
    assert find_ratings(MINE, [beside]) == beside


def test_ratings_that_are_not_found_say_where_they_are_from(tmp_path: Path) -> None:
    kvq = Benchmark(name="kvq", page="https://somewhere")
    with pytest.raises(InputError, match=r"were not found in .*save them as kvq.csv .*https://somewhere"):
        find_ratings(kvq, [tmp_path])


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "", "mine.csv")
    written(tmp_path, "", "mine.json")
    with pytest.raises(InputError, match="2 tables called mine"):
        find_ratings(MINE, [tmp_path])


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        read_ratings(tmp_path / "nowhere.csv", MINE)
