"""student + rated videos -> a student that agrees better with people, or the reason why it is not kept.

```
WORK/
├── files.jsonl, seen/, ladders/    content hashes, and what the student sees of each video: decoded once
├── folds-HASH.jsonl                what each test fold gave; a finished one is not done again
├── scores/                         scores of every rated video, those after by a student that never saw it
└── evaluation/, test/              the tables of stages/evaluate.py
```

The new student is kept only if it agrees better with the ratings of the test folds (on request: beyond chance) and does
not order severities worse by more than a tolerance. The old one stays what it was in any case.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.config import config_hash, to_mapping
from w2svqa.core.errors import InputError, StrPath, W2SVQAError
from w2svqa.core.files import atomic_write, hold, sha256_file
from w2svqa.core.journal import Journal
from w2svqa.core.store import fingerprint
from w2svqa.stages.evaluate import EvaluateConfig, Evaluation, evaluate
from w2svqa.stages.evaluation_models import RatedSet, ScoreTable
from w2svqa.stages.evaluation_statistics import Estimate
from w2svqa.stages.finetune_bundle import (
    CardFacts,
    Interval,
    agreement_figures,
    fit_interval,
    ladder_entry,
    write_tuned,
)
from w2svqa.stages.finetune_data import (
    RatedVideos,
    content_folds,
)
from w2svqa.stages.finetune_folds import (
    UNTOUCHED,
    Choice,
    FoldFound,
    Material,
    choose,
    decode_fold,
    encode_fold,
    run_fold,
    train_chosen,
)
from w2svqa.stages.finetune_ladder import LadderChange, ladder_change
from w2svqa.stages.finetune_material import FinetuneConfig, Source, points_of, told_ends
from w2svqa.stages.finetune_scale import Judged
from w2svqa.students.bundle import CARD, SHIPPED, bundle_folder

__all__ = ["AFTER", "ARITHMETIC", "BEFORE", "FinetuneConfig", "Finetuned", "Progress", "finetune", "gain_of", "srcc_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Progress = Callable[[str, int, int, str], None]

ARITHMETIC: Final = 1
"""Raised whenever the same videos and ratings would give another student."""

_NO_SCORE: Final = frozenset({"workers", "resamples", "license", "name", "certain"})
"""What of a configuration changes no score: kept folds stay good."""

BEFORE: Final = "before"
AFTER: Final = "after"
"""What the two students are called in tables."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finetuned:
    """What came of it.

    Attributes:
        bundle: of the new student; ``None`` where it was not kept.
        refused: why it was not kept.
        rated: what it learned from.
        folds: what each test fold gave.
        choice: how the new student was trained.
        evaluation: of both students on all rated videos, the new one's scores from the test folds.
        test: of both students on separate ratings, if there were any.
        ladder: order of severities.
        interval: of the new student's scores.
        same_reason: share of videos and versions whose first reason stays the same.
        work: folder of the tables, and of what is kept between calls.
        notes: what a reader should know.
    """

    bundle: Path | None
    refused: tuple[str, ...]
    rated: RatedVideos
    folds: tuple[FoldFound, ...]
    choice: Choice
    evaluation: Evaluation
    test: Evaluation | None
    ladder: LadderChange
    interval: Interval
    same_reason: float
    work: Path
    notes: tuple[str, ...]

    @property
    def gain(self) -> Estimate:
        """SRCC of the new student minus that of the old one, on the test folds."""
        return gain_of(self.evaluation)


