"""Which line of a manifest speaks of which file, and that content is read once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from w2svqa.core.errors import ConfigError, MissingInputError
from w2svqa.core.files import sha256_file
from w2svqa.core.inputs import expand_inputs
from w2svqa.stages import pool_videos
from w2svqa.stages.pool_manifest import ManifestLine, PoolManifest, read_pool_manifest
from w2svqa.stages.pool_videos import FileHashes, PoolVideos, read_pool


def quiet(*_: object) -> None:
    """Listen to no progress."""


def written(path: Path, text: str) -> PoolManifest:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return PoolManifest(path=str(path))


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")


def read(folder: Path, manifest: PoolManifest | None = None, *arguments: str) -> PoolVideos:
    with FileHashes(folder / "hashes.jsonl") as hashes:
        items = expand_inputs(arguments or (str(folder / "pool"),))
        return read_pool(items, hashes, manifest, progress=quiet)


def facts(pool: PoolVideos) -> dict[str, str]:
    return {Path(video.row.path).name: video.row.source for video in pool.videos}


def test_all_columns_are_read_under_their_usual_headings(tmp_path: Path) -> None:
    manifest = written(
        tmp_path / "m.csv",
        "File,source,licence,Reference,primary,distortion,level,MOS,more\n"
        "a.mp4,here,CC0,b.mp4,b.mp4,blur,2,61.5,x\n"
        "b.mp4,,,,1,,,\n",
    )
    assert read_pool_manifest(manifest) == (
        ManifestLine(
            number=2,
            name="a.mp4",
            source="here",
            license="CC0",
            reference="b.mp4",
            primary="b.mp4",
            kind="blur",
            level=2,
            mos=61.5,
        ),
        ManifestLine(number=3, name="b.mp4"),  # primary is a flag here: visually clean
    )
    other = PoolManifest(path=manifest.path, columns={"source": "more", "name": "reference"})
    with pytest.raises(ConfigError, match="line 3 names no video"):
        read_pool_manifest(other)


@pytest.mark.parametrize(
    ("text", "columns", "problem"),
    [
        ("title\na\n", {}, "no column clip or file or name or video (it has title)"),
        ("name\na\n", {"mos": "rating"}, "no column rating (it has name)"),
        ("name,mos\na,1\na,2\n", {}, "line 3 names 'a', as line 2 does"),
        ("name,mos\na,good\n", {}, "line 2: mos is 'good', no number"),
        ("name,mos\na,nan\n", {}, "line 2: mos is 'nan', no number"),
        ("name,level\na,1.5\n", {}, "line 2: the level is 1.5"),
        ("", {}, "it has none"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(
    tmp_path: Path, text: str, columns: dict[str, str], problem: str
) -> None:
    manifest = written(tmp_path / "m.csv", text)
    with pytest.raises(ConfigError) as caught:
        read_pool_manifest(PoolManifest(path=manifest.path, columns=columns))
    assert problem in str(caught.value)


def test_a_manifest_that_is_not_there_and_a_key_that_is_none() -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_pool_manifest(PoolManifest(path="nowhere.csv"))
    with pytest.raises(ValueError, match="columns: rating must be of name, source"):
        PoolManifest(path="m.csv", columns={"rating": "mos"})


def test_a_line_speaks_of_a_file_by_path_by_its_last_parts_or_without_suffix(tmp_path: Path) -> None:
    files(tmp_path / "pool", "a.mp4", "b.mp4", "deep/b.mp4", "deep/c.webm", "d.mp4")
    manifest = written(tmp_path / "pool" / "m.csv", "clip,source\na.mp4,A\nb.mp4,B\ndeep/b.mp4,deep B\nc,C\nz.mp4,Z\n")
    pool = read(tmp_path, manifest)
    sources = {str(Path(video.row.path).relative_to(tmp_path / "pool")): video.row.source for video in pool.videos}
    assert sources == {"a.mp4": "A", "b.mp4": "B", "deep/b.mp4": "deep B", "deep/c.webm": "C", "d.mp4": ""}
    assert pool.unlisted == (str(tmp_path / "pool" / "d.mp4"),)
    assert pool.unused == ("z.mp4",)
    # from elsewhere, where the names are no paths
    elsewhere = written(
        tmp_path / "other" / "m.csv", (tmp_path / "pool" / "m.csv").read_text().replace("b.mp4,B\n", "")
    )
    assert facts(read(tmp_path, elsewhere))["a.mp4"] == "A"


def test_a_line_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    files(tmp_path / "pool", "one/a.mp4", "two/a.mp4")
    manifest = written(tmp_path / "m.csv", "name,mos\na.mp4,50\n")
    with pytest.raises(ConfigError, match=r"line 2 names 'a\.mp4', which fits both"):
        read(tmp_path, manifest)


def test_a_reference_lies_beside_the_manifest_or_in_the_pool(tmp_path: Path) -> None:
    files(tmp_path / "pool", "a.mp4", "b.mp4", "sub/clean.mp4", "c.mp4")
    files(tmp_path, "lists/near.mp4")
    manifest = written(
        tmp_path / "lists" / "m.csv", "name,reference\na.mp4,near.mp4\nb.mp4,sub/clean.mp4\nc.mp4,no.mp4\n"
    )
    videos = {video.row.name: video for video in read(tmp_path, manifest).videos}
    assert videos["a.mp4"].row.reference == str(tmp_path / "lists" / "near.mp4")
    assert videos["b.mp4"].row.reference == str(tmp_path / "pool" / "sub" / "clean.mp4")
    reference = videos["b.mp4"].reference
    assert reference is not None
    assert reference.sha256 == videos["clean.mp4"].row.sha256
    assert videos["c.mp4"].reference is None
    assert "No such file" in str(videos["c.mp4"].reference_problem)
    assert videos["clean.mp4"].row.reference is None


def test_content_is_read_once_and_again_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path / "pool", "a.mp4", "b.mp4")
    read_files: list[str] = []

    def digest(path: str) -> str:
        read_files.append(Path(path).name)
        return sha256_file(path)

    monkeypatch.setattr(pool_videos, "sha256_file", digest)
    first = read(tmp_path)
    assert read_files == ["a.mp4", "b.mp4"]
    assert read(tmp_path) == first
    assert read_files == ["a.mp4", "b.mp4"]
    path = tmp_path / "pool" / "b.mp4"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert read(tmp_path).videos[1].row == first.videos[1].row
    assert read_files == ["a.mp4", "b.mp4", "b.mp4"]
    file = first.videos[1].file
    assert file is not None
    with pytest.raises(MissingInputError, match="was changed in the meantime"):
        file.check()


def test_of_copies_the_one_that_the_manifest_names_counts(tmp_path: Path) -> None:
    files(tmp_path / "pool", "a.mp4")
    (tmp_path / "pool" / "b.mp4").write_bytes((tmp_path / "pool" / "a.mp4").read_bytes())
    paths = [str(tmp_path / "pool" / name) for name in ("a.mp4", "b.mp4")]
    assert read(tmp_path).repeated == {paths[1]: paths[0]}
    pool = read(tmp_path, written(tmp_path / "m.csv", "name,source\nb.mp4,known\n"))
    assert pool.repeated == {paths[0]: paths[1]}
    assert facts(pool) == {"b.mp4": "known"}
    # a path that is given twice is no copy
    twice = read(tmp_path, None, paths[0], paths[0])
    assert (len(twice.videos), twice.repeated) == (1, {})


def test_what_cannot_be_read_is_a_video_of_its_own(tmp_path: Path) -> None:
    pool = read(tmp_path, None, str(tmp_path / "no.mp4"), str(tmp_path / "never.mp4"))
    assert len({video.row.clip_id for video in pool.videos}) == 2
    assert [(video.row.name, video.row.sha256, video.file) for video in pool.videos] == [
        ("no.mp4", "", None),
        ("never.mp4", "", None),
    ]
    assert "no such file" in str(pool.videos[0].problem)


def test_several_processes_read_what_one_does(tmp_path: Path) -> None:
    files(tmp_path / "pool", *(f"{number}.mp4" for number in range(5)))
    manifest = written(tmp_path / "m.csv", "name,reference\n0.mp4,far/clean.mp4\n1.mp4,no.mp4\n")
    files(tmp_path, "far/clean.mp4")
    items = expand_inputs([str(tmp_path / "pool")])
    told: list[tuple[int, int, str]] = []
    with FileHashes(tmp_path / "several.jsonl") as hashes:
        pool = read_pool(items, hashes, manifest, workers=2, progress=lambda *facts: told.append(facts))
    assert pool == read(tmp_path, manifest)
    assert [done for done, _, _ in told] == [2, 3, 4, 5, 6, 7]  # the reference that is missing is not read
    assert {total for _, total, _ in told} == {7}
    assert sorted(name for _, _, name in told) == ["0.mp4", "1.mp4", "2.mp4", "3.mp4", "4.mp4", "clean.mp4"]


def test_reading_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path / "pool", "a.mp4", "b.mp4", "c.mp4")
    items = expand_inputs([str(tmp_path / "pool")])

    def interrupt(done: int, *_: object) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with FileHashes(tmp_path / "hashes.jsonl") as hashes, pytest.raises(KeyboardInterrupt):
        read_pool(items, hashes, progress=interrupt)
    read_files: list[str] = []

    def digest(path: str) -> str:
        read_files.append(Path(path).name)
        return sha256_file(path)

    monkeypatch.setattr(pool_videos, "sha256_file", digest)
    assert len(read(tmp_path).videos) == 3
    assert read_files == ["c.mp4"]
