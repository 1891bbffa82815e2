"""Choosing anchors by the program: one candidate per quality interval, the most certain one, extreme ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.preference.normal import cdf
from w2svqa.preference.thurstone import anchor_derivatives, checked_matrix, place_anchors

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Where candidate anchors lie, and how sure that is; float64 ``(n,)`` each.

    Attributes:
        latent: from the joint MAP over all candidates; higher is better, sum 0.
        deviation: posterior standard deviation; nearly the same for all, as each is compared with all.
        misfit: root mean square of a candidate's preferences minus those that the latents predict, in [0, 1]. Small
            means that its comparisons agree with one another: this tells candidates apart.
    """

    latent: Floats
    deviation: Floats
    misfit: Floats


@dataclass(frozen=True, slots=True)
class Anchor:
    """One chosen candidate.

    Attributes:
        index: in the candidates.
        name: of the candidate.
        latent: its latent quality among the candidates.
        uncertainty: as it was given.
        reason: why it was chosen, in words.
    """

    index: int
    name: str
    latent: float
    uncertainty: float
    reason: str


def locate_candidates(matrix: ArrayLike) -> Candidates:
    """Place candidates among themselves by the exact joint MAP, and measure how consistent each one's votes are.

    The cost grows with the cube of their number: some seconds for a thousand.

    Args:
        matrix: ``(n, n)``, from :func:`w2svqa.preference.soft.preference_matrix`.

    Returns:
        Latents, deviations and misfits.

    Raises:
        ValueError: as :func:`w2svqa.preference.thurstone.place_anchors`, or fewer than two candidates.

    Source: ours. The paper and the released code take anchors by their MOS, of which we have none.

    Example:
        >>> found = locate_candidates([[0.5, 0.3], [0.7, 0.5]])
        >>> bool(found.latent[0] < found.latent[1])
        True
    """
    checked = checked_matrix(matrix)
    if len(checked) < 2:
        raise ValueError("at least two candidates are needed")
    latent = place_anchors(checked)
    _, hessian = anchor_derivatives(checked, latent)
    deviation = np.sqrt(np.diag(np.linalg.inv(hessian)))
    residual = checked - cdf(latent[:, None] - latent[None, :])
    misfit = np.sqrt((residual * residual).sum(axis=1) / (len(checked) - 1))
    return Candidates(latent=latent, deviation=deviation, misfit=misfit)


def choose_anchors(
    names: Sequence[str], latents: ArrayLike, uncertainties: ArrayLike, *, count: int = 5
) -> tuple[Anchor, ...]:
    """Take one candidate per quality interval.

    The range of latents is cut into ``count`` intervals of equal width. The first anchor is the lowest candidate of
    all and the last the highest, so that few videos lie beyond them. In every other interval it is the candidate with
    the least uncertainty; an empty interval takes the free candidate nearest to its middle. Ties go to the name that
    sorts first. The order of the candidates does not matter.

    Args:
        names: of n candidates, all different.
        latents: ``(n,)``, finite, such as ``Candidates.latent``.
        uncertainties: ``(n,)``, any measure that is lower for more certain candidates, such as ``Candidates.misfit``
            or the spread of a candidate's own seconds.
        count: of anchors, at least 2, at most n.

    Returns:
        The anchors, worst first.

    Raises:
        ValueError: names that repeat, shapes that differ, values that are not finite, a count out of range, or
            candidates that are all of one quality.

    Source: arXiv 2505.03631, section 5 (one anchor per quality interval, the most certain). Extreme ends are ours.

    Example:
        >>> chosen = choose_anchors(["a", "b", "c", "d"], [0.0, 2.0, 0.9, 1.1], [0.1, 0.1, 0.3, 0.2], count=3)
        >>> [anchor.name for anchor in chosen]
        ['a', 'd', 'b']
    """
    places, doubts = np.asarray(latents, dtype=np.float64), np.asarray(uncertainties, dtype=np.float64)
    _check_candidates(names, places, doubts, count)
    edges = np.linspace(places.min(), places.max(), count + 1)
    everyone = range(len(names))
    lowest = min(everyone, key=lambda i: (places[i], names[i]))
    highest = min(everyone, key=lambda i: (-places[i], names[i]))
    chosen = {lowest: "lowest of all candidates", highest: "highest of all candidates"}
    for number in range(1, count - 1):
        low, high = edges[number], edges[number + 1]
        free = [i for i in everyone if i not in chosen]
        inside = [i for i in free if low <= places[i] < high]
        bounds = f"interval {number + 1} of {count} ({low:.3f} to {high:.3f})"
        if inside:
            best = min(inside, key=lambda i: (doubts[i], names[i]))
            chosen[best] = f"most certain of {len(inside)} in {bounds}"
        else:
            middle = 0.5 * (low + high)
            best = min(free, key=lambda i: (abs(places[i] - middle), doubts[i], names[i]))
            chosen[best] = f"nearest to the empty {bounds}"
    order = sorted(chosen, key=lambda i: (places[i], names[i]))
    return tuple(Anchor(i, names[i], float(places[i]), float(doubts[i]), chosen[i]) for i in order)


def _check_candidates(names: Sequence[str], places: Floats, doubts: Floats, count: int) -> None:
    if len(set(names)) != len(names):
        raise ValueError("names of candidates must all be different")
    if places.shape != (len(names),) or doubts.shape != (len(names),):
        raise ValueError(f"{len(names)} names, but latents {places.shape} and uncertainties {doubts.shape}")
    if not (np.isfinite(places).all() and np.isfinite(doubts).all()):
        raise ValueError("latents and uncertainties must be finite")
    if not 2 <= count <= len(names):
        raise ValueError(f"cannot take {count} anchors from {len(names)} candidates; at least 2 are needed")
    if places.min() == places.max():
        raise ValueError("all candidates have the same quality")
