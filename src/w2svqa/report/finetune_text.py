"""A fine-tuning in lines for a terminal: before and after, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from w2svqa.report.evaluation_tables import SHOWN, interval_text, row_text

if TYPE_CHECKING:
    from w2svqa.stages.evaluate import Evaluation
    from w2svqa.stages.finetune import Finetuned

_WIDTH: Final = 24


def lines(found: Finetuned) -> Iterator[str]:
    """Yield what came of a fine-tuning, line by line.

    Args:
        found: of :func:`w2svqa.stages.finetune.finetune`.
    """
    from w2svqa.stages.finetune_folds import UNTOUCHED  # which needs torch

    yield "of test folds, by students that did not see them; 95 % intervals by content"
    yield from _table(found.evaluation)
    if found.test is not None:
        yield "of the separate test"
        yield from _table(found.test)
    ladder = found.ladder
    if ladder.contents:
        change = interval_text(ladder.after - ladder.before, ladder.low, ladder.high)
        yield (
            f"severities in order: {ladder.before:.3f} before, {ladder.after:.3f} after ({change}), "
            f"{ladder.final:.3f} the new student; {ladder.pairs} pairs of {ladder.contents} contents"
        )
    cover = found.interval.coverage
    yield (
        f"intervals hold the rating of {cover.share:.0%} [{cover.low:.0%}, {cover.high:.0%}] of {cover.count} videos"
        f" that were not trained on; first reason as before: {found.same_reason:.0%}"
    )
    if found.choice.candidate != UNTOUCHED:
        yield f"new student: {found.choice.steps} steps of candidate {found.choice.candidate + 1}"


def _table(evaluation: Evaluation) -> Iterator[str]:
    from w2svqa.stages.finetune import AFTER, BEFORE

    rows = {(row.model, row.measure): row for row in evaluation.figures if not row.facet}
    yield f"{'':6}{BEFORE:{_WIDTH}}{AFTER:{_WIDTH}}difference"
    for measure, title in SHOWN.items():
        gain = next((row for row in evaluation.differences if row.measure == measure), None)
        # the first model of a row of differences is the one before
        told = "" if gain is None else interval_text(-gain.value, _minus(gain.high), _minus(gain.low))
        yield f"{title:6}{row_text(rows[BEFORE, measure]):{_WIDTH}}{row_text(rows[AFTER, measure]):{_WIDTH}}{told}"


def _minus(value: float | None) -> float:
    return float("nan") if value is None else -value
