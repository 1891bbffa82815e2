"""student -> scale: anchors chosen by the program, what 0 and 100 mean, and an interval whose coverage was measured.

Everything here uses the student as it ships, on contents it was not trained on. The ``anchor`` split gives the
anchors; one half of the contents of the ``calibration`` split fits temperature, interval and diagnosis, the other half
measures them. Both halves say what 0 and 100 mean: an affine map changes neither coverage nor order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.protocols import Student
from w2svqa.core.random import generator
from w2svqa.core.records import Tokens
from w2svqa.core.rows import Split, VersionRow
from w2svqa.core.stage_rows import HeldBackRow
from w2svqa.preference.anchors import Anchor, choose_anchors, locate_candidates
from w2svqa.preference.calibrate import Coverage, coverage, fit_scale, fit_temperature, fit_vote_weight, held
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import judge_pieces, preference_matrix
from w2svqa.preference.thurstone import place_anchors
from w2svqa.stages.diagnosis import WORST_LEVELS, calibration_error, diagnosis_figures, fit_diagnosis
from w2svqa.stages.held_out import Encoded, figures, held_back, is_clean, label_figures
from w2svqa.stages.pair import PairConfig, make_pairs
from w2svqa.students.runtime import DiagnosisScale

Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateConfig:
    """How anchors and scale are made.

    Attributes:
        anchors: how many.
        candidates: at most so many versions are considered as anchors (the cost grows with the cube).
        interval_level: share of the targets that the interval shall hold.
    """

    anchors: int = 5
    candidates: int = 300
    interval_level: float = 0.90


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """What a bundle needs beside the networks.

    Attributes:
        anchors: the chosen versions, worst first.
        reasons: why each was chosen.
        tokens: of each anchor.
        preferences: ``(anchors, anchors)``, at the scale's temperature.
        scale: for scoring.
        diagnosis: makes probabilities of the kind logits; ``None`` for a student that names no distortions.
        coverage: of the interval, on contents that nothing was fitted on.
        figures: how the student does on those contents, with N.
        held_back: the score of every version of the calibration split, by which stages are compared.
    """

    anchors: tuple[VersionRow, ...]
    reasons: tuple[str, ...]
    tokens: tuple[Tokens, ...]
    preferences: Floats
    scale: Scale
    diagnosis: DiagnosisScale | None
    coverage: Coverage
    figures: dict[str, object]
    held_back: tuple[HeldBackRow, ...]


@runtime_checkable
class NamesKinds(Protocol):
    """A student that names distortions, as numbers."""

    kinds: tuple[str, ...]

    def diagnosis(self, videos: Sequence[Tokens]) -> tuple[Floats, Floats]:
        """Return kind logits ``(videos, 1 + kinds)``, "none" first, and severities ``(videos, kinds)``."""
        ...


def calibrate(
    student: Student,
    versions: Sequence[VersionRow],
    config: CalibrateConfig,
    *,
    encode: Callable[[VersionRow], Tokens],
    seed: int,
    progress: Progress,
) -> Calibrated:
    """Choose anchors and fit the scale of a student.

    Args:
        student: as it ships.
        versions: rows of the distort stage, all splits.
        config: how many anchors, which interval. Photographs are no anchors.
        encode: makes the tokens of a held-out version.
        seed: draws the candidates and the resamples of the coverage.
        progress: called as ``progress(done, total, text)``.

    Raises:
        ConfigError: the held-out splits have too few clips.
        W2SVQAError: the student does not set clean clips above distorted ones.
    """
    wanted = [row for row in versions if row.split != "train"]
    encoded: dict[Split, list[Encoded]] = defaultdict(list)
    for done, row in enumerate(wanted, start=1):
        encoded[row.split].append(Encoded(row=row, tokens=encode(row)))
        progress(done, len(wanted), "encoding held-out versions")
    candidates = [item for item in encoded["anchor"] if not item.row.is_still]
    fitting, measuring = _halves(encoded["calibration"])
    _require(candidates, fitting, measuring, config)
    temperature = _temperature(student, fitting, seed)
    chosen, anchors = _anchors(student, candidates, temperature, config, seed)
    matrix = preference_matrix(student, [item.tokens for item in anchors], temperature)
    first = Scale(
        anchor_positions=tuple(place_anchors(matrix).tolist()),
        latent_zero=-1,
        latent_hundred=1,
        temperature=temperature,
    )
    tokens = tuple(item.tokens for item in anchors)
    weighted, limited = _weighted(student, tokens, first, fitting, config)
    scale = _spanned(student, tokens, weighted, encoded["calibration"])
    judge = AnchoredJudge(student, tokens, scale)
    measured = _measure(judge, measuring, seed)
    diagnosis, named = _diagnosis(student, fitting, measuring)
    return Calibrated(
        anchors=tuple(item.row for item in anchors),
        reasons=tuple(anchor.reason for anchor in chosen),
        tokens=tokens,
        preferences=matrix,
        scale=scale,
        diagnosis=diagnosis,
        coverage=measured,
        figures={
            **figures(judge, measuring),
            **named,
            "interval_at_limit": limited,
            "labels": label_figures(judge, measuring),
            "scale_contents": len({item.row.clip_id for item in encoded["calibration"]}),
        },
        held_back=held_back(judge, encoded["calibration"]),
    )


def _halves(items: Sequence[Encoded]) -> tuple[list[Encoded], list[Encoded]]:
    """Split by content: every other clip id."""
    contents = sorted({item.row.clip_id for item in items})
    fitting = set(contents[0::2])
    return [item for item in items if item.row.clip_id in fitting], [
        item for item in items if item.row.clip_id not in fitting
    ]


def _require(
    candidates: Sequence[Encoded], fitting: Sequence[Encoded], measuring: Sequence[Encoded], config: CalibrateConfig
) -> None:
    if len(candidates) < max(2, config.anchors):
        raise ConfigError(
            f"the anchor split has {len(candidates)} versions of clips for {config.anchors} anchors",
            remedy="raise ingest.anchor_share or add sources",
        )
    for items in (fitting, measuring):
        if not any(len(item.tokens) > 1 for item in items) or not any(
            item.row.primary and item.row.kind == "none" for item in items
        ):
            raise ConfigError(
                "the calibration split has too few clips: each half needs a primary and a clip of two seconds",
                remedy="raise ingest.calibration_share or add sources",
            )


def _temperature(student: Student, items: Sequence[Encoded], seed: int) -> float:
    tokens = {item.row.version_id: item.tokens for item in items}
    pairs = make_pairs([item.row for item in items], PairConfig(), split="calibration", seed=seed)
    logits = judge_pieces(student, [tokens[pair.first] for pair in pairs], [tokens[pair.second] for pair in pairs])
    return fit_temperature(logits, np.array([pair.level for pair in pairs]))


def _anchors(
    student: Student, items: Sequence[Encoded], temperature: float, config: CalibrateConfig, seed: int
) -> tuple[tuple[Anchor, ...], list[Encoded]]:
    drawn = generator(seed, "candidates").permutation(len(items))[: config.candidates].tolist()
    candidates = [items[index] for index in sorted(drawn)]
    located = locate_candidates(preference_matrix(student, [item.tokens for item in candidates], temperature))
    names = [item.row.version_id for item in candidates]
    with _said():
        chosen = choose_anchors(names, located.latent, located.misfit, count=config.anchors)
    return chosen, [candidates[anchor.index] for anchor in chosen]


def _weighted(
    student: Student, anchors: Sequence[Tokens], first: Scale, items: Sequence[Encoded], config: CalibrateConfig
) -> tuple[Scale, bool]:
    """Fit the weight of a vote; also whether the search ended at its limit."""
    judge = AnchoredJudge(student, anchors, first)
    long = [item for item in items if len(item.tokens) > 1]
    scored, target = (judge.log_odds([item.halves[side] for item in long]) for side in (0, 1))
    contents = [item.row.clip_id for item in long]
    weight = fit_vote_weight(scored, first.anchor_positions, target, level=config.interval_level, contents=contents)
    return replace(first, vote_weight=weight.weight, interval_level=config.interval_level), weight.at_limit


def _spanned(student: Student, anchors: Sequence[Tokens], scale: Scale, items: Sequence[Encoded]) -> Scale:
    """Fit the meaning of 0 and 100."""
    latent = AnchoredJudge(student, anchors, scale).place([item.tokens for item in items]).latent
    rows = [item.row for item in items]
    with _said():
        zero, hundred = fit_scale(latent[[row.severity == 1 for row in rows]], latent[[is_clean(row) for row in rows]])
    return replace(scale, latent_zero=zero, latent_hundred=hundred)


def _diagnosis(
    student: Student, fitting: Sequence[Encoded], measuring: Sequence[Encoded]
) -> tuple[DiagnosisScale | None, dict[str, object]]:
    """Fit the diagnosis on one half and measure it on the other. Primaries alone: nobody knows what others have."""
    if not isinstance(student, NamesKinds):
        return None, {}
    (fitted, known), (logits, kinds) = (
        _known_kinds(student, [item for item in half if item.row.primary and _is_plain(item.row)])
        for half in (fitting, measuring)
    )
    scale = fit_diagnosis(fitted, known)
    found = {
        **diagnosis_figures(scale.probabilities(logits), kinds, student.kinds),
        "calibration_error_unfitted": calibration_error(DiagnosisScale().probabilities(logits), kinds),
    }
    return scale, {"diagnosis": found}


def _is_plain(row: VersionRow) -> bool:
    """Clean, or at one of the worst levels of its kind."""
    return row.kind == "none" or round(row.level / row.severity) - row.level < WORST_LEVELS


def _known_kinds(student: NamesKinds, items: Sequence[Encoded]) -> tuple[Floats, NDArray[np.int64]]:
    """Kind logits of versions and their true kinds."""
    names = ("none", *student.kinds)
    kinds = [names.index(item.row.kind) for item in items]
    return student.diagnosis([item.tokens for item in items])[0], np.array(kinds)


@contextmanager
def _said() -> Iterator[None]:
    """A student that tells no qualities apart gives no scale: that is for the user, not a fault of the program."""
    try:
        yield
    except ValueError as error:
        raise W2SVQAError(
            f"the student cannot be calibrated: {error}", remedy="raise train.steps, or add sources"
        ) from None


def _measure(judge: AnchoredJudge, items: Sequence[Encoded], seed: int) -> Coverage:
    """Coverage on fresh contents: does the interval of the even seconds hold the score of the odd ones?"""
    long = [item for item in items if len(item.tokens) > 1]
    scored, target = (judge.place([item.halves[side] for item in long]) for side in (0, 1))
    contents = [item.row.clip_id for item in long]
    holds = held(scored, target.latent, judge.scale.interval_factor)
    return coverage(holds, contents=contents, generator=generator(seed, "coverage"))
