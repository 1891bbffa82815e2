"""The schedule of the confidence loss point by point, and what the loss is made of."""

import math

import pytest
import torch
from torch.nn import functional

from w2svqa.students.losses import ConfidenceConfig, confidence_loss, temperature_at, weight_at

FREE = ConfidenceConfig(largest_weight=1.0)


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


def test_without_confidence_it_is_the_cross_entropy() -> None:
    logits, levels = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 5
    terms = confidence_loss(logits, levels, 0.9, ConfidenceConfig(enabled=False))
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
