"""A bundle of the hub loads as a folder does; a folder of the same name goes before it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from w2svqa.core.errors import BundleError, MissingExtraError
from w2svqa.students.bundle import ANCHORS, CARD, bundle_folder, load_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return shutil.copytree(bundle_folder(), tmp_path / "bundle")


class FakeHub(ModuleType):
    """Stands for huggingface_hub: one repository, whose files it copies into its cache, and a record of requests."""

    def __init__(self, source: Path, cache: Path) -> None:
        super().__init__("huggingface_hub")
        self.source, self.cache = source, cache
        self.reached = True
        self.asked: list[tuple[str, str | None]] = []

    def snapshot_download(self, name: str, *, allow_patterns: list[str], revision: str | None = None) -> str:
        self.asked.append((name, revision))
        if not self.reached and not self.cache.exists():
            raise FileNotFoundError("cannot find the files in the cache")
        if name != "owner/student":
            raise ConnectionError("404: no such repository")
        self.cache.mkdir(exist_ok=True)
        for path in self.source.iterdir() if self.reached else ():
            if path.name in allow_patterns:
                shutil.copy(path, self.cache)
        return str(self.cache)


@pytest.fixture
def hub(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(bundle, tmp_path / "cache")
    errors = ModuleType("huggingface_hub.errors")
    vars(errors).update(HfHubHTTPError=ConnectionError, LocalEntryNotFoundError=FileNotFoundError)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.mark.parametrize(
    ("name", "revision"),
    [("owner/student", None), ("hf://owner/student", None), ("owner/student@v2", "v2"), ("owner/student@a/b", "a/b")],
)
def test_a_bundle_comes_from_the_hub(hub: FakeHub, name: str, revision: str | None) -> None:
    (hub.source / "pickled.bin").write_bytes(b"what no card lists is not fetched")
    loaded = load_bundle(name)
    assert loaded.student.name == load_bundle().student.name
    assert loaded.folder == hub.cache
    assert {path.name for path in hub.cache.iterdir()} == {CARD, *loaded.card["files"]}
    assert set(hub.asked) == {("owner/student", revision)}


def test_what_was_fetched_once_loads_offline(hub: FakeHub) -> None:
    load_bundle("owner/student")
    hub.reached = False
    assert load_bundle("owner/student").student.name == load_bundle().student.name


def test_a_folder_of_the_name_goes_before_the_hub(hub: FakeHub, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "owner" / "student")
    assert load_bundle("owner/student").folder == Path("owner/student")
    assert not hub.asked


def test_a_damaged_file_from_the_hub_is_refused(hub: FakeHub) -> None:
    (hub.source / ANCHORS).write_bytes(b"other")
    with pytest.raises(BundleError, match="is damaged: its hash differs"):
        load_bundle("owner/student")


def refused(name: str) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(name)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.usefixtures("hub")
def test_a_repository_that_is_none() -> None:
    message = refused("owner/other")
    assert "owner/other: no such folder; on the hub it cannot be fetched: 404" in message


def test_neither_reached_nor_in_the_cache(hub: FakeHub) -> None:
    hub.reached = False
    assert "cannot find the files in the cache" in refused("owner/student")


def test_without_the_package_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        MissingExtraError, match=r"owner/student: to fetch it from the hub.*pip install 'w2svqa\[llm\]'"
    ):
        load_bundle("owner/student")
