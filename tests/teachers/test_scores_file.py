"""Scores made elsewhere: every form of table, every way to name a video, and what does not fit."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers.registry import load_teacher
from w2svqa.teachers.scores import Joined, ScoresTeacher
from w2svqa.video.encode import write_lossless
from w2svqa.video.whole import VideoFile

Rows = list[dict[str, object]]

ROWS: Rows = [{"video": "a.mkv", "score": 3.5}, {"video": "b.mkv", "score": 1}]


def write(path: Path, rows: Rows) -> Path:
    names = list(rows[0])
    match path.suffix:
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case ".json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        case suffix:
            delimiter = "\t" if suffix == ".tsv" else "," if suffix == ".csv" else ";"
            with path.open("w", encoding="utf-8-sig", newline="") as file:
                table = csv.writer(file, delimiter=delimiter)
                table.writerow(names)
                table.writerows(["" if row[name] is None else row[name] for name in names] for row in rows)
    return path


def load(path: Path, rows: Rows, **options: object) -> ScoresTeacher:
    teacher = load_teacher(f"scores:{write(path, rows)}", None, device="cpu", **options)
    assert isinstance(teacher, ScoresTeacher)
    return teacher


def clip(path: Path, level: int = 90) -> VideoFile:
    path.parent.mkdir(exist_ok=True)
    write_lossless(path, [np.full((16, 16, 3), level, np.uint8)] * 2, fps=2)
    return VideoFile(path)


@pytest.mark.parametrize("form", ["csv", "tsv", "txt", "parquet", "json", "jsonl"])
def test_every_form_of_table_gives_the_same_scores(form: str, tmp_path: Path) -> None:
    teacher = load(tmp_path / f"scores.{form}", ROWS)
    assert isinstance(teacher, Teacher)
    assert teacher.name == f"scores:{tmp_path / f'scores.{form}'}"
    assert teacher.score(clip(tmp_path / "a.mkv")) == 3.5
    assert teacher.score(clip(tmp_path / "b.mkv")) == 1.0


@pytest.mark.parametrize("content", ['{"a.mkv": 3.5, "b": 1}', '{"scores": [{"name": "a.mkv", "score": 3.5}]}'])
def test_json_objects_are_tables_as_well(content: str, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text(content, encoding="utf-8")
    assert load_teacher(f"scores:{tmp_path / 'scores.json'}", None).score(clip(tmp_path / "a.mkv")) == 3.5


@pytest.mark.parametrize("way", ["path", "last parts", "name", "stem", "sha256", "SHA256", "clip id", "windows"])
def test_every_way_to_name_a_video(way: str, tmp_path: Path) -> None:
    video = clip(tmp_path / "videos" / "a.b.mkv")
    digest = hashlib.sha256(Path(video.info.path).read_bytes()).hexdigest()
    name = {
        "path": video.info.path,
        "last parts": "./videos/a.b.mkv",
        "name": "a.b.mkv",
        "stem": "a.b",
        "sha256": digest,
        "SHA256": digest.upper(),
        "clip id": digest[:16],
        "windows": r"videos\a.b.mkv",
    }[way]
    teacher = load(tmp_path / "scores.csv", [{"name": name, "score": 2}, {"name": "another", "score": 5}])
    assert teacher.score(video) == 2.0
    other = clip(tmp_path / "videos" / "b.mkv", level=10)
    with pytest.raises(InputError, match=r"has no row for b\.mkv"):
        teacher.score(other)


def test_numbers_as_names_and_empty_scores(tmp_path: Path) -> None:
    teacher = load(tmp_path / "scores.parquet", [{"id": 3015462758.0, "mos": 3.0}, {"id": 17.0, "mos": None}])
    assert teacher.score(clip(tmp_path / "3015462758.mkv")) == 3.0
    with pytest.raises(InputError, match="has no score in the row of 17"):
        teacher.score(clip(tmp_path / "17.mkv"))


def test_folders_tell_files_of_one_name_apart(tmp_path: Path) -> None:
    teacher = load(tmp_path / "scores.csv", [{"path": f"{part}/a.mkv", "score": n} for n, part in enumerate("xy")])
    assert teacher.score(clip(tmp_path / "x" / "a.mkv")) == 0
    assert teacher.score(clip(tmp_path / "y" / "a.mkv")) == 1
    with pytest.raises(InputError, match=r"no row for a\.mkv"):
        teacher.score(clip(tmp_path / "z" / "a.mkv"))


@pytest.mark.parametrize("column", ["score", "Value", "MOS", "prediction", "anything"])
def test_columns_are_found_by_their_names(column: str, tmp_path: Path) -> None:
    assert load(tmp_path / "s.csv", [{"File": "a.mkv", column: 4}]).score(clip(tmp_path / "a.mkv")) == 4


def test_columns_can_be_named(tmp_path: Path) -> None:
    rows: Rows = [{"path": "x", "clip": "a.mkv", "score": 1, "vmaf": 70, "niqe": 4}]
    options = {"name_column": "clip", "score_column": "niqe", "higher_is_better": False, "low": 0.0}
    teacher = load(tmp_path / "s.csv", rows, **options)
    assert teacher.score(clip(tmp_path / "a.mkv")) == 4
    assert (teacher.higher_is_better, teacher.range) == (False, (0.0, math.inf))
    with pytest.raises(ConfigError, match=r"no column 'psnr' .*path, clip, score, vmaf, niqe"):
        load(tmp_path / "s.csv", rows, score_column="psnr")
    with pytest.raises(ConfigError, match=r"which column is it\? \(name it with the option score_column"):
        load(tmp_path / "s.csv", [{"name": "a", "vmaf": 1, "niqe": 2}])
    with pytest.raises(ConfigError, match="option name_column"):
        load(tmp_path / "s.csv", [{"vmaf": 1, "score": 2}])


def test_names_that_come_twice_are_listed(tmp_path: Path) -> None:
    rows: Rows = [{"name": f"v{number % 8}.mkv", "score": number} for number in range(16)]
    with pytest.raises(InputError, match=r"8 names come more than once: v0\.mkv, .*v4\.mkv and 3 more") as caught:
        load(tmp_path / "s.csv", rows)
    assert caught.value.path == str(tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", "", "has no rows"),
        ("s.csv", "name,score\n", "has no rows"),
        ("s.csv", "name,score\na,1\nb\n", "row 2 has 1 cells below 2 columns"),
        ("s.csv", "name,score\na,good\n", "the score in row 1 is no number: 'good'"),
        ("s.csv", "name,score\na,1\n,2\n", "row 2 names no video"),
        ("s.json", "{", "is no table"),
        ("s.json", "[1, 2]", "is no table"),
        ("s.json", '"text"', "is no table"),
        ("s.json", "[]", "has no rows"),
        ("s.parquet", "name,score\na,1\n", "is no table"),
        ("s.csv", "\xff\xfe", "is no table"),
    ],
)
def test_damaged_tables_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        load_teacher(f"scores:{tmp_path / name}", None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"none\.csv: cannot be read"):
        load_teacher(f"scores:{tmp_path / 'none.csv'}", None)


def test_rows_that_may_both_be_meant_are_an_error(tmp_path: Path) -> None:
    video = clip(tmp_path / "a.mkv")
    digest = hashlib.sha256(Path(video.info.path).read_bytes()).hexdigest()
    teacher = load(tmp_path / "s.csv", [{"name": digest, "score": 1}, {"name": digest[:16], "score": 2}])
    with pytest.raises(InputError, match="2 rows that may be meant"):
        teacher.score(video)


def test_what_joined_is_counted_and_the_rest_is_listed(tmp_path: Path) -> None:
    teacher = load(tmp_path / "s.csv", [{"name": f"v{number}", "score": number} for number in range(6)])
    videos = [str(tmp_path / f"v{number}.mkv") for number in range(2, 10)]
    joined = teacher.joined(videos)
    assert joined == Joined(found=4, without_row=tuple(videos[4:]), unused=("v0", "v1"))
    first, *rest = joined.lines(most=3)
    assert first == "4 of 8 videos have a score, 2 rows belong to none of them"
    assert rest == [*(f"no row: {path}" for path in videos[4:7]), "no row: and 1 more", "no video: v0", "no video: v1"]


def test_the_version_is_that_of_the_content(tmp_path: Path) -> None:
    first = load(tmp_path / "s.csv", ROWS).version
    assert load(tmp_path / "other.csv", ROWS).version == first
    assert load(tmp_path / "s.csv", [*ROWS, {"video": "c", "score": 1}]).version != first
    rows = [{**row, "other": 1} for row in ROWS]
    assert load(tmp_path / "s.csv", rows, score_column="other").version != load(tmp_path / "s.csv", rows).version
