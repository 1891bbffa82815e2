"""Who labels mined pairs: the student, which looks at the videos, or its scores together with the teachers'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError
from w2svqa.core.levels import LEVELS
from w2svqa.stages.mining_pool import MiningPool
from w2svqa.stages.pool_labels import PoolLabelConfig, make_labels
from w2svqa.stages.pool_pairs import ENSEMBLE, uncertain_levels
from w2svqa.stages.watched import Watched

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Pairs = Sequence[tuple[str, str]]
"""Clip ids of the first and the second video."""

_Numbers = TypeVar("_Numbers", Floats, Ints)

UNKNOWN: Final = -1
"""The level of a pair that nobody can label."""


class Labels(NamedTuple):
    """Labels of n pairs.

    ``levels``, int64 ``(n,)``: 0-4, or -1 where a video is not known. ``deviation``, float64 ``(n,)``: of the
    difference, in points. ``other``, int64 ``(n,)``: the levels by the student's other way, where it has one.
    """

    levels: Ints
    deviation: Floats
    other: Ints | None = None


class Labeller(Protocol):
    """Labels pairs of videos."""

    @property
    def source(self) -> str:
        """What the pairs say of who labelled them."""
        ...

    def label(self, pairs: Pairs) -> Labels:
        """Return the labels of pairs."""
        ...

    def logits(self, pairs: Pairs) -> Floats:
        """Return what the student says of each pair, float64 ``(n, 5)``; NaN where a video is not known."""
        ...


class StudentLabeller:
    """The student labels: by comparing the two videos, or by the scores it gives each and their deviations.

    Args:
        source: its name.
        watched: the videos.
        direct: by comparing.
    """

    def __init__(self, source: str, watched: Watched, *, direct: bool) -> None:
        self.source = source
        self._watched = watched
        self._direct = direct

    def label(self, pairs: Pairs) -> Labels:
        """Return levels by the chosen way, and by the other."""
        known = self._known(pairs)
        seen = [pair for pair, there in zip(pairs, known.tolist(), strict=True) if there]
        compared = most_probable_levels(self._watched.compare(*_sides(seen)))
        clips = list(dict.fromkeys(clip for pair in seen for clip in pair))
        raw, variance = self._watched.place(clips)
        scored = _by_scores(seen, dict(zip(clips, zip(raw.tolist(), variance.tolist(), strict=True), strict=True)))
        chosen, other = (compared, scored.levels) if self._direct else (scored.levels, compared)
        return Labels(_spread(chosen, known), _spread(scored.deviation, known), _spread(other, known))

    def logits(self, pairs: Pairs) -> Floats:
        """Return logarithms of the level probabilities by direct comparison."""
        known = self._known(pairs)
        seen = [pair for pair, there in zip(pairs, known.tolist(), strict=True) if there]
        found = np.full((len(pairs), len(LEVELS)), np.nan)
        # a probability may round to 0, whose logarithm is no logit
        found[known] = np.log(np.maximum(self._watched.compare(*_sides(seen)), np.finfo(np.float64).tiny))
        return found

    def _known(self, pairs: Pairs) -> NDArray[np.bool_]:
        failed = self._watched.failed
        return np.array([not (set(pair) & failed.keys()) for pair in pairs], dtype=np.bool_)


class EnsembleLabeller:
    """Calibrated scores label: the student's together with the teachers', as those of teachers alone in stage 1.

    Args:
        pool: with the scores.
        student: its name.
        weight: of the student; each teacher counts 1.

    Raises:
        InputError: nobody can be calibrated.
        MissingExtraError: SciPy is not installed.
    """

    source = ENSEMBLE

    def __init__(self, pool: MiningPool, student: str, weight: float) -> None:
        config = PoolLabelConfig(weights={student: weight}, least_teachers=min(2, len(pool.teachers) + 1))
        found = make_labels(pool.rows, pool.videos, higher_is_better=pool.higher_is_better, config=config)
        if not found.rows:
            reasons = "; ".join(f"{name}: {problem}" for name, problem in found.calibration.refused)
            raise InputError(f"the ensemble has no labels: {reasons}", remedy="have the student label")
        self._labels = {row.clip_id: (row.mean, row.variance) for row in found.rows}
        sign = 1 if pool.higher_is_better[student] else -1
        self._student = {
            row.clip_id: sign * row.value for row in pool.rows if row.teacher == student and row.value is not None
        }

    def label(self, pairs: Pairs) -> Labels:
        """Return levels by the labels of the videos and their variances."""
        known = np.array([self._labels.keys() >= set(pair) for pair in pairs], dtype=np.bool_)
        found = _by_scores([pair for pair in pairs if self._labels.keys() >= set(pair)], self._labels)
        return Labels(_spread(found.levels, known), _spread(found.deviation, known))

    def logits(self, pairs: Pairs) -> Floats:
        """Return logits whose preference rises with the difference of the student's scores; levels they do not tell."""
        missing = float("nan")
        difference = [self._student.get(second, missing) - self._student.get(first, missing) for first, second in pairs]
        steps = np.arange(len(LEVELS), dtype=np.float64) - len(LEVELS) // 2
        return np.array(difference, dtype=np.float64)[:, None] * steps


def most_probable_levels(probabilities: Floats) -> Ints:
    """Return the most probable level of each row; among equals their middle, so that exchanging mirrors the level.

    Args:
        probabilities: float64 ``(n, 5)``.

    Example:
        >>> most_probable_levels(np.array([[0.4, 0, 0.2, 0, 0.4], [0, 0.1, 0.2, 0.7, 0]])).tolist()
        [2, 3]
    """
    equals = probabilities == probabilities.max(axis=1, keepdims=True)
    middle: Ints = np.rint((equals * np.arange(probabilities.shape[1])).sum(axis=1) / equals.sum(axis=1)).astype(
        np.int64
    )
    return middle


def _by_scores(pairs: Pairs, scores: Mapping[str, tuple[float, float]]) -> Labels:
    """The paper's rule, by mean and variance of each video."""
    first, second = (np.array([scores[clip] for clip in side]).reshape(-1, 2) for side in _sides(pairs))
    deviation = np.sqrt(first[:, 1] + second[:, 1])
    return Labels(uncertain_levels(second[:, 0] - first[:, 0], deviation), deviation)


def _sides(pairs: Pairs) -> tuple[list[str], list[str]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def _spread(values: _Numbers, known: NDArray[np.bool_]) -> _Numbers:
    """Values of the known pairs among all; -1 for the others."""
    result = np.full_like(values, UNKNOWN, shape=len(known))
    result[known] = values
    return result
