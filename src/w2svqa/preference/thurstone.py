"""The score as an exact maximum a posteriori (MAP) estimate under Thurstone's Case V.

Anchors are placed once, by the joint MAP over anchors alone (:func:`place_anchors`). A video is then placed against
these fixed positions a_j, all videos in one batch (:func:`place`): its latent quality x maximises

    w sum_j [ p_j log Phi(x - a_j) + (1 - p_j) log Phi(a_j - x) ] - (x - c)^2 / 2

with p_j the preference for the video over anchor j, w the weight of a vote, and c the centre of the prior.

The centre is 0, as in the paper, for every video that some anchor contains. But under a fixed N(0, 1) prior x stops
rising where all p_j round to 1, and all videos far beyond the best anchor would tie, in whatever precision p_j is
carried. So for a video that beats (or loses to) *every* anchor with log-odds l beyond CONTAINED = 8, i.e. p > 0.9997,
the centre moves outwards by sqrt(2 |l|) - sqrt(2 CONTAINED), l being the log-odds against the nearest end anchor:
that is how Phi^-1(p) grows, the place Thurstone's model without a prior would give the video. It is continuous, rises
strictly with l, and leaves all other videos alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.preference.normal import (
    INVERSE_ROOT_TWO_PI,
    MILLS_POLYNOMIAL,
    SHIFT,
    inverse_mills,
    log_cdf,
    log_cdf_curvature,
    polynomial,
)

Floats = NDArray[np.float64]

CONTAINED: Final = 8.0
"""Log-odds against every anchor up to which the prior is centred at 0 (preference 0.9997)."""

_BLOCK: Final = 2048  # videos at a time: the dozen arrays of a step stay in the second-level cache
_MAX_STEPS: Final = 100  # never reached in tests (at most 15); bisection alone would need about 60
_STEP_TOLERANCE: Final = 2e-14  # relative; rounding moves a step by up to about 3e-15
_VOTE_INFORMATION: Final = 8.0 / np.pi  # curvature of a vote over p (1 - p), and (log-odds / Phi^-1)^2, at p = 1 / 2


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where videos lie on the latent scale of the anchors.

    Attributes:
        latent: float64 ``(N,)``, latent quality, in standard deviations of the prior; higher is better.
        deviation: float64 ``(N,)``, standard deviation of the posterior from its curvature at ``latent``, in (0, 1].
        gradient: float64 ``(N,)``, what is left of the gradient of the objective at ``latent``; 0 would be exact.
    """

    latent: Floats
    deviation: Floats
    gradient: Floats


def place_anchors(matrix: ArrayLike) -> Floats:
    """Place anchors (or candidates) by the exact joint MAP over their preference matrix.

    Maximises sum_ij M_ij log Phi(q_i - q_j) - sum_i q_i^2 / 2 by Newton's method. The objective is strictly concave,
    and its optimum has sum q = 0 by itself, because the votes' gradients cancel in the sum.

    Args:
        matrix: M, ``(A, A)``, A >= 1, in [0, 1]; ``M[i, j]`` is the preference for i over j.
            ``M[i, j] + M[j, i] = 1``; the diagonal does not count.

    Returns:
        Positions, float64 ``(A,)``, in the order of the matrix; higher is better, sum 0; the gradient's norm is below
        1e-10.

    Raises:
        ValueError: not square, values outside [0, 1], or ``M[i, j] + M[j, i]`` not 1.

    Source: arXiv 2505.03631, section 5 (MAP estimation, Thurstone Case V). Exact; the released code stops Adam after
    50 steps and uses a logistic.

    Example:
        >>> place_anchors([[0.5, 0.2], [0.8, 0.5]]).round(3)
        array([-0.217,  0.217])
    """
    checked = checked_matrix(matrix)
    positions = np.zeros(len(checked))
    value = _anchor_objective(checked, positions)
    for _ in range(_MAX_STEPS):
        gradient, hessian = anchor_derivatives(checked, positions)
        if np.linalg.norm(gradient) < 1e-12 * max(1, len(checked)):
            break
        step = np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64)
        positions, value, moved = _line_search(checked, positions, value, step)
        if not moved:
            break
    return np.asarray(positions - positions.mean())


