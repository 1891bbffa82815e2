"""student + rated videos -> a student that agrees better with people, or the reason why it is not kept.

```
WORK/
├── files.jsonl, seen/, ladders/    content hashes, and what the student sees of each video: decoded once
├── folds.jsonl                     what each test fold gave; a finished one is not done again
├── scores/before.csv, after.csv    the scores of every rated video, after from folds that did not train on it
└── evaluation/, test/              the tables of stages/evaluate.py
```

The new student is not kept where it agrees less with the ratings of the test folds, or where it orders severities
worse by more than a tolerance; the old one stays what it was in any case.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.config import config_hash, to_mapping
from w2svqa.core.errors import ConfigError, StrPath, W2SVQAError
from w2svqa.core.files import atomic_write, hold, sha256_file
from w2svqa.core.journal import Journal
from w2svqa.core.store import fingerprint
from w2svqa.stages.evaluate import EvaluateConfig, Evaluation, evaluate
from w2svqa.stages.evaluation_models import RatedSet, ScoreTable, trained_on
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
    check_enough,
    content_folds,
    gather,
    joined,
    refuse_shared,
)
from w2svqa.stages.finetune_folds import (
    UNTOUCHED,
    Choice,
    FoldConfig,
    FoldFound,
    Material,
    choose,
    decode_fold,
    encode_fold,
    run_fold,
    train_chosen,
)
from w2svqa.stages.finetune_ladder import LadderChange, ladder_change, ladder_places
from w2svqa.stages.finetune_scale import Judged
from w2svqa.stages.finetune_seen import Vectors, read_model, see_ladders, see_videos
from w2svqa.stages.pool_videos import FileHashes
from w2svqa.students.bundle import CARD, SHIPPED, bundle_folder, load_bundle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Progress = Callable[[str, int, int, str], None]

ARITHMETIC: Final = 1
"""Raised whenever the same videos and ratings would give another student."""

BEFORE: Final = "before"
AFTER: Final = "after"
"""What the two students are called in tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """How a student is fine-tuned.

    Attributes:
        folds: cross-validation, training, and how far the order of severities may fall.
        ends: ratings that score 0 and 100, on the scale of the table; the least and the greatest rating if not given.
        ladder_contents: contents whose order of severities is watched, at most; 0 for none.
        kinds: distortions of these ladders; all that the student can name if empty.
        resamples: of the intervals.
        workers: processes that decode.
        license: of the rated videos, for the card.
        name: of the new student; the old one's and that of the ratings if empty.
    """

    folds: FoldConfig = field(default_factory=FoldConfig)
    ends: tuple[float, float] | None = None
    ladder_contents: int = 24
    kinds: tuple[str, ...] = ()
    resamples: int = 1000
    workers: int = 1
    license: str = "unknown"
    name: str = ""

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ConfigError: ends that do not rise, or a negative number of contents.
        """
        if self.ends is not None and not self.ends[0] < self.ends[1]:
            raise ConfigError(f"a scale from {self.ends[0]:g} to {self.ends[1]:g}", remedy="give the lower end first")
        if self.ladder_contents < 0 or self.folds.folds < 2:
            raise ConfigError(
                f"{self.ladder_contents} ladders, {self.folds.folds} folds", remedy="ladders 0 or more, folds 2 or more"
            )


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
    notes: tuple[str, ...]

    @property
    def gain(self) -> float:
        """SRCC of the new student minus that of the old one, on the test folds."""
        return srcc_of(self.evaluation, AFTER) - srcc_of(self.evaluation, BEFORE)


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
        self._notes: list[str] = []

    def whole(self, rated: RatedSet, test: RatedSet | None, target: Path) -> Finetuned:
        config = self._config
        learned, tested = self._read(rated, test)
        material = self._material(learned)
        held, seen = self._see(tested) if tested is not None else (None, None)
        folds = content_folds(material.rated.contents, config.folds.folds, config.folds.seed, "test folds")
        found = self._folds(material, folds)
        before = material.original.score(material.seen).raw
        after, deviation = _gathered(found, len(before))
        evaluation = self._evaluate(material.rated, before, after, "evaluation")
        choice, judged = self._final(material)
        ladder = self._ladder(material, found, judged)
        same = float(np.mean([each.agreed for each in found]))
        points = _points(material)
        interval = fit_interval(after, deviation, points, folds, material.rated.contents, seed=config.folds.seed)
        measured = None
        if held is not None and seen is not None:
            scores = [each.score(seen).raw for each in (material.original, judged)]
            measured = self._evaluate(held, scores[0], scores[1], "test")
        refused = _refusals(evaluation, choice, ladder, config)
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
            notes=tuple(self._notes),
        )

    def _read(self, rated: RatedSet, test: RatedSet | None) -> tuple[RatedVideos, RatedVideos | None]:
        """Find out what there is, and refuse what cannot be, before anything is decoded."""

        def tell(done: int, total: int, text: str) -> None:
            self._progress("hash", done, total, text)

        with FileHashes(self._place / "files.jsonl") as hashes:
            learned = gather(rated, hashes, progress=tell)
            tested = None if test is None else gather(test, hashes, progress=tell)
        check_enough(learned, self._config.folds.folds)
        if tested is not None:
            self._notes += refuse_shared(learned, tested)
            self._refuse_known(tested)
        return learned, tested

    def _refuse_known(self, tested: RatedVideos) -> None:
        known = trained_on(self._student)
        if found := [video.path for video in tested.videos if video.clip_id in known]:
            raise ConfigError(
                f"{self._student} was trained on {len(found)} videos of the test, such as {found[0]}",
                remedy="take them out of the test",
            )

    def _see(self, rated: RatedVideos) -> tuple[RatedVideos, Vectors]:
        """What the student sees of videos; those that cannot be decoded are left out."""
        seconds, failed = see_videos(
            {video.clip_id: video.path for video in rated.videos},
            self._student,
            self._place,
            workers=self._config.workers,
            progress=lambda done, total, text: self._progress("decode", done, total, text),
        )
        notes = [*rated.notes, *(f"left out: {problem}" for problem in failed.values())]
        kept = joined([video for video in rated.videos if video.clip_id in seconds], rated.ratings, notes)
        self._notes += kept.notes
        vectors = [seconds[video.clip_id].mean(axis=0) for video in kept.videos]
        return kept, np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)

    def _material(self, learned: RatedVideos) -> Material:
        config = self._config
        rated, seen = self._see(learned)
        self._notes += check_enough(rated, config.folds.folds)
        bundle = load_bundle(self._student)
        model = read_model(self._student)
        places = ladder_places(rated, config.ladder_contents, config.folds.seed)
        made, failed = see_ladders(
            {rated.videos[place].clip_id: rated.videos[place].path for place in places},
            self._student,
            self._place,
            kinds=config.kinds or model.config.kinds,
            seed=config.folds.seed,
            workers=config.workers,
            progress=lambda done, total, text: self._progress("ladder", done, total, text),
        )
        self._notes += [f"no ladder: {problem}" for problem in failed.values()]
        ladders = {place: made[rated.videos[place].clip_id] for place in places if rated.videos[place].clip_id in made}
        ends = oriented_ends(rated, config.ends)
        return Material(rated=rated, seen=seen, ladders=ladders, model=model, bundle=bundle, ends=ends)

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
        # these change no score
        return {key: value for key, value in config.items() if key not in ("workers", "resamples", "license", "name")}

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
            ends=_told_ends(material),
            license=config.license,
            figures=figures,
            details=details,
        )


def oriented_ends(rated: RatedVideos, told: tuple[float, float] | None) -> tuple[float, float]:
    """Return the ratings that score 0 and 100, turned so that higher is better.

    Args:
        rated: the videos.
        told: on the scale of the table, the lower first; the least and the greatest rating if not given.

    Raises:
        ConfigError: a rating lies beyond them.
    """
    values = rated.values
    if told is None:
        return float(values.min()), float(values.max())
    low, high = told if rated.ratings.benchmark.higher_is_better else (-told[1], -told[0])
    if values.min() < low or values.max() > high:
        raise ConfigError(
            f"ratings from {values.min():g} to {values.max():g} on a scale from {low:g} to {high:g}",
            remedy="check --scale",
        )
    return low, high


def srcc_of(evaluation: Evaluation, model: str) -> float:
    """Return the rank correlation of a model with all ratings of an evaluation.

    Raises:
        W2SVQAError: there is none, because all scores or ratings are the same.
    """
    rows = [row for row in evaluation.figures if row.measure == "srcc" and not row.facet and row.model == model]
    if not rows or rows[0].value is None:
        raise W2SVQAError(f"no rank correlation of the student {model}", remedy="check the ratings")
    return rows[0].value


def _told_ends(material: Material) -> tuple[float, float]:
    """The ends on the scale of the table: what scores 0 first."""
    sign = 1 if material.rated.ratings.benchmark.higher_is_better else -1
    return sign * material.ends[0], sign * material.ends[1]


def _points(material: Material) -> Floats:
    """Ratings on the scale of the scores, float64 ``(N,)``."""
    low, high = material.ends
    points: Floats = 100 * (material.rated.values - low) / (high - low)
    return points


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


def _refusals(evaluation: Evaluation, choice: Choice, ladder: LadderChange, config: FinetuneConfig) -> list[str]:
    """Why the new student is not kept."""
    found = []
    if choice.candidate == UNTOUCHED:
        found.append("no training was better than none on the inner folds")
    before, after = (srcc_of(evaluation, model) for model in (BEFORE, AFTER))
    if after < before:
        found.append(f"the SRCC with the ratings of the test folds fell from {before:.3f} to {after:.3f}")
    if ladder.fall > config.folds.tolerance:
        found.append(
            f"the share of severities in the right order fell by {ladder.fall:.3f}, from {ladder.before:.3f}; "
            f"{config.folds.tolerance:g} is allowed"
        )
    return found
