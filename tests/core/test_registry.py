"""Names, lazily loaded, third parties included."""

from __future__ import annotations

import collections
import json
from importlib import metadata
from pathlib import Path

import pytest

from w2svqa.core.errors import ConfigError
from w2svqa.core.registry import Registry

TABLE = {"dumps": "json:dumps", "nested": "collections:OrderedDict.fromkeys", "broken": "broken_module_of_ours:thing"}


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    registry = Registry("codec", TABLE)
    assert list(registry) == ["broken", "dumps", "nested"]
    assert registry["broken"] == "broken_module_of_ours:thing"
    assert "dumps" in registry
    assert "other" not in registry
    with pytest.raises(ModuleNotFoundError, match="broken_module_of_ours"):
        registry.load("broken")


def test_a_broken_module_is_raised_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module_of_ours.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        Registry("codec", TABLE).load("broken")


def test_an_unknown_name_lists_near_and_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        Registry("codec", TABLE).load("dump")
    assert str(caught.value) == "unknown codec 'dump' (did you mean 'dumps'? known: broken, dumps, nested)"


def test_attributes_of_attributes_and_missing_ones() -> None:
    registry = Registry("codec", {**TABLE, "absent": "json:absent"})
    assert registry.load("nested") == collections.OrderedDict.fromkeys
    with pytest.raises(AttributeError, match="absent"):
        registry.load("absent")


def test_others_add_names_but_replace_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "other-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[test.codecs]\nloads = json:loads\ndumps = json:loads\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("codec", TABLE, group="test.codecs")
    assert registry.load("loads") is json.loads
    assert registry["dumps"] == "json:dumps"
    assert len(registry) == len(TABLE) + 1
    assert metadata.version("other") == "1.0"
