"""Ingest takes what it may use, says why it leaves out the rest, and splits by source."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.errors import ConfigError
from w2svqa.stages.ingest import IngestConfig, Ingested, SourceConfig, ingest, split_of
from w2svqa.video.scene import write_scene

COLUMNS = ("clip", "source", "license", "primary")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("scenes")
    paths = [folder / f"{number}.mkv" for number in range(3)]
    for number, path in enumerate(paths):
        write_scene(path, seed=number, width=48, height=32, seconds=1, fps=5)
    return paths


def write_manifest(folder: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS) -> SourceConfig:
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return SourceConfig(folder=str(folder), manifest=str(manifest))


def row(clip: str, *, source: str = "s", license_: str = "CC0", primary: str = "1") -> dict[str, str]:
    return {"clip": clip, "source": source, "license": license_, "primary": primary}


def collect(source: SourceConfig, folder: Path, *, allow: tuple[str, ...] = ("CC0",)) -> Ingested:
    return ingest(IngestConfig(sources=(source,), license_allow=allow), folder / "out", seed=0)


@pytest.fixture
def pool(tmp_path: Path, scenes: list[Path]) -> Path:
    for path in scenes:
        shutil.copy(path, tmp_path)
    return tmp_path


def test_a_clip_is_described_as_manifest_and_file_say(pool: Path) -> None:
    found = collect(write_manifest(pool, [row("0.mkv", source="studio"), row("1.mkv", primary="0")]), pool)
    first, second = found.clips
    assert found.refused == ()
    assert first.clip_id == sha256((pool / "0.mkv").read_bytes()).hexdigest()[:16]
    assert (first.name, first.source, first.license, first.primary) == ("0.mkv", "studio", "CC0", True)
    assert (first.path, first.width, first.height, first.fps) == (str(pool / "0.mkv"), 48, 32, 5)
    assert not first.is_still
    assert not second.primary


def test_other_licences_are_left_out_without_being_opened(pool: Path) -> None:
    rows = [row("0.mkv"), row("1.mkv", license_="unknown"), row("nowhere.mkv", license_="CC-BY-NC"), row("2.mkv")]
    found = collect(write_manifest(pool, rows), pool)
    assert [clip.name for clip in found.clips] == ["0.mkv", "2.mkv"]
    assert found.refused == ()


def test_files_without_a_line_are_left_out(pool: Path) -> None:
    assert [clip.name for clip in collect(write_manifest(pool, [row("1.mkv")]), pool).clips] == ["1.mkv"]


def test_a_missing_or_broken_file_is_refused_with_its_reason_and_the_rest_goes_on(pool: Path) -> None:
    (pool / "broken.mkv").write_bytes(b"no video at all")
    (pool / "empty.mkv").write_bytes(b"")
    names = ["broken.mkv", "0.mkv", "missing.mkv", "empty.mkv", "1.mkv"]
    found = collect(write_manifest(pool, [row(name) for name in names]), pool)
    assert [clip.name for clip in found.clips] == ["0.mkv", "1.mkv"]
    assert [path for path, _ in found.refused] == [
        str(pool / name) for name in ("broken.mkv", "missing.mkv", "empty.mkv")
    ]
    assert all(reason and str(pool) not in reason for _, reason in found.refused)


def test_the_same_content_counts_once_under_its_first_name(pool: Path) -> None:
    shutil.copy(pool / "0.mkv", pool / "copy.mkv")
    found = collect(write_manifest(pool, [row("0.mkv"), row("1.mkv"), row("copy.mkv")]), pool)
    assert [clip.name for clip in found.clips] == ["0.mkv", "1.mkv"]
    assert found.refused == ((str(pool / "copy.mkv"), f"the same file as {pool / '0.mkv'}"),)


def test_a_line_that_is_there_twice_counts_once(pool: Path) -> None:
    found = collect(write_manifest(pool, [row("0.mkv"), row("0.mkv")]), pool)
    assert len(found.clips) == len(found.refused) == 1


def test_other_column_names(pool: Path) -> None:
    columns = ("file", "origin", "terms", "clean")
    source = write_manifest(pool, [dict(zip(columns, ("0.mkv", "s", "CC0", "1"), strict=True))], columns)
    named = SourceConfig(
        folder=source.folder,
        manifest=source.manifest,
        name_column="file",
        source_column="origin",
        license_column="terms",
        primary_column="clean",
    )
    assert [clip.name for clip in collect(named, pool).clips] == ["0.mkv"]


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    source = SourceConfig(folder=str(tmp_path), manifest=str(tmp_path / "manifest.csv"))
    with pytest.raises(ConfigError, match=r"manifest\.csv: the manifest cannot be read: No such file"):
        collect(source, tmp_path)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named_with_those_that_are_there(pool: Path, column: str) -> None:
    columns = [name for name in COLUMNS if name != column]
    source = write_manifest(pool, [row("0.mkv")], columns)
    with pytest.raises(ConfigError, match=f"manifest.csv: has no column '{column}'") as caught:
        collect(source, pool)
    assert caught.value.remedy == f"it has {', '.join(columns)}"


def test_a_line_that_ends_early_is_told_from_a_missing_column(pool: Path) -> None:
    (pool / "manifest.csv").write_text("clip,license,source,primary\n0.mkv,CC0\n", encoding="utf-8")
    source = SourceConfig(folder=str(pool), manifest=str(pool / "manifest.csv"))
    with pytest.raises(ConfigError, match=r"manifest\.csv: a line ends before column 'source'"):
        collect(source, pool)


@pytest.mark.parametrize("content", [b"clip,license\n\xff\xfe,CC0\n", b'clip,license\n"' + b"x" * 200_000 + b'"\n'])
def test_a_manifest_that_is_no_table(pool: Path, content: bytes) -> None:
    (pool / "manifest.csv").write_bytes(content)
    source = SourceConfig(folder=str(pool), manifest=str(pool / "manifest.csv"))
    with pytest.raises(ConfigError, match=r"manifest\.csv: the manifest is no CSV file"):
        collect(source, pool)


def test_a_byte_order_mark_is_no_part_of_the_first_column(pool: Path) -> None:
    source = write_manifest(pool, [row("0.mkv")])
    manifest = Path(source.manifest)
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes())
    assert len(collect(source, pool).clips) == 1


@pytest.mark.parametrize("rows", [[], [row("missing.mkv")], [row("0.mkv", license_="unknown")]])
def test_nothing_left_is_an_error(pool: Path, rows: list[dict[str, str]]) -> None:
    with pytest.raises(ConfigError, match="no clip it may use"):
        collect(write_manifest(pool, rows), pool)
    with pytest.raises(ConfigError, match="no clip it may use"):
        ingest(IngestConfig(), pool / "out", seed=0)


def test_scenes_are_primaries_of_the_size_asked_for_and_made_once(tmp_path: Path) -> None:
    config = IngestConfig(scenes=2, scene_size=(32, 48), scene_seconds=0.2)
    clips = ingest(config, tmp_path, seed=0).clips
    assert [(clip.height, clip.width, clip.primary, clip.license) for clip in clips] == [
        (32, 48, True, "generated")
    ] * 2
    times = [Path(clip.path).stat().st_mtime_ns for clip in clips]
    assert ingest(config, tmp_path, seed=0).clips == clips
    again = ingest(config, tmp_path / "again", seed=0).clips
    assert [clip.clip_id for clip in again] == [clip.clip_id for clip in clips]
    assert [Path(clip.path).stat().st_mtime_ns for clip in clips] == times
    assert {clip.clip_id for clip in ingest(config, tmp_path / "other", seed=1).clips}.isdisjoint(
        {clip.clip_id for clip in clips}
    )


def test_clips_of_one_source_share_a_split_and_further_sources_move_no_clip(pool: Path) -> None:
    rows = [row(f"{number}.mkv", source=source) for number, source in enumerate(("a", "b", "a"))]
    config = IngestConfig(
        sources=(write_manifest(pool, rows),), license_allow=("CC0",), anchor_share=0.3, calibration_share=0.4
    )
    splits = {clip.name: clip.split for clip in ingest(config, pool / "out", seed=0).clips}
    assert splits["0.mkv"] == splits["2.mkv"]
    write_manifest(pool, rows[1:])
    fewer = {clip.name: clip.split for clip in ingest(config, pool / "out", seed=0).clips}
    assert fewer == {name: splits[name] for name in ("1.mkv", "2.mkv")}


def test_shares_are_met_over_many_sources() -> None:
    config = IngestConfig(anchor_share=0.1, calibration_share=0.2)
    splits = [split_of(f"source {number}", config, seed=0) for number in range(2000)]
    assert splits.count("anchor") / 2000 == pytest.approx(0.1, abs=0.03)
    assert splits.count("calibration") / 2000 == pytest.approx(0.2, abs=0.03)


@given(st.text(), st.integers(0, 3), st.floats(0, 0.5), st.floats(0, 0.5))
def test_no_source_is_anchor_or_calibration_without_a_share(
    source: str, seed: int, anchor_share: float, calibration_share: float
) -> None:
    config = IngestConfig(anchor_share=anchor_share, calibration_share=calibration_share)
    split = split_of(source, config, seed=seed)
    assert split == split_of(source, config, seed=seed)
    assert split != "anchor" or anchor_share > 0
    assert split != "calibration" or calibration_share > 0
    # the share of the anchors takes from training alone
    without = split_of(source, IngestConfig(anchor_share=0, calibration_share=calibration_share), seed=seed)
    assert without == ("calibration" if split == "calibration" else "train")