def checked_matrix(matrix: ArrayLike) -> Floats:
    """Return a preference matrix as float64 ``(A, A)`` with an exact 0.5 diagonal.

    Raises:
        ValueError: not square, values outside [0, 1], or ``M[i, j] + M[j, i]`` not 1 within 1e-9.

    Source: ours.
    """
    array = np.array(matrix, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not len(array):
        raise ValueError(f"a preference matrix is square, got shape {array.shape}")
    np.fill_diagonal(array, 0.5)
    if not np.all((array >= 0.0) & (array <= 1.0)):
        raise ValueError("preferences must lie in [0, 1]")
    if np.abs(array + array.T - 1.0).max() > 1e-9:
        raise ValueError("M[i, j] + M[j, i] must be 1 for every pair")
    return array


def anchor_derivatives(matrix: Floats, positions: Floats) -> tuple[Floats, Floats]:
    """Return the gradient ``(A,)`` and the *negative* Hessian ``(A, A)`` of the objective of :func:`place_anchors`.

    Source: derivatives of the objective.
    """
    difference = positions[:, None] - positions[None, :]
    slope = matrix * inverse_mills(difference)
    np.fill_diagonal(slope, 0.0)
    gradient = slope.sum(axis=1) - slope.sum(axis=0) - positions
    bend = -matrix * log_cdf_curvature(difference)
    np.fill_diagonal(bend, 0.0)
    coupling = bend + bend.T
    return gradient, np.diag(coupling.sum(axis=1) + 1.0) - coupling


def _anchor_objective(matrix: Floats, positions: Floats) -> float:
    votes = matrix * log_cdf(positions[:, None] - positions[None, :])
    return float(votes.sum() - 0.5 * positions @ positions)


def _line_search(matrix: Floats, positions: Floats, value: float, step: Floats) -> tuple[Floats, float, bool]:
    """Halve the step until the objective does not fall (but for rounding)."""
    slack = 1e-13 * (1.0 + abs(value))
    for halvings in range(60):
        trial = positions + step * 0.5**halvings
        reached = _anchor_objective(matrix, trial)
        if reached >= value - slack:
            return trial, reached, True
    return positions, value, False


def place(log_odds: ArrayLike, positions: ArrayLike, *, vote_weight: float = 1.0) -> Placement:
    """Place videos against fixed anchors: the exact one-dimensional MAP of each, all in one batch.

    A row's result depends on that row alone, to the last bit: alone or in any batch, in any order.

    Args:
        log_odds: ``(N, A)``, finite: log-odds of the preference for the video over each anchor, from
            :func:`w2svqa.preference.soft.log_odds` (or ``log_odds_of`` for preferences as probabilities).
        positions: ``(A,)``, latent positions of the anchors, from :func:`place_anchors`.
        vote_weight: above 0; how many independent votes one soft preference is worth. It narrows ``deviation``; see
            :func:`w2svqa.preference.calibrate.fit_vote_weight`.

    Returns:
        The placement of the N videos. Gradients are below 1e-8 for weights up to 1e4.

    Raises:
        ValueError: wrong shapes, values that are not finite, or a weight that is not above 0.

    Source: arXiv 2505.03631, section 5. Departures: the anchors stay fixed, so that the scale does not move from video
    to video (the paper solves for anchors and video together: :func:`w2svqa.preference.forms.place_jointly`); votes
    have a weight; far beyond the end anchors the prior's centre moves (see the module).

    Example:
        >>> placed = place([[2.0, -2.0], [9.0, 8.0]], [-1.0, 1.0])
        >>> placed.latent.round(3)
        array([0.   , 0.916])
    """
    anchors = np.asarray(positions, dtype=np.float64)
    if anchors.ndim != 1 or not len(anchors) or not np.isfinite(anchors).all():
        raise ValueError(f"positions must be finite, of shape (A,), got shape {anchors.shape}")
    if not (np.isfinite(vote_weight) and vote_weight > 0.0):
        raise ValueError(f"the weight of a vote must be above 0, got {vote_weight}")
    votes = check_votes(log_odds, len(anchors))
    placed = np.empty((3, len(votes)))
    for start in range(0, len(votes), _BLOCK):
        block = np.ascontiguousarray(votes[start : start + _BLOCK].T)
        placed[:, start : start + _BLOCK] = _place_block(block, anchors, vote_weight)
    return Placement(latent=placed[0], deviation=placed[1], gradient=placed[2])


def check_votes(log_odds: ArrayLike, anchors: int) -> Floats:
    """Return log-odds as float64 ``(N, anchors)``.

    Raises:
        ValueError: another shape, or values that are not finite.

    Source: ours.
    """
    votes = np.asarray(log_odds, dtype=np.float64)
    if votes.ndim != 2 or votes.shape[1] != anchors:
        raise ValueError(f"log-odds must have shape (N, {anchors}), got {votes.shape}")
    if not np.isfinite(votes).all():
        raise ValueError("log-odds must be finite")
    return votes


def sigmoid(log_odds: ArrayLike) -> Floats:
    """Return the preference that has these log-odds: any shape, in [0, 1]; small ones keep their relative precision.

    Source: definition.

    Example:
        >>> sigmoid([-1000.0, 0.0, 1000.0])
        array([0. , 0.5, 1. ])
    """
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-np.array(log_odds, dtype=np.float64, order="C"))))


