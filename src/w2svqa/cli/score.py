"""``w2svqa score``: quality scores of files, folders, patterns or a list."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2svqa.cli import exits
from w2svqa.cli.student_options import OptionsOption, StudentOption, named_options
from w2svqa.core.errors import InputError

if TYPE_CHECKING:
    from w2svqa.cli.outputs import Output
    from w2svqa.cli.table_file import TableFile
    from w2svqa.core.inputs import InputItem
    from w2svqa.core.records import Score
    from w2svqa.stages.score import Rows, Scorer

PATHS_HELP = "Videos, images, folders, patterns such as 'clips/*.mp4', or - for a list of paths on standard input."


class ScoreForm(StrEnum):
    """The forms of the score, as ``preference.forms.Form`` lists them: typer wants an enumeration."""

    ANCHORED = "anchored"
    JOINT = "joint"
    RELEASED = "released"


def score(
    paths: Annotated[list[str], typer.Argument(help=PATHS_HELP, metavar="PATH")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV rows, each as soon as it is finished.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also keep the table in this .csv or .json; a rerun continues it."),
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Show the score of each second.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the score of each second into this .png, .svg or .pdf.")
    ] = None,
    student: StudentOption = None,
    option: OptionsOption = None,
    form: Annotated[
        ScoreForm, typer.Option(help="How preferences become a score; docs/scoring.md compares the three.")
    ] = ScoreForm.ANCHORED,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score files side by side.")] = 1,
    fail_under: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="X", help="Exit with code 3 if all are scored and one is below X."),
    ] = None,
) -> None:
    """Score the quality of videos and images, 0 to 100, higher is better.

    Exit codes: 0 all scored, 1 a file failed, 2 wrong usage, 3 one is below --fail-under, 130 interrupted.
    """
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    from w2svqa.cli.table_file import open_table
    from w2svqa.core.inputs import expand_inputs
    from w2svqa.report.timeline import check_target

    items = expand_inputs(paths, stdin=sys.stdin)
    try:
        if plot is not None:
            check_target(plot, len(items))
        table = None if output is None else open_table(output)
    except InputError as error:
        exits.note(str(error))
        raise typer.Exit(exits.USAGE) from None
    from w2svqa.stages.score import Scorer

    wants_seconds = timeline or plot is not None
    scorer = Scorer.load(student, form=form.value, each_second=wants_seconds or None, options=named_options(option))
    batch = _Batch(items, scorer, table, workers, wants_seconds)
    scores = batch.run(_output(as_json, as_csv))
    _show_timelines(scores, timeline, plot, on_stdout=not (as_json or as_csv))
    raise typer.Exit(_exit_code(scores, fail_under))


@dataclass(frozen=True)
class _Batch:
    """Files to score, and where their rows go."""

    items: Sequence[InputItem]
    scorer: Scorer
    table: TableFile | None
    workers: int
    wants_seconds: bool = False

    def run(self, output: Output) -> list[Score]:
        """Score what no earlier run has scored, and hand every row on as soon as it is finished.

        Returns:
            The rows in input order. If the batch is cut short, those finished are printed and kept all the same.
        """
        from w2svqa.cli.console import progress

        scores: dict[int, Score] = {}
        with ExitStack() as stack:
            if self.table is not None:
                self.table.start()
                stack.callback(self.table.close)
            stack.enter_context(output)
            done = stack.enter_context(progress(len(self.items), "scoring"))
            for index, score in stack.enter_context(closing(self._rows())):
                scores[index] = score
                output.add(index, score)
                done()
        if self.table is not None:
            self.table.finish([item.path for item in self.items])
        return [scores[index] for index in sorted(scores)]

    def _rows(self) -> Rows:
        """Yield ready rows first (kept ones, and those whose path is of no use), then the scored ones."""
        waiting: list[int] = []
        for index, item in enumerate(self.items):
            kept = self._kept(item.path)
            if item.error is not None:
                yield index, self._refused(item.path, item.error)
            elif kept is not None:
                yield index, kept
            else:
                waiting.append(index)
        paths = [self.items[index].path for index in waiting]
        with closing(self._scored(paths)) as scored:
            for position, score in scored:
                yield waiting[position], score

    def _kept(self, path: str) -> Score | None:
        """Return the row of an earlier run, unless it lacks the seconds that are wanted now."""
        row = None if self.table is None else self.table.kept(path, self.scorer.name)
        return None if row is not None and self.wants_seconds and not row.seconds else row

    def _refused(self, path: str, error: InputError) -> Score:
        from w2svqa.cli.table_file import UNREACHABLE
        from w2svqa.core.records import Score

        row = Score(path=path, status="error", message=error.without_path, student=self.scorer.name)
        if self.table is not None:
            self.table.add(row, UNREACHABLE)
        return row

    def _scored(self, paths: list[str]) -> Rows:
        from w2svqa.cli.table_file import FileStamp

        # taken before scoring: a file that changes meanwhile is scored again next time
        stamps = [FileStamp.of(path) for path in paths] if self.table is not None else []
        with closing(self.scorer.score_many(paths, workers=self.workers)) as rows:
            for position, score in rows:
                if self.table is not None:
                    self.table.add(score, stamps[position])
                yield position, score


def _output(as_json: bool, as_csv: bool) -> Output:
    from w2svqa.cli.outputs import CsvOutput, JsonOutput, TableOutput

    if as_json:
        return JsonOutput()
    return CsvOutput() if as_csv else TableOutput()


def _show_timelines(scores: Sequence[Score], wanted: bool, plot: Path | None, *, on_stdout: bool) -> None:
    if wanted:
        from w2svqa.cli.console import uses_ascii
        from w2svqa.report.terminal import timeline

        stream = sys.stdout if on_stdout else sys.stderr
        for score in scores:
            if score.seconds:
                stream.write(f"{timeline(score, ascii_only=uses_ascii(stream))}\n\n")
    if plot is not None and any(score.value is not None for score in scores):
        from w2svqa.report.timeline import write_timeline

        write_timeline(scores, plot)
        exits.note(f"wrote {plot}")


def _exit_code(scores: Sequence[Score], fail_under: float | None) -> int:
    if any(score.value is None for score in scores):
        return exits.FAILED
    if fail_under is not None and any(score.value < fail_under for score in scores if score.value is not None):
        return exits.BELOW
    return exits.OK
