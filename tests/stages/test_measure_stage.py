"""Measuring a pool: every clip once, whatever happens."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import ConfigError, StoreError
from w2svqa.core.executor import SerialExecutor
from w2svqa.core.files import hold, sha256_file
from w2svqa.core.metric_table import read_metric_table
from w2svqa.core.rows import PoolClipRow, VideoRow
from w2svqa.core.store import read_artifact, read_manifest
from w2svqa.metrics import NAMES, Metric, measure
from w2svqa.stages import measure_clip
from w2svqa.stages.measure import (
    METRICS,
    PROBLEMS,
    MeasureConfig,
    MeasuredPool,
    MetricProblemRow,
    measure_pool,
)
from w2svqa.video.encode import write_lossless

THREE = MeasureConfig(metrics=("contrast", "luminance", "ti"))


def clip(folder: Path, name: str, level: int, *, frames: int = 4) -> VideoRow:
    path = folder / name
    write_lossless(path, [np.full((24, 32, 3), level + index, np.uint8) for index in range(frames)], fps=4)
    digest = sha256_file(path)
    return VideoRow(clip_id=digest[:16], path=str(path), name=name, sha256=digest, source="made", license="CC0-1.0")


def run(clips: list[VideoRow], output: Path, config: MeasureConfig = THREE) -> MeasuredPool:
    return measure_pool(clips, output, config, executor=SerialExecutor(retries=0))


def test_the_table_holds_what_measuring_says(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"{level}.mkv", level) for level in (10, 200, 90)]
    told: list[tuple[int, int, str]] = []
    pool = measure_pool(clips, tmp_path / "out", executor=SerialExecutor(), progress=lambda *facts: told.append(facts))
    assert told == [(1, 3, "10.mkv"), (2, 3, "200.mkv"), (3, 3, "90.mkv")]
    table = read_metric_table(tmp_path / "out" / METRICS)
    assert table.ids.tolist() == [each.clip_id for each in clips]
    assert table.names == NAMES
    for row, each in zip(table.values, clips, strict=True):
        expected = [np.nan if value is None else value for value in measure(each.path).values.values()]
        assert np.array_equal(row, expected, equal_nan=True)
    assert np.array_equal(table.values, pool.table.values, equal_nan=True)
    assert table.label("source").tolist() == ["made"] * 3
    facts = read_manifest(tmp_path / "out" / METRICS).extra["metrics"]
    assert facts["si"]["pooling"] == "max"  # type: ignore[index]  # a mapping, by the docstring


def test_processes_measure_alike(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"{level}.mkv", level) for level in (10, 200, 90)]
    pool = measure_pool(clips, tmp_path / "two", replace(THREE, workers=2))
    assert np.array_equal(pool.table.values, run(clips, tmp_path / "one").table.values)
    assert pool.table.ids.tolist() == [each.clip_id for each in clips]


def test_nothing_is_measured_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [clip(tmp_path, f"{level}.mkv", level) for level in (10, 200)]
    first = run(clips, tmp_path / "out")
    assert first.computed == 2
    monkeypatch.setattr(measure_clip, "measure", None)
    again = run(clips, tmp_path / "out")
    assert again.computed == 0
    assert np.array_equal(again.table.values, first.table.values)
    fewer = run(clips[:1], tmp_path / "out", MeasureConfig(metrics=("luminance",)))
    assert (fewer.computed, fewer.table.values.tolist()) == (0, [[first.table.column("luminance")[0]]])


def test_more_clips_and_metrics_add_work_and_repeat_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [clip(tmp_path, f"{level}.mkv", level) for level in (10, 200)]
    run(clips[:1], tmp_path / "out", MeasureConfig(metrics=("luminance",)))
    asked: list[tuple[str, ...]] = []

    def spying(path: str, names: tuple[str, ...], *, threads: int) -> object:
        asked.append(names)
        return measure(path, names, threads=threads)

    monkeypatch.setattr(measure_clip, "measure", spying)
    pool = run(clips, tmp_path / "out", MeasureConfig(metrics=("luminance", "ti")))
    assert asked == [("ti",), ("luminance", "ti")]
    assert not np.isnan(pool.table.values).any()


def test_a_metric_of_another_version_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from w2svqa.metrics import luminance

    one = clip(tmp_path, "one.mkv", 10)
    config = MeasureConfig(metrics=("luminance",))
    run([one], tmp_path / "out", config)
    newer = Metric(
        name="luminance", unit="", range=(0.0, 1.0), meaning="", version="2", value=lambda moment: len(moment.luma) / 48
    )
    monkeypatch.setattr(luminance, "METRIC", newer)
    pool = run([one], tmp_path / "out", config)
    assert (pool.computed, pool.table.values.tolist()) == (1, [[0.5]])


def test_failures_are_rows_of_their_own_and_kept(tmp_path: Path) -> None:
    good = clip(tmp_path, "good.mkv", 10)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video at all" * 99)
    digest = sha256_file(broken)
    bad = VideoRow(clip_id=digest[:16], path=str(broken), name="broken.mkv", sha256=digest)
    unread = VideoRow(clip_id="0" * 16, path="nowhere.mkv", name="nowhere.mkv", sha256="")
    pool = run([bad, good, unread], tmp_path / "out")
    assert pool.table.ids.tolist() == [good.clip_id]
    rows = read_artifact(tmp_path / "out" / PROBLEMS, MetricProblemRow).rows
    assert [(row.clip_id, row.measured) for row in rows] == [(bad.clip_id, False), (unread.clip_id, False)]
    assert str(tmp_path) not in rows[0].message
    assert rows[1].message == "the file could not be read"
    assert run([bad, good], tmp_path / "out").computed == 0
    assert run([bad, good], tmp_path / "out", replace(THREE, retry_failed=True)).computed == 1


def test_a_file_that_changed_or_went_is_tried_again(tmp_path: Path) -> None:
    one, other = clip(tmp_path, "one.mkv", 10), clip(tmp_path, "other.mkv", 90)
    content = Path(one.path).read_bytes()
    Path(one.path).write_bytes(Path(other.path).read_bytes())
    Path(other.path).rename(tmp_path / "elsewhere.mkv")
    pool = run([one, other], tmp_path / "out")
    assert len(pool.table) == 0
    assert ["changed" in row.message or "cannot be read" in row.message for row in pool.problems] == [True, True]
    Path(one.path).write_bytes(content)
    assert run([one, other], tmp_path / "out").table.ids.tolist() == [one.clip_id]


def test_a_file_that_changes_while_it_is_measured_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, content = clip(tmp_path, "one.mkv", 10), (tmp_path / "one.mkv").read_bytes()

    def changing(path: str, names: tuple[str, ...], *, threads: int) -> object:
        found = measure(path, names, threads=threads)
        Path(path).write_bytes(content + b"more")
        return found

    monkeypatch.setattr(measure_clip, "measure", changing)
    pool = run([one], tmp_path / "out")
    assert len(pool.table) == 0
    assert "was changed while it was measured" in pool.problems[0].message
    monkeypatch.setattr(measure_clip, "measure", measure)
    Path(one.path).write_bytes(content)
    assert run([one], tmp_path / "out").table.ids.tolist() == [one.clip_id]


def test_a_full_disk_ends_it_and_the_next_call_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    clips = [clip(tmp_path, f"{level}.mkv", level) for level in (10, 200)]
    run(clips[:1], tmp_path / "out")
    monkeypatch.setattr("w2svqa.core.journal.os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        run(clips, tmp_path / "out")
    monkeypatch.undo()
    assert run(clips, tmp_path / "out").table.ids.tolist() == [each.clip_id for each in clips]


def test_what_lacks_a_metric_has_a_row_and_a_reason(tmp_path: Path) -> None:
    still = clip(tmp_path, "still.mkv", 10, frames=1)
    pool = run([still], tmp_path / "out")
    assert np.isnan(pool.table.column("ti")).all()
    assert not np.isnan(pool.table.column("contrast")).any()
    [row] = pool.problems
    assert row.measured
    assert row.message == "ti: it needs 2 consecutive frames"


def test_clips_of_one_content_and_rows_of_ingest(tmp_path: Path) -> None:
    one = clip(tmp_path, "one.mkv", 10)
    row = PoolClipRow(clip_id=one.clip_id, path=one.path, name=one.name, sha256=one.sha256)
    pool = measure_pool([row, row], tmp_path / "out", THREE, executor=SerialExecutor())
    assert pool.table.ids.tolist() == [one.clip_id]


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no clip"):
        run([], tmp_path / "out")
    with pytest.raises(ConfigError, match="0 workers"):
        MeasureConfig(workers=0)
    with pytest.raises(ConfigError, match="unknown metric"):
        MeasureConfig(metrics=("sharpness",))
    with pytest.raises(ConfigError, match="time-out"):
        MeasureConfig(time_out=0)
    with hold(tmp_path / "out"), pytest.raises(StoreError):
        run([clip(tmp_path, "one.mkv", 10)], tmp_path / "out")
