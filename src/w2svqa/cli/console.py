"""What is shown where: tables on stdout, progress on stderr if it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

_LEAST_WIDTH: Final = 80


def uses_ascii(stream: TextIO) -> bool:
    """Whether a stream cannot show block characters."""
    return not (stream.encoding or "").lower().startswith("utf")


def show(content: RenderableType, stream: TextIO | None = None) -> None:
    """Print a table or text; into a file or pipe as wide as it needs, so that no path is wrapped.

    Args:
        content: anything rich can render.
        stream: where to; ``None`` for stdout.
    """
    from rich.console import Console

    target = stream or sys.stdout
    console = Console(file=target, highlight=False, markup=False, emoji=False)
    if not target.isatty():
        wide = Console(file=target, width=10_000)
        needed = wide.measure(content).maximum
        console = Console(file=target, highlight=False, markup=False, emoji=False, width=max(_LEAST_WIDTH, needed))
    with console.capture() as captured:
        console.print(content)
    # written by ourselves: rich ends the program by itself when the reader of a pipe goes away
    lines = (line.rstrip() if not target.isatty() else line for line in captured.get().splitlines())
    target.write("".join(f"{line}\n" for line in lines))


@contextmanager
def progress(total: int, description: str) -> Iterator[Callable[[], None]]:
    """Show a bar with the time left on stderr while inside, if stderr is a terminal.

    Args:
        total: how many items there are.
        description: what is being done to them.

    Yields:
        A function to call after each item.
    """
    if not sys.stderr.isatty() or total < 1:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("left"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)
