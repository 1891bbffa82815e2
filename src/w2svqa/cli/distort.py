"""``w2svqa distort``: a distorted version of a video or picture, as the simulators make them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from w2svqa.cli import exits
from w2svqa.core.errors import InputError, MediaError

if TYPE_CHECKING:
    from rich.table import Table

    from w2svqa.distort import Simulator

Steps = Sequence[tuple[str, int]]

_IMAGE_SUFFIX: Final = ".png"


def _list_kinds(wanted: bool) -> None:
    if wanted:
        from w2svqa.cli.console import show, uses_ascii

        show(kinds_table(ascii_only=uses_ascii(sys.stdout)))
        raise typer.Exit


def distort(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video or image.")],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="Written lossless (.mkv, .mp4, .webm, .mov, .avi; .png for an image), or by the codec if KIND is one.",
        ),
    ],
    kinds: Annotated[
        list[str],
        typer.Option("--kind", metavar="KIND", help="A distortion; given again with another --level, it comes after."),
    ],
    levels: Annotated[list[int], typer.Option("--level", metavar="N", help="Severity, from 1 (mild).")],
    seed: Annotated[int, typer.Option(min=0, help="Fixes what is random.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Take so much of the beginning; all if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    list_kinds: Annotated[
        bool, typer.Option("--list", help="List the distortions and their levels.", callback=_list_kinds, is_eager=True)
    ] = False,
) -> None:
    """Write a distorted version of a video or image; sound is left out.

    Several distortions are applied in the order given; a codec can only be the last.
    """
    del list_kinds  # acted on in its callback
    if len(kinds) != len(levels):
        raise typer.BadParameter(f"{len(kinds)} times --kind, but {len(levels)} times --level")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{seconds:g} is not above 0", param_hint="--seconds")
    steps = list(zip(kinds, levels, strict=True))
    try:
        check_steps(steps)
        check_target(source, target, steps, overwrite=overwrite)
    except InputError as error:
        exits.note(str(error))
        raise typer.Exit(exits.USAGE) from None
    write_distorted(source, target, steps, seed=seed, seconds=seconds)
    exits.say(str(target))


def check_steps(steps: Steps) -> None:
    """Check that there is such a sequence of distortions.

    Raises:
        InputError: an unknown kind or level, or a codec before the last step.
    """
    for number, (kind, level) in enumerate(steps, start=1):
        simulator = _simulator(kind)
        simulator.value(level)
        if simulator.family == "streaming" and number < len(steps):
            raise InputError(f"{kind} is a codec and cannot come before another distortion", remedy="make it the last")


def check_target(source: Path, target: Path, steps: Steps, *, overwrite: bool) -> None:
    """Check that ``target`` can take the result and that nothing is lost by writing it.

    Raises:
        InputError: it is the source, exists, has no folder, or has a suffix that cannot hold the result.
    """
    from w2svqa.distort.streaming import check_streaming_target
    from w2svqa.video.encode import LOSSLESS_SUFFIXES

    if not target.parent.is_dir():
        raise InputError("is in a folder that does not exist", path=target, remedy="make the folder, or choose another")
    if target.exists():
        if source.exists() and target.samefile(source):
            raise InputError("is the input itself", path=target, remedy="choose another OUT")
        if not target.is_file():
            raise InputError("exists and is no file", path=target, remedy="choose another OUT")
        if not overwrite:
            raise InputError("exists already", path=target, remedy="choose another OUT, or give --overwrite")
    kind, suffix = steps[-1][0], target.suffix.lower()
    if _simulator(kind).family == "streaming":
        check_streaming_target(kind, target)
    elif suffix not in (*LOSSLESS_SUFFIXES, _IMAGE_SUFFIX):
        raise InputError(
            f"nothing lossless can be written into {suffix!r}" if suffix else "has no suffix",
            path=target,
            remedy=f"choose one of {', '.join(LOSSLESS_SUFFIXES)}, or {_IMAGE_SUFFIX} for an image",
        )


def write_distorted(source: Path, target: Path, steps: Steps, *, seed: int, seconds: float | None) -> None:
    """Write the distorted version, as a picture if ``target`` is a ``.png``.

    Raises:
        InputError: the source cannot be read, or is no video or image that these distortions and ``target`` suit.
        StoreError: the target cannot be written.
    """
    from w2svqa.distort import distort_mixture

    with _working(" + ".join(f"{kind} {level}" for kind, level in steps)):
        if target.suffix.lower() == _IMAGE_SUFFIX:
            _write_image(source, target, steps, seed)
        else:
            distort_mixture(source, target, steps, seed=seed, max_seconds=seconds)


def _write_image(source: Path, target: Path, steps: Steps, seed: int) -> None:
    from w2svqa.distort import distort_mixture
    from w2svqa.video.frames import read_frames
    from w2svqa.video.image import write_image
    from w2svqa.video.probe import probe

    if not probe(source).is_still:
        raise MediaError(
            f"is a video, and {_IMAGE_SUFFIX} holds a single picture", path=source, remedy="name OUT .mkv or .mp4"
        )
    # by way of a video of one frame, so that both come out the same
    with tempfile.TemporaryDirectory(prefix="w2svqa-") as folder:
        video = Path(folder) / "frame.mkv"
        distort_mixture(source, video, steps, seed=seed)
        write_image(target, next(read_frames(video)))


def kinds_table(*, ascii_only: bool = False) -> Table:
    """Lay out the distortions: kind, family, parameter, its value at each level, whether students are trained on it."""
    from rich.table import Table
    from rich.text import Text

    from w2svqa.distort import SIMULATORS, UNSEEN_CODECS
    from w2svqa.report.terminal import plain_box

    table = Table(box=plain_box(ascii_only), header_style="bold")
    for name in ("kind", "family", "levels", "values, mild to severe", "parameter", "used in training"):
        table.add_column(name, no_wrap=True)
    for simulator in (*SIMULATORS.values(), *UNSEEN_CODECS.values()):
        values = ", ".join(f"{value:g}" for value in simulator.levels)
        trained = "yes" if simulator.kind in SIMULATORS else "no"
        cells = (simulator.kind, simulator.family, f"1-{len(simulator.levels)}", values, simulator.parameter, trained)
        table.add_row(*map(Text, cells))
    return table


def _simulator(kind: str) -> Simulator:
    from w2svqa.distort.simulators import simulator

    return simulator(kind)


@contextmanager
def _working(description: str) -> Iterator[None]:
    """Show on stderr that something is going on and for how long, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(escape(description), total=None)
        yield
