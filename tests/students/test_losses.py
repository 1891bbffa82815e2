"""The schedule of the confidence loss point by point, and what each of its forms is made of."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from w2svqa.students.losses import (
    LABEL_SHARE,
    ConfidenceConfig,
    ConfidenceForm,
    confidence_loss,
    harden,
    temperature_at,
    weight_at,
)

FORMS: tuple[ConfidenceForm, ...] = get_args(ConfidenceForm)
FREE = ConfidenceConfig(largest_weight=1.0)

# T falls 0.5, 0.4, 0.3, 0.1, 0.1, and the ramp rises 0, 1/4, 1/2, 1, 1; for an entropy of 1.2 and a label term of 1 nat
# alpha is 1 / (1 + exp(-0.2 / T)) = 0.598688, 0.622459, 0.660758, 0.880797; of 1/25 nat, 1 / (1 + exp(-1.16 / T))
TIMES = (0.0, 0.025, 0.05, 0.1, 0.6)
EXPECTED: dict[ConfidenceForm, tuple[float, ...]] = {
    "ours": (0, 0.155615, 0.330379, 0.5, 0.5),
    "paper": (0, 0.155615, 0.330379, 0.880797, 0.880797),
    "released": (0, 0.236961, 0.489751, 0.999991, 0.999991),
    "burns": (0, 0.125, 0.25, 0.5, 0.5),
    "none": (0, 0, 0, 0, 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_schedule_of_each_form_point_by_point(form: ConfidenceForm) -> None:
    config = ConfidenceConfig(form=form)
    found = [weight_at(time, 1.0, 1.2, config) for time in TIMES]
    assert found == pytest.approx(EXPECTED[form], abs=1e-6)
    assert [temperature_at(time, config) for time in TIMES] == pytest.approx([0.5, 0.4, 0.3, 0.1, 0.1])


@pytest.mark.parametrize(("progress", "expected"), [(0, 0.5), (0.05, 0.3), (0.1, 0.1), (0.2, 0.1), (1, 0.1)])
def test_temperature_falls_linearly_over_the_warm_up(progress: float, expected: float) -> None:
    assert temperature_at(progress, FREE) == pytest.approx(expected)


@pytest.mark.parametrize("progress", [0.0, 0.02, 0.05, 0.1, 0.6, 1.0])
@pytest.mark.parametrize(("label", "confidence"), [(0.4, 1.2), (1.0, 1.0), (1.5, 0.3)])
def test_weight_is_the_formula_of_the_paper(progress: float, label: float, confidence: float) -> None:
    temperature = temperature_at(progress, FREE)
    certain, fitting = math.exp(confidence / temperature), math.exp(label / temperature)
    expected = certain / (certain + fitting) * min(1, progress / 0.1)
    assert weight_at(progress, label, confidence, FREE) == pytest.approx(expected)


@pytest.mark.parametrize(("label", "confidence", "expected"), [(0, 1e4, 1), (1e4, 0, 0)])
def test_weight_does_not_overflow(label: float, confidence: float, expected: float) -> None:
    assert weight_at(1.0, label, confidence, FREE) == expected


def test_weight_is_capped_so_that_labels_count() -> None:
    assert weight_at(1.0, 0.1, 1.6, ConfidenceConfig(largest_weight=0.5)) == 0.5


def test_loss_is_the_weighted_sum_of_cross_entropy_and_entropy() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, 0.5], [0.0, 0.0, 3.0, 0.0, 0.0]])
    levels = torch.tensor([0, 2])
    terms = confidence_loss(logits, levels, 0.5, FREE)
    label = float(functional.cross_entropy(logits, levels))
    probabilities = logits.softmax(dim=1)
    entropy = float(-(probabilities * probabilities.log()).sum(dim=1).mean())
    assert terms.label == pytest.approx(label)
    assert terms.confidence == pytest.approx(entropy)
    assert float(terms.total) == pytest.approx((1 - terms.weight) * label + terms.weight * entropy)


def test_weights_count_pairs_as_repetitions_would() -> None:
    random = torch.Generator().manual_seed(3)
    logits, levels = torch.randn(3, 5, generator=random), torch.tensor([0, 3, 4])
    repeated = torch.tensor([0, 1, 1, 1, 2, 2])
    weighted = confidence_loss(logits, levels, 0.5, FREE, weights=torch.tensor([0.1, 0.3, 0.2]))
    expected = confidence_loss(logits[repeated], levels[repeated], 0.5, FREE)
    for name in ("total", "label", "confidence", "weight"):
        assert float(getattr(weighted, name)) == pytest.approx(float(getattr(expected, name)), rel=1e-5)


@given(st.floats(0, 20), st.floats(0, math.log(5)), st.floats(0, 1))
def test_the_literal_form_is_ours_without_a_limit(label: float, confidence: float, progress: float) -> None:
    literal = weight_at(progress, label, confidence, ConfidenceConfig(form="paper"))
    assert literal == pytest.approx(weight_at(progress, label, confidence, FREE), abs=1e-5)


def test_the_literal_form_overflows_to_its_limit_over_five_levels_and_to_nothing_over_a_vocabulary() -> None:
    config = ConfidenceConfig(form="paper")
    assert weight_at(1.0, 9.0, math.log(5), config) == 0  # exp(90) is infinite in float32
    assert math.isnan(weight_at(1.0, 9.0, 9.0, config))  # an entropy that five levels cannot have


def test_the_released_form_ends_without_labels() -> None:
    logits, levels = torch.randn(9, 5, generator=torch.Generator().manual_seed(1)), torch.arange(9) % 5
    terms = confidence_loss(logits, levels, 1.0, ConfidenceConfig(form="released"))
    assert terms.weight == pytest.approx(1, abs=1e-3)
    assert terms.value == pytest.approx((1 - terms.weight) * LABEL_SHARE * terms.label + terms.confidence, abs=1e-3)


def test_burns_adds_the_cross_entropy_to_hardened_levels() -> None:
    random = torch.Generator().manual_seed(2)
    logits, levels = torch.randn(8, 5, generator=random), torch.tensor([0, 0, 1, 2, 2, 3, 4, 4])
    terms = confidence_loss(logits, levels, 1.0, ConfidenceConfig(form="burns", largest_weight=0.75))
    hardened = harden(logits, levels, torch.ones(8))
    assert terms.weight == 0.75
    assert terms.confidence == pytest.approx(float(functional.cross_entropy(logits, hardened)))
    expected = 0.25 * functional.cross_entropy(logits, levels) + 0.75 * functional.cross_entropy(logits, hardened)
    assert float(terms.total) == pytest.approx(float(expected))


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-9, 9)), min_size=1, max_size=30, unique_by=lambda row: row[1]))
def test_hardened_levels_have_the_shares_of_the_labels_in_the_order_of_the_student(
    rows: list[tuple[int, float]],
) -> None:
    levels = torch.tensor([level for level, _ in rows])
    slopes = torch.tensor([slope for _, slope in rows], dtype=torch.float64)
    logits = slopes[:, None] * torch.linspace(-1, 1, 5, dtype=torch.float64)  # the expected level rises with the slope
    expected = logits.softmax(dim=1) @ torch.arange(5.0, dtype=torch.float64)
    if len(set(expected.tolist())) < len(rows):
        return  # equal in floating point: they share a level, and the counts need not be met
    found = harden(logits, levels, torch.ones(len(rows)))
    assert torch.equal(found.sort().values, levels.sort().values)
    assert (found[slopes.argsort()].diff() >= 0).all()


def test_two_levels_are_hardened_by_the_threshold_of_burns() -> None:
    random = torch.Generator().manual_seed(4)
    logits, levels = torch.randn(20, 5, generator=random), torch.tensor([0] * 13 + [4] * 7)
    expected = logits.double().softmax(dim=1) @ torch.arange(5.0, dtype=torch.float64)
    threshold = expected.sort().values[13]
    assert torch.equal(harden(logits, levels, torch.ones(20)), torch.where(expected >= threshold, 4, 0))


def test_equal_predictions_get_one_level() -> None:
    found = harden(torch.zeros(6, 5), torch.tensor([0, 1, 2, 2, 3, 4]), torch.ones(6))
    assert set(found.tolist()) == {2}


class Halves:
    """Stands for two processes, of which the other one has what was given."""

    def __init__(self, rows: torch.Tensor, sums: torch.Tensor) -> None:
        self.rows, self.sums = rows, sums

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.sums

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([rows, self.rows])


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_in_two_halves_has_the_loss_and_the_gradient_of_the_whole(form: ConfidenceForm) -> None:
    random = torch.Generator().manual_seed(5)
    logits = torch.randn(9, 5, generator=random, dtype=torch.float64).requires_grad_()
    levels, weights = torch.arange(9) % 5, torch.rand(9, generator=random, dtype=torch.float64)
    config = ConfidenceConfig(form=form)
    whole = confidence_loss(logits, levels, 0.07, config, weights=weights)
    (wanted,) = torch.autograd.grad(whole.total, logits)
    gradient = torch.zeros_like(logits)
    for mine, other in ((slice(0, 4), slice(4, 9)), (slice(4, 9), slice(0, 4))):
        across = halves(logits.detach()[other], levels[other], weights[other], logits, levels, weights, config)
        terms = confidence_loss(logits[mine], levels[mine], 0.07, config, weights=weights[mine], across=across)
        assert terms.value == pytest.approx(whole.value)
        assert (terms.label, terms.confidence) == pytest.approx((whole.label, whole.confidence))
        (part,) = torch.autograd.grad(terms.total, logits)
        gradient += part
    assert torch.allclose(gradient, wanted)


def halves(
    logits: torch.Tensor,
    levels: torch.Tensor,
    weights: torch.Tensor,
    every: torch.Tensor,
    labels: torch.Tensor,
    counts: torch.Tensor,
    config: ConfidenceConfig,
) -> Halves:
    """What the other process sends: its rows for the thresholds, and its sums."""
    expected = logits.softmax(dim=1) @ torch.arange(5.0, dtype=torch.float64)
    fits = functional.cross_entropy(logits, levels, reduction="none")
    if config.form == "burns":
        hardened = harden(every.detach(), labels, counts)
        chosen = hardened[[int((every == row).all(dim=1).nonzero()[0, 0]) for row in logits]]
        sure = functional.cross_entropy(logits, chosen, reduction="none")
    else:
        sure = -(logits.softmax(1) * logits.log_softmax(1)).sum(dim=1)
    sums = torch.stack([weights.sum(), (weights * fits).sum(), (weights * sure).sum()])
    return Halves(torch.stack([expected, levels.double(), weights], dim=1), sums)


@pytest.mark.parametrize(
    "wrong", [{"start_temperature": 0.0}, {"end_temperature": -1.0}, {"warm_up": 1.5}, {"largest_weight": 1.1}]
)
def test_a_schedule_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ConfidenceConfig(**wrong)  # type: ignore[arg-type]  # all are numbers


def test_without_confidence_it_is_the_cross_entropy() -> None:
    logits, levels = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 5
    terms = confidence_loss(logits, levels, 0.9, ConfidenceConfig(form="none"))
    assert float(terms.total) == pytest.approx(float(functional.cross_entropy(logits, levels)))


def test_the_weight_passes_no_gradient() -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    levels = torch.tensor([1])
    terms = confidence_loss(logits, levels, 1.0, FREE)
    (found,) = torch.autograd.grad(terms.total, logits)
    entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum()
    fixed = (1 - terms.weight) * functional.cross_entropy(logits, levels) + terms.weight * entropy
    (expected,) = torch.autograd.grad(fixed, logits)
    assert torch.allclose(found, expected)
