"""A video judged by itself: five words, their scores, and what a student of section 3 of the paper learns.

The words of :data:`w2svqa.students.llava.prompt.SINGLE`, bad to excellent, stand for 0, 25, 50, 75 and 100. A score
between two words is both of them, each the more the nearer it is, and what a student says is read the same way: the
mean of the words' scores under its probabilities.

Source: arXiv 2505.03631, section 3, trains a student on one teacher's scores "with the standard cross-entropy loss".
It does not say how a score becomes a target or is read, and its prompt stands in a picture that no text of the paper
holds. Words of a scale as the target, and the mean over them as the score, is our reading: its equation 30 reads pairs
so, with the weights 0 to 1 in steps of a quarter. Targets between words instead of the nearest word are ours, so that
no score is off by up to 12.5; the two distances as losses are ours as well, for "regression", as section 4 calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from torch import Tensor
from torch.nn import functional

from w2svqa.students.llava.model import LlavaModel, filled_up

WORD_SCORES: Final = (0.0, 25.0, 50.0, 75.0, 100.0)
"""What bad, poor, fair, good and excellent stand for."""

SingleLoss = Literal["cross_entropy", "l1", "mse"]
"""What is made small: cross-entropy of the words, or the distance of the mean score, absolute or squared."""

_STEP: Final = 25.0
_RANGE: Final = 100.0


def soft_labels(scores: Tensor) -> Tensor:
    """Return how much each word is meant by a score.

    Args:
        scores: float ``(N,)``, 0-100.

    Returns:
        ``(N, 5)``, of the type of ``scores``: 0 or more, adding up to 1, at most two neighbours above 0. The mean of
        :data:`WORD_SCORES` under them is the score.

    Example:
        >>> import torch
        >>> soft_labels(torch.tensor([31.25, 100.0])).tolist()
        [[0.0, 0.75, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    words = scores.new_tensor(WORD_SCORES)
    return (1 - (scores[:, None] - words).abs() / _STEP).clamp(min=0)


def mean_scores(logits: Tensor) -> Tensor:
    """Return the scores that logits of the five words mean: ``(N, 5)`` to ``(N,)``, 0-100.

    Example:
        >>> import torch
        >>> mean_scores(torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0]])).tolist()
        [50.0]
    """
    return logits.softmax(dim=-1) @ logits.new_tensor(WORD_SCORES)


def single_loss(logits: Tensor, scores: Tensor, kind: SingleLoss) -> Tensor:
    """Return how far a student is from scores, as a mean over videos.

    Args:
        logits: float ``(N, 5)``, of the words.
        scores: float ``(N,)``, 0-100.
        kind: cross-entropy against :func:`soft_labels`, which is never below their entropy; or the distance of
            :func:`mean_scores`, in parts of the whole range.

    Returns:
        scalar with gradient.
    """
    if kind == "cross_entropy":
        return functional.cross_entropy(logits, soft_labels(scores))
    distance = (mean_scores(logits) - scores) / _RANGE
    return distance.abs().mean() if kind == "l1" else distance.square().mean()


def single_logits(model: LlavaModel, videos: Sequence[Tensor]) -> Tensor:
    """Return the logits of the five words for videos, asked about one by one in one batch.

    Args:
        model: the student.
        videos: tokens ``(S, P + 1, H)`` of each, from :meth:`LlavaModel.second_tokens`.

    Returns:
        float32 ``(N, 5)``: bad to excellent.

    Raises:
        ConfigError: the student only compares, or a video is longer than the context.
        W2SVQAError: a logit is not finite.
    """
    embeds, mask = filled_up([model.single_embeds(video) for video in videos])
    return model.level_logits(embeds, mask, single=True)
