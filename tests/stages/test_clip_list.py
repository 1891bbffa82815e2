"""The list of chosen clips: every reader of manifests takes it, whatever the files are called."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from w2svqa.core.errors import UnwritableError
from w2svqa.core.files import sha256_file
from w2svqa.core.rows import PoolClipRow
from w2svqa.stages.clip_list import COLUMNS, path_of, write_clip_list
from w2svqa.stages.ingest import IngestConfig, SourceConfig, ingest
from w2svqa.stages.pool_manifest import PoolManifest, match_lines, named_files, read_pool_manifest
from w2svqa.video.scene import write_scene

NAMES = (
    "plain.mp4",
    'a "quoted", one.mp4',
    "two\nlines.mp4",
    "übung [1] 日本.mp4",
    "-dash.mp4",
    os.fsdecode(b"\xff.mp4"),
)


def clip(path: Path | str, number: int = 0, **facts: str) -> PoolClipRow:
    return PoolClipRow(clip_id=f"{number:016x}", path=str(path), name=Path(path).name, **facts)  # type: ignore[arg-type]  # texts all


def test_every_name_comes_back(tmp_path: Path) -> None:
    clips = {f"{place:016x}": clip(tmp_path / name, place) for place, name in enumerate(NAMES)}
    (tmp_path / "elsewhere").mkdir()
    manifest = PoolManifest(path=str(tmp_path / "elsewhere" / "chosen.csv"))
    write_clip_list(manifest.path, list(clips), clips)
    lines, paths = read_pool_manifest(manifest), [row.path for row in clips.values()]
    assert named_files(lines, manifest) == paths
    assert {path: line.name for path, line in match_lines(lines, paths, manifest).items()} == dict(
        zip(paths, paths, strict=True)
    )


def test_what_is_known_is_in_it_and_an_unknown_source_never_joins_clips(tmp_path: Path) -> None:
    clips = {
        "0": clip("/a.mp4", 0, source="film", license="CC0", category="sea"),
        "1": clip("/b.mp4", 1, parent="feed"),
        "2": clip("/c.mp4", 2),
    }
    write_clip_list(tmp_path / "list.csv", ["0", "2", "1", "gone"], clips, primary=True)
    with (tmp_path / "list.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert tuple(header) == COLUMNS
    assert rows == [
        ["/a.mp4", "film", "CC0", "sea", "1", f"{0:016x}"],
        ["/c.mp4", f"{2:016x}", "", "", "1", f"{2:016x}"],
        ["/b.mp4", "feed", "", "", "1", f"{1:016x}"],
    ]
    assert (path_of(clips, "1"), path_of(clips, "gone")) == ("/b.mp4", "")


def test_a_run_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "a scene.mkv"
    write_scene(path, seed=1, width=64, height=48, seconds=1.0)
    row = clip(path, source="film", license="CC0")
    write_clip_list(tmp_path / "out" / "primaries.csv", [row.clip_id], {row.clip_id: row}, primary=True)
    source = SourceConfig(folder=str(tmp_path / "out"), manifest=str(tmp_path / "out" / "primaries.csv"))
    [found] = ingest(IngestConfig(sources=(source,), license_allow=("CC0",)), tmp_path / "run", seed=0).clips
    assert (found.path, found.source, found.primary) == (str(path), "film", True)
    assert found.clip_id == sha256_file(path)[:16]


def test_without_paths_there_is_no_list_and_no_old_one_either(tmp_path: Path) -> None:
    write_clip_list(tmp_path / "list.csv", ["0"], {"0": clip("/a.mp4")})
    write_clip_list(tmp_path / "list.csv", ["0"], {})
    assert not (tmp_path / "list.csv").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UnwritableError, match=r"list\.csv: cannot be written"):
        write_clip_list(tmp_path / "locked" / "list.csv", ["0"], {"0": clip("/a.mp4")})
