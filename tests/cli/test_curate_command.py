"""``w2svqa curate`` from the outside: what it writes and prints, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from running import Run

from w2svqa.core.metric_table import MetricTable, write_metric_table
from w2svqa.core.store import read_artifact
from w2svqa.stages.mismatch import StrangerRow
from w2svqa.stages.primaries import PrimaryRow
from w2svqa.stages.selection_report import ChosenRow

pytest.importorskip("pyarrow")
pytest.importorskip("scipy")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Folder with the table of a pool, one of its clips and one of a target."""
    values = np.arange(24.0)
    ids = [f"v{place:02d}" for place in range(24)]
    noise, contrast = values, values % 4
    write_metric_table(tmp_path / "pool", MetricTable(ids, ["noise", "contrast"], np.c_[noise, contrast]), config={})
    clips = MetricTable(ids, ["fps"], np.full((24, 1), 25.0), {"source": ["x", "y"] * 12})
    write_metric_table(tmp_path / "clips", clips, config={})
    (tmp_path / "target.csv").write_text("clip_id,noise,contrast\na,3,1\nb,20,2\nc,21,1\n")
    return tmp_path


def test_a_selection_is_written_and_told(run: Run, tables: Path) -> None:
    (tables / "must.txt").write_text("v05 # the one with the cat\n\n")
    words = ["curate", "pool", "--count", "6", "--target", "target.csv", "--output", "out", "--bins", "4"]
    done = run(*words, "--clips", "clips", "--stratify", "source", "--include", "must.txt", "--weight", "contrast=0.5")
    assert done.code == 0, done.err
    head, first, second = done.out.splitlines()
    assert head.split() == ["metric", "weight", "L1", "before", "L1", "after", "lacking"]
    assert (first.split()[:2], second.split()[:2]) == (["noise", "1"], ["contrast", "0.5"])
    assert "x: 3 chosen of 12, wished 50.0%" in done.err
    assert "the linear programme's bound" in done.err
    rows = read_artifact(tables / "out" / "chosen", ChosenRow, kind="chosen").rows
    assert len(rows) == 6
    assert [row.clip_id for row in rows if row.reason == "included"] == ["v05"]


def test_what_cannot_be_filled_is_named(run: Run, tables: Path) -> None:
    done = run("curate", tables / "pool", "--count", "12", "--target", "target.csv", "--output", "out", "--bins", "8")
    assert done.code == 0, done.err
    assert "bins cannot be filled from this pool" in done.err
    assert "lacking" in done.err


def test_a_pool_is_compared_without_a_selection(run: Run, tables: Path) -> None:
    done = run("curate", "pool", "--mismatch", "target.csv", "--output", "out", "--clips", "clips")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["metric", "noise", "contrast"]
    assert "lie outside the other table's experience" in done.err
    assert read_artifact(tables / "out" / "outside", StrangerRow).rows
    assert not (tables / "out" / "chosen").exists()


def test_the_output_of_measuring_will_do_for_the_table_inside_it(run: Run, tables: Path) -> None:
    (tables / "measured").mkdir()
    (tables / "pool").rename(tables / "measured" / "metrics")
    done = run("curate", "measured", "--count", "6", "--target", "uniform", "--output", "out", "--bins", "3")
    assert done.code == 0, done.err
    assert "6 of 24 videos are in" in done.err


def test_primaries_are_picked(run: Run, tables: Path) -> None:
    done = run("curate", "pool", "--primaries", "--count", "3", "--output", "out")
    assert done.code == 0, done.err
    assert "the table lacks blockiness, blur, bits_per_pixel" in done.err
    rows = read_artifact(tables / "out" / "primaries", PrimaryRow).rows
    assert len(rows) == 3
    assert all("of the pool lower" in row.reason for row in rows)


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--count", "6"], 2, "what is wished?"),
        ([], 2, "how many videos are to be chosen?"),
        (["--count", "6", "--target", "uniform", "--weight", "noise"], 2, "write METRIC=NUMBER"),
        (["--count", "60", "--target", "uniform"], 1, "60 videos are to be chosen of 24"),
        (["--count", "6", "--target", "gone.csv"], 1, "gone.csv: no readable table"),
        (["--count", "6", "--target", "gone"], 1, "gone: no complete artifact"),
        (["--count", "6", "--target", "uniform", "--include", "gone.txt"], 1, "gone.txt: cannot be read"),
    ],
)
def test_what_is_wrong_is_said(run: Run, tables: Path, words: list[str], code: int, problem: str) -> None:
    done = run("curate", "pool", "--output", "out", *words)
    assert done.code == code
    assert problem in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tables / "out").exists()
