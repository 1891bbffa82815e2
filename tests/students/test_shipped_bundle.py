"""The student inside the package: small, of allowed licences, with figures, and loaded by default."""

from __future__ import annotations

import pytest
from foreign_paths import ROOT, foreign_paths

from w2svqa.core.config import load_config
from w2svqa.pipeline import RunConfig
from w2svqa.preference.scale import Scale
from w2svqa.students.bundle import SHIPPED, bundle_folder, check_files, load_bundle, read_card

SHIPPED_FOLDER = bundle_folder()


def test_the_shipped_student_loads_by_name_and_by_default() -> None:
    assert load_bundle().folder == load_bundle(SHIPPED[0]).folder == SHIPPED_FOLDER
    assert len(load_bundle().anchors) == len(load_bundle().preferences) == len(load_bundle().card["anchors"])


def test_the_shipped_student_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED_FOLDER.iterdir()) < 10_000_000


def test_the_shipped_scale_is_valid_and_its_anchors_rise() -> None:
    scale = Scale.from_dict(read_card(SHIPPED_FOLDER)["scale"])
    assert list(scale.anchor_positions) == sorted(scale.anchor_positions)
    assert scale.form == "anchored"


def test_the_shipped_student_comes_of_allowed_licences_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2SVQA_DATA", "not looked into")
    allowed = set(load_config(ROOT / "configs" / "compact.yaml", RunConfig).ingest.license_allow)
    card = read_card(SHIPPED_FOLDER)
    data = card["data"]
    assert set(data["licenses"]) <= allowed | {"generated"}
    assert {clip["license"] for clip in data["clips"]} == set(data["licenses"])
    assert len(data["clips"]) == sum(data["licenses"].values()) == sum(data["splits"].values()) > 0
    assert {anchor["sha256_16"] for anchor in card["anchors"]} <= {
        clip["sha256_16"] for clip in data["clips"] if clip["split"] == "anchor"
    }


def test_the_shipped_figures_have_their_number() -> None:
    card = read_card(SHIPPED_FOLDER)
    check_files(SHIPPED_FOLDER, card)
    figures = card["figures"]
    assert figures["pairs"] > 0
    assert figures["contents"] > 0
    assert figures["versions"] > 0
    assert 0.5 < figures["pair_accuracy"] <= 1
    assert set(figures["within"]) == set(card["kinds"])


def test_the_shipped_files_know_nothing_of_the_machine() -> None:
    assert {path.name: foreign_paths(path) for path in SHIPPED_FOLDER.iterdir()} == {
        path.name: [] for path in SHIPPED_FOLDER.iterdir()
    }
