"""From folders to labels by commands alone: ingest, curate, and what takes the lists that curate writes."""

from __future__ import annotations

import csv
import os
import shutil
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from running import Run, Start

from w2svqa.core.executor import SerialExecutor
from w2svqa.core.metric_table import read_metric_table
from w2svqa.core.rows import PoolClipRow, VideoRow
from w2svqa.core.store import read_artifact
from w2svqa.metrics import NAMES
from w2svqa.stages.ingest_pool import IngestPoolConfig, ingest_pool
from w2svqa.stages.measure import MetricProblemRow, measure_pool
from w2svqa.stages.mismatch import MismatchRow
from w2svqa.stages.pool_manifest import PoolManifest
from w2svqa.stages.selection_report import ChosenRow
from w2svqa.video.encode import write_video
from w2svqa.video.scene import scene_frames

pytest.importorskip("pyarrow")
pytest.importorskip("scipy")

ODD = ('it\'s "one", two.mp4', "two\nlines.mp4", "übung [1] 日本.mp4", "-dash.mp4", os.fsdecode(b"\xff.mp4"))

SIZE = f"command:{sys.executable} -c 'import os, sys; print(os.path.getsize(sys.argv[1]))' {{path}}"
"""A teacher that takes no time."""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of six clips with a manifest."""
    folder = tmp_path_factory.mktemp("media")
    lines = ["clip,source,license,category"]
    for seed in range(6):
        frames = scene_frames(seed=seed, width=96, height=64, frames=8)
        options = {"preset": "ultrafast", "threads": "1", "crf": str(12 + 5 * seed)}
        write_video(folder / f"{seed}.mp4", frames, fps=4, options=options)
        lines.append(f"{seed}.mp4,{'xy'[seed % 2]},CC0,{'sea' if seed < 3 else 'street'}")
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def ingested(media: Path) -> Path:
    """Folder that ingest wrote."""
    config = IngestPoolConfig(manifest=PoolManifest(path=str(media / "m.csv")), near_duplicates=False)
    ingest_pool([str(media)], media / "pool", config, executor=SerialExecutor())
    return media / "pool"


@pytest.fixture(scope="module")
def measured(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that ingest wrote, and two of its clips in another; all measured."""
    folder = tmp_path_factory.mktemp("measured")
    shutil.copytree(ingested, folder / "pool")
    ends = [str(ingested.parent / f"{number}.mp4") for number in (0, 5)]
    ingest_pool(ends, folder / "other", IngestPoolConfig(near_duplicates=False), executor=SerialExecutor())
    for each in (folder / "pool", folder / "other"):
        measure_pool(read_artifact(each / "clips", PoolClipRow).rows, each, executor=SerialExecutor())
    return folder


@pytest.fixture
def pool(ingested: Path, tmp_path: Path) -> Path:
    shutil.copytree(ingested, tmp_path / "pool")
    return tmp_path / "pool"


@pytest.fixture
def pools(measured: Path, tmp_path: Path) -> Path:
    """Folder of two measured pools."""
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    return tmp_path


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_from_a_folder_to_labels(run: Run, pool: Path, tmp_path: Path) -> None:
    words = ["curate", "pool", "--count", "3", "--target", "uniform", "--bins", "2", "--seconds", "1"]
    done = run(*words, "--stratify", "category", "--output", "out")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["metric", *NAMES]
    assert "6 clips are measured; this run looked at 6" in done.err
    assert "sea: " in done.err
    assert "3 of 6 videos are in out/chosen and out/chosen.csv" in done.err
    assert "<svg" in (tmp_path / "out" / "curation.html").read_text(encoding="utf-8")
    assert len(read_metric_table(pool / "metrics")) == 6
    rows = read_artifact(tmp_path / "out" / "chosen", ChosenRow, kind="chosen").rows
    lines = listed(tmp_path / "out" / "chosen.csv")
    assert [line["clip_id"] for line in lines] == [row.clip_id for row in rows]
    assert [row.path for row in rows] == [line["clip"] for line in lines]

    done = run("label", "--manifest", "out/chosen.csv", "--teachers", SIZE, "--output", "labels")
    videos = read_artifact(tmp_path / "labels" / "videos", VideoRow).rows
    assert done.code == 0, done.err
    assert [(video.path, video.source, video.license) for video in videos] == [
        (line["clip"], line["source"], line["license"]) for line in lines
    ]
    done = run("ingest", "--manifest", "out/chosen.csv", "--license-allow", "CC0", "--output", "again")
    assert done.code == 0, done.err
    clips = read_artifact(tmp_path / "again" / "clips", PoolClipRow).rows
    assert [(clip.clip_id, clip.category) for clip in clips] == [(line["clip_id"], line["category"]) for line in lines]


