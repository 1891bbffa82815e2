"""fine-tuned student + rated videos -> anchors and scale: 0 and 100 are the ends of the scale of ratings.

Anchors are rated videos, one per quality interval, as in the paper; the student places them itself. The map from its
latent to the score is the straight line that predicts the ratings best (least squares), so a score of 75 on ratings
from 1 to 5 stands for a rating of 4.

Source: arXiv 2505.03631, section 5 (anchors by quality interval, from rated videos); the line is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.random import generator
from w2svqa.core.records import Chunk, ClipSpec, Tokens
from w2svqa.preference.anchors import Anchor, choose_anchors, locate_candidates
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import preference_matrix
from w2svqa.preference.thurstone import place_anchors
from w2svqa.stages.finetune_data import RatedVideo
from w2svqa.stages.finetune_seen import Vectors
from w2svqa.students.bundle import Bundle
from w2svqa.students.compact import CompactModel
from w2svqa.students.runtime import DiagnosisScale, first_answers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CANDIDATES: Final = 100
"""Rated videos that are compared with each other for anchors."""


class TokenStudent:
    """A compact model for videos whose mean tokens are known, in PyTorch.

    Args:
        model: in evaluation mode.
        name: of the student.
    """

    antisymmetric = True
    clip_spec = ClipSpec()

    def __init__(self, model: CompactModel, name: str) -> None:
        self.model = model
        self.name = name

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        """Refuse: tokens come from statistics here.

        Raises:
            ValueError: always.
        """
        del chunks
        raise ValueError(f"{self.name} takes statistics, not pictures")

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> Floats:
        """Return five logits per pair, float64 ``(pairs, 5)``: the level of ``second[i]`` relative to ``first[i]``."""
        if not len(first):
            return np.empty((0, 5))
        with torch.inference_mode():
            logits: Floats = self.model.comparator(_means(first), _means(second)).double().numpy()
        return logits


def _means(tokens: Sequence[Tokens]) -> torch.Tensor:
    return torch.from_numpy(np.stack([video.mean(axis=0, dtype=np.float64) for video in tokens]).astype(np.float32))


def tokens_of(model: CompactModel, seen: Vectors) -> Tokens:
    """Return the tokens of statistics, float32 ``(N, token)`` of ``(N, F)``."""
    with torch.inference_mode():
        tokens: Tokens = model.encoder.head[-1](torch.from_numpy(seen)).numpy()
    return tokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Scores of N videos in points.

    Attributes:
        raw: before clipping, float64 ``(N,)``.
        deviation: of the posterior, float64 ``(N,)``.
    """

    raw: Floats
    deviation: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A student with anchors and scale, for videos whose statistics are known.

    Attributes:
        model: the student.
        judge: with its anchors.
        anchors: why each was chosen, and which of the videos it is; empty for a bundle's own.
        rises: whether its scores rise with the ratings that its scale was fitted to.
    """

    model: CompactModel
    judge: AnchoredJudge
    anchors: tuple[Anchor, ...] = ()
    rises: bool = True

    @classmethod
    def of_bundle(cls, model: CompactModel, bundle: Bundle) -> Judged:
        """Return a student with the anchors and the scale that it ships with."""
        student = TokenStudent(model, str(bundle.card.get("name")))
        return cls(model=model, judge=AnchoredJudge(student, bundle.anchors, Scale.from_dict(bundle.scale_mapping)))

    def score(self, seen: Vectors) -> Scored:
        """Score videos by their mean statistics, float32 ``(N, F)``."""
        scale = self.judge.scale
        placed = self.judge.place([token[None] for token in tokens_of(self.model, seen)])
        unit = 100 / (scale.latent_hundred - scale.latent_zero)
        return Scored(raw=(placed.latent - scale.latent_zero) * unit, deviation=placed.deviation * unit)

    def answers(self, seen: Vectors, scale: DiagnosisScale) -> Ints:
        """Return what the diagnosis says first of each video: 0 for "none", int64 ``(N,)``."""
        with torch.inference_mode():
            logits = self.model.diagnosis(torch.from_numpy(tokens_of(self.model, seen)))[0].double().numpy()
        return first_answers(scale.probabilities(logits))

    def agreement(self, other: Judged, seen: Vectors, scale: DiagnosisScale) -> float:
        """Return the share of videos of which two students' diagnoses say the same first, 0 to 1."""
        return float(np.mean(self.answers(seen, scale) == other.answers(seen, scale)))


def fit_judge(
    model: CompactModel,
    seen: Vectors,
    videos: Sequence[RatedVideo],
    bundle: Bundle,
    *,
    anchors: int,
    seed: int,
    ends: tuple[float, float],
) -> Judged:
    """Choose anchors among rated videos and fit the scale to their ratings.

    Args:
        model: the fine-tuned student.
        seen: mean statistics of the videos, float32 ``(N, F)``.
        videos: with their ratings.
        bundle: whose temperature and weight of a vote stay.
        anchors: how many.
        seed: draws the candidates.
        ends: of the scale of ratings, the worst and the best: what scores 0 and 100.

    Raises:
        W2SVQAError: the student tells no qualities apart.
    """
    student = TokenStudent(model, str(bundle.card.get("name")))
    old = Scale.from_dict(bundle.scale_mapping)
    tokens = [token[None] for token in tokens_of(model, seen)]
    drawn = np.sort(generator(seed, "anchor candidates").permutation(len(tokens))[:CANDIDATES]).tolist()
    candidates = [tokens[place] for place in drawn]
    located = locate_candidates(preference_matrix(student, candidates, old.temperature))
    try:
        chosen = choose_anchors([f"{place:09}" for place in drawn], located.latent, located.misfit, count=anchors)
    except ValueError as error:
        raise W2SVQAError(f"no anchors: {error}", remedy="check the ratings, or train less") from None
    known = [candidates[anchor.index] for anchor in chosen]
    positions = place_anchors(preference_matrix(student, known, old.temperature))
    first = replace(old, anchor_positions=tuple(positions.tolist()), latent_zero=-1.0, latent_hundred=1.0)
    latent = AnchoredJudge(student, known, first).place(tokens).latent
    zero, hundred, rises = _line(latent, np.array([video.rating for video in videos]), ends)
    placed = tuple(replace(anchor, index=drawn[anchor.index]) for anchor in chosen)
    judge = AnchoredJudge(student, known, replace(first, latent_zero=zero, latent_hundred=hundred))
    return Judged(model=model, judge=judge, anchors=placed, rises=rises)


def _line(latent: Floats, ratings: Floats, ends: tuple[float, float]) -> tuple[float, float, bool]:
    """The latents of the two ends, on the straight line of ratings over latents; and whether that line rises.

    A scale cannot fall. Where the line does, latents and ratings get the same mean and deviation instead: such a
    student is measured, but not kept.
    """
    spread = float(latent.std())
    slope = float(np.mean((latent - latent.mean()) * (ratings - ratings.mean()))) / spread**2
    rises = slope > 0
    if not rises:
        slope = max(float(ratings.std()), 1e-9) / spread
    middle = float(ratings.mean()) - slope * float(latent.mean())
    return (ends[0] - middle) / slope, (ends[1] - middle) / slope, rises
