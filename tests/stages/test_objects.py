"""Objects in a store, with the one that fsspec keeps in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from w2svqa.core.errors import InputError, MissingExtraError
from w2svqa.stages import objects as objects_module
from w2svqa.stages.objects import StoredObject, copy_objects, list_objects


class Store(Protocol):
    """What is used of fsspec's file system in memory."""

    store: dict[str, object]

    def pipe(self, path: str, value: bytes) -> None: ...

    def rm(self, path: str) -> None: ...


fsspec = pytest.importorskip("fsspec")


def quiet(*_: object) -> None:
    """Listen to no progress."""


@pytest.fixture
def store() -> Iterator[Store]:
    system: Store = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def copies(found: list[StoredObject], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    return copy_objects(found, folder, workers=1, progress=quiet)


def test_videos_below_an_address_are_found(store: Store) -> None:
    for name in ("b.mp4", "a/c.MKV", "a/notes.txt", "a/.hidden/d.mp4"):
        store.pipe(f"/bucket/{name}", name.encode())
    assert [each.url for each in list_objects("memory://bucket")] == [
        "memory:///bucket/a/c.MKV",
        "memory:///bucket/b.mp4",
    ]
    [single] = list_objects("memory://bucket/a/notes.txt")
    assert single.size == len("a/notes.txt")


@pytest.mark.parametrize("address", ["memory://nowhere", "unheard-of://x", "zip://a.mp4::memory://bucket/b.zip"])
def test_what_cannot_be_listed_says_why(store: Store, address: str) -> None:
    del store
    with pytest.raises(InputError, match=address.partition(":")[0]):
        list_objects(address)


def test_a_missing_package_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    del store

    def refuse(_: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(MissingExtraError, match=r"s3fs.*w2svqa\[remote\]"):
        list_objects("s3://bucket")


def test_an_object_is_copied_once_until_it_changes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = objects_module._copy

    def counting(item: tuple[StoredObject, str]) -> str:
        opened.append(item[0].url)
        return original(item)

    monkeypatch.setattr(objects_module, "_copy", counting)
    store.pipe("/bucket/a.mp4", b"first")
    store.pipe("/bucket/b.mp4", b"other")
    local, failed = copies(list_objects("memory://bucket"), tmp_path)
    assert [Path(path).read_bytes() for path in local.values()] == [b"first", b"other"]
    assert (len(opened), failed) == (2, {})
    copies(list_objects("memory://bucket"), tmp_path)
    assert len(opened) == 2
    store.pipe("/bucket/a.mp4", b"second")
    local, _ = copies(list_objects("memory://bucket"), tmp_path)
    assert Path(local["memory:///bucket/a.mp4"]).read_bytes() == b"second"
    assert len(opened) == 3


def test_an_object_that_vanished_or_shrank_is_told_and_leaves_nothing(store: Store, tmp_path: Path) -> None:
    store.pipe("/bucket/a.mp4", b"first")
    store.pipe("/bucket/b.mp4", b"longer than before")
    found = list_objects("memory://bucket")
    store.rm("/bucket/a.mp4")
    store.pipe("/bucket/b.mp4", b"short")
    local, failed = copies(found, tmp_path)
    assert local == {}
    assert "cannot be copied" in failed["memory:///bucket/a.mp4"]
    assert "has 5 bytes, not 18 as listed" in failed["memory:///bucket/b.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == ["objects.jsonl"]
