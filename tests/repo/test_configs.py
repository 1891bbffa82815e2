"""Every configuration that is shipped can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import ROOT

from w2svqa.core.config import difference, from_mapping, load_config, to_mapping
from w2svqa.pipeline import RunConfig

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2SVQA_DATA", "data")
    config = load_config(path, RunConfig)
    assert from_mapping(RunConfig, to_mapping(config)) == config
    assert difference(config, config) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_opens_with_what_it_is_for(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("#")
    assert path.name in (ROOT / "README.md").read_text(encoding="utf-8")
