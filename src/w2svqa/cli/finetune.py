"""``w2svqa finetune``: a student that agrees better with people, from ratings of videos or of precomputed features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from w2svqa.cli import exits
from w2svqa.cli.stages import stage_progress

if TYPE_CHECKING:
    from w2svqa.stages.finetune import Finetuned
    from w2svqa.stages.finetune_features import FeaturesTuned, FeatureTuneConfig
    from w2svqa.stages.ratings import Ratings

_Videos = Annotated[
    list[str] | None, typer.Argument(metavar="[VIDEO...]", help="The rated videos: files, folders or patterns.")
]
_Mos = Annotated[Path, typer.Option("--mos", metavar="CSV", help="Ratings: columns name, mos; deviation, content.")]
_Output = Annotated[Path, typer.Option(metavar="BUNDLE", help="Folder of the new student; a rerun continues.")]
_Student = Annotated[str | None, typer.Option(metavar="NAME|PATH", help="Student to start from: a compact bundle.")]
_Features = Annotated[
    list[Path] | None, typer.Option(metavar="CSV", help="Features per video in place of VIDEO; several are joined.")
]
_Test = Annotated[Path | None, typer.Option(metavar="CSV", help="Further ratings, to measure on alone.")]
_TestVideos = Annotated[list[str] | None, typer.Option(metavar="VIDEO", help="Their videos, if they lie elsewhere.")]
_Objective = Annotated[
    Literal["pairs", "scores"], typer.Option(help="Learn levels of pairs by rating and deviation, or the score.")
]
_Content = Annotated[str, typer.Option(metavar="REGEX", help="What a name shows: its first group; no column needed.")]
_Scale = Annotated[tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="Ends of the ratings' scale.")]
_Lower = Annotated[bool, typer.Option("--lower-is-better", help="The ratings are differential ones (DMOS).")]
_Raters = Annotated[float, typer.Option(min=1, help="People per rating, where deviations are those over people.")]
_Folds = Annotated[int, typer.Option(min=2, help="Test folds, by content.")]
_Tolerance = Annotated[float, typer.Option(min=0, help="Share of severities that may come out of order.")]
_Certain = Annotated[bool, typer.Option("--certain", help="Keep a student only if its gain is beyond chance.")]
_Ladder = Annotated[int, typer.Option(min=0, help="Contents whose order of severities is watched.")]
_Work = Annotated[Path | None, typer.Option(metavar="DIR", help="Kept between calls; BUNDLE.work if not given.")]
_Name = Annotated[str, typer.Option(help="Of the new student.")]
_License = Annotated[str, typer.Option("--license", help="Of the rated videos, for the card.")]
_Seeds = Annotated[int, typer.Option(min=1, help="Splits of --features.")]
_Workers = Annotated[int, typer.Option(min=1, help="Processes that decode, or seeds side by side.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of folds and training.")]


def finetune(
    mos: _Mos,
    output: _Output,
    videos: _Videos = None,
    student: _Student = None,
    features: _Features = None,
    test: _Test = None,
    test_videos: _TestVideos = None,
    objective: _Objective = "scores",
    content: _Content = "",
    scale: _Scale = None,
    lower: _Lower = False,
    raters: _Raters = 1,
    folds: _Folds = 5,
    ladder_tolerance: _Tolerance = 0.02,
    ladder_contents: _Ladder = 24,
    certain: _Certain = False,
    work: _Work = None,
    name: _Name = "",
    license_name: _License = "unknown",
    seeds: _Seeds = 10,
    workers: _Workers = 1,
    seed: _Seed = 0,
) -> None:
    """Adapt a student to human ratings, measured by cross-validation over contents.

    The new student is kept if it agrees better with people than the old one and orders severities no worse. Exit
    codes: 0 kept, 1 not kept or an error, 2 wrong usage. Needs the extra "train".
    """
    if bool(videos) == bool(features):
        raise typer.BadParameter("name either videos or --features", param_hint="VIDEO")
    from w2svqa.core.extras import require

    if features:
        if student is not None or test is not None:
            raise typer.BadParameter("--student and --test go with videos", param_hint="--features")
        require("torch", extra="train")
        from w2svqa.stages.finetune_features import FeatureTuneConfig

        asked = FeatureTuneConfig(seeds=seeds, seed=seed, objective=objective)
        _on_features(features, _ratings(mos, content, lower=lower), output, asked, workers)
        return
    require("torch", extra="train")
    from w2svqa.stages import finetune as stage
    from w2svqa.stages.evaluation_models import rated_set
    from w2svqa.stages.finetune_folds import FoldConfig
    from w2svqa.stages.finetune_train import TuneConfig

    config = stage.FinetuneConfig(
        folds=FoldConfig(
            tune=TuneConfig(objective=objective, raters=raters),
            folds=folds,
            tolerance=ladder_tolerance,
            seed=seed,
        ),
        ends=scale,
        ladder_contents=ladder_contents,
        certain=certain,
        workers=workers,
        license=license_name,
        name=name,
    )
    rated = rated_set(_ratings(mos, content, lower=lower), videos)
    tested = None if test is None else rated_set(_ratings(test, content, lower=lower), test_videos or videos)
    with stage_progress() as progress:
        found = stage.finetune(rated, output, config, student=student, test=tested, work=work, progress=progress)
    _tell(found)
    raise typer.Exit(exits.OK if found.bundle is not None else exits.FAILED)


def _ratings(path: Path, content: str, *, lower: bool) -> Ratings:
    from w2svqa.stages.benchmarks import Benchmark
    from w2svqa.stages.ratings import read_ratings

    try:
        mine = Benchmark(name=path.stem, higher_is_better=not lower, content=content)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--content") from None
    return read_ratings(path, mine)


def _tell(found: Finetuned) -> None:
    for note in (*found.notes, *found.evaluation.notes):
        exits.note(note)
    exits.say(f"{len(found.rated.videos)} rated videos of {len(set(found.rated.contents))} contents")
    from w2svqa.report.finetune_text import lines

    for line in lines(found):
        exits.say(line)
    _write_pages(found)
    for reason in found.refused:
        exits.note(f"not kept: {reason}")
    if found.bundle is not None:
        exits.note(f"student: {found.bundle}")


def _write_pages(found: Finetuned) -> None:
    from w2svqa.report.evaluation_page import REPORT, write_evaluation_page
    from w2svqa.stages.evaluate import EvaluateConfig

    for name, evaluation in (("evaluation", found.evaluation), ("test", found.test)):
        if evaluation is not None:
            path = found.work / name / REPORT
            write_evaluation_page(path, evaluation, EvaluateConfig())
            exits.note(f"page: {path}")


def _on_features(
    paths: Sequence[Path], ratings: Ratings, output: Path, config: FeatureTuneConfig, workers: int
) -> None:
    from w2svqa.core.files import hold
    from w2svqa.stages.finetune_features import finetune_features, read_features

    rated = read_features(paths, ratings)
    for note in rated.notes:
        exits.note(note)
    with hold(output), stage_progress() as progress:
        tuned = finetune_features(
            rated,
            config,
            output,
            workers=workers,
            progress=lambda done, total, text: progress("seeds", done, total, text),
        )
    _tell_features(tuned)
    exits.note(f"student: {output}")


def _tell_features(tuned: FeaturesTuned) -> None:
    exits.say(f"{len(tuned.rated.rows)} videos, {len(tuned.rated.columns)} features, {len(tuned.seeds)} splits")
    for measure in ("srcc", "krcc", "plcc", "rmse"):
        value, deviation = tuned.mean(measure)
        exits.say(f"{measure.upper():5} {value:.3f} (standard deviation {deviation:.3f})")
