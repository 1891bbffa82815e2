"""Checkpoints: written and read back, and every way in which one can be of no use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from qwen_words import GOLDEN
from released_folder import SIDE, released_checkpoint
from safetensors.torch import load_file, save_file

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.students.llava import checkpoint, tiny
from w2svqa.students.llava.checkpoint import (
    MOTION,
    find_llava,
    identify,
    load_llava,
    load_motion,
    read_tokenizer,
    save_llava,
)
from w2svqa.students.llava.config import LlavaConfig

pytestmark = pytest.mark.llm

CONFIG = LlavaConfig(frame_side=SIDE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole checkpoint in our format."""
    place = tmp_path / "checkpoint"
    motion = load_motion("random-tiny", CONFIG, seed=3)
    tokenizer = tiny.tiny_tokenizer().to_str()
    save_llava(load_llava("random-tiny", CONFIG, seed=3), place, tokenizer=tokenizer, motion=motion)
    return place


def test_a_checkpoint_comes_back_as_it_was(folder: Path) -> None:
    before, after = load_llava("random-tiny", CONFIG, seed=3), load_llava(folder, CONFIG)
    assert after.prompt == before.prompt
    assert after.single == before.single
    assert not after.training
    assert before.state_dict().keys() == after.state_dict().keys()
    assert all(torch.equal(value, after.state_dict()[key]) for key, value in before.state_dict().items())
    motion = load_motion(folder, CONFIG).network.state_dict()
    assert all(torch.equal(value, tiny.tiny_slowfast(3).state_dict()[key]) for key, value in motion.items())


def test_the_tiny_one_depends_on_its_seed_alone() -> None:
    torch.manual_seed(1)
    one = load_llava("random-tiny", CONFIG).state_dict()
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    same, other = (load_llava("random-tiny", CONFIG, seed=seed).state_dict() for seed in (0, 1))
    assert all(torch.equal(value, same[key]) for key, value in one.items())
    assert not torch.equal(one["motion_projector.0.weight"], other["motion_projector.0.weight"])
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_checkpoint_without_a_motion_projector_says_what_to_do(folder: Path) -> None:
    (folder / MOTION).unlink()
    with pytest.raises(InputError, match=r"has no motion projector.*256 numbers.*the 32 of.*train one.*or convert"):
        load_llava(folder, CONFIG)
    with pytest.raises(MissingInputError, match="has no SlowFast"):
        load_motion(folder, CONFIG)


def test_training_can_start_with_a_new_motion_projector(folder: Path) -> None:
    (folder / MOTION).unlink()
    new = [load_llava(folder, CONFIG, new_projector=True, seed=seed).motion_projector for seed in (0, 0, 1)]
    weights = [projector.state_dict()["0.weight"] for projector in new]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    bound = 256**-0.5
    assert 0.9 * bound < float(weights[0].abs().max()) <= bound


def test_a_projector_that_is_there_is_never_replaced(folder: Path) -> None:
    kept = load_llava(folder, CONFIG, new_projector=True, seed=8).motion_projector.state_dict()
    stored = load_file(folder / MOTION)
    assert all(torch.equal(value, stored[f"projector.{key}"]) for key, value in kept.items())


def test_a_released_checkpoint_is_sent_to_the_converter(tmp_path: Path) -> None:
    released = released_checkpoint(tmp_path / "released")
    with pytest.raises(InputError, match=r"released format.*convert it first"):
        load_llava(released, CONFIG)


def change_type(folder: Path) -> None:
    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(facts | {"model_type": "qwen2"}), encoding="utf-8")


def drop_weight(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["image_newline"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def add_weight(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    save_file(state | {"stranger": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"})


def cut_weights(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def cut_motion(folder: Path) -> None:
    state = load_file(folder / MOTION)
    del state["projector.2.bias"]
    save_file(state, folder / MOTION)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (change_type, "of kind 'qwen2', not 'llava_onevision'"),
        (drop_weight, "1 missing: model.image_newline"),
        (add_weight, "1 not known: stranger"),
        (cut_weights, "cannot be loaded"),
        (cut_motion, r"1 key missing: 2\.bias"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "is no tokenizer"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"no tokenizer\.json, nor vocab\.json"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: cannot be read"),
    ],
)
def test_damaged_checkpoints_are_told_apart(damage: Callable[[Path], object], problem: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(InputError, match=problem):
        load_llava(folder, CONFIG)


def test_a_split_level_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(tiny.tiny_tokenizer(left_out=("better",)).to_str(), encoding="utf-8")
    with pytest.raises(ConfigError, match="'better'"):
        load_llava(folder, CONFIG)


def test_tokenizers_of_older_folders_are_read(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="ascii"))
    (tmp_path / "vocab.json").write_text(json.dumps(golden["vocabulary"] | golden["special"]), encoding="utf-8")
    merges = "\n".join(" ".join(merge) for merge in golden["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    encode = read_tokenizer(tmp_path)
    assert [list(encode(text)) for text in (" superior", " worse")] == [[16353], [10960]]


def test_the_identity_changes_with_weights_and_words(folder: Path) -> None:
    found = {identify(folder), identify("random-tiny"), identify("random-tiny", seed=1)}
    state = load_file(folder / "model.safetensors")
    save_file({key: value + 1 for key, value in state.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    found.add(identify(folder))
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    found.add(identify(folder))
    assert len(found) == 5


def test_names_on_the_hub_are_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def fetched(address: str, repository: str, patterns: list[str]) -> Path:
        asked.append((address, repository, "*.safetensors" in patterns))
        return tmp_path

    monkeypatch.setattr(checkpoint, "fetched", fetched)
    assert find_llava("owner/name") == find_llava("hf://owner/name") == tmp_path
    assert asked == [("owner/name", "owner/name", True), ("hf://owner/name", "owner/name", True)]
    with pytest.raises(MissingInputError, match=r"no such folder.*random-tiny"):
        find_llava("nowhere/to/be/found")
