"""fine-tuned student -> bundle: networks, anchors, scale, and a card that says what ratings it learned from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from w2svqa import __version__
from w2svqa.core.evaluation_rows import AgreementRow, DifferenceRow
from w2svqa.core.random import generator
from w2svqa.preference.calibrate import Coverage, coverage, fit_factor, held
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import preference_matrix
from w2svqa.preference.thurstone import Placement
from w2svqa.stages.export import new_bundle
from w2svqa.stages.family_table import family_of
from w2svqa.stages.finetune_data import ENOUGH, RatedVideos, name_of
from w2svqa.stages.finetune_ladder import LadderChange
from w2svqa.stages.finetune_scale import Judged, tokens_of
from w2svqa.stages.finetune_seen import Vectors
from w2svqa.stages.train_model import ModelConfig
from w2svqa.students.bundle import Bundle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATED: Final = "rated"
"""Split and kind of the rated videos in a card."""

INTERVAL: Final = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How wide the interval of a score is, and how often it held the rating.

    Attributes:
        factor: half its width in deviations of the posterior.
        coverage: on folds that the factor was not fitted on.
    """

    factor: float
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CardFacts:
    """What a card says beside what the student it started from says.

    Attributes:
        name: of the new student.
        start_card_sha256: of the card of the old one.
        ends: ratings that score 0 and 100, on the table's own scale.
        license: of the rated videos, or ``"unknown"``.
        figures: of the test folds.
        certain: whether the gain is beyond chance.
        details: configuration, choice and hashes, plain values.
    """

    name: str
    start_card_sha256: str
    ends: tuple[float, float]
    license: str
    figures: Mapping[str, object]
    certain: bool
    details: Mapping[str, object]


def fit_interval(
    raw: Floats, deviation: Floats, target: Floats, folds: Ints, contents: Sequence[str], *, seed: int
) -> Interval:
    """Fit the width of intervals so that they hold the rating, by scores of students that never saw the video.

    Args:
        raw: scores before clipping, float64 ``(N,)``, in points.
        deviation: of their posterior, likewise.
        target: ratings on the same scale.
        folds: the fold of each video: what one fold is measured with is fitted on the others.
        contents: of each video.
        seed: of the bootstrap of the coverage.
    """
    placed = Placement(latent=raw, deviation=deviation, gradient=np.zeros_like(raw))
    holds = np.zeros(len(raw), np.bool_)
    for fold in np.unique(folds).tolist():
        own, others = folds == fold, folds != fold
        factor = fit_factor(_some(placed, others), target[others], level=INTERVAL)
        holds[own] = held(_some(placed, own), target[own], factor)
    return Interval(
        factor=fit_factor(placed, target, level=INTERVAL),
        coverage=coverage(holds, contents=list(contents), generator=generator(seed, "rating coverage")),
    )


def _some(placed: Placement, which: NDArray[np.bool_]) -> Placement:
    return Placement(latent=placed.latent[which], deviation=placed.deviation[which], gradient=placed.gradient[which])


def agreement_figures(
    figures: Sequence[AgreementRow], differences: Sequence[DifferenceRow], before: str, after: str
) -> dict[str, object]:
    """Return the figures of a before and after table as a card keeps them: values with interval and N.

    Args:
        figures: of an evaluation.
        differences: likewise.
        before: name of the model before.
        after: of the one after.
    """
    found: dict[str, object] = {}
    for row in figures:
        if not row.facet and row.value is not None and row.measure in ("srcc", "krcc", "plcc", "rmse"):
            side = {before: "before", after: "after"}.get(row.model)
            if side is not None:
                entry = found.setdefault(row.measure, {})
                if isinstance(entry, dict):
                    entry[side] = interval_entry(row.value, row.low, row.high, row.n)
    for gain in differences:
        entry = found.get(gain.measure)
        if isinstance(entry, dict):
            sign = 1 if gain.first == after else -1
            ends = [None if end is None else sign * end for end in (gain.low, gain.high)]
            low, high = ends if sign == 1 else ends[::-1]
            entry["gain"] = interval_entry(sign * gain.value, low, high, gain.n)
    return found


def interval_entry(value: float, low: float | None, high: float | None, n: int) -> dict[str, object]:
    """Return a figure as a card keeps it.

    Example:
        >>> interval_entry(0.51234, 0.4, None, 7)
        {'value': 0.5123, 'n': 7}
    """
    entry: dict[str, object] = {"value": round(value, 4)}
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        entry["interval"] = [round(low, 4), round(high, 4)]
    return entry | {"n": n}


def ladder_entry(change: LadderChange) -> dict[str, object]:
    """Return the order of severities before and after as a card keeps it; empty without a ladder."""
    if not change.contents:
        return {}
    gain = interval_entry(change.after - change.before, change.low, change.high, change.pairs)
    return {
        "before": interval_entry(change.before, None, None, change.pairs),
        "after": interval_entry(change.after, None, None, change.pairs),
        "gain": gain,
        "kept_student": interval_entry(change.final, None, None, change.pairs),
        "contents": change.contents,
    }


