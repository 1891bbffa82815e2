"""Soft comparison: from a student's five logits to the preference for one of two videos.

A preference is carried as its *log-odds* log P - log(1 - P). As a probability it would round to exactly 1 in double
precision for a video far better than the one it is compared with, and such videos would tie; the log-odds keep rising.

Orientation, the same everywhere: logits and levels say how the *second* video compares with the *first*; a preference
is the probability that the *second* is preferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.core.levels import LEVEL_WEIGHTS, LEVELS
from w2svqa.core.protocols import Costly, Student
from w2svqa.core.records import Tokens

Floats = NDArray[np.float64]

MAX_PAIRS: Final = 4096
"""Pairs handed to a student in one call; larger batches are cut, so that memory stays bounded."""

MAX_LOG_ODDS: Final = 744.0
"""Log-odds that preferences of exactly 0 and 1 are given: those of the smallest positive double."""


def level_log_probabilities(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Return the logarithms of the five level probabilities: log softmax(logits / temperature).

    Args:
        logits: real, finite, ``(N, 5)``, inferior to superior, of the second video relative to the first.
        temperature: above 0; above 1 makes the student less sure.

    Returns:
        float64 ``(N, 5)``, at most 0. Small probabilities keep their full relative precision.

    Raises:
        ValueError: wrong shape, logits that are not finite, or a temperature that is not above 0.

    Source: arXiv 2505.03631, section 5 (soft comparison). The temperature is ours: the paper has none; the released
    code divides the logits of the scored video, and only those, by 5.
    """
    columns = _logit_columns(logits) / _checked_temperature(temperature)
    return np.ascontiguousarray((columns - _log_sum_exp(columns)).T)


def level_probabilities(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Return the five level probabilities, float64 ``(N, 5)``; arguments and errors as :func:`level_log_probabilities`.

    Source: arXiv 2505.03631, section 5 (soft comparison).

    Example:
        >>> level_probabilities([[0.0, 0.0, 0.0, 0.0, 0.0]])
        array([[0.2, 0.2, 0.2, 0.2, 0.2]])
    """
    return np.exp(level_log_probabilities(logits, temperature))


def preferences(probabilities: ArrayLike) -> Floats:
    """Return the probability that the second video is preferred: the weighted sum over the five levels.

    Args:
        probabilities: ``(N, 5)``, inferior to superior; rows sum to 1.

    Returns:
        float64 ``(N,)`` in [0, 1]; above 0.5 the second is better.

    Raises:
        ValueError: wrong shape.

    Source: arXiv 2505.03631, section 5; the weights are :data:`w2svqa.core.levels.LEVEL_WEIGHTS`.

    Example:
        >>> preferences([[0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0]])
        array([1.  , 0.25])
    """
    columns = _five_columns(probabilities)
    total = np.zeros(columns.shape[1])
    # Level by level, not by a matrix product: a row's bits must not depend on how many rows there are.
    for weight, column in zip(LEVEL_WEIGHTS, columns, strict=True):
        total += weight * column
    # exponentials round: five probabilities may sum to a little more than 1
    return np.minimum(total, 1.0)


def log_odds(log_probabilities: ArrayLike) -> Floats:
    """Return log P - log(1 - P) of the preference P for the second video, without ever rounding P to 0 or 1.

    Args:
        log_probabilities: ``(N, 5)``, from :func:`level_log_probabilities` or :func:`judge_log_probabilities`.

    Returns:
        float64 ``(N,)``, finite; above 0 the second is better.

    Raises:
        ValueError: wrong shape.

    Source: P as in :func:`preferences`. Carrying log-odds is ours: the paper and the released code carry P.

    Example:
        >>> far, farther = log_odds(level_log_probabilities([[-80, -40, 0, 40, 80], [-90, -45, 0, 45, 90]]))
        >>> bool(far < farther), float(preferences(level_probabilities([[-80, -40, 0, 40, 80]]))[0])
        (True, 1.0)
    """
    columns = _five_columns(log_probabilities)
    second = [(np.log(weight), column) for weight, column in zip(LEVEL_WEIGHTS, columns, strict=True) if weight > 0.0]
    first = [(np.log1p(-weight), column) for weight, column in zip(LEVEL_WEIGHTS, columns, strict=True) if weight < 1.0]
    in_favour = _log_sum_exp(np.stack([weight + column for weight, column in second]))
    against = _log_sum_exp(np.stack([weight + column for weight, column in first]))
    return np.asarray(in_favour - against)


def log_odds_of(preference: ArrayLike) -> Floats:
    """Return the log-odds of preferences given as probabilities.

    Args:
        preference: any shape, in [0, 1].

    Returns:
        float64, same shape, in [-744, 744]: 0 and 1 are given the ends (:data:`MAX_LOG_ODDS`), so they stay finite.

    Raises:
        ValueError: a value outside [0, 1] or not a number.

    Source: definition.

    Example:
        >>> log_odds_of([0.0, 0.5, 1.0])
        array([-744.,    0.,  744.])
    """
    values = np.asarray(preference, dtype=np.float64)
    if not np.all((values >= 0.0) & (values <= 1.0)):
        raise ValueError("preferences must lie in [0, 1]")
    with np.errstate(divide="ignore"):
        odds = np.log(values) - np.log1p(-values)
    return np.asarray(np.clip(odds, -MAX_LOG_ODDS, MAX_LOG_ODDS))


def judge_both(student: Student, first: Sequence[Tokens], second: Sequence[Tokens], temperature: float = 1.0) -> Floats:
    """Let a student compare pairs, free of any liking for the first or second place.

    Unless ``student.antisymmetric``, each pair is judged in both orders and the probabilities, the second order's
    reversed, are averaged.

    Args:
        student: what judges.
        first: tokens of the first video of each pair.
        second: tokens of the second, as many.
        temperature: as in :func:`level_log_probabilities`.

    Returns:
        Level probabilities, float64 ``(N, 5)``, of the second relative to the first. Exchanging ``first`` and
        ``second`` reverses the columns.

    Raises:
        ValueError: the sequences differ in length, the student returns anything but finite ``(N, 5)`` logits, or a
            temperature that is not above 0.

    Source: ours. The paper and the released code judge one order (anchor first), so that position bias stays in.
    """
    return np.exp(judge_log_probabilities(student, first, second, temperature))


def judge_log_probabilities(
    student: Student,
    first: Sequence[Tokens],
    second: Sequence[Tokens],
    temperature: float = 1.0,
    *,
    both: bool = True,
) -> Floats:
    """Return the logarithms of what :func:`judge_both` returns; arguments and errors are the same.

    Args:
        student: as in :func:`judge_both`.
        first: as in :func:`judge_both`.
        second: as in :func:`judge_both`.
        temperature: as in :func:`judge_both`.
        both: judge in both orders, unless one is enough by construction; otherwise in the given order alone.

    Source: ours.
    """
    forward = level_log_probabilities(judge_pieces(student, first, second), temperature)
    if student.antisymmetric or not both:
        return forward
    backward = level_log_probabilities(judge_pieces(student, second, first), temperature)
    return np.asarray(np.logaddexp(forward, backward[:, ::-1]) - np.log(2.0))


def wants_both_orders(student: Student) -> bool:
    """Return whether a student's votes against the anchors are to be taken in both orders.

    Yes, unless one is enough by construction, or the student is a :class:`w2svqa.core.protocols.Costly` one that asks
    for one.

    Source: ours.
    """
    return not student.antisymmetric and not (isinstance(student, Costly) and not student.both_orders)


def judge_pieces(student: Student, first: Sequence[Tokens], second: Sequence[Tokens]) -> Floats:
    """Return ``student.judge(first, second)``, float64 ``(N, 5)``, called with at most :data:`MAX_PAIRS` pairs at once.

    Raises:
        ValueError: the sequences differ in length, or the student returns another shape or values not finite.

    Source: ours.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} first videos, but {len(second)} second videos")
    logits = np.empty((len(first), len(LEVELS)))
    for start in range(0, len(first), MAX_PAIRS):
        piece = slice(start, start + MAX_PAIRS)
        judged = np.asarray(student.judge(first[piece], second[piece]), dtype=np.float64)
        if judged.shape != logits[piece].shape or not np.isfinite(judged).all():
            raise ValueError(f"student {student.name!r} returned logits of shape {judged.shape}, or not all finite")
        logits[piece] = judged
    return logits


