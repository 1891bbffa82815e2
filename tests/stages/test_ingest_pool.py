"""Ingest of a pool: what becomes a clip and what does not, and that nothing is read twice."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from w2svqa.core.errors import ConfigError, UnwritableError
from w2svqa.core.executor import SerialExecutor
from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import read_artifact
from w2svqa.stages import check_files, ingest_files, split
from w2svqa.stages.ingest_pool import IngestedPool, IngestPoolConfig, ingest_pool
from w2svqa.stages.pool_manifest import PoolManifest
from w2svqa.video.check import Checked, CheckMode, check_video
from w2svqa.video.encode import transcode, write_video
from w2svqa.video.scene import scene_frames

OPTIONS = {"preset": "ultrafast", "threads": "1"}
PLAIN = IngestPoolConfig(near_duplicates=False)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that tests copy: three scenes, one of them also smaller, and sound alone."""
    folder = tmp_path_factory.mktemp("media")
    for seed in (1, 2, 3):
        frames = scene_frames(seed=seed, width=96, height=64, frames=20)
        write_video(folder / f"{seed}.mp4", frames, fps=10, options=OPTIONS)
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return folder


@pytest.fixture
def pool(tmp_path: Path, media: Path) -> Path:
    folder = tmp_path / "pool"
    folder.mkdir()
    shutil.copy(media / "1.mp4", folder / "a.mp4")
    shutil.copy(media / "2.mp4", folder / "b.mp4")
    return folder


def ingested(place: Path, config: IngestPoolConfig = PLAIN, *, output: Path | None = None) -> IngestedPool:
    return ingest_pool([str(place)], output or place.parent / "out", config, executor=SerialExecutor())


def counted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[Any]:
    """Return a list that gets the argument of each call of a function."""
    calls: list[Any] = []
    original = getattr(module, name)

    def counting(item: object) -> object:
        calls.append(item)
        return original(item)

    monkeypatch.setattr(module, name, counting)
    return calls


def states(found: IngestedPool) -> dict[str, str]:
    return {Path(row.path).name: row.status for row in found.rows}


def messages(found: IngestedPool) -> dict[str, str]:
    return {Path(row.path).name: row.message or "" for row in found.rows}


def test_bad_files_are_rows_with_reasons_among_good_ones(pool: Path, media: Path) -> None:
    (pool / "empty.mp4").touch()
    (pool / "empty-too.mp4").touch()
    (pool / "text.mp4").write_text("no video at all")
    (pool / "cut.mp4").write_bytes((pool / "a.mp4").read_bytes()[:800])
    (pool / "list.mp4").write_text("#EXTM3U\n#EXTINF:10,\nhttp://example.org/a.ts\n")
    (pool / "x.mp4").mkdir()
    shutil.copy(media / "3.mp4", pool / "x.mp4" / "inside.mp4")
    (pool / "nothing.mp4").symlink_to("nowhere")
    shutil.copy(media / "sound.mp4", pool)
    (pool / "notes.txt").write_text("not offered")
    found = ingest_pool([str(pool), str(pool / "gone.mp4")], pool.parent / "out", PLAIN, executor=SerialExecutor())
    said = messages(found)
    assert {name for name, status in states(found).items() if status == "ok"} == {"a.mp4", "b.mp4", "inside.mp4"}
    assert Counter(states(found).values()) == {"ok": 3, "unreadable": 8}
    expected = {
        "empty.mp4": "empty (0 bytes)",
        "empty-too.mp4": "empty (0 bytes)",
        "text.mp4": "no video or image format",
        "list.mp4": "HLS playlist",
        "nothing.mp4": "link points to nothing",
        "sound.mp4": "only audio",
        "gone.mp4": "no such file",
    }
    assert {name: words for name, words in expected.items() if words not in said[name]} == {}
    assert said["cut.mp4"]
    files = read_artifact(pool.parent / "out" / "files", PoolClipRow, kind="pool-files").rows
    assert tuple(files) == found.rows
    clips = read_artifact(pool.parent / "out" / "clips", PoolClipRow, kind="pool-clips").rows
    assert tuple(clips) == found.clips
    clip = clips[0]
    assert (clip.width, clip.height, clip.fps, clip.duration, clip.codec) == (96, 64, 10.0, 2.0, "h264")
    assert (clip.pixel_format, clip.rotation, clip.is_still, clip.clip_id) == ("yuv420p", 0, False, clip.sha256[:16])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_that_may_not_be_read_is_a_row(pool: Path) -> None:
    (pool / "a.mp4").chmod(0)
    found = ingested(pool)
    assert states(found) == {"a.mp4": "unreadable", "b.mp4": "ok"}
    assert "Permission denied" in messages(found)["a.mp4"]


