"""Making probabilities of a student's diagnosis, and measuring them on contents that nothing was fitted on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.students.runtime import DiagnosisScale, first_answers

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WORST_LEVELS: Final = 3
"""Fitted and measured on the so many worst levels of a kind: of the mildest nobody can say what they are, and their
doubt would be taken for that of plain ones."""

BINS: Final = 10
"""Equal bins of confidence for the expected calibration error."""

# A weak pull towards the logits as they are, in nats; it matters only where the kinds are separated perfectly, when the
# most probable temperature would be 0.
_PULL: Final = 1e-4
_LEAST_SLOPE: Final = 0.01  # of the logits: temperatures end at 100
_NEWTON_STEPS: Final = 50


def even_weights(kinds: Integers) -> Floats:
    """Return what each video counts, float64 ``(N,)`` with sum 1: half for clean ones, the kinds share the other half.

    So a probability is right for a video that is as likely clean as not, whatever there was more of in calibration.

    Args:
        kinds: ``(N,)``, 0 for clean, else 1 + the index of the distortion.

    Example:
        >>> even_weights(np.array([0, 1, 1, 2]))
        array([0.5  , 0.125, 0.125, 0.25 ])
    """
    names, index, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    clean = names == 0
    shares = np.where(clean, 1.0, 1.0 / max(1, int((~clean).sum())))
    weights = (shares / counts)[index]
    return np.asarray(weights / weights.sum())


def fit_diagnosis(logits: Floats, kinds: Integers) -> DiagnosisScale:
    """Find the temperature and the bias of "none" that make the true kinds most probable.

    Args:
        logits: ``(N, 1 + K)``, "none" first, on videos that the student was not trained on.
        kinds: ``(N,)``, 0 for clean, else 1 + the index of the distortion.

    Raises:
        ValueError: shapes or kinds that do not fit.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017 (temperature scaling; the bias is one of
    their vector scaling). Weighing by :func:`even_weights` is ours.
    """
    _check(logits, kinds)
    weights = even_weights(kinds)
    truth = np.eye(logits.shape[1])[kinds]
    parameters = np.array([1.0, 0.0])  # slope (1 / temperature) and bias
    value = _loss(parameters, logits, truth, weights)
    for _ in range(_NEWTON_STEPS):
        step = _newton_step(parameters, logits, truth, weights)
        size = 1.0
        while size > 1e-9:
            tried = np.maximum(parameters - size * step, (_LEAST_SLOPE, -np.inf))
            if (lower := _loss(tried, logits, truth, weights)) < value:
                break
            size /= 2
        else:
            break
        parameters, value = tried, lower
    return _scale(parameters)


def _scale(parameters: Floats) -> DiagnosisScale:
    slope, bias = parameters.tolist()
    return DiagnosisScale(temperature=1 / slope, none_bias=bias)


def _loss(parameters: Floats, logits: Floats, truth: Floats, weights: Floats) -> float:
    """Weighted cross-entropy in nats, plus the pull; convex in slope and bias."""
    shares = np.maximum((_scale(parameters).probabilities(logits) * truth).sum(axis=1), 1e-300)
    pull = _PULL * float(((parameters - (1.0, 0.0)) ** 2).sum()) / 2
    return pull - float(weights @ np.log(shares))


def _newton_step(parameters: Floats, logits: Floats, truth: Floats, weights: Floats) -> Floats:
    shares = _scale(parameters).probabilities(logits)
    # derivatives of the scaled logits by slope and bias: the logits themselves, and 1 for "none"
    inputs = np.stack([logits, np.broadcast_to(np.eye(1, logits.shape[1]), logits.shape)])
    residual = weights[:, None] * (shares - truth)
    gradient = np.einsum("pnk,nk->p", inputs, residual) + _PULL * (parameters - (1.0, 0.0))
    centred = inputs - np.einsum("pnk,nk->pn", inputs, shares)[:, :, None]
    hessian = np.einsum("pnk,qnk,nk->pq", centred, centred, weights[:, None] * shares) + _PULL * np.eye(2)
    return np.asarray(np.linalg.solve(hessian, gradient))


def calibration_error(probabilities: Floats, kinds: Integers) -> float:
    """Return the expected calibration error of the first answer, 0 (best) to 1.

    Over :data:`BINS` equal bins of confidence: the mean distance of confidence and accuracy, videos weighed by
    :func:`even_weights`.

    Args:
        probabilities: ``(N, 1 + K)``, "none" first.
        kinds: ``(N,)``, 0 for clean, else 1 + the index of the distortion.

    Raises:
        ValueError: shapes or kinds that do not fit.

    Source: Guo et al. 2017, equation 3.

    Example:
        >>> calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 0]))
        0.2
    """
    _check(probabilities, kinds)
    weights = even_weights(kinds)
    answers = first_answers(probabilities)
    confidence = probabilities[np.arange(len(answers)), answers]
    right = answers == kinds
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=weights * (confidence - right), minlength=BINS)
    return round(float(np.abs(gaps).sum()), 12)


def diagnosis_figures(probabilities: Floats, kinds: Integers, names: tuple[str, ...]) -> dict[str, object]:
    """Return how a diagnosis does on videos whose kind is known, with N.

    ``top1``: share of the videos whose kind is the first answer ("none" included), per kind; ``top1_mean``: their
    mean over kinds; ``none_rate``: share of clean videos of which nothing is named; ``calibration_error`` as
    :func:`calibration_error`.

    Args:
        probabilities: ``(N, 1 + K)``, "none" first.
        kinds: ``(N,)``, 0 for clean, else 1 + the index of the distortion.
        names: of the K distortions.
    """
    right = first_answers(probabilities) == kinds
    chosen = {name: kinds == index for index, name in enumerate(names, start=1)}
    top1 = {name: float(right[rows].mean()) for name, rows in chosen.items() if rows.any()}
    clean = kinds == 0
    return {
        "top1": top1,
        "top1_mean": float(np.mean(list(top1.values()))) if top1 else None,
        "none_rate": float(right[clean].mean()) if clean.any() else None,
        "calibration_error": calibration_error(probabilities, kinds),
        "distorted": int((~clean).sum()),
        "clean": int(clean.sum()),
    }


def _check(rows: Floats, kinds: Integers) -> None:
    if rows.ndim != 2 or kinds.shape != rows.shape[:1] or not len(kinds):
        raise ValueError(f"rows {rows.shape} and kinds {kinds.shape} must be (N, 1 + K) and (N,), N >= 1")
    if kinds.min() < 0 or kinds.max() >= rows.shape[1]:
        raise ValueError(f"kinds must be 0 to {rows.shape[1] - 1}, not {kinds.min()} to {kinds.max()}")
