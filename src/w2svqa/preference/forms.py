"""The two older forms of the score, selectable beside ours: the paper's joint MAP and that of the released code.

Both solve for the anchors and one video together, from the (A + 1) x (A + 1) preference matrix of the anchors bordered
by the video. So the anchors' places move from video to video, and the scale with them; ``thurstone.place``, the
default, keeps them fixed.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.preference.normal import inverse_mills, log_cdf, log_cdf_curvature
from w2svqa.preference.thurstone import Placement, check_votes, checked_matrix, sigmoid

Floats = NDArray[np.float64]

Form = Literal["anchored", "joint", "released"]
"""``anchored``: fixed anchors, exact (the default); ``joint``: the paper's; ``released``: the released code's."""

Link = Literal["normal", "logistic"]
"""From a difference of latents to a preference: Phi (Thurstone Case V) or the logistic function (Bradley-Terry)."""

RELEASED_TEMPERATURE: Final = 5.0
"""Divides the logits of the scored video in the released form; those between anchors are left as they are."""

RELEASED_STEPS: Final = 50
RELEASED_RATE: Final = 0.1
RELEASED_FLOOR: Final = 1e-6

_BLOCK: Final = 1024  # videos at a time
_MAX_STEPS: Final = 100


def place_jointly(log_odds: ArrayLike, matrix: ArrayLike) -> Placement:
    """Place each video together with the anchors: the paper's joint MAP, solved exactly.

    Maximises sum_ij M_ij log Phi(q_i - q_j) - sum_i q_i^2 / 2 over the anchors and the video; the optimum has
    sum q = 0 by itself.

    Args:
        log_odds: ``(N, A)``, finite: log-odds of the preference for the video over each anchor.
        matrix: ``(A, A)``, in [0, 1]: ``matrix[i, j]`` is the preference for anchor i over anchor j.

    Returns:
        The placement of the N videos: ``latent`` is the video's q; ``deviation`` is from the inverse Hessian;
        ``gradient`` is the norm over all A + 1 unknowns, below 1e-10.

    Raises:
        ValueError: wrong shapes or values, as :func:`w2svqa.preference.thurstone.place`.

    Source: arXiv 2505.03631, section 5 (MAP estimation). Videos far beyond the end anchors tie in this form.

    Example:
        >>> place_jointly([[0.0, 0.0]], [[0.5, 0.2], [0.8, 0.5]]).latent.round(6) + 0.0
        array([0.])
    """
    positions, deviation, gradient = solve_jointly(log_odds, matrix, "normal")
    return Placement(latent=positions[:, -1].copy(), deviation=deviation, gradient=gradient)


def solve_jointly(log_odds: ArrayLike, matrix: ArrayLike, link: Link = "normal") -> tuple[Floats, Floats, Floats]:
    """Return what :func:`place_jointly` finds for all unknowns, with either link.

    Args:
        log_odds: as :func:`place_jointly`.
        matrix: as :func:`place_jointly`.
        link: ``"logistic"`` gives the objective of the released code (without its floor under the logarithm).

    Returns:
        positions ``(N, A + 1)``, the video last; its posterior deviation ``(N,)``; the gradient's norm ``(N,)``.

    Raises:
        ValueError: as :func:`place_jointly`.

    Source: arXiv 2505.03631, section 5; Newton's method with halved steps is ours.
    """
    anchors = checked_matrix(matrix)
    votes = check_votes(log_odds, len(anchors))
    positions = np.empty((len(votes), len(anchors) + 1))
    deviation, gradient = np.empty(len(votes)), np.empty(len(votes))
    for start in range(0, len(votes), _BLOCK):
        piece = slice(start, start + _BLOCK)
        bordered = _bordered(sigmoid(votes[piece]), sigmoid(-votes[piece]), anchors)
        positions[piece], deviation[piece], gradient[piece] = _newton(bordered, link)
    return positions, deviation, gradient


def score_released(preference: ArrayLike, matrix: ArrayLike, *, steps: int = RELEASED_STEPS, seed: int = 0) -> Floats:
    """Return the score of the released code, its flaws included: for comparison, not for use.

    Maximises sum_ij M_ij log max(sigmoid(q_i - q_j), 1e-6) - sum_i q_i^2 / 2 with Adam (rate 0.1) from a uniform
    random start, stops after ``steps``, and stretches the A + 1 values to 0-100 by their minimum and maximum.

    Args:
        preference: ``(N, A)`` in [0, 1]: preference for the video over each anchor, from logits divided by
            :data:`RELEASED_TEMPERATURE`, judged in one order only (anchor first).
        matrix: ``(A, A)``: ``matrix[i, j]`` is the preference for anchor i over anchor j, at temperature 1.
        steps: of Adam. 50 is not enough to converge.
        seed: of the start; PyTorch's generator is imitated, so that the start is the one of the released code.

    Returns:
        float64 ``(N,)`` in [0, 100]: every video above the best anchor gets 100, every one below the worst 0.

    Raises:
        ValueError: wrong shapes, or values outside [0, 1].

    Source: the code released by the authors of arXiv 2505.03631 (revision 2c7ca75), by its behaviour.
    """
    anchors = checked_matrix(matrix)
    votes = np.asarray(preference, dtype=np.float64)
    if votes.ndim != 2 or votes.shape[1] != len(anchors):
        raise ValueError(f"preferences must have shape (N, {len(anchors)}), got {votes.shape}")
    if not np.all((votes >= 0.0) & (votes <= 1.0)):
        raise ValueError("preferences must lie in [0, 1]")
    scores = np.empty(len(votes))
    for start in range(0, len(votes), _BLOCK):
        piece = votes[start : start + _BLOCK]
        positions = _adam(_bordered(piece, 1.0 - piece, anchors), steps, seed)
        scores[start : start + _BLOCK] = stretch(positions)
    return scores


def stretch(positions: Floats) -> Floats:
    """Return the last of each row on a 0-100 scale set by the row's minimum and maximum: ``(N, A + 1) -> (N,)``.

    Source: the released code.

    Example:
        >>> stretch(np.array([[-1.0, 1.0, 0.0], [-1.0, 1.0, 3.0]]))
        array([ 50., 100.])
    """
    lowest, highest = positions.min(axis=1), positions.max(axis=1)
    return np.asarray((positions[:, -1] - lowest) / (highest - lowest) * 100.0)


def _bordered(won: Floats, lost: Floats, anchors: Floats) -> Floats:
    """``(N, A + 1, A + 1)``: the anchors' matrix with the video as last row and column, the diagonal 0."""
    count = len(anchors)
    bordered = np.zeros((len(won), count + 1, count + 1))
    bordered[:, :count, :count] = anchors * (1.0 - np.eye(count))
    bordered[:, count, :count] = won
    bordered[:, :count, count] = lost
    return bordered