def write_tuned(
    judged: Judged,
    seen: Vectors,
    rated: RatedVideos,
    bundle: Bundle,
    interval: Interval,
    facts: CardFacts,
    target: Path,
) -> Scale:
    """Write the bundle of a fine-tuned student, and return its scale.

    Args:
        judged: the student with its anchors.
        seen: mean statistics of the rated videos.
        rated: what it learned from.
        bundle: what it started from.
        interval: of its scores.
        facts: of the card.
        target: folder of the bundle; one that is there is replaced when the new one is complete.

    Raises:
        BundleError: ONNX and PyTorch differ.
    """
    scale = replace(judged.judge.scale, interval_level=INTERVAL, interval_factor=interval.factor)
    tokens = tuple(tokens_of(judged.model, seen[[anchor.index]]) for anchor in judged.anchors)
    family = family_of(ModelConfig())
    with new_bundle(target) as scratch:
        shipped = family.ship(judged.model, scratch, name=facts.name, seed=0, frames=None)
        preferences = preference_matrix(shipped.student, tokens, scale.temperature)
        card = _card(judged, rated, bundle, scale, interval, facts)
        family.finish(shipped, scratch, anchors=tokens, preferences=preferences, card=card)
    return scale


def _card(
    judged: Judged, rated: RatedVideos, bundle: Bundle, scale: Scale, interval: Interval, facts: CardFacts
) -> dict[str, object]:
    old: Mapping[str, Any] = bundle.card
    count, contents = len(rated.videos), len(set(rated.contents))
    name = rated.ratings.benchmark.shown
    return {
        "name": facts.name,
        "w2svqa": __version__,
        "description": f"{old.get('name')}, fine-tuned to {count} ratings of {contents} contents ({name}).",
        "weaknesses": _weaknesses(count, contents, name, facts),
        "diagnosis": dict(old["diagnosis"]),
        "scale": scale.to_dict(),
        "scale_meaning": f"0 stands for a rating of {facts.ends[0]:g}, 100 for one of {facts.ends[1]:g} ({name})",
        "anchors": [
            {**_origin(rated, anchor.index, facts.license), "kind": RATED, "level": 0, "reason": anchor.reason}
            for anchor in judged.anchors
        ],
        "coverage": {
            "target": "the rating of a video that the student was not trained on; folds by content",
            **asdict(interval.coverage),
        },
        "figures": dict(facts.figures),
        "data": _data(old, rated, facts.license),
        "start": {
            "name": old.get("name"),
            "card_sha256": facts.start_card_sha256,
            **{key: old[key] for key in ("description", "weaknesses", "figures", "teachers", "pairs") if key in old},
        },
        "finetune": dict(facts.details),
    }


def _weaknesses(count: int, contents: int, name: str, facts: CardFacts) -> list[str]:
    found = [
        f"It learned from {count} ratings of {contents} contents ({name}); what it is worth on other kinds of videos"
        " was not measured.",
        "What its starting student could not do it cannot do either, unless the ratings showed it: see there.",
    ]
    if count < ENOUGH:
        found.append(f"{count} ratings are few: what was measured on them is uncertain.")
    if not facts.certain:
        found.append("Its gain over the starting student may be chance: the interval of the gain of SRCC holds 0.")
    agreed = facts.figures.get("same_reason")
    if isinstance(agreed, float) and agreed < 1:
        found.append(f"Its reasons were not measured anew; {agreed:.0%} of videos have the same first one as before.")
    return found


def _data(old: Mapping[str, Any], rated: RatedVideos, license: str) -> dict[str, object]:  # noqa: A002 (a card's word)
    """The data of the starting student, and the rated videos; one that is in both is named once, as rated."""
    new = {video.clip_id for video in rated.videos}
    known = old.get("data")
    before = known.get("clips", []) if isinstance(known, dict) else []
    clips = [dict(clip) for clip in before if clip.get("sha256_16") not in new]
    places = {video.clip_id: place for place, video in reversed(list(enumerate(rated.videos)))}
    clips += [{**_origin(rated, place, license), "split": RATED} for place in sorted(places.values())]
    return {
        "splits": dict(sorted(Counter(str(clip["split"]) for clip in clips).items())),
        "licenses": dict(sorted(Counter(str(clip["license"]) for clip in clips).items())),
        "clips": clips,
    }


def _origin(rated: RatedVideos, place: int, license: str) -> dict[str, str]:  # noqa: A002 (a card's word)
    video = rated.videos[place]
    source = rated.ratings.benchmark.shown
    return {"name": name_of(video.path), "source": source, "license": license, "sha256_16": video.clip_id}
