"""``w2svqa evaluate``: how far students, teachers and scores made elsewhere agree with people."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from w2svqa.cli import exits
from w2svqa.cli.evaluate_inputs import models_of, sets_of
from w2svqa.cli.stages import stage_progress

if TYPE_CHECKING:
    from w2svqa.stages.evaluate import EvaluateConfig, Evaluation

_MOST_NOTES: Final = 40


_Evaluations = Annotated[
    list[Path] | None, typer.Argument(metavar="[EVALUATION...]", help="Earlier outputs, to be put side by side.")
]
_Benchmark = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME|YAML", help="A benchmark, a group (in-domain, ood, all), or a YAML file."),
]
_Ratings = Annotated[
    Path | None, typer.Option(metavar="CSV", help="Your own ratings in place of a benchmark: columns name, mos.")
]
_Videos = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The videos; of several benchmarks, a folder of each in it.")
]
_Labels = Annotated[
    Path | None, typer.Option(metavar="CSV|DIR", help="A benchmark's ratings, or a folder with NAME.csv of each.")
]
_Student = Annotated[
    list[str] | None, typer.Option(metavar="NAME|PATH", help="A student: a bundle, or a shipped one's name.")
]
_Teacher = Annotated[
    list[str] | None, typer.Option(metavar="NAME,...", help="Teachers, as `w2svqa teachers` lists them.")
]
_Scores = Annotated[
    list[str] | None,
    typer.Option(metavar="[NAME=]FILE[::COLUMN]", help="Scores made elsewhere, joined by the videos' names."),
]
_Output = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of tables and page; a rerun continues it.")]
_Tables = Annotated[
    str, typer.Option(metavar="FORMAT,...", help="The paper's tables with ours: md, latex, html, into DIR/tables.")
]
_Gmad = Annotated[
    tuple[str, str] | None, typer.Option(metavar="A B", help="Two of the models against each other: DIR/gmad.html.")
]
_Leaderboard = Annotated[Path | None, typer.Option(metavar="HTML", help="Page of the EVALUATIONs side by side.")]
_Parameters = Annotated[
    list[str] | None, typer.Option(metavar="NAME=PATH|DIR", help="Trained parameters, as for `w2svqa label`.")
]
_Options = Annotated[list[str] | None, typer.Option(metavar="NAME.OPTION=VALUE", help="An option of a teacher.")]
_Lower = Annotated[
    list[str] | None,
    typer.Option("--lower-is-better", metavar="NAME", help="Direction of a table of scores, or of 'ratings'."),
]
_Pairs = Annotated[int, typer.Option(min=1, help="Pairs of each role for --gmad.")]
_Resamples = Annotated[int, typer.Option(min=0, help="Of the bootstrap; 0 for no intervals.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of the bootstrap.")]
_Workers = Annotated[int, typer.Option(min=1, help="Processes of a teacher that computes on the CPU.")]
_Devices = Annotated[str, typer.Option(metavar="DEVICE,...", help="One process each of a teacher that can use them.")]
_RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")]


def evaluate(
    evaluations: _Evaluations = None,
    benchmark: _Benchmark = None,
    ratings: _Ratings = None,
    videos: _Videos = None,
    labels: _Labels = None,
    student: _Student = None,
    teacher: _Teacher = None,
    scores: _Scores = None,
    output: _Output = None,
    tables: _Tables = "",
    gmad: _Gmad = None,
    leaderboard: _Leaderboard = None,
    parameters: _Parameters = None,
    options: _Options = None,
    lower: _Lower = None,
    pairs: _Pairs = 6,
    resamples: _Resamples = 1000,
    seed: _Seed = 0,
    workers: _Workers = 1,
    devices: _Devices = "cpu",
    retry_failed: _RetryFailed = False,
) -> None:
    """Measure agreement with human ratings: SRCC, KRCC, PLCC, RMSE, on benchmarks or your own ratings.

    What is scored already is not decoded again. Exit codes: 0 every model has figures, 1 a model has none or a video
    could not be scored, 2 wrong usage. Needs the extra "train".
    """
    if evaluations:
        _side_by_side(evaluations, leaderboard, named=bool(benchmark or ratings))
        return
    if leaderboard is not None:
        raise typer.BadParameter("name the folders of evaluations", param_hint="--leaderboard")
    formats = _formats(tables, output)
    if gmad is not None and output is None:
        raise typer.BadParameter("its page goes into a folder: give --output", param_hint="--gmad")
    from w2svqa.stages import evaluate as stage

    config = stage.EvaluateConfig(
        resamples=resamples,
        seed=seed,
        workers=workers,
        devices=tuple(device.strip() for device in devices.split(",") if device.strip()),
        retry_failed=retry_failed,
    )
    reversed_ones = tuple(lower or ())
    models = models_of(student or (), teacher or (), scores or (), parameters or (), options or (), reversed_ones)
    sets = sets_of(benchmark or (), ratings, videos, labels, reversed_ones)
    with stage_progress() as progress:
        evaluation = stage.evaluate(sets, models, output, config, progress=progress)
        _tell(evaluation)
        if output is not None:
            _write_reports(evaluation, config, output, formats)
            if gmad is not None:
                _compete(evaluation, gmad, pairs, output, progress)
    failed = any(row.score is None and row.path for row in evaluation.joined)
    raise typer.Exit(exits.FAILED if evaluation.empty or failed else exits.OK)


def _formats(tables: str, output: Path | None) -> list[str]:
    from w2svqa.report.paper_tables import FORMATS

    formats = [each.strip() for each in tables.split(",") if each.strip()]
    if unknown := [each for each in formats if each not in FORMATS]:
        raise typer.BadParameter(f"{', '.join(unknown)}: of {', '.join(FORMATS)}", param_hint="--tables")
    if formats and output is None:
        raise typer.BadParameter("tables go into a folder: give --output", param_hint="--tables")
    return formats


def _side_by_side(folders: list[Path], page: Path | None, *, named: bool) -> None:
    if named:
        raise typer.BadParameter("name either evaluations or benchmarks", param_hint="EVALUATION")
    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.report.leaderboard_page import leaderboard_terminal, read_leaderboard, write_leaderboard

    board = read_leaderboard(folders)
    show(leaderboard_terminal(board, ascii_only=uses_ascii(sys.stdout)))
    for note in board.notes:
        exits.note(note)
    if page is not None:
        write_leaderboard(page, board)
        exits.note(f"page: {page}")


def _tell(evaluation: Evaluation) -> None:
    from w2svqa.cli.console import show, uses_ascii
    from w2svqa.report.evaluation_tables import SIGNIFICANT, figures_terminal, row_text

    show(figures_terminal(evaluation, ascii_only=uses_ascii(sys.stdout)))
    for row in evaluation.differences:
        if row.measure == "srcc" and row.p_holm is not None and row.p_holm < SIGNIFICANT:
            exits.note(
                f"{row.benchmark}: SRCC of {row.first} minus {row.second}: {row_text(row)}, p {row.p_holm:.4f} (Holm)"
            )
    for note in evaluation.notes[:_MOST_NOTES]:
        exits.note(note)
    if len(evaluation.notes) > _MOST_NOTES:
        exits.note(f"{len(evaluation.notes) - _MOST_NOTES} more remarks are in the manifest of the tables")
    for empty in evaluation.empty:
        exits.note(f"{empty.benchmark}, {empty.model}: {empty.message}")


def _compete(
    evaluation: Evaluation, models: tuple[str, str], pairs: int, output: Path, progress: Callable[..., None]
) -> None:
    from w2svqa.report.gmad_page import REPORT, write_gmad_page
    from w2svqa.stages.evaluation_gmad import compete

    competition = compete(evaluation, *models, pairs=pairs)
    write_gmad_page(output / REPORT, competition, progress=progress)
    exits.note(f"{len(competition.duels)} pairs on {output / REPORT}")


def _write_reports(evaluation: Evaluation, config: EvaluateConfig, output: Path, formats: list[str]) -> None:
    from w2svqa.core.files import atomic_write
    from w2svqa.report.evaluation_page import REPORT, write_evaluation_page
    from w2svqa.report.paper_tables import FORMATS, paper_tables

    write_evaluation_page(output / REPORT, evaluation, config)
    found = paper_tables(evaluation.figures)
    for name in formats:
        suffix, written = FORMATS[name]
        for table in found:
            with atomic_write(output / "tables" / f"{table.name}{suffix}") as file:
                file.write(written(table).encode())
    if formats and not found:
        exits.note("no table of the paper has a column for these benchmarks")
    exits.note(f"page: {output / REPORT}")