def test_pools_are_compared_and_primaries_picked(run: Run, pools: Path) -> None:
    done = run("curate", "pool", "--mismatch", "other", "--output", "out")
    assert done.code == 0, done.err
    compared = {row.metric for row in read_artifact(pools / "out" / "mismatch", MismatchRow).rows}
    assert compared == {*NAMES, "width", "height", "fps", "duration", "bit_rate", "bits_per_pixel"}
    assert "1.mp4: " in done.err  # a stranger, with the reason
    words = ["curate", "pool", "--primaries", "--count", "2", "--output", "out"]
    done = run(*words, "--worst-rank", "0.01")
    assert done.code == 1
    assert "2 primaries are to be picked" in done.err
    done = run(*words, "--worst-rank", "1")
    assert done.code == 0, done.err
    assert "bits_per_pixel" in done.out
    lines = listed(pools / "out" / "primaries.csv")
    assert [line["primary"] for line in lines] == ["1", "1"]
    assert "6 clips are measured; this run looked at 0" in done.err


def test_another_pool_is_a_target(run: Run, pools: Path) -> None:
    words = ["curate", "pool", "--count", "2", "--target", "other", "--bins", "3", "--seconds", "1", "--output", "pool"]
    done = run(*words, "--no-page")
    assert done.code == 0, done.err
    assert not (pools / "pool" / "curation.html").exists()
    assert {Path(line["clip"]).name for line in listed(pools / "pool" / "chosen.csv")} == {"0.mp4", "5.mp4"}


def test_bad_files_among_good_ones_are_rows_and_the_rest_goes_on(run: Run, media: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pool of all sorts"
    folder.mkdir()
    for seed, name in enumerate(ODD):
        shutil.copy(media / f"{seed}.mp4", folder / name)
    (folder / "loop").symlink_to(folder)
    (folder / "round.mp4").symlink_to(folder / "round.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video")
    (folder / "cut.mp4").write_bytes((media / "5.mp4").read_bytes()[:1500])
    (folder / "folder.mp4").mkdir()
    with av.open(str(folder / "none.mkv"), "w") as container:  # a video stream without a frame
        stream = container.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()
    write_video(folder / "still.mkv", [np.full((64, 96, 3), 90, np.uint8)], fps=4, options={})
    done = run("ingest", folder, "gone.mp4", "--no-near-duplicates", "--output", "in")
    assert done.code == 0, done.err
    rows = read_artifact(tmp_path / "in" / "files", PoolClipRow).rows
    good = {row.path for row in rows if row.status == "ok"}
    assert {Path(path).name for path in good} == {*ODD, "still.mkv"}
    assert {Path(row.path).name for row in rows if row.status == "unreadable"} == {
        "round.mp4",
        "empty.mp4",
        "text.mp4",
        "cut.mp4",
        "none.mkv",
        "gone.mp4",
    }
    words = ["curate", "in", "--count", "5", "--target", "uniform", "--bins", "2", "--seconds", "1", "--output", "out"]
    done = run(*words)
    assert done.code == 0, done.err
    assert "1 videos were left out: no flickering" in done.err
    [problem] = read_artifact(tmp_path / "in" / "problems", MetricProblemRow).rows
    assert problem.measured
    assert {Path(line["clip"]).name for line in listed(tmp_path / "out" / "chosen.csv")} == set(ODD)
    done = run("label", "--manifest", "out/chosen.csv", "--teachers", SIZE, "--output", "labels")
    assert done.code == 0, done.err


def test_killed_while_measuring_it_goes_on(run: Run, start: Start, pool: Path) -> None:
    journal = pool / "measured.jsonl"
    words = ("curate", "pool", "--measure-only")
    with start(*words) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 1):
            time.sleep(0.01)
        process.kill()
        process.communicate()
    kept = journal.read_bytes().count(b"\n") - 1  # the first line is its head
    done = run(*words)
    assert done.code == 0, done.err
    assert f"6 clips are measured; this run looked at {6 - kept}" in done.err
    assert not (pool / "chosen").exists()


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--measure-only", "--count", "2"], 2, "nothing is chosen or compared"),
        (["--count", "2", "--target", "uniform"], 2, "where to?"),
        (["--measure-only", "--metric", "sharpness"], 1, "unknown metric"),
        (["--count", "7", "--target", "uniform", "--output", "out"], 1, "7 videos are to be chosen of 6"),
        (["--count", "2", "--target", "short.csv", "--output", "out"], 1, "the target has no metric blur"),
    ],
)
def test_what_is_wrong_is_said(run: Run, pools: Path, words: list[str], code: int, problem: str) -> None:
    names = [name for name in NAMES if name != "blur"]
    (pools / "short.csv").write_text(f"clip_id,{','.join(names)}\na{',1' * 8}\nb{',2' * 8}\n")
    done = run("curate", "pool", *words)
    assert (done.code, problem in " ".join(done.err.split())) == (code, True), done.err
    assert "Traceback" not in done.err
    assert not (pools / "out").exists()


def test_only_an_ingested_folder_can_be_measured(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("curate", "empty", "--measure-only")
    assert done.code == 2
    assert "is no folder that ingest wrote" in " ".join(done.err.split())
