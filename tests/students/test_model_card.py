"""The card in words: everything that the card says, front matter that the hub reads, nothing that breaks a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from w2svqa.students.bundle import bundle_folder, check_files, read_card, write_card
from w2svqa.students.model_card import README, card_figures, model_card

CARD = {
    "name": "try-1",
    "description": "A student for tests.",
    "weaknesses": ["It sees | nothing\nof sound."],
    "license": "CC0-1.0",
    "figures": {
        "pair_accuracy": 0.9,
        "pairs": 40,
        "within": {"blur": 0.5},
        "contents": 3,
        "interval_at_limit": False,
        "ratings": {"srcc": {"after": {"value": 0.81, "interval": [0.7, 0.9], "n": 60}}},
    },
    "scale": {"interval_level": 0.9},
    "coverage": {"target": "the rating", "share": 0.91, "low": 0.8, "high": 0.95, "count": 60, "contents": 20},
    "anchors": [{"name": "a.mp4", "source": "s", "license": "MIT", "kind": "blur", "level": 2}],
    "data": {
        "splits": {"train": 2},
        "licenses": {"MIT": 2},
        "clips": [{"source": "s", "sha256_16": "0" * 16}, {"source": "t", "sha256_16": "1" * 16}],
    },
    "finetune": {
        "ratings": {"name": "mine", "videos": 60, "contents": 20, "sha256": "ab" * 32},
        "trained": "token",
        "steps": 40,
    },
    "start": {"name": "compact-3", "description": "The old one.", "weaknesses": ["Codecs."]},
    "files": {"encoder.onnx": "ff" * 32},
    "w2svqa": "0.1.0",
}


def test_everything_that_a_reader_must_know_is_there() -> None:
    text = model_card(CARD)
    for said in (
        "# try-1",
        "A student for tests.",
        "| pair_accuracy | 0.900 |  | 40 pairs |",
        "| within/blur | 0.500 |  | 3 contents |",
        "| ratings/srcc/after | 0.810 | 0.700 to 0.900 | 60 |",
        "2 clips of 2 sources",
        "| MIT | 2 |",
        "60 ratings of 20 contents",
        "held the rating in 91.0% of 60 cases (0.800 to 0.950; 20 contents)",
        "| a.mp4 | s | MIT | blur | 2 |",
        r"- It sees \| nothing of sound.",
        "compact-3: The old one.",
        f"| encoder.onnx | {'ff' * 32} |",
        "## Intended use",
    ):
        assert said in text, said


def test_figures_are_flat_and_flags_are_none() -> None:
    names = [figure.name for figure in card_figures(CARD["figures"])]
    assert names == ["pair_accuracy", "within/blur", "ratings/srcc/after"]
    assert card_figures(None) == []
    assert card_figures({"x": float("nan"), "y": "text"}) == []


def test_the_hub_reads_the_front_matter() -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(model_card(CARD))
    assert card.data.license == "cc0-1.0"
    assert card.data.library_name == "w2svqa"
    assert "video-quality-assessment" in card.data.tags
    [result] = card.data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("mine (cross-validation)", "srcc", 0.81)
    unknown = hub.ModelCard(model_card({"name": "no licence: here"}))
    assert (unknown.data.license, unknown.data.to_dict()["license_name"]) == ("other", "unstated")
    assert hub.ModelCard(model_card({"name": "x"}, license="Apache-2.0")).data.license == "apache-2.0"


def test_a_card_that_says_little_or_nonsense_still_has_words() -> None:
    assert "None are stated" in model_card({})
    odd = {
        "figures": [1],
        "data": {"clips": "no"},
        "anchors": {},
        "teachers": {"admissions": 3},
        "start": [],
        "files": 1,
    }
    assert "# student" in model_card(odd)


def test_every_bundle_has_one_and_may_edit_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    write_card(tmp_path, {"name": "mine"})
    card = read_card(tmp_path)
    assert (tmp_path / README).read_text() == model_card(card)
    assert list(card["files"]) == ["a.txt"]
    (tmp_path / README).write_text("edited")
    check_files(tmp_path, card)
    write_card(tmp_path, {"name": "mine"})
    assert json.loads((tmp_path / "card.json").read_text()) == card


def test_the_shipped_student_has_its_card_in_words() -> None:
    folder = bundle_folder()
    assert (folder / README).read_text(encoding="utf-8") == model_card(read_card(folder), license="apache-2.0")