def test_a_damaged_file_is_left_out(pool: Path) -> None:
    whole = pool / "whole.mkv"
    write_video(whole, scene_frames(seed=4, width=96, height=64, frames=40), fps=10, options=OPTIONS)
    (pool / "half.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = ingested(pool)
    assert states(found)["half.mkv"] == "damaged"
    assert "ended early" in messages(found)["half.mkv"]


def test_two_paths_to_one_file_are_one_clip_and_one_reading(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pool / "c.mp4").symlink_to(pool / "a.mp4")
    os.link(pool / "a.mp4", pool / "d.mp4")
    shutil.copy(pool / "a.mp4", pool / "e.mp4")
    read = counted(monkeypatch, ingest_files, "_hashed")
    found = ingested(pool)
    assert states(found) == {
        "a.mp4": "ok",
        "b.mp4": "ok",
        "c.mp4": "duplicate",
        "d.mp4": "duplicate",
        "e.mp4": "duplicate",
    }
    assert {row.duplicate_of for row in found.rows} == {None, str(pool / "a.mp4")}
    assert sorted(Path(item.path).name for item in read) == ["a.mp4", "b.mp4", "e.mp4"]


def test_a_second_run_reads_nothing_and_a_change_is_seen(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pool / "text.mp4").write_text("no video")
    first = ingested(pool)
    table = pool.parent / "out" / "files" / "table.parquet"
    written = table.stat().st_mtime_ns
    read, checked = counted(monkeypatch, ingest_files, "_hashed"), counted(monkeypatch, check_files, "check_file")
    again = ingested(pool)
    assert (again.rows, read, checked, table.stat().st_mtime_ns) == (first.rows, [], [], written)
    shutil.copy(pool / "a.mp4", pool / "text.mp4")
    assert states(ingested(pool))["text.mp4"] == "duplicate"
    assert (len(read), checked) == (1, [])  # its content was checked before


def test_a_file_that_changes_while_it_is_read_is_tried_again(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = check_video

    def touching(path: str, mode: CheckMode, *, threads: int | None) -> Checked:
        checked = original(path, mode, threads=threads)
        if path.endswith("a.mp4"):
            with Path(path).open("ab") as file:
                file.write(b"more")
        return checked

    monkeypatch.setattr(check_files, "check_video", touching)
    found = ingested(pool)
    assert states(found) == {"a.mp4": "unreadable", "b.mp4": "ok"}
    assert "was changed in the meantime" in messages(found)["a.mp4"]
    monkeypatch.setattr(check_files, "check_video", original)
    assert states(ingested(pool)) == {"a.mp4": "ok", "b.mp4": "ok"}


def test_licences_and_sources_come_from_the_manifest(pool: Path, media: Path) -> None:
    shutil.copy(media / "3.mp4", pool / "c.mp4")
    shutil.copy(pool / "a.mp4", pool / "0.mp4")  # the same, but nobody says what its licence is
    manifest = pool / "m.csv"
    manifest.write_text("clip,source,license\na.mp4,here,CC0\nb.mp4,there,own\ngone.mp4,here,CC0\n")
    config = IngestPoolConfig(manifest=PoolManifest(path=str(manifest)), near_duplicates=False)
    found = ingested(pool, config)
    rows = {row.name: row for row in found.rows}
    assert {name: row.status for name, row in rows.items()} == {
        "0.mp4": "duplicate",
        "a.mp4": "ok",
        "b.mp4": "ok",
        "c.mp4": "ok",
    }
    assert (rows["a.mp4"].source, rows["a.mp4"].license) == ("here", "CC0")
    assert (found.unused, found.unlisted) == (("gone.mp4",), 2)
    allowed = IngestPoolConfig(manifest=config.manifest, license_allow=("CC0", "MIT"), near_duplicates=False)
    found = ingested(pool, allowed)
    assert {row.name: row.status for row in found.rows} == dict.fromkeys(("0.mp4", "b.mp4", "c.mp4"), "license") | {
        "a.mp4": "ok"
    }
    assert set(messages(found).values()) == {"", "its licence is own", "its licence is not stated"}


def test_a_manifest_alone_is_the_list(pool: Path) -> None:
    manifest = pool / "m.csv"
    manifest.write_text("clip,license\na.mp4,CC0\ngone.mp4,CC0\n")
    config = IngestPoolConfig(manifest=PoolManifest(path=str(manifest)), near_duplicates=False)
    found = ingest_pool([], pool.parent / "out", config, executor=SerialExecutor())
    assert states(found) == {"a.mp4": "ok", "gone.mp4": "unreadable"}


def test_of_near_duplicates_the_largest_is_kept(pool: Path) -> None:
    pytest.importorskip("imagehash")
    large = pool / "z.mp4"
    write_video(large, scene_frames(seed=9, width=192, height=128, frames=40), fps=10, options=OPTIONS)
    transcode(large, pool / "coarse.mkv", codec="libx264", options=OPTIONS | {"crf": "38"})
    found = ingested(pool, IngestPoolConfig())
    assert states(found) == {"a.mp4": "ok", "b.mp4": "ok", "coarse.mkv": "near duplicate", "z.mp4": "ok"}
    [copy] = [row for row in found.rows if row.status == "near duplicate"]
    [kept] = [row for row in found.rows if row.path == str(large)]
    assert copy.near_duplicate_of == kept.clip_id
    assert "shows the same as" in (copy.message or "")


def test_a_video_of_two_shots_is_split(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = (frame for seed in (5, 6) for frame in scene_frames(seed=seed, width=96, height=64, frames=30))
    # 2 shots of 3 s with a key frame a second
    write_video(pool / "long.mp4", frames, fps=10, options=OPTIONS | {"g": "10"})
    config = IngestPoolConfig(split=(2.0, 4.0), near_duplicates=False)
    found = ingested(pool, config)
    assert states(found) | {"long.mp4": "split"} == states(found)
    parts = [row for row in found.rows if row.parent is not None]
    assert [(row.start, row.duration, row.status) for row in parts] == [(0.0, 3.0, "ok"), (3.0, 3.0, "ok")]
    assert [row.status for row in found.rows if row.name in ("a.mp4", "b.mp4")] == ["ok", "ok"]  # 2 s as they are
    assert all(Path(row.path).stat().st_size == row.size and row.clip_id == row.sha256[:16] for row in parts)
    monkeypatch.setattr(split, "find_cuts", None)  # not called again
    assert ingested(pool, config).rows == found.rows
    strict = IngestPoolConfig(split=(3.5, 5.0), near_duplicates=False)
    monkeypatch.undo()
    again = states(ingested(pool, strict))
    assert again["long.mp4"] == "unsplit"


def test_a_full_disk_ends_it_and_what_was_found_stays(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise UnwritableError("cannot be written: No space left on device", path="x", remedy="free some space")

    write_video(
        pool / "c.mp4", scene_frames(seed=7, width=96, height=64, frames=60), fps=10, options=OPTIONS | {"g": "10"}
    )
    monkeypatch.setattr(split, "copy_segments", full)
    config = IngestPoolConfig(split=(2.0, 4.0), near_duplicates=False)
    with pytest.raises(UnwritableError, match="No space left"):
        ingested(pool, config)
    monkeypatch.undo()
    monkeypatch.setattr(check_files, "check_video", None)  # its results were kept
    assert states(ingested(pool, config))["c.mp4"] == "split"


def test_a_full_disk_while_the_journal_is_written(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ingested(pool)
    shutil.copy(pool / "a.mp4", pool / "new.mp4")
    monkeypatch.setattr("w2svqa.core.journal.os.fsync", full)
    with pytest.raises(Exception, match="No space left on device"):
        ingested(pool)
    monkeypatch.undo()
    assert states(ingested(pool))["new.mp4"] == "duplicate"


def test_objects_are_ingested_like_files(tmp_path: Path, media: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pipe("/pool/deep/1.mp4", (media / "1.mp4").read_bytes())
    store.pipe("/pool/text.mp4", b"no video")
    manifest = tmp_path / "m.csv"
    manifest.write_text("clip,source,license\ndeep/1.mp4,store,CC0\n")
    config = IngestPoolConfig(manifest=PoolManifest(path=str(manifest)), near_duplicates=False)
    places = ["memory://pool", "memory://nowhere"]
    found = ingest_pool(places, tmp_path / "out", config, executor=SerialExecutor())
    good, text, nowhere = found.rows
    assert (good.status, good.url, good.source) == ("ok", "memory:///pool/deep/1.mp4", "store")
    assert Path(good.path).read_bytes() == (media / "1.mp4").read_bytes()
    assert (text.status, nowhere.status, nowhere.path) == ("unreadable", "unreadable", "memory://nowhere")
    store.store.clear()


def test_the_output_may_lie_in_the_pool(pool: Path) -> None:
    write_video(
        pool / "c.mp4", scene_frames(seed=7, width=96, height=64, frames=60), fps=10, options=OPTIONS | {"g": "10"}
    )
    config = IngestPoolConfig(split=(2.0, 4.0), near_duplicates=False)
    first = ingested(pool, config, output=pool / "out")
    assert len(first.rows) > 4
    assert ingested(pool, config, output=pool / "out").rows == first.rows


@pytest.mark.parametrize(
    "wrong",
    [{"split": (10.0, 5.0)}, {"workers": 0}, {"check": "none"}, {"license_allow": ("CC0",)}, {"time_out": -1.0}],
)
def test_contradictions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        IngestPoolConfig(**wrong)


def test_nothing_offered_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is offered"):
        ingest_pool([], tmp_path / "out", PLAIN, executor=SerialExecutor())
