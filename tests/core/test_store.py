"""Artifacts: complete, or seen not to be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from w2svqa.core.errors import StoreError
from w2svqa.core.store import Manifest, fingerprint, is_complete, read_artifact, read_manifest, write_artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    path: str
    score: float | None


@dataclass(frozen=True)
class Settings:
    bins: int = 10


ROWS = [Row(path="a.mp4", score=1.5), Row(path="b.mp4", score=None)]


def made(folder: Path, rows: list[Row] | Iterator[Row] = ROWS, bins: int = 10) -> Manifest:
    inputs = {"clips": "ab12"}
    return write_artifact(
        folder, rows, Row, kind="scores", config=Settings(bins), inputs=inputs, seed=3, extra={"failed": ["c"]}
    )


def test_an_artifact_comes_back_with_its_provenance(tmp_path: Path) -> None:
    manifest = made(tmp_path / "scores")
    artifact = read_artifact(tmp_path / "scores", Row, kind="scores")
    assert artifact.rows == ROWS
    assert artifact.manifest == manifest
    assert (manifest.rows, manifest.seed, manifest.config) == (2, 3, {"bins": 10})
    assert manifest.extra == {"failed": ["c"]}
    assert {"w2svqa", "python", "numpy", "pyarrow"} <= manifest.versions.keys()
    assert sorted(each.name for each in (tmp_path / "scores").iterdir()) == ["manifest.json", "table.parquet"]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    assert made(tmp_path / "a").table_sha256 == made(tmp_path / "b", iter(ROWS)).table_sha256


def test_the_fingerprint_stands_for_everything_it_is_made_of(tmp_path: Path) -> None:
    expected = fingerprint("scores", Settings(), {"clips": "ab12"}, seed=3)
    assert made(tmp_path).fingerprint == expected
    assert is_complete(tmp_path, expected)
    others = [
        fingerprint("pairs", Settings(), {"clips": "ab12"}, seed=3),
        fingerprint("scores", Settings(11), {"clips": "ab12"}, seed=3),
        fingerprint("scores", Settings(), {"clips": "ab13"}, seed=3),
        fingerprint("scores", Settings(), {"clips": "ab12"}, seed=4),
        fingerprint("scores", Settings(), {"clips": "ab12"}, seed=3, version=2),
    ]
    assert not any(is_complete(tmp_path, other) for other in others)
    assert len({expected, *others}) == 6


def test_replacing_is_never_taken_for_complete(tmp_path: Path) -> None:
    expected = made(tmp_path).fingerprint

    def interrupted() -> Iterator[Row]:
        yield ROWS[0]
        assert not is_complete(tmp_path, expected)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, interrupted())
    assert not is_complete(tmp_path, expected)
    with pytest.raises(StoreError, match=r"manifest\.json is missing"):
        read_artifact(tmp_path, Row)
    made(tmp_path)
    assert is_complete(tmp_path, expected)


def edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edited(folder: Path) -> None:
        content = json.loads((folder / "manifest.json").read_text())
        change(content)
        (folder / "manifest.json").write_text(json.dumps(content))

    return edited


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "table.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "table.parquet").write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "problem", "remedy"),
    [
        (lambda folder: shutil.rmtree(folder), "no complete artifact", "run the stage"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"{"), "no valid JSON", "run the stage"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest is damaged", "run the stage"),
        (lambda folder: (folder / "table.parquet").unlink(), "No such file", "run the stage"),
        (flip_a_byte, "the table is damaged", "run the stage"),
        (edit(lambda content: content.pop("rows")), "missing key 'rows'", "run the stage"),
        (edit(lambda content: content.update(format=2)), "format 2 is of a later version", "update w2svqa"),
        (edit(lambda content: content.update(kind="pairs")), "holds 'pairs', not 'scores'", "check the folder"),
    ],
)
def test_damage_is_named_with_a_remedy(
    tmp_path: Path, damage: Callable[[Path], object], problem: str, remedy: str
) -> None:
    folder = tmp_path / "scores"
    made(folder)
    damage(folder)
    with pytest.raises(StoreError, match=problem) as caught:
        read_artifact(folder, Row, kind="scores")
    assert remedy in str(caught.value)


def test_a_shorter_table_is_not_complete(tmp_path: Path) -> None:
    expected = made(tmp_path).fingerprint
    data = (tmp_path / "table.parquet").read_bytes()
    (tmp_path / "table.parquet").write_bytes(data[:-1])
    assert not is_complete(tmp_path, expected)


def test_a_table_of_other_rows_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Wider:
        path: str
        score: float | None
        level: int

    made(tmp_path)
    with pytest.raises(StoreError, match="level is missing, not int64"):
        read_artifact(tmp_path, Wider)
    assert read_manifest(tmp_path).rows == 2
