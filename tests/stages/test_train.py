"""Training: resuming changes nothing, an easy problem is learned, trouble is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from train_pool import KINDS, ONE_GROUP, PLAIN, SHORT, SMALL, KilledError, Pool, assert_same, silent, stop_at

from w2svqa.core.errors import StoreError, W2SVQAError
from w2svqa.stages import train as module
from w2svqa.stages import train_step
from w2svqa.stages.batches import UNKNOWN, Batch, BatchConfig, Batches
from w2svqa.stages.train import (
    CHECKPOINT,
    LOG,
    ModelConfig,
    TrainConfig,
    build,
    log_records,
    parameters,
    rate_at,
    train,
)
from w2svqa.stages.train_checkpoint import BEFORE
from w2svqa.students.compact import CompactModel


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def whole(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> tuple[CompactModel, Path]:
    """An uninterrupted run of six steps."""
    folder = tmp_path_factory.mktemp("whole")
    return pool.train(folder, SHORT), folder


@pytest.mark.parametrize("last", [1, 3, 5, 6])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path, last: int
) -> None:
    with pytest.raises(KilledError):
        pool.train(tmp_path, SHORT, stop_at(last))
    torch.manual_seed(last)  # a fresh process has another global state
    steps: list[int] = []
    model = pool.train(tmp_path, SHORT, lambda step, *_: steps.append(step))
    assert steps == list(range(last // 3 * 3 + 1, 7))
    assert_same(model, whole[0])
    ours, theirs = (torch.load(folder / CHECKPOINT, weights_only=True) for folder in (tmp_path, whole[1]))
    assert ours["step"] == theirs["step"] == 6
    for index, state in theirs["optimiser"]["state"].items():
        assert all(torch.equal(state[name], ours["optimiser"]["state"][index][name]) for name in state)
    assert list(log_records(tmp_path)) == list(log_records(whole[1]))


def test_a_finished_run_is_only_loaded(pool: Pool, whole: tuple[CompactModel, Path]) -> None:
    before = (whole[1] / CHECKPOINT).stat().st_mtime_ns
    model = pool.train(whole[1], SHORT, stop_at(6))
    assert_same(model, whole[0])
    assert (whole[1] / CHECKPOINT).stat().st_mtime_ns == before


def test_the_model_comes_back_ready_to_score_and_the_folder_holds_nothing_else(
    whole: tuple[CompactModel, Path],
) -> None:
    model, folder = whole
    assert not model.training
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, BEFORE, LOG}
    records = list(log_records(folder))
    assert [record["step"] for record in records] == [3, 6]
    assert all(np.isfinite(list(record.values())).all() for record in records)
    assert list(log_records(folder / "nowhere")) == []


def test_another_seed_gives_other_weights(pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path) -> None:
    model = pool.train(tmp_path, SHORT, seed=1)
    name = "comparator.quality.0.weight"
    assert not torch.equal(model.state_dict()[name], whole[0].state_dict()[name])


def test_the_global_generator_is_left_alone(pool: Pool, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    pool.train(tmp_path, TrainConfig(**PLAIN, batch=ONE_GROUP, steps=1))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.slow
def test_an_easy_problem_is_learned(pool: Pool, tmp_path: Path) -> None:
    batch = BatchConfig(severity_groups=2, same_groups=0, cross_groups=0, details=1)
    config = TrainConfig(**PLAIN, batch=batch, steps=200, learning_rate=3e-2, checkpoint_steps=10)
    pool.train(tmp_path, config)
    records = list(log_records(tmp_path))
    assert records[-1]["label"] < 0.6 * records[0]["label"]
    assert records[-1]["diagnosis"] < records[0]["diagnosis"]
    assert records[-1]["accuracy"] > 0.6  # 0.59 for one that knows the better video alone, not by how much


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def without_step(path: Path) -> None:
    state: dict[str, Any] = torch.load(path, weights_only=True)
    del state["step"]
    torch.save(state, path)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        without_step,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no checkpoint"),
        lambda path: path.write_bytes(bytes(4096)),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({"step": 1, "model": {}, "optimiser": {}}, path),
        lambda path: torch.save({"step": 1, "model": 3, "optimiser": 4}, path),
        lambda path: torch.save(KilledError, path),
    ],
)
def test_a_damaged_checkpoint_is_named_and_kept(
    pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes((whole[1] / CHECKPOINT).read_bytes())
    damage(path)
    content = path.read_bytes()
    with pytest.raises(StoreError, match="the checkpoint cannot be read") as caught:
        pool.train(tmp_path, SHORT)
    assert caught.value.path == str(path)
    assert len(str(caught.value).splitlines()) == 1
    assert path.read_bytes() == content


def test_a_checkpoint_of_another_model_is_refused(pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes((whole[1] / CHECKPOINT).read_bytes())
    wider = TrainConfig(model=ModelConfig(widths=(4, 4, 8, 16), token=8, hidden=8), batch=ONE_GROUP, steps=6)
    with pytest.raises(StoreError, match="the checkpoint cannot be read"):
        pool.train(tmp_path, wider)


def test_a_loss_that_is_not_finite_names_its_step_and_keeps_the_checkpoint(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnosis = train_step.diagnosis_loss
    calls: list[int] = []

    def broken(*arguments: Any, **options: Any) -> tuple[torch.Tensor, float]:  # noqa: ANN401 (passed on as they are)
        calls.append(0)
        part, whole = diagnosis(*arguments, **options)
        return part, float("nan") if len(calls) == 5 else whole

    monkeypatch.setattr(train_step, "diagnosis_loss", broken)
    with pytest.raises(W2SVQAError, match="the loss of step 5 is nan") as caught:
        pool.train(tmp_path, SHORT)
    batch = Batches(pool.versions, pool.pairs, pool.folder, kinds=KINDS, config=ONE_GROUP, seed=0).at(4)
    assert set(caught.value.problem.partition("its batch held ")[2].split(", ")) == set(batch.names)
    assert caught.value.remedy is not None
    assert "learning_rate" in caught.value.remedy
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["step"] == 3
    assert all(torch.isfinite(tensor.float()).all() for tensor in state["model"].values())


@pytest.mark.parametrize(
    ("progress", "warm_up", "expected"),
    [(0, 0.2, 0), (0.1, 0.2, 0.5), (0.2, 0.2, 1), (0.6, 0.2, 0.5), (1, 0.2, 0), (0, 0, 1), (0.5, 0, 0.5), (1, 0, 0)],
)
def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine(
    progress: float, warm_up: float, expected: float
) -> None:
    assert rate_at(progress, warm_up) == pytest.approx(expected, abs=1e-12)


def test_the_optimiser_gets_the_rate_of_the_schedule(pool: Pool, tmp_path: Path) -> None:
    config = TrainConfig(**PLAIN | {"log_steps": 1}, batch=ONE_GROUP, steps=10, learning_rate=0.5, warm_up=0.2)
    pool.train(tmp_path, config)
    rates = [record["learning_rate"] for record in log_records(tmp_path)]
    assert rates == pytest.approx([0.5 * rate_at((step + 0.5) / 10, 0.2) for step in range(10)])
    assert 0 < min(rates) < max(rates) < 0.5  # no step without a rate
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert [group["lr"] for group in state["optimiser"]["param_groups"]] == pytest.approx(rates[-1:])


def test_making_batches_ahead_changes_nothing(
    pool: Pool, whole: tuple[CompactModel, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_turn(batches: Batches, steps: range) -> Iterator[tuple[int, Batch]]:
        return ((step, batches.at(step)) for step in steps)

    monkeypatch.setattr(module, "_ahead", in_turn)
    assert_same(pool.train(tmp_path, SHORT), whole[0])


def test_every_step_gets_its_batch_and_none_is_made_in_vain(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    at = Batches.at

    def counted(self: Batches, step: int) -> Batch:
        made.append(step)
        return at(self, step)

    monkeypatch.setattr(Batches, "at", counted)
    with pytest.raises(KilledError):
        pool.train(tmp_path, SHORT, stop_at(4))
    pool.train(tmp_path, SHORT)
    assert made == [0, 1, 2, 3, 4, 3, 4, 5]  # one ahead of the four steps; then from the checkpoint of step 3


def test_trouble_with_a_batch_is_told(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"crops.*\.npz"):
        train(pool.versions, pool.pairs, SHORT, tmp_path, crops_folder=tmp_path, kinds=KINDS, seed=0, progress=silent)


def test_without_motion_the_student_sees_key_frames_alone(pool: Pool, tmp_path: Path) -> None:
    still = ModelConfig(widths=SMALL.widths, token=8, hidden=8, motion=False)
    model = pool.train(tmp_path, TrainConfig(model=still, batch=ONE_GROUP, steps=2))
    assert not any("motion" in name for name in model.state_dict())
    assert parameters(model) < parameters(build(SMALL, KINDS, seed=0))


def test_with_motion_its_branch_learns(whole: tuple[CompactModel, Path]) -> None:
    trained, fresh = whole[0].state_dict(), build(SMALL, KINDS, seed=0).state_dict()
    names = [name for name in fresh if name.startswith("encoder.motion") and name.endswith("weight")]
    assert names
    assert all(not torch.equal(trained[name], fresh[name]) for name in names)


def diagnose(model: CompactModel, tokens: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, float]:
    logits, severities = model.diagnosis(tokens)
    return train_step.diagnosis_loss(
        logits, severities, torch.from_numpy(batch.kinds), torch.from_numpy(batch.severities)
    )


def test_a_version_counts_in_the_diagnosis_as_much_as_it_is_severe(pool: Pool) -> None:
    config = BatchConfig(severity_groups=1, same_groups=0, cross_groups=0, peer_groups=0, details=1, mixtures=0)
    batch = Batches(pool.versions, pool.pairs, pool.folder, kinds=KINDS, config=config, seed=0).at(0)
    model = build(SMALL, KINDS, seed=0)
    tokens = torch.randn(len(batch.names), 8, generator=torch.Generator().manual_seed(0))
    logits, severities = model.diagnosis(tokens)
    each = functional.cross_entropy(logits, torch.from_numpy(batch.kinds), reduction="none")
    weights = torch.from_numpy(np.where(batch.kinds == 0, 1, batch.severities.max(axis=1)))
    assert len(set(weights.tolist())) > 2
    squares = functional.mse_loss(severities, torch.from_numpy(batch.severities))
    expected = ((weights * each).sum() / weights.sum() + squares).detach()
    assert diagnose(model, tokens, batch)[1] == pytest.approx(float(expected), rel=1e-5)


def test_none_is_no_answer_where_nobody_knows(pool: Pool) -> None:
    config = BatchConfig(severity_groups=1, same_groups=0, cross_groups=0, peer_groups=0, details=1, mixtures=0)
    batch = Batches(pool.versions, pool.pairs, pool.folder, kinds=("noise", "blur"), config=config, seed=0).at(0)
    noisy = batch.kinds == 1
    severities = np.where(noisy[:, None], [[np.nan, 1.0]], np.nan)[:, ::-1].astype(np.float32)  # of no primary
    batch = replace(batch, kinds=np.where(noisy, 1, UNKNOWN), severities=severities)
    model = build(SMALL, ("noise", "blur"), seed=0)
    tokens = torch.randn(len(batch.names), 8, generator=torch.Generator().manual_seed(0))
    part, loss = diagnose(model, tokens, batch)
    with torch.no_grad():
        model.diagnosis.kinds.bias[0] += 5
    assert diagnose(model, tokens, batch)[1] == pytest.approx(loss)
    torch.autograd.backward(part)
    weight = model.diagnosis.kinds.weight.grad
    assert weight is not None
    assert torch.isfinite(weight).all()
    assert not weight[0].any()


def test_a_batch_of_unknown_kinds_has_no_diagnosis_loss(pool: Pool) -> None:
    config = BatchConfig(severity_groups=1, same_groups=0, cross_groups=0, peer_groups=0, details=1, mixtures=1)
    batch = Batches(pool.versions, pool.pairs, pool.folder, kinds=KINDS, config=config, seed=0).at(0)
    model = build(SMALL, KINDS, seed=0)
    part, loss = diagnose(model, torch.randn(len(batch.names), 8), batch)
    assert float(part.detach()) == loss == 0
    torch.autograd.backward(part)  # and it has a gradient, of nothing


def test_brain_floats_train_too(pool: Pool, tmp_path: Path) -> None:
    config = TrainConfig(**PLAIN, batch=ONE_GROUP, steps=2, precision="bf16")
    model = pool.train(tmp_path, config)
    assert all(weight.dtype == torch.float32 for weight in model.parameters())
    assert parameters(model) == sum(weight.numel() for weight in build(SMALL, KINDS, seed=0).parameters())
