"""Why a video is bad, and where: what the student says of the whole, and of the seconds that stand out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Final

from w2svqa.core.records import Reason

WHOLE_SHARE: Final = 0.75
"""A reason that more than this share of the seconds give is one of the whole video."""

CLEARLY_BELOW: Final = 10.0
"""Points by which a second lies below the median second to have its own reasons told."""


def gather_reasons(
    whole: Sequence[Reason], each: Sequence[Sequence[Reason]], scores: Sequence[float]
) -> tuple[Reason, ...]:
    """Merge the diagnosis of a video with those of its seconds.

    * A reason of the whole video stays as it is if more than :data:`WHOLE_SHARE` of the seconds give it by themselves,
      or none does. Otherwise it is confined to those that do, and its severity and probability are their means.
    * A second at least :data:`CLEARLY_BELOW` points below the median second has its reasons told even if the whole
      video does not give them: the mean over a long video hides one bad second.

    Args:
        whole: what is wrong with the video.
        each: what is wrong with each second.
        scores: of each second, 0-100 unclipped.

    Returns:
        One reason per distortion, most probable first. ``seconds`` is empty where it is about the whole video.

    Raises:
        ValueError: not as many diagnoses as scores.

    Example:
        >>> stall = Reason(distortion="stuttering", severity=0.8, probability=0.9)
        >>> gather_reasons([], [[], [stall], []], [80.0, 60.0, 81.0])
        (Reason(distortion='stuttering', severity=0.8, probability=0.9, seconds=(1,)),)
    """
    if len(each) != len(scores):
        raise ValueError(f"{len(each)} diagnoses cannot go with the scores of {len(scores)} seconds")
    low = set(_clearly_below(scores))
    hidden = {reason.distortion for second in low for reason in each[second]} - {one.distortion for one in whole}
    found = [_placed(reason, _where(reason.distortion, each), len(each)) for reason in whole]
    for distortion in sorted(hidden):
        found.append(_confined([(second, reason) for second, reason in _where(distortion, each) if second in low]))
    return tuple(sorted(found, key=lambda reason: -reason.probability))


def _clearly_below(scores: Sequence[float]) -> list[int]:
    limit = median(scores) - CLEARLY_BELOW if scores else -math.inf
    return [second for second, score in enumerate(scores) if score <= limit]


def _where(distortion: str, each: Sequence[Sequence[Reason]]) -> list[tuple[int, Reason]]:
    return [
        (second, reason) for second, reasons in enumerate(each) for reason in reasons if reason.distortion == distortion
    ]


def _placed(reason: Reason, found: Sequence[tuple[int, Reason]], seconds: int) -> Reason:
    return reason if not found or len(found) > WHOLE_SHARE * seconds else _confined(found)


def _confined(found: Sequence[tuple[int, Reason]]) -> Reason:
    """One reason for several seconds: its numbers are their means."""
    reasons = [reason for _, reason in found]
    return replace(
        reasons[0],
        severity=fmean(reason.severity for reason in reasons),
        probability=fmean(reason.probability for reason in reasons),
        seconds=tuple(second for second, _ in found),
    )
