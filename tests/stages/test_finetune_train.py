"""The last layers of a student: what is trained, what stays, and what the terms of the loss are for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.random import generator
from w2svqa.core.statistics import spearman
from w2svqa.stages.finetune_seen import LadderVersions
from w2svqa.stages.finetune_train import (
    Candidate,
    LastLayers,
    Lessons,
    Objective,
    Parts,
    TuneConfig,
    order_accuracy,
    qualities,
    severity_places,
    tune,
)
from w2svqa.students.compact import CompactConfig, CompactModel

WIDTHS = (4, 4, 4, 4)


def student() -> CompactModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return CompactModel(
            CompactConfig(widths=WIDTHS, token=8, hidden=8, motion=False, kinds=("blur", "noise"))
        ).eval()


def lessons(count: int = 60, *, seed: int = 0, ladders: int = 0, gain: float = 1.0) -> Lessons:
    """Statistics of which one direction tells the rating; severities lie along it too, falling for a gain above 0."""
    model = student()
    direction = model.state_dict()["encoder.head.3.weight"][0].numpy()
    direction = direction / np.linalg.norm(direction)
    random = generator(seed, "lessons")
    seen = random.normal(size=(count, len(direction))).astype(np.float32)
    steps = tuple((kind, level) for kind in ("blur", "noise") for level in (1, 2, 3))
    versions = [
        LadderVersions(
            kinds=tuple(kind for kind, _ in steps),
            levels=tuple(level for _, level in steps),
            seen=np.stack([seen[place] - gain * level * direction for _, level in steps]).astype(np.float32),
        )
        for place in range(ladders)
    ]
    ratings = 3 + (seen @ direction).astype(np.float64)
    return Lessons(seen=seen, ratings=ratings, deviations=np.full(count, 0.2), ladders=tuple(versions))


@pytest.mark.parametrize("objective", ["pairs", "scores"])
@pytest.mark.parametrize("parts", ["quality", "token"])
def test_ratings_are_learned_by_either_objective(objective: Objective, parts: Parts) -> None:
    model, material = student(), lessons()
    before = spearman(qualities(LastLayers(model), material.seen), material.ratings)
    candidate = Candidate(parts=parts, pull=0.0, rate=1e-2)
    layers = tune(model, material, candidate, TuneConfig(objective=objective), steps=60, seed=0)
    assert spearman(qualities(layers, material.seen), material.ratings) > max(0.6, before + 0.3)


@pytest.mark.parametrize(
    ("parts", "changed"),
    [("quality", {"comparator.quality"}), ("token", {"comparator.quality", "encoder.head", "diagnosis"})],
)
def test_only_what_is_asked_for_changes_and_the_student_stays(parts: Parts, changed: set[str]) -> None:
    model, material = student(), lessons()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    tuned = tune(model, material, Candidate(parts=parts, pull=0.0), TuneConfig(), steps=3, seed=0).put_into(model)
    differing = [name for name, value in tuned.state_dict().items() if not torch.equal(value, state[name])]
    assert {part for part in changed if any(name.startswith(part) for name in differing)} == changed
    assert all(name.startswith(tuple(changed)) for name in differing)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_no_steps_give_the_old_student_and_a_strong_pull_keeps_it_near() -> None:
    model, material = student(), lessons()
    old = qualities(LastLayers(model), material.seen)
    none = tune(model, material, Candidate(parts="token", pull=0.0), TuneConfig(), steps=0, seed=0)
    assert qualities(none, material.seen).tolist() == old.tolist()

    def moved(pull: float) -> float:
        layers = tune(model, material, Candidate(parts="token", pull=pull), TuneConfig(), steps=40, seed=0)
        pairs = zip(layers.parameters(), LastLayers(model).parameters(), strict=True)
        return sum(float(((now - was) ** 2).sum().detach()) for now, was in pairs)

    assert moved(10.0) < 0.2 * moved(0.0)


def test_ladders_are_kept_in_order_against_ratings_that_say_otherwise() -> None:
    """What the severities do to a video is what people like here: without the ladders they come out of order."""
    model, material = student(), lessons(ladders=8, gain=-1.0)
    candidate = Candidate(parts="quality", pull=0.0, rate=1e-2)
    orders = []
    for weight in (0.0, 50.0):
        layers = tune(model, material, candidate, TuneConfig(ladder_weight=weight), steps=100, seed=0)
        orders.append(float(np.mean(order_accuracy(layers, material.ladders))))
    assert orders[0] < 0.2
    assert orders[1] > 0.8


def test_the_diagnosis_is_kept_where_tokens_change() -> None:
    model, material = student(), lessons(ladders=4)
    candidate = Candidate(parts="token", pull=0.0, rate=3e-3)

    def change(weight: float) -> float:
        layers = tune(model, material, candidate, TuneConfig(keep_weight=weight), steps=60, seed=0)
        seen = torch.from_numpy(material.seen)
        with torch.no_grad():
            old = LastLayers(model)
            was, now = (each.diagnosis(each.token(seen))[0].softmax(dim=1) for each in (old, layers))
        return float((was - now).abs().mean())

    assert change(5.0) < 0.5 * change(0.0)


def test_checks_come_before_the_first_step_and_at_each_interval() -> None:
    seen: list[int] = []
    config = TuneConfig(steps=10, check_steps=4)
    candidate = Candidate(parts="quality", pull=0.0)
    tune(student(), lessons(), candidate, config, steps=10, seed=0, check=lambda step, _: seen.append(step))
    assert seen == [0, 4, 8]


def test_training_repeats_and_leaves_global_randomness_alone() -> None:
    model, material = student(), lessons(ladders=2)
    candidate = Candidate(parts="token", pull=0.01)
    state = torch.random.get_rng_state()
    once, again = (
        qualities(tune(model, material, candidate, TuneConfig(), steps=5, seed=1), material.seen) for _ in range(2)
    )
    assert once.tolist() == again.tolist()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_severity_pairs_and_their_order_by_brute_force() -> None:
    [ladder] = lessons(ladders=1).ladders
    steps = list(zip(ladder.kinds, ladder.levels, strict=True))
    expected = {
        (one, other) if steps[one][1] < steps[other][1] else (other, one)
        for one, other in combinations(range(len(steps)), 2)
        if steps[one][0] == steps[other][0]
    }
    assert set(severity_places(ladder)) == expected
    layers = LastLayers(student())
    quality = qualities(layers, ladder.seen)
    share = np.mean([quality[milder] > quality[worse] for milder, worse in expected])
    assert order_accuracy(layers, [ladder]) == [pytest.approx(share)]


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="pull -1"):
        Candidate(parts="token", pull=-1)
    with pytest.raises(ConfigError, match="0 candidates"):
        TuneConfig(candidates=())
    with pytest.raises(ConfigError, match="checked each 20"):
        TuneConfig(steps=10)
    with pytest.raises(ConfigError, match="raters 0"):
        TuneConfig(raters=0)


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    material = lessons()
    material.seen[3] = np.nan
    with pytest.raises(W2SVQAError, match="the loss of step 1 is nan"):
        tune(student(), material, Candidate(parts="quality", pull=0.0), TuneConfig(objective="scores"), steps=2, seed=0)