def preference_matrix(student: Student, tokens: Sequence[Tokens], temperature: float = 1.0) -> Floats:
    """Compare every video with every other.

    Args:
        student: what judges.
        tokens: of A videos.
        temperature: as in :func:`level_log_probabilities`.

    Returns:
        M, float64 ``(A, A)``: ``M[i, j]`` is the preference for video i over video j (i is judged as the *second*).
        ``M[i, j] + M[j, i] = 1`` and the diagonal is 0.5.

    Raises:
        ValueError: as :func:`judge_both`.

    Source: arXiv 2505.03631, section 5 (anchor matrix); both orders are averaged (see :func:`judge_both`).
    """
    count = len(tokens)
    above, below = (index.tolist() for index in np.triu_indices(count, k=1))
    judged = judge_both(student, [tokens[j] for j in above], [tokens[i] for i in below], temperature)
    matrix = np.full((count, count), 0.5)
    matrix[below, above] = preferences(judged)
    matrix[above, below] = 1.0 - matrix[below, above]
    return matrix


def _five_columns(values: ArrayLike) -> Floats:
    """``(5, N)``, each level's values contiguous: numpy may use another exp for strided memory."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != len(LEVELS):
        raise ValueError(f"expected shape (N, {len(LEVELS)}), got {array.shape}")
    return np.ascontiguousarray(array.T)


def _logit_columns(logits: ArrayLike) -> Floats:
    columns = _five_columns(logits)
    if not np.isfinite(columns).all():
        raise ValueError("logits must be finite")
    return columns


def _checked_temperature(temperature: float) -> float:
    if not (np.isfinite(temperature) and temperature > 0.0):
        raise ValueError(f"temperature must be above 0, got {temperature}")
    return temperature


def _log_sum_exp(columns: Floats) -> Floats:
    """Logarithm of the sum of exponentials over the first axis, ``(K, N) -> (N,)``."""
    highest = columns.max(axis=0)
    total = np.zeros_like(highest)
    for column in columns:
        total += np.exp(column - highest)
    return np.asarray(highest + np.log(total))
