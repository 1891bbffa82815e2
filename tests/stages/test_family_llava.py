"""A trained strong student on its way into a bundle and back: the same answers, and the same weights to go on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from second_pool import LLAVA, SIDES, SecondPool, with_model

from w2svqa.core.errors import ConfigError
from w2svqa.preference.scale import Scale
from w2svqa.stages.families import Shipped
from w2svqa.stages.family_llava import LlavaFamily
from w2svqa.stages.kept_seconds import FramesConfig
from w2svqa.stages.train_strong import LlavaRates, LlavaTraining
from w2svqa.stages.train_weights import changing
from w2svqa.students.bundle import load_bundle
from w2svqa.students.llava.lora import LoraConfig
from w2svqa.students.seconds import Seconds, read_seconds

pytestmark = pytest.mark.llm

FRAMES = FramesConfig(slowfast="random-tiny", side=SIDES["llava"])
LORA = replace(LLAVA, lora=LoraConfig(rank=2, dropout=0), rates=LlavaRates(vision_tower=0, motion_projector=0, lora=1))
SCALE = Scale(anchor_positions=(-1.0, 1.0), latent_zero=-1, latent_hundred=1, temperature=1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SecondPool:
    return SecondPool(tmp_path_factory.mktemp("seconds"), SIDES["llava"])


def videos(pool: SecondPool) -> list[Seconds]:
    return [read_seconds(pool.folder / f"seconds/{clip}.npz", level) for clip in ("b", "c") for level in (0, 5)]


@pytest.mark.parametrize("model", [LLAVA, LORA, replace(LLAVA, rates=LlavaRates(language_model=1))])
def test_a_bundle_answers_as_the_student_that_was_trained(
    pool: SecondPool, tmp_path: Path, model: LlavaTraining
) -> None:
    family, folder = LlavaFamily(model), tmp_path / "bundle"
    folder.mkdir()
    trained = pool.train(tmp_path / "train", with_model(model, learning_rate=1e-2))
    before = {name: value.clone() for name, value in changing(trained).items()}
    shipped = family.ship(trained, folder, name="tiny", seed=0, frames=FRAMES)
    tokens = [family.tokens(shipped.student, seconds) for seconds in videos(pool)]
    logits = shipped.student.judge(tokens, tokens[::-1])
    card = {"name": "tiny", "scale": SCALE.to_dict(), "figures": {"pairs": 3}}
    family.finish(shipped, folder, anchors=tuple(tokens[:2]), preferences=np.full((2, 2), 0.5), card=card)
    found = load_bundle(folder)
    assert found.card["figures"] == {"pairs": 3}
    again = [family.tokens(found.student, seconds) for seconds in videos(pool)]
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(tokens, again, strict=True))
    assert np.allclose(found.student.judge(again, again[::-1]), logits, atol=1e-5)
    weights = family.weights(folder)
    assert weights.keys() == before.keys()
    assert all(torch.equal(weights[name], value) for name, value in before.items())


def test_training_changed_the_answers(pool: SecondPool, tmp_path: Path) -> None:
    family = LlavaFamily(LORA)
    found: list[Any] = []
    for steps in (0, 6):
        model = pool.train(tmp_path / str(steps), with_model(LORA, steps=steps, learning_rate=1e-2))
        student = family.ship(model, tmp_path, name="tiny", seed=0, frames=FRAMES).student
        tokens = [family.tokens(student, seconds) for seconds in videos(pool)]
        found.append(student.judge(tokens, tokens[::-1]))
    assert not np.allclose(found[0], found[1], atol=1e-3)


def test_what_the_student_looks_at_must_be_known(tmp_path: Path) -> None:
    family = LlavaFamily(LLAVA)
    with pytest.raises(ConfigError, match=r"distort\.frames"):
        family.ship(family.build((), seed=0, precision="fp32"), tmp_path, name="tiny", seed=0, frames=None)


def test_students_of_other_kinds_are_refused(tmp_path: Path) -> None:
    family, other = LlavaFamily(LLAVA), torch.nn.Linear(1, 1)
    with pytest.raises(TypeError, match="a Linear is no strong student"):
        family.parts(other)
    student: Any = other
    with pytest.raises(TypeError, match="no strong student"):
        family.tokens(
            student, Seconds(frames=np.zeros((1, 28, 28, 3), np.uint8), motion=np.zeros((1, 256), np.float32))
        )
    with pytest.raises(TypeError, match="no strong student"):
        family.finish(Shipped(student=student, facts={}), tmp_path, anchors=(), preferences=np.zeros((0, 0)), card={})