def prior_centre(votes: Floats) -> Floats:
    """Return the centre of each video's prior, ``(A, N) -> (N,)``: 0 unless every anchor is left far behind.

    Source: ours; see the module.
    """
    above = np.sqrt(2.0 * np.maximum(votes.min(axis=0), CONTAINED))
    below = np.sqrt(2.0 * np.maximum(-votes.max(axis=0), CONTAINED))
    return np.asarray(above - below)


def _place_block(votes: Floats, anchors: Floats, weight: float) -> tuple[Floats, Floats, Floats]:
    """Safeguarded Halley steps: ``(A, B)`` votes to latent, deviation and gradient, ``(B,)`` each."""
    # Both halves of a vote keep their relative precision, however one-sided it is.
    won, lost = sigmoid(votes), sigmoid(-votes)
    centre = prior_centre(votes)
    low, high = _bracket(votes, anchors, centre)
    latent = np.clip(_first_guess(votes, won * lost, anchors, centre, weight), low, high)
    running = np.ones(len(latent), dtype=bool)
    for _ in range(_MAX_STEPS):
        slope, bend, third = _vote_derivatives(latent, won, lost, anchors)
        gradient = weight * slope - (latent - centre)
        curvature = weight * bend + 1.0
        step = gradient / curvature
        running &= np.abs(step) > _STEP_TOLERANCE * np.maximum(1.0, np.abs(latent))
        if not running.any():
            break
        low = np.where(gradient > 0.0, latent, low)
        high = np.where(gradient < 0.0, latent, high)
        # Halley's correction, kept between half and twice the Newton step.
        trial = latent + step / np.clip(1.0 + 0.5 * step * weight * third / curvature, 0.5, 2.0)
        trial = np.where((trial >= low) & (trial <= high), trial, 0.5 * (low + high))
        latent = np.where(running, trial, latent)
    return latent, 1.0 / np.sqrt(curvature), gradient


def _bracket(votes: Floats, anchors: Floats, centre: Floats) -> tuple[Floats, Floats]:
    """Ends between which the optimum lies: the hull of the prior's centre and each vote's own optimum.

    A vote alone is best at a_j + Phi^-1(p_j), and |Phi^-1(p)| <= sqrt(2 |log-odds|).
    """
    low, high = centre.copy(), centre.copy()
    for vote, anchor in zip(votes, anchors, strict=True):
        reach = np.sqrt(2.0 * np.abs(vote))
        np.minimum(low, np.where(vote < 0.0, anchor - reach, anchor), out=low)
        np.maximum(high, np.where(vote > 0.0, anchor + reach, anchor), out=high)
    return low, high


def _first_guess(votes: Floats, spread: Floats, anchors: Floats, centre: Floats, weight: float) -> Floats:
    """The mean of the places that single votes point at, weighted by about their information."""
    total, mass = centre.copy(), np.ones_like(centre)
    for vote, uncertainty, anchor in zip(votes, spread, anchors, strict=True):
        size = np.abs(vote)
        information = weight * uncertainty * (_VOTE_INFORMATION + 2.0 * size)
        # About Phi^-1(p): vote / 1.6 near 0, the square root of 2 |vote| far out.
        total += information * (anchor + vote / np.sqrt(_VOTE_INFORMATION + 0.5 * size))
        mass += information
    return np.asarray(total / mass)


def _vote_derivatives(latent: Floats, won: Floats, lost: Floats, anchors: Floats) -> tuple[Floats, Floats, Floats]:
    """First, *negative* second and third derivative of the votes' log-likelihood, without their weight.

    The anchors are added one after another, elementwise: no sum whose order depends on the batch.
    """
    slope, bend, third = np.zeros_like(latent), np.zeros_like(latent), np.zeros_like(latent)
    for win, loss, anchor in zip(won, lost, anchors, strict=True):
        offset = latent - anchor
        above, below = _both_inverse_mills(offset)
        above_excess, below_excess = above + offset, below - offset
        slope += win * above - loss * below
        # In (0, 1) each; far out the differences cancel, and rounding must not push them out of it.
        bend += win * np.clip(above * above_excess, 0.0, 1.0) + loss * np.clip(below * below_excess, 0.0, 1.0)
        third += win * above * (above_excess * (above_excess + above) - 1.0)
        third -= loss * below * (below_excess * (below_excess + below) - 1.0)
    return slope, bend, third


def _both_inverse_mills(offset: Floats) -> tuple[Floats, Floats]:
    """h(t) and h(-t) from one evaluation; as ``normal.inverse_mills``, but with a plain exp: within 1e-13."""
    distance = np.abs(offset)
    shifted = distance + SHIFT
    falling = shifted / polynomial(MILLS_POLYNOMIAL, 1.0 - 2.0 * SHIFT / shifted)
    near = np.minimum(distance, 40.0)
    density = INVERSE_ROOT_TWO_PI * np.exp(-0.5 * near * near)
    rising = density / (1.0 - density / falling)
    positive = offset > 0.0
    return np.where(positive, rising, falling), np.where(positive, falling, rising)
