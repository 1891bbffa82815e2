"""feature student + pool -> judge: anchors chosen from the pool by the student itself, no rating seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.core.records import Tokens
from w2svqa.preference.anchors import choose_anchors, locate_candidates
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import preference_matrix
from w2svqa.preference.thurstone import place_anchors
from w2svqa.students.features import FeatureStudent

CANDIDATES: Final = 60
"""Videos of the pool that are compared with each other for anchors: 1770 pairs."""


def tokens_of(features: NDArray[np.float64]) -> list[Tokens]:
    """Return the tokens of videos with one vector each: float32 ``(1, features)`` per row."""
    return [row[None] for row in features.astype(np.float32)]


def feature_judge(student: FeatureStudent, pool: Sequence[Tokens], *, anchors: int = 5, seed: int) -> AnchoredJudge:
    """Return the judge of a feature student.

    Candidates are drawn from the pool, placed by the exact joint MAP over the student's own preferences, and one per
    quality interval is taken. 0 and 100 are the lowest and the highest anchor: nothing is known here of simulators.

    Args:
        student: trained.
        pool: tokens of unlabeled videos, at least as many as anchors.
        anchors: how many.
        seed: draws the candidates.

    Raises:
        ValueError: fewer candidates than anchors, or the student holds all of them for equally good.
    """
    drawn = np.sort(generator(seed, "feature anchors").permutation(len(pool))[:CANDIDATES])
    candidates = [pool[index] for index in drawn.tolist()]
    located = locate_candidates(preference_matrix(student, candidates))
    chosen = choose_anchors([f"{index:09}" for index in drawn.tolist()], located.latent, located.misfit, count=anchors)
    tokens = [candidates[anchor.index] for anchor in chosen]
    positions = place_anchors(preference_matrix(student, tokens))
    scale = Scale(
        anchor_positions=tuple(positions.tolist()),
        latent_zero=float(positions.min()),
        latent_hundred=float(positions.max()),
    )
    return AnchoredJudge(student, tokens, scale)
