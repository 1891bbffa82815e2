"""The middle student: any vision tower, one token a second, comparisons that never contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from w2svqa.core.errors import BundleError, ConfigError, MissingInputError
from w2svqa.core.protocols import Student
from w2svqa.core.records import Chunk
from w2svqa.students import tower
from w2svqa.students.llava.checkpoint import load_motion
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.tower import RANDOM_TINY, TowerConfig, TowerModel, load_tower, make_tower
from w2svqa.students.tower_runtime import TowerCard, TowerStudent, load_student, write_tower

pytestmark = pytest.mark.llm

CONFIG = TowerConfig(checkpoint=RANDOM_TINY, token=8, hidden=8)
SIDE = 32


def model_of(config: TowerConfig = CONFIG, *, seed: int = 0) -> TowerModel:
    network = load_tower(config.checkpoint, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TowerModel(config, network).eval()


def seconds(count: int, *, seed: int = 0, side: int = SIDE) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=random)
    return frames, torch.randn(count, 256, generator=random)


def test_a_second_has_the_same_token_alone_and_among_others() -> None:
    model, (frames, motion) = model_of(), seconds(3)
    with torch.no_grad():
        tokens = model.second_tokens(frames, motion)
        each = [model.second_tokens(frames[k : k + 1], motion[k : k + 1]) for k in range(3)]
    assert tokens.shape == (3, 8)
    assert torch.allclose(tokens, torch.cat(each), atol=1e-6)
    assert not torch.allclose(tokens[0], tokens[1], atol=1e-3)  # it looks at the picture


def test_exchanging_two_videos_reverses_the_logits() -> None:
    model = model_of()
    with torch.no_grad():
        one, other = (model.second_tokens(*seconds(count, seed=count)) for count in (2, 3))
        there, back = model.compare([one, one], [other, one]), model.compare([other, one], [one, one])
    assert torch.equal(there, back.flip(1))
    assert not torch.allclose(there[0], there[0].flip(0))


def test_a_still_has_nothing_of_motion_in_its_token() -> None:
    model, (frames, motion) = model_of(), seconds(1)
    with torch.no_grad():
        still = model.second_tokens(frames, torch.zeros_like(motion))
        assert model.head.motion is not None
        model.head.motion.weight *= 5
        assert torch.equal(model.second_tokens(frames, torch.zeros_like(motion)), still)
        assert not torch.equal(model.second_tokens(frames, motion), still)


def test_without_motion_features_nobody_looks_at_them() -> None:
    model, (frames, motion) = model_of(TowerConfig(checkpoint=RANDOM_TINY, motion=0)), seconds(2)
    with torch.no_grad():
        assert torch.equal(model.second_tokens(frames, motion), model.second_tokens(frames, 2 * motion))


@pytest.mark.parametrize("layers", [(0.5,), (1.0,), (0.5, 1.0)])
def test_what_no_token_depends_on_is_no_part(layers: tuple[float, ...]) -> None:
    model = model_of(TowerConfig(checkpoint=RANDOM_TINY, layers=layers))
    parts = model.parts()
    total = model.second_tokens(*seconds(1)).square().sum()
    found = torch.autograd.grad(total, list(model.tower.parameters()), allow_unused=True)
    used = [id(weight) for weight, grad in zip(model.tower.parameters(), found, strict=True) if grad is not None]
    assert [id(weight) for weight in parts["tower"]] == used
    assert len(used) < len(list(model.tower.parameters()))  # it has a pooling head


def test_a_folder_of_hugging_face_is_loaded_with_its_pixels_and_without_its_text_part(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = sizes | {"vocab_size": 40, "max_position_embeddings": 8}
    config = transformers.CLIPConfig(
        text_config=text, vision_config=sizes | {"image_size": 32, "patch_size": 16}, projection_dim=8
    )
    whole = transformers.CLIPModel(config)
    whole.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}')
    found = load_tower(str(tmp_path))
    assert (found.mean, found.deviation, found.side) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 32)
    model = TowerModel(TowerConfig(checkpoint=str(tmp_path), layers=(1.0,)), found).eval()
    frames, motion = seconds(2)
    pixels = (frames.permute(0, 3, 1, 2) / 255 - torch.tensor(found.mean)[:, None, None]) / torch.tensor(
        found.deviation
    )[:, None, None]
    with torch.no_grad():
        wanted = whole.vision_model(pixel_values=pixels).last_hidden_state
        [shown] = model._states(pixels)
    assert torch.allclose(shown, wanted, atol=1e-5)
    assert model.second_tokens(frames, motion).shape == (2, 128)


def test_a_checkpoint_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(name: str, *_: object, **__: object) -> Path:
        raise MissingInputError("cannot be fetched: nobody answers", path=name)

    monkeypatch.setattr(tower, "fetch_snapshot", away)
    for name, problem in (("no/where", "nobody answers"), ("nowhere", "there is no such folder")):
        with pytest.raises(ConfigError, match=f"{name!r} cannot be used as a vision tower: .*{problem}"):
            load_tower(name)


def test_a_folder_without_a_model_of_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used as a vision tower"):
        load_tower(str(tmp_path))


def test_a_network_that_nobody_knows_is_named() -> None:
    with pytest.raises(ConfigError, match="'sigclip' cannot be used"):
        make_tower({"model_type": "sigclip"}, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    "changes", [{"layers": ()}, {"layers": (0.0,)}, {"layers": (1.5,)}, {"token": 0}, {"motion": -1}]
)
def test_sizes_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        TowerConfig(checkpoint=RANDOM_TINY, **changes)


def card_of(model: TowerModel, *, is_trained: bool) -> TowerCard:
    return TowerCard(
        config=model.config,
        network=dict(model.facts),
        mean=model.mean,
        deviation=model.deviation,
        side=SIDE,
        motion_side=SIDE,
        span="second",
        is_trained=is_trained,
    )


def chunks(count: int) -> list[Chunk]:
    random = np.random.default_rng(count)
    return [
        Chunk(
            index=index,
            start=float(index),
            key_frame=random.integers(0, 256, (48, 64, 3), dtype=np.uint8),
            motion=random.integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8),
            motion_times=np.arange(5) / 5,
        )
        for index in range(count)
    ]


def shipped(folder: Path, *, is_trained: bool = True) -> tuple[TowerStudent, dict[str, object]]:
    model, motion = model_of(seed=3), load_motion(RANDOM_TINY, LlavaConfig())
    card = card_of(model, is_trained=is_trained)
    state = {name: value for name, value in model.state_dict().items() if is_trained or name.startswith("head.")}
    facts = write_tower(folder, state, motion, card)
    return TowerStudent(model, motion, card, name="tall"), {"name": "tall", **facts}


def test_a_student_comes_back_from_its_files_as_it_was(tmp_path: Path) -> None:
    student, card = shipped(tmp_path)
    again = load_student(tmp_path, card)
    assert isinstance(again, Student)
    assert again.name == "tall"
    assert again.clip_spec == student.clip_spec
    tokens = [student.encode(chunks(count)) for count in (1, 9, 3)]
    assert all(np.array_equal(again.encode(chunks(len(each))), each) for each in tokens)
    assert np.allclose(student.encode(chunks(9))[4:5], student.encode(chunks(9)[4:5]), atol=1e-6)
    logits = student.judge(tokens, tokens[::-1])
    assert np.array_equal(again.judge(tokens, tokens[::-1]), logits)
    assert np.array_equal(logits, student.judge(tokens[::-1], tokens)[:, ::-1])
    assert student.judge([], []).shape == (0, 5)


def test_a_tower_that_was_not_trained_is_that_of_its_checkpoint(tmp_path: Path) -> None:
    model = model_of(seed=0)  # as random-tiny is loaded
    card = card_of(model, is_trained=False)
    state = {name: value for name, value in model.state_dict().items() if name.startswith("head.")}
    motion = load_motion(RANDOM_TINY, LlavaConfig())
    facts = write_tower(tmp_path, state, motion, card)
    again = load_student(tmp_path, {"name": "tall", **facts})
    assert np.array_equal(again.encode(chunks(2)), TowerStudent(model, motion, card, name="tall").encode(chunks(2)))


def test_trouble_with_a_bundle_is_named(tmp_path: Path) -> None:
    student, card = shipped(tmp_path)
    with pytest.raises(BundleError, match="no valid 'tower'"):
        load_student(tmp_path, {"name": "tall"})
    wider = dict(card["tower"]) | {"config": {"checkpoint": RANDOM_TINY, "token": 16, "hidden": 8}}  # type: ignore[call-overload]
    with pytest.raises(BundleError, match="its weights do not fit"):
        load_student(tmp_path, {**card, "tower": wider})
    with pytest.raises(ValueError, match="2 first videos cannot be paired with 1"):
        student.judge([np.zeros((1, 8), np.float32)] * 2, [np.zeros((1, 8), np.float32)])
    with pytest.raises(ValueError, match="at least one second"):
        student.encode([])
