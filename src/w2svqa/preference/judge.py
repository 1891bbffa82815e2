"""From tokens to scores: a student, its anchors and its scale, for any number of videos or seconds in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.preference.forms import RELEASED_TEMPERATURE, place_jointly, score_released
from w2svqa.preference.scale import Scale, ScoreBatch
from w2svqa.preference.soft import (
    MAX_PAIRS,
    judge_log_probabilities,
    judge_pieces,
    level_probabilities,
    log_odds,
    preference_matrix,
    preferences,
    wants_both_orders,
)
from w2svqa.preference.thurstone import Placement, place

Floats = NDArray[np.float64]

_PIECE: Final = 4 * MAX_PAIRS  # pairs listed at a time


class AnchoredJudge:
    """Scores videos, or single seconds of videos, by comparing them with the anchors.

    Whatever the batch, a video's score has the same bits, as long as the student judges a pair alike in any batch.

    Args:
        student: what judges.
        anchors: tokens of the anchors, in the order of ``scale.anchor_positions``.
        scale: where the anchors lie and what 0 and 100 mean. ``dataclasses.replace(scale, form=...)`` selects another
            form: ``"joint"`` uses the same affine map, ``"released"`` has its own 0-100 and no interval.

    Raises:
        ValueError: not as many anchors as positions.

    Source: method of arXiv 2505.03631, section 5, with fixed anchors (see ``thurstone``).
    """

    def __init__(self, student: Student, anchors: Sequence[Tokens], scale: Scale) -> None:
        if len(anchors) != len(scale.anchor_positions):
            raise ValueError(f"{len(anchors)} anchors, but the scale has {len(scale.anchor_positions)} positions")
        self.student = student
        self.anchors = tuple(anchors)
        self.scale = scale

    def score(self, tokens: Sequence[Tokens], *, factor: float | None = None) -> ScoreBatch:
        """Score N videos (or seconds: ``tokens[k : k + 1]`` of a video are second k).

        Args:
            tokens: one entry per video or second.
            factor: half the interval's width in deviations, as in :meth:`Scale.score`.

        Returns:
            N scores; ``low <= value <= high``.

        Raises:
            ValueError: as :func:`w2svqa.preference.soft.judge_both`.

        Source: ours.
        """
        if self.scale.form == "released":
            values = score_released(self._released_preferences(tokens), self._released_matrix)
            return ScoreBatch(value=values, low=values.copy(), high=values.copy(), raw=values.copy())
        placed = self.place(tokens)
        return self.scale.score(placed.latent, placed.deviation, factor=factor)

    def place(self, tokens: Sequence[Tokens]) -> Placement:
        """Return the latents of N videos in the form of the scale, ``"anchored"`` or ``"joint"``.

        Raises:
            ValueError: the form is ``"released"``, which has no latents of its own; or as :meth:`score`.

        Source: ours.
        """
        if self.scale.form == "released":
            raise ValueError("the released form has no latents; use score")
        votes = self.log_odds(tokens)
        if self.scale.form == "joint":
            return place_jointly(votes, self._matrix)
        return place(votes, self.scale.anchor_positions, vote_weight=self.scale.vote_weight)

    def log_odds(self, tokens: Sequence[Tokens]) -> Floats:
        """Return the votes, float64 ``(N, A)``: log-odds of the preference for each video over each anchor.

        Both orders of a pair are averaged unless the student needs or wants only one: the anchor first.

        Raises:
            ValueError: as :func:`w2svqa.preference.soft.judge_both`.

        Source: ours.
        """
        votes = np.empty((len(tokens), len(self.anchors)))
        for piece, first, second in self._pairs(tokens):
            judged = judge_log_probabilities(
                self.student, first, second, self.scale.temperature, both=wants_both_orders(self.student)
            )
            votes[piece] = log_odds(judged).reshape(-1, len(self.anchors))
        return votes

    def _pairs(self, tokens: Sequence[Tokens]) -> Iterator[tuple[slice, list[Tokens], list[Tokens]]]:
        """Anchors first, videos second, video by video, in bounded pieces."""
        size = max(1, _PIECE // len(self.anchors))
        for start in range(0, len(tokens), size):
            piece = slice(start, start + size)
            first = [anchor for _ in tokens[piece] for anchor in self.anchors]
            yield piece, first, [video for video in tokens[piece] for _ in self.anchors]

    @cached_property
    def _matrix(self) -> Floats:
        """The anchors' preference matrix at the scale's temperature; only the joint form needs it."""
        return preference_matrix(self.student, self.anchors, self.scale.temperature)

    @cached_property
    def _released_matrix(self) -> Floats:
        """As released: at temperature 1 and from one order, the worse-numbered anchor first."""
        count = len(self.anchors)
        first, second = (index.tolist() for index in np.triu_indices(count, k=1))
        logits = judge_pieces(self.student, [self.anchors[i] for i in first], [self.anchors[j] for j in second])
        matrix = np.full((count, count), 0.5)
        matrix[second, first] = preferences(level_probabilities(logits))
        matrix[first, second] = 1.0 - matrix[second, first]
        return matrix

    def _released_preferences(self, tokens: Sequence[Tokens]) -> Floats:
        """As released: logits divided by 5, one order."""
        votes = np.empty((len(tokens), len(self.anchors)))
        for piece, first, second in self._pairs(tokens):
            logits = judge_pieces(self.student, first, second)
            judged = preferences(level_probabilities(logits, RELEASED_TEMPERATURE))
            votes[piece] = judged.reshape(-1, len(self.anchors))
        return votes