def _newton(bordered: Floats, link: Link) -> tuple[Floats, Floats, Floats]:
    """Newton for every matrix of ``(N, K, K)``; a finished row stays as it is, so rows never touch each other."""
    size = bordered.shape[1]
    positions = np.zeros(bordered.shape[:2])
    value = _objective(bordered, positions, link)
    running = np.ones(len(bordered), dtype=bool)
    for _ in range(_MAX_STEPS):
        gradient, hessian = _derivatives(bordered, positions, link)
        norm = np.sqrt((gradient * gradient).sum(axis=1))
        running &= norm > 1e-13 * size
        if not running.any():
            break
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        moved = _halved_step(bordered, positions, value, np.where(running[:, None], step, 0.0), link)
        running &= moved
    return positions, np.sqrt(np.linalg.inv(hessian)[:, -1, -1]), norm


def _halved_step(bordered: Floats, positions: Floats, value: Floats, step: Floats, link: Link) -> NDArray[np.bool_]:
    """Move ``positions`` and ``value`` in place; returns which rows found a step that does not lower the objective."""
    waiting = np.ones(len(step), dtype=bool)
    for halvings in range(40):
        trial = positions + step * 0.5**halvings
        reached = _objective(bordered, trial, link)
        good = waiting & (reached >= value - 1e-13 * (1.0 + np.abs(value)))
        positions[good], value[good] = trial[good], reached[good]
        waiting &= ~good
        if not waiting.any():
            break
    return ~waiting


def _objective(bordered: Floats, positions: Floats, link: Link) -> Floats:
    difference = positions[:, :, None] - positions[:, None, :]
    logarithm = log_cdf(difference) if link == "normal" else -np.logaddexp(0.0, -difference)
    return np.asarray((bordered * logarithm).sum(axis=2).sum(axis=1) - 0.5 * (positions * positions).sum(axis=1))


def _derivatives(bordered: Floats, positions: Floats, link: Link) -> tuple[Floats, Floats]:
    """Gradient ``(N, K)`` and negative Hessian ``(N, K, K)``."""
    difference = positions[:, :, None] - positions[:, None, :]
    if link == "normal":
        slope, bend = inverse_mills(difference), -log_cdf_curvature(difference)
    else:
        slope = sigmoid(-difference)
        bend = slope * sigmoid(difference)
    slope, bend = bordered * slope, bordered * bend
    gradient = slope.sum(axis=2) - slope.sum(axis=1) - positions
    coupling = bend + bend.transpose(0, 2, 1)
    hessian = -coupling
    index = np.arange(bordered.shape[1])
    hessian[:, index, index] += coupling.sum(axis=2) + 1.0
    return gradient, hessian


def _adam(bordered: Floats, steps: int, seed: int) -> Floats:
    """Adam as published (Kingma and Ba 2015, betas 0.9 and 0.999, epsilon 1e-8), same start for every row."""
    positions = np.tile(_uniform_start(bordered.shape[1], seed), (len(bordered), 1))
    mean, square = np.zeros_like(positions), np.zeros_like(positions)
    for step in range(1, steps + 1):
        probability = sigmoid(positions[:, :, None] - positions[:, None, :])
        slope = np.where(probability > RELEASED_FLOOR, bordered * (1.0 - probability), 0.0)
        gradient = positions - (slope.sum(axis=2) - slope.sum(axis=1))
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient * gradient
        scaled = np.sqrt(square / (1.0 - 0.999**step)) + 1e-8
        positions = positions - RELEASED_RATE * mean / (1.0 - 0.9**step) / scaled
    return positions


def _uniform_start(count: int, seed: int) -> Floats:
    """What ``torch.rand(count)`` returns after ``torch.manual_seed(seed)``: 24 bits of each Mersenne Twister word."""
    words = np.random.RandomState(seed).randint(0, 2**32, size=count, dtype=np.uint32)
    return np.asarray((words & 0xFFFFFF) / 2.0**24)
