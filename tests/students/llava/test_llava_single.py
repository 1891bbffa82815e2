"""What a single video's words and scores have to do with each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from llava_cases import CONFIGS, videos

from w2svqa.students.llava.checkpoint import RANDOM_TINY, load_llava
from w2svqa.students.llava.single import WORD_SCORES, SingleLoss, mean_scores, single_logits, single_loss, soft_labels

pytestmark = pytest.mark.llm

SCORES = st.lists(st.floats(0, 100), min_size=1, max_size=5)


def as_tensor(scores: list[float]) -> torch.Tensor:
    return torch.tensor(scores, dtype=torch.float64)


@given(SCORES)
def test_soft_labels_are_shares_of_two_neighbours_whose_mean_is_the_score(scores: list[float]) -> None:
    labels = soft_labels(as_tensor(scores))
    assert (labels >= 0).all()
    assert torch.allclose(labels.sum(dim=1), torch.ones(len(scores), dtype=torch.float64))
    assert torch.allclose(labels @ as_tensor(list(WORD_SCORES)), as_tensor(scores))
    for row in labels:
        meant = row.nonzero().flatten().tolist()
        assert len(meant) <= 2
        assert meant[-1] - meant[0] <= 1


@given(SCORES)
def test_what_is_read_is_what_was_meant(scores: list[float]) -> None:
    logits = soft_labels(as_tensor(scores)).log().clamp(min=-80)
    assert torch.allclose(mean_scores(logits), as_tensor(scores), atol=1e-6)


@given(SCORES)
def test_no_other_answer_has_a_smaller_cross_entropy(scores: list[float]) -> None:
    wanted = as_tensor(scores)
    labels = soft_labels(wanted)
    best = single_loss(labels.log().clamp(min=-80), wanted, "cross_entropy")
    assert best == pytest.approx(float(torch.special.entr(labels).sum(dim=1).mean()), abs=1e-6)
    for seed in range(3):
        other = torch.randn(labels.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        assert single_loss(other, wanted, "cross_entropy") >= best


@pytest.mark.parametrize(("kind", "wanted"), [("l1", 0.3), ("mse", 0.09)])
def test_distances_are_in_parts_of_the_range(kind: SingleLoss, wanted: float) -> None:
    loss = single_loss(torch.zeros(2, 5), torch.tensor([20.0, 80.0]), kind)
    assert loss.item() == pytest.approx(wanted)


def test_a_video_has_the_same_logits_in_any_batch() -> None:
    model = load_llava(RANDOM_TINY, CONFIGS["released"]).eval()
    seen = [torch.from_numpy(video) for video in videos(model, (1, 3, 2))]
    with torch.inference_mode():
        together = single_logits(model, seen)
        alone = torch.cat([single_logits(model, [video]) for video in seen])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.std(dim=0).min() > 1e-3
