from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from running import Run, Start, WriteClip

from w2svqa.cli.table_file import open_table

KEYS = ["path", "status", "score", "low", "high", "seconds", "reasons", "message", "student", "raw", "notes"]


def strict_json(text: str) -> Any:  # noqa: ANN401 - JSON
    """Parse JSON as the standard has it: Python would also take NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_table_has_a_row_per_file(run: Run, write_clip: WriteClip) -> None:
    write_clip("dark.mkv", [40, 60])
    write_clip("bright.mkv", [230])
    done = run("score", ".")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines() if ".mkv" in line]
    assert [line[0] for line in lines] == ["./bright.mkv", "./dark.mkv"]
    assert float(lines[0][1]) > float(lines[1][1])
    assert "darkness" in done.out


def test_json_is_one_array_in_input_order(run: Run, write_clip: WriteClip) -> None:
    first, second = write_clip("b.mkv", [40, 60]), write_clip("a.mkv")
    done = run("score", "--json", first, "missing.mp4", second)
    assert done.code == 1
    assert done.err == ""
    rows = strict_json(done.out)
    assert [row["path"] for row in rows] == [str(first), "missing.mp4", str(second)]
    assert [row["status"] for row in rows] == ["ok", "error", "ok"]
    assert all(list(row) == KEYS for row in rows)
    assert 0 <= rows[0]["low"] <= rows[0]["score"] <= rows[0]["high"] <= 100
    assert len(rows[0]["seconds"]) == 2
    assert rows[0]["reasons"][0].keys() == {"distortion", "severity", "probability", "seconds"}
    assert (rows[1]["score"], rows[1]["seconds"], rows[0]["message"]) == (None, [], None)
    assert "no such file" in rows[1]["message"]
    assert rows[0]["student"] == "brightness-1"


def test_workers_change_nothing(run: Run, write_clip: WriteClip) -> None:
    paths = [write_clip(f"{level}.mkv", [level]) for level in (10, 200, 90, 150)]
    assert run("score", "--json", "--workers", "3", *paths).out == run("score", "--json", *paths).out


def test_list_on_standard_input(run: Run, write_clip: WriteClip) -> None:
    write_clip("a.mkv")
    write_clip("b c.mkv")
    done = run("score", "--json", "-", stdin=b"b c.mkv\na.mkv\n")
    assert [row["path"] for row in strict_json(done.out)] == ["b c.mkv", "a.mkv"]


NAMES = [b"[red] x.mkv", b"\x1b[31m.mkv", b"caf\xe9.mkv", b'it\'s "so".mkv', b"two\nlines.mkv"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_odd_names_come_out_whole_and_harmless(run: Run, write_clip: WriteClip, tmp_path: Path) -> None:
    for name in NAMES:
        write_clip("plain.mkv").rename(tmp_path / os.fsdecode(name))
    expected = sorted(b"./" + name for name in NAMES)
    rows = strict_json(run("score", "--json", ".").out)
    assert sorted(os.fsencode(row["path"]) for row in rows) == expected
    records = csv.DictReader(io.StringIO(run("score", "--csv", ".", "--output", "table.csv").out, newline=""))
    assert sorted(os.fsencode(record["path"]) for record in records) == expected
    table = run("score", ".", "--output", "table.csv")
    assert table.code == 0
    assert len([line for line in table.out.splitlines() if ".mkv" in line]) == len(NAMES)
    assert "[red] x.mkv" in table.out
    assert "\x1b" not in table.out
    error = run("compare", os.fsdecode(NAMES[2]), "missing\n.mp4")
    assert (error.code, error.err.count("\n")) == (1, 1)


def test_csv_has_a_header_and_a_row_per_file(run: Run, write_clip: WriteClip) -> None:
    write_clip("a, b.mkv", [40, 60])
    done = run("score", "--csv", "a, b.mkv", "missing.mp4")
    assert done.code == 1
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == KEYS
    assert [row["path"] for row in rows] == ["a, b.mkv", "missing.mp4"]
    assert len(rows[0]["seconds"].split()) == 2
    assert rows[1]["score"] == ""


def test_folder_without_videos_is_a_row(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    [row] = strict_json(run("score", "--json", "empty").out)
    assert row["status"] == "error"
    assert "no video" in row["message"]


def test_unknown_suffix_given_by_name_is_tried(run: Run, write_clip: WriteClip, tmp_path: Path) -> None:
    write_clip("a.mkv").rename(tmp_path / "a.data")
    assert run("score", "a.data").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--json", "--csv", "a.mkv"),
        ("--workers", "0", "a.mkv"),
        ("--fail-under", "high", "a.mkv"),
        ("--no-such-option", "a.mkv"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("score", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_fail_under(run: Run, write_clip: WriteClip) -> None:
    write_clip("dark.mkv", [20])
    write_clip("bright.mkv", [240])
    assert run("score", "bright.mkv", "--fail-under", "60").code == 0
    assert run("score", "bright.mkv", "dark.mkv", "--fail-under", "60").code == 3
    assert run("score", "dark.mkv", "missing.mkv", "--fail-under", "60").code == 1


@pytest.mark.parametrize("name", ["table.csv", "table.json"])
def test_rerun_continues_a_table(run: Run, write_clip: WriteClip, tmp_path: Path, name: str) -> None:
    write_clip("other.mkv")
    write_clip("a.mkv")
    write_clip("b.mkv", [40, 60])
    [_, before] = strict_json(run("score", "--json", "other.mkv", "a.mkv", "--output", name).out)
    # same size and time, but nothing in it: if it were scored again, it would be an error
    times = (tmp_path / "a.mkv").stat()
    (tmp_path / "a.mkv").write_bytes(bytes(times.st_size))
    os.utime(tmp_path / "a.mkv", ns=(times.st_atime_ns, times.st_mtime_ns))
    done = run("score", "--json", "b.mkv", "a.mkv", "missing.mp4", "--output", name)
    rows = strict_json(done.out)
    assert (done.code, [row["status"] for row in rows]) == (1, ["ok", "ok", "error"])
    assert rows[1] == before
    content = (tmp_path / name).read_text()
    order = [content.index(path) for path in ("other.mkv", "b.mkv", "a.mkv", "missing.mp4")]
    assert order == sorted(order)
    if name.endswith(".json"):
        assert [{key: row[key] for key in KEYS} for row in strict_json(content)][1:] == rows


def test_changed_file_is_scored_again(run: Run, write_clip: WriteClip, tmp_path: Path) -> None:
    write_clip("a.mkv", [20])
    [before] = strict_json(run("score", "--json", "a.mkv", "--output", "t.json").out)
    write_clip("a.mkv", [240, 240])
    [after] = strict_json(run("score", "--json", "a.mkv", "--output", "t.json").out)
    assert after["score"] > before["score"]
    assert len(strict_json((tmp_path / "t.json").read_text())) == 1


def test_foreign_file_is_not_overwritten(run: Run, write_clip: WriteClip, tmp_path: Path) -> None:
    write_clip("a.mkv")
    (tmp_path / "mine.json").write_text('{"my": "work"}')
    done = run("score", "a.mkv", "--output", "mine.json")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert (tmp_path / "mine.json").read_text() == '{"my": "work"}'


@pytest.mark.parametrize(("option", "name"), [("--output", "table.xlsx"), ("--plot", "picture.doc")])
def test_unknown_format_is_refused_before_scoring(run: Run, write_clip: WriteClip, option: str, name: str) -> None:
    write_clip("a.mkv")
    done = run("score", "a.mkv", option, name)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert name in done.err


def test_timeline_goes_beside_the_table_but_never_into_json(run: Run, write_clip: WriteClip) -> None:
    write_clip("a.mkv", [40, 60, 200])
    assert "3 s" in run("score", "a.mkv", "--timeline").out
    done = run("score", "a.mkv", "--timeline", "--json")
    assert len(strict_json(done.out)) == 1
    assert "3 s" in done.err


def test_plot_is_written(run: Run, write_clip: WriteClip, tmp_path: Path) -> None:
    write_clip("a.mkv", [40, 60, 200])
    assert run("score", "a.mkv", "--plot", "p.png").code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_damaged_bundle_is_one_line(run: Run, write_clip: WriteClip, tmp_path: Path) -> None:
    write_clip("a.mkv")
    (tmp_path / "bundle").mkdir()
    done = run("score", "a.mkv", "--student", "bundle")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("w2svqa: ")
    assert "card.json" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file sizes")
@pytest.mark.parametrize("name", ["table.csv", "table.json"])
def test_full_disk_under_the_table_is_one_line(start: Start, write_clip: WriteClip, tmp_path: Path, name: str) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))

    paths = [write_clip(f"{index}.mkv", [index] * 3) for index in range(6)]
    process = start("score", "--json", "--output", name, *paths, preexec_fn=limit)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err.decode().count("\n")) == (1, 1)
    assert name in err.decode()
    printed = strict_json(out.decode())
    assert 1 <= len(printed) < len(paths)
    # what was finished before the disk was full is kept, and the rerun goes on from it
    kept = open_table(tmp_path / name).kept(str(paths[0]), "brightness-1")
    assert kept is not None
    assert kept.value == printed[0]["score"]


def test_form_of_the_score_is_named_in_the_rows(run: Run, write_clip: WriteClip) -> None:
    [row] = json.loads(run("score", "--json", "--form", "released", write_clip("a.mkv", [100])).out)
    assert row["student"] == "brightness-1 (released form)"
    wrong = run("score", "--form", "best", write_clip("b.mkv"))
    assert wrong.code == 2
    assert "anchored" in wrong.err