def finetune(
    rated: RatedSet,
    output: StrPath,
    config: FinetuneConfig | None = None,
    *,
    student: str | None = None,
    test: RatedSet | None = None,
    work: StrPath | None = None,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> Finetuned:
    """Adapt a compact student to human ratings, measured by cross-validation over contents.

    Killed at any moment, the same call goes on where it was.

    Args:
        rated: ratings with files, from :func:`w2svqa.stages.evaluation_models.rated_set`.
        output: folder of the new bundle. It is written only if the new student is kept.
        config: how.
        student: name of a shipped bundle or a bundle's folder; the default one if not given.
        test: further ratings with files, for measuring alone.
        work: folder of what is kept between calls; ``OUTPUT.work`` if not given.
        progress: called as ``progress(stage, done, total, text)``.

    Raises:
        InputError: there are too few videos or contents, or all ratings are the same.
        ConfigError: a video is in training and test, or the student was trained on one of the test.
        BundleError: the student is none, or cannot be trained on.
        StoreError: the work folder belongs to another configuration, is in use, or cannot be written.
        W2SVQAError: the training went wrong.
        MissingExtraError: the extra ``train`` is not installed.
    """
    config, student = config or FinetuneConfig(), student or SHIPPED[0]
    target = Path(output)
    place = Path(work) if work is not None else target.with_name(f"{target.name}.work")
    with hold(place):
        run = _Run(place, config, student, progress)
        return run.whole(rated, test, target)


class _Run:
    """One call."""

    def __init__(self, place: Path, config: FinetuneConfig, student: str, progress: Progress) -> None:
        self._place, self._config, self._student, self._progress = place, config, student, progress

    def whole(self, rated: RatedSet, test: RatedSet | None, target: Path) -> Finetuned:
        config = self._config
        source = Source(place=self._place, student=self._student, config=config, progress=self._progress)
        learned, tested = source.read(rated, test)
        material = source.material(learned)
        held, seen = source.see(tested) if tested is not None else (None, None)
        if held is not None and not held.videos:
            raise InputError("no video of the test can be decoded", remedy="check its files")
        folds = content_folds(material.rated.contents, config.folds.folds, config.folds.seed, "test folds")
        found = self._folds(material, folds)
        before = material.original.score(material.seen).raw
        after, deviation = _gathered(found, len(before))
        evaluation = self._evaluate(material.rated, before, after, "evaluation")
        choice, judged = self._final(material)
        ladder = self._ladder(material, found, judged)
        same = float(np.mean([each.agreed for each in found]))
        points = points_of(material)
        interval = fit_interval(after, deviation, points, folds, material.rated.contents, seed=config.folds.seed)
        measured = None
        if held is not None and seen is not None:
            scores = [each.score(seen).raw for each in (material.original, judged)]
            measured = self._evaluate(held, scores[0], scores[1], "test")
        refused = _refusals(evaluation, choice, judged, ladder, config)
        gain = gain_of(evaluation)
        if not refused and not gain.low > 0:
            source.notes.append(_unclear(gain))
        if not refused:
            facts = self._facts(material, evaluation, measured, ladder, choice, same)
            write_tuned(judged, material.seen, material.rated, material.bundle, interval, facts, target)
        return Finetuned(
            bundle=None if refused else target,
            refused=tuple(refused),
            rated=material.rated,
            folds=found,
            choice=choice,
            evaluation=evaluation,
            test=measured,
            ladder=ladder,
            interval=interval,
            same_reason=same,
            work=self._place,
            notes=tuple(source.notes),
        )

    def _folds(self, material: Material, folds: Ints) -> tuple[FoldFound, ...]:
        """What each test fold gives, from the journal where it was done before."""
        config, count = self._config, int(folds.max()) + 1
        made_of = fingerprint("finetune folds", self._kept_config(), self._inputs(material), version=ARITHMETIC)
        found: list[FoldFound] = []
        with Journal(self._place / f"folds-{made_of[:12]}.jsonl", fingerprint=made_of) as journal:
            for fold in range(count):
                key = str(fold)
                if key not in journal.finished:
                    journal.add(key, encode_fold(run_fold(material, folds, fold, config.folds)))
                found.append(decode_fold(journal.finished[key]))
                self._progress("folds", fold + 1, count + 1, f"test fold {fold + 1} of {count}")
        return tuple(found)

    def _kept_config(self) -> Mapping[str, object]:
        config = to_mapping(self._config)
        return {key: value for key, value in config.items() if key not in _NO_SCORE}

    def _inputs(self, material: Material) -> dict[str, str]:
        videos = [
            [video.clip_id, video.rating, repr(video.deviation), video.content] for video in material.rated.videos
        ]
        return {
            "student": sha256_file(bundle_folder(self._student) / CARD),
            "videos": config_hash({"videos": videos, "ladders": sorted(material.ladders)}),
        }

    def _final(self, material: Material) -> tuple[Choice, Judged]:
        """Choose and train on all videos, as each fold did on its own."""
        everything = list(range(len(material.rated.videos)))
        choice = choose(material, everything, self._config.folds, "all")
        model = train_chosen(material, everything, choice, self._config.folds)
        count = self._config.folds.folds + 1
        self._progress("folds", count, count, "the student of all folds")
        return choice, material.judged(model, everything, self._config.folds)

    def _evaluate(self, rated: RatedVideos, before: Floats, after: Floats, name: str) -> Evaluation:
        tables = []
        for model, scores in ((BEFORE, before), (AFTER, after)):
            path = self._place / "scores" / f"{name}-{model}.csv"
            with atomic_write(path) as file:
                file.write(_table([row.name for row in rated.ratings.rows], scores).encode())
            tables.append(ScoreTable(name=model, paths=(str(path),), name_column="name", score_column="score"))
        found = replace(rated.ratings, notes=())
        config = EvaluateConfig(resamples=self._config.resamples, seed=self._config.folds.seed)
        return evaluate([RatedSet(ratings=found)], tables, self._place / name, config)

    def _ladder(self, material: Material, found: Sequence[FoldFound], judged: Judged) -> LadderChange:
        original = material.original
        before, final = (
            {place: each.score(ladder.seen).raw.tolist() for place, ladder in material.ladders.items()}
            for each in (original, judged)
        )
        after = {place: scores.raw for fold in found for place, scores in zip(fold.ladders, fold.orders, strict=True)}
        return ladder_change(material.ladders, before, after, final, seed=self._config.folds.seed)

    def _facts(
        self,
        material: Material,
        evaluation: Evaluation,
        measured: Evaluation | None,
        ladder: LadderChange,
        choice: Choice,
        same: float,
    ) -> CardFacts:
        config, ratings = self._config, material.rated.ratings
        figures: dict[str, object] = {
            "ratings": agreement_figures(evaluation.figures, evaluation.differences, BEFORE, AFTER),
            "ladder": ladder_entry(ladder),
            "same_reason": round(same, 4),
            "videos": len(material.rated.videos),
        }
        if measured is not None:
            figures["test"] = agreement_figures(measured.figures, measured.differences, BEFORE, AFTER)
        details: dict[str, object] = {
            "ratings": {
                "name": ratings.benchmark.shown,
                "sha256": ratings.sha256,
                "videos": len(material.rated.videos),
                "contents": len(set(material.rated.contents)),
            },
            "trained": config.folds.tune.candidates[choice.candidate].shown,
            "steps": choice.steps,
            "config": {key: value for key, value in to_mapping(config).items() if key != "workers"},
        }
        name = config.name or f"{material.bundle.card.get('name')}-{ratings.benchmark.name}"
        return CardFacts(
            name=name,
            start_card_sha256=sha256_file(bundle_folder(self._student) / CARD),
            ends=told_ends(material),
            license=config.license,
            figures=figures,
            certain=gain_of(evaluation).low > 0,
            details=details,
        )


def srcc_of(evaluation: Evaluation, model: str) -> float:
    """Return the rank correlation of a model with all ratings of an evaluation.

    Raises:
        W2SVQAError: there is none, because all scores or ratings are the same.
    """
    rows = [row for row in evaluation.figures if row.measure == "srcc" and not row.facet and row.model == model]
    if not rows or rows[0].value is None:
        raise W2SVQAError(f"no rank correlation of the student {model}", remedy="check the ratings")
    return rows[0].value


def gain_of(evaluation: Evaluation) -> Estimate:
    """Return the rank correlation of the new student minus that of the old one, with its 95 % interval.

    Raises:
        W2SVQAError: one of the two has none.
    """
    value = srcc_of(evaluation, AFTER) - srcc_of(evaluation, BEFORE)
    rows = [row for row in evaluation.differences if row.measure == "srcc" and row.first == BEFORE]
    if not rows or rows[0].low is None or rows[0].high is None:
        return Estimate(value=value)
    return Estimate(value=value, low=-rows[0].high, high=-rows[0].low)


def _unclear(gain: Estimate) -> str:
    return f"the gain of SRCC may be chance: {gain.value:+.3f}, 95 % interval {gain.low:+.3f} to {gain.high:+.3f}"


def _gathered(found: Sequence[FoldFound], count: int) -> tuple[Floats, Floats]:
    """Scores of all videos and their deviations, each by the student that never saw it."""
    raw, deviation = np.full(count, np.nan), np.full(count, np.nan)
    for fold in found:
        raw[list(fold.places)] = fold.raw
        deviation[list(fold.places)] = fold.deviation
    return raw, deviation


def _table(names: Sequence[str], scores: Floats) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "score"))
    writer.writerows(zip(names, (repr(score) for score in scores.tolist()), strict=True))
    return text.getvalue()


def _refusals(
    evaluation: Evaluation, choice: Choice, judged: Judged, ladder: LadderChange, config: FinetuneConfig
) -> list[str]:
    """Why the new student is not kept."""
    found = []
    if choice.candidate == UNTOUCHED:
        found.append("no training was better than none on the inner folds")
    if not judged.rises:
        found.append("its scores do not rise with the ratings: check their direction")
    gain = gain_of(evaluation)
    if gain.value <= 0:
        found.append(f"the SRCC with the ratings of the test folds did not rise: {gain.value:+.3f}")
    elif config.certain and not gain.low > 0:
        found.append(_unclear(gain))
    if ladder.fall > config.folds.tolerance:
        found.append(
            f"the share of severities in the right order fell by {ladder.fall:.3f}, from {ladder.before:.3f}; "
            f"{config.folds.tolerance:g} is allowed"
        )
    return found
