"""Progress of work in several stages, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from w2svqa.cli import exits

_LINES_PER_STAGE = 20


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int, str], None]]:
    """Show each stage on stderr: a bar with the time left on a terminal, a line now and then elsewhere.

    Yields:
        A function to call as ``progress(stage, done, total, text)``. What it is told of a stage that is done stays on
        the screen.
    """
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.fields[stage]:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True)) as bars:

        def show(stage: str, done: int, total: int, text: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task("", total=total, stage=stage)
            elif bars.tasks[tasks[stage]].finished:
                bars.console.print(f"{stage}: {escape(text)}", highlight=False)  # what is to stay on the screen
            bars.update(tasks[stage], completed=done, total=total, description=escape(text))

        yield show


class _Lines:
    """Progress for logs: about twenty lines per stage."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int, text: str) -> None:
        step = done * _LINES_PER_STAGE // max(total, 1)
        if step != self._shown.get(stage) or done >= total:
            self._shown[stage] = step
            exits.note(f"{stage} {done}/{total} {text}".rstrip())
