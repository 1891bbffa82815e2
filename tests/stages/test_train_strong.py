"""Training of students with a vision tower: the trainer's promises hold, and what is frozen stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from second_pool import LENGTHS, LLAVA, SIDES, STUDENTS, TOWER, PoolOf, SecondPool, with_model
from torch import nn
from train_pool import KilledError, stop_at

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.rows import PairRow
from w2svqa.stages import family_llava
from w2svqa.stages.batches import BatchConfig
from w2svqa.stages.family_table import StudentConfig, family_of
from w2svqa.stages.train import CHECKPOINT, TrainConfig, log_records
from w2svqa.stages.train_step import Answers
from w2svqa.stages.train_strong import LlavaRates, TowerRates, TowerTraining, shares
from w2svqa.stages.train_weights import changing
from w2svqa.students.llava.lora import ADAPTER, LoraConfig
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.losses import ConfidenceConfig

pytestmark = pytest.mark.llm

KINDS_OF_STUDENTS = pytest.mark.parametrize("kind", list(STUDENTS))


@pytest.fixture(scope="module")
def pool_of(tmp_path_factory: pytest.TempPathFactory) -> PoolOf:
    pools = {kind: SecondPool(tmp_path_factory.mktemp(kind), side) for kind, side in SIDES.items()}
    return pools.__getitem__


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def untrained(model: StudentConfig) -> nn.Module:
    return family_of(model).build((), seed=0, precision="fp32")


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@KINDS_OF_STUDENTS
@pytest.mark.parametrize("last", [2, 5])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    pool_of: PoolOf, tmp_path: Path, kind: str, last: int
) -> None:
    config = with_model(STUDENTS[kind])
    whole = pool_of(kind).train(tmp_path / "whole", config)
    with pytest.raises(KilledError):
        pool_of(kind).train(tmp_path / "killed", config, stop_at(last))
    torch.manual_seed(last)
    assert_equal(pool_of(kind).train(tmp_path / "killed", config), whole)
    assert list(log_records(tmp_path / "killed")) == list(log_records(tmp_path / "whole"))


def sixteen(pool: SecondPool) -> list[PairRow]:
    return [pair for pair in pool.pairs if pair.origin == "severity"][:16]


@KINDS_OF_STUDENTS
@pytest.mark.slow
def test_sixteen_pairs_are_learned_by_heart(pool_of: PoolOf, tmp_path: Path, kind: str) -> None:
    pool, rate = pool_of(kind), {"tower": 2e-2, "llava": 1e-2}[kind]
    batch = BatchConfig(severity_groups=2, same_groups=0, cross_groups=0, peer_groups=0, length_parts=1)
    config = with_model(
        STUDENTS[kind],
        steps=160,
        batch=batch,
        learning_rate=rate,
        log_steps=1,
        checkpoint_steps=160,
        confidence=ConfidenceConfig(form="none"),
    )
    pool.train(tmp_path, config, pairs=sixteen(pool))
    records = list(log_records(tmp_path))
    assert len({pair.level for pair in sixteen(pool)}) > 2
    assert records[0]["label"] > 0.8
    assert records[-1]["label"] < 0.25
    assert records[-1]["accuracy"] == 1


@pytest.mark.parametrize(
    ("model", "trained"),
    [
        (TOWER, ("tower.", "head.")),
        (replace(TOWER, rates=TowerRates(tower=0)), ("head.",)),
        (LLAVA, ("backbone.model.vision_tower.", "backbone.model.multi_modal_projector.", "motion_projector.")),
        (replace(LLAVA, rates=LlavaRates(vision_tower=0, projector=0)), ("motion_projector.",)),
        (
            replace(LLAVA, rates=LlavaRates(vision_tower=0, language_model=0.1)),
            ("backbone.model.language_model.", "backbone.model.multi_modal_projector.", "motion_projector."),
        ),
    ],
)
def test_what_is_frozen_is_bit_identical_and_all_else_has_moved(
    pool_of: PoolOf, tmp_path: Path, model: StudentConfig, trained: tuple[str, ...]
) -> None:
    kind = "tower" if isinstance(model, TowerTraining) else "llava"
    before = state_of(untrained(model))
    after = pool_of(kind).train(tmp_path, with_model(model, steps=3, weight_decay=0.1))
    moving = changing(after).keys()
    assert {name for name, value in before.items() if not torch.equal(value, after.state_dict()[name])} == moving
    assert all(name.startswith(trained) for name in moving)
    assert all(any(name.startswith(part) for name in moving) for part in trained)
    saved = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert saved["model"].keys() == moving
    assert sum(len(group["params"]) for group in saved["optimiser"]["param_groups"]) == len(moving)


def test_the_parts_have_rates_of_their_own(pool_of: PoolOf, tmp_path: Path) -> None:
    model = replace(LLAVA, rates=LlavaRates(vision_tower=0.2, projector=1, motion_projector=3))
    pool_of("llava").train(tmp_path, with_model(model, steps=1, warm_up=0.0, checkpoint_steps=1, log_steps=1))
    groups = torch.load(tmp_path / CHECKPOINT, weights_only=True)["optimiser"]["param_groups"]
    [record] = log_records(tmp_path)
    assert [group["lr"] / record["learning_rate"] for group in groups] == pytest.approx([0.2, 1, 3])


def test_low_rank_additions_change_nothing_at_first_and_are_all_that_is_trained(
    pool_of: PoolOf, tmp_path: Path
) -> None:
    rates = LlavaRates(vision_tower=0, projector=0, motion_projector=0, lora=1)
    model = replace(LLAVA, rates=rates, lora=LoraConfig(rank=2, dropout=0.1))
    pool = pool_of("llava")
    first = [record["label"] for record in _logged(pool, tmp_path / "lora", with_model(model, steps=1, log_steps=1))]
    plain = [record["label"] for record in _logged(pool, tmp_path / "no", with_model(LLAVA, steps=1, log_steps=1))]
    assert first == pytest.approx(plain, abs=1e-6)
    trained = pool.train(tmp_path / "long", with_model(model))
    assert changing(trained)
    assert all(ADAPTER in name for name in changing(trained))
    assert any(bool(value.any()) for name, value in changing(trained).items() if "lora_B" in name)


def _logged(pool: SecondPool, folder: Path, config: TrainConfig) -> list[dict[str, float]]:
    pool.train(folder, config)
    return list(log_records(folder))


def test_additions_beside_a_trained_language_model_are_refused() -> None:
    with pytest.raises(ValueError, match="lora is for a language model that stays as it is"):
        replace(LLAVA, rates=LlavaRates(language_model=1), lora=LoraConfig())


def test_additions_to_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="no LoRA for q_projj"):
        untrained(replace(LLAVA, lora=LoraConfig(targets=("q_projj",))))


@pytest.mark.parametrize("rates", [{"tower": -0.1}, {"tower": 0, "head": 0}])
def test_rates_that_train_nothing_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="rates must be 0 or more"):
        TowerRates(**rates)


def test_a_rate_for_additions_that_are_not_there_trains_nothing() -> None:
    with pytest.raises(ConfigError, match="no part is trained"):
        untrained(replace(LLAVA, rates=LlavaRates(vision_tower=0, projector=0, motion_projector=0)))


def again_of(kind: str, *, again: bool) -> StudentConfig:
    if kind == "tower":
        return replace(TOWER, gradient_checkpointing=again)
    return replace(LLAVA, gradient_checkpointing=again)


@KINDS_OF_STUDENTS
def test_activations_computed_again_give_the_same_gradients(pool_of: PoolOf, tmp_path: Path, kind: str) -> None:
    found = [
        pool_of(kind).train(tmp_path / str(again), with_model(again_of(kind, again=again), steps=2))
        for again in (False, True)
    ]
    for name, value in found[0].state_dict().items():
        assert torch.allclose(value, found[1].state_dict()[name], atol=1e-6), name


def test_frozen_weights_are_kept_in_brain_floats_and_trained_ones_are_not(pool_of: PoolOf, tmp_path: Path) -> None:
    model = pool_of("llava").train(tmp_path, with_model(LLAVA, steps=2, precision="bf16"))
    kinds = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    frozen = {weight.dtype for weight in model.parameters() if not weight.requires_grad}
    assert (kinds, frozen) == ({torch.float32}, {torch.bfloat16})


@KINDS_OF_STUDENTS
def test_an_average_of_the_trained_weights_comes_out(pool_of: PoolOf, tmp_path: Path, kind: str) -> None:
    config = with_model(STUDENTS[kind], ema=0.5)
    averaged = pool_of(kind).train(tmp_path / "average", config)
    last = pool_of(kind).train(tmp_path / "last", replace(config, ema=None))
    state = torch.load(tmp_path / "average" / CHECKPOINT, weights_only=True)
    assert state["average"].keys() == state["model"].keys() == changing(last).keys()
    assert all(torch.equal(value, state["average"][name]) for name, value in changing(averaged).items())
    assert any(not torch.equal(value, changing(averaged)[name]) for name, value in changing(last).items())


@KINDS_OF_STUDENTS
def test_a_stage_goes_on_from_the_student_before(pool_of: PoolOf, tmp_path: Path, kind: str) -> None:
    before = pool_of(kind).train(tmp_path / "before", with_model(STUDENTS[kind]))
    after = pool_of(kind).train(tmp_path / "after", with_model(STUDENTS[kind], steps=0), initial=before)
    assert_equal(after, before)


def test_a_student_whose_other_parts_were_trained_is_refused(pool_of: PoolOf, tmp_path: Path) -> None:
    other = untrained(replace(LLAVA, rates=LlavaRates(vision_tower=0)))
    with pytest.raises(ConfigError, match="weights are trained in one of the two alone"):
        pool_of("llava").train(tmp_path, with_model(LLAVA), initial=other)


@pytest.mark.parametrize(
    ("raised", "problem", "knob"),
    [
        (
            torch.OutOfMemoryError("tried to allocate 2.00 GiB"),
            "the memory of the GPU is full at step 1",
            "pairs_per_group",
        ),
        (
            W2SVQAError("the logits are not finite", remedy="load it in bfloat16"),
            "step 1, whose batch held",
            "bfloat16",
        ),
    ],
)
def test_trouble_names_the_step_its_batch_and_the_knobs(
    pool_of: PoolOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, problem: str, knob: str
) -> None:
    def full(*_: object, **__: object) -> torch.Tensor:
        raise raised

    monkeypatch.setattr(LlavaModel, "level_logits", full)
    with pytest.raises(W2SVQAError, match=problem) as caught:
        pool_of("llava").train(tmp_path, with_model(LLAVA))
    assert "-none-0" in str(caught.value)
    assert knob in str(caught.value.remedy)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_loss_that_is_no_number_names_its_step_and_keeps_the_checkpoint(
    pool_of: PoolOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, calls = family_llava.LlavaFamily.ask, list[int]()

    def broken(*arguments: Any) -> Answers:  # noqa: ANN401 (passed on as they are)
        calls.append(0)
        answers = ask(*arguments)
        return replace(answers, logits=answers.logits * (torch.nan if len(calls) == 5 else 1))

    monkeypatch.setattr(family_llava.LlavaFamily, "ask", broken)
    with pytest.raises(W2SVQAError, match="the loss of step 5 is nan; its batch held"):
        pool_of("llava").train(tmp_path, with_model(LLAVA))
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 3


def test_key_frames_of_another_size_are_refused(pool_of: PoolOf, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"28 pixels high.*made for 32") as caught:
        pool_of("llava").train(tmp_path, with_model(TOWER))
    assert caught.value.remedy == "set distort.frames.side to 32"


def test_each_video_is_encoded_once_and_each_pair_read_once(
    pool_of: PoolOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    rows: list[int] = []
    tokens, logits = LlavaModel.second_tokens, LlavaModel.level_logits

    def counted(self: LlavaModel, pixels: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return tokens(self, pixels, features)

    def read(self: LlavaModel, embeds: torch.Tensor, *options: Any) -> torch.Tensor:  # noqa: ANN401 (passed on)
        found = logits(self, embeds, *options)
        rows.append(len(embeds))
        assert found.shape == (len(embeds), 5)  # no row of the vocabulary anywhere
        return found

    monkeypatch.setattr(LlavaModel, "second_tokens", counted)
    monkeypatch.setattr(LlavaModel, "level_logits", read)
    pool = pool_of("llava")
    pairs = [pair for pair in pool.pairs if pair.group == sixteen(pool)[0].group]
    batch = BatchConfig(severity_groups=1, same_groups=0, cross_groups=0, peer_groups=0)
    pool.train(tmp_path, with_model(LLAVA, steps=1, batch=batch), pairs=pairs)
    videos = {name for pair in pairs for name in (pair.first, pair.second)}
    assert seen == [len(videos) * LENGTHS[next(iter(videos)).partition("-")[0]]]
    assert rows == [len(pairs)]
    assert len(pairs) > len(videos)


def test_the_released_rates_are_the_default() -> None:
    found = {name: 1e-5 * share for name, share in shares(LlavaRates()).items()}
    assert found["vision_tower"] == pytest.approx(2e-6)
    assert found["projector"] == found["motion_projector"] == pytest.approx(1e-5)
    assert found["language_model"] == 0
