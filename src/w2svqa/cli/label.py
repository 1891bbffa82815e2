"""``w2svqa label``: teachers score a pool of videos."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from w2svqa.cli import exits
from w2svqa.cli.score import PATHS_HELP
from w2svqa.cli.stages import stage_progress
from w2svqa.core.errors import printable

if TYPE_CHECKING:
    from w2svqa.stages.pool_scores import LabelledPool, TeacherLabels
    from w2svqa.stages.pool_teachers import Option, PoolTeacher

_MOST_LINES: Final = 20
"""Failures of one teacher that are listed; the table of scores has them all."""

_WORDS: Final = {"true": True, "false": False}


def _column(key: str, usual: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        f"--{key}-column", metavar="HEADING", help=f"Column of the manifest: {key}. [default: {usual}]"
    )
    return option


def label(
    teachers: Annotated[
        list[str],
        typer.Option(
            metavar="NAME,...",
            help="Who scores, as `w2svqa teachers` lists them, or student:PATH; from command: on a value is one name.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the tables; a rerun continues it.")],
    paths: Annotated[
        list[str] | None, typer.Argument(help=f"{PATHS_HELP} None: what the manifest names.", metavar="POOL")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH|DIR",
            help="Trained parameters of a teacher, or a folder that holds those of any: `w2svqa teachers` looks too.",
        ),
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option(metavar="NAME.OPTION=VALUE", help="An option of a teacher, as fast-vqa.seed=1.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="CSV", help="What else is known of the videos, with a header.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes of a teacher that computes on the CPU.")] = 1,
    devices: Annotated[
        str,
        typer.Option(metavar="DEVICE,...", help="One process each of a teacher that can use them, as cuda:0,cuda:1."),
    ] = "cpu",
    time_out: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds a teacher may take for one video; 0 for no limit.")
    ] = 3600.0,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
    skip_unavailable: Annotated[
        bool, typer.Option("--skip-unavailable", help="Go on without teachers that cannot run.")
    ] = False,
    name_column: Annotated[str | None, _column("name", "clip, file, name or video")] = None,
    source_column: Annotated[str | None, _column("source", "source")] = None,
    license_column: Annotated[str | None, _column("license", "license")] = None,
    reference_column: Annotated[str | None, _column("reference", "reference")] = None,
    primary_column: Annotated[str | None, _column("primary", "primary")] = None,
    kind_column: Annotated[str | None, _column("kind", "kind")] = None,
    level_column: Annotated[str | None, _column("level", "level")] = None,
    mos_column: Annotated[str | None, _column("mos", "mos")] = None,
) -> None:
    """Let teachers score a pool of videos, into DIR/videos and DIR/scores.

    Interrupted or killed, the same command goes on where it stopped; more videos or other teachers add work and repeat
    none. Exit codes: 0 all scored, 1 a teacher has no score for some video, or something else failed, 2 wrong usage.
    Needs the extra "train".
    """
    from w2svqa.core.inputs import expand_inputs
    from w2svqa.stages.pool_manifest import PoolManifest, named_files, read_pool_manifest
    from w2svqa.stages.pool_scores import LabelPoolConfig, label_pool

    columns = {
        "name": name_column,
        "source": source_column,
        "license": license_column,
        "reference": reference_column,
        "primary": primary_column,
        "kind": kind_column,
        "level": level_column,
        "mos": mos_column,
    }
    if not paths and manifest is None:
        raise typer.BadParameter("name files or folders, or a manifest", param_hint="POOL")
    asked = {key: heading for key, heading in columns.items() if heading is not None}
    if asked and manifest is None:
        raise typer.BadParameter("there is no manifest", param_hint=f"--{next(iter(asked))}-column")
    config = LabelPoolConfig(
        teachers=_teachers(teachers, parameters or (), options or ()),
        manifest=None if manifest is None else PoolManifest(path=str(manifest), columns=asked),
        workers=workers,
        devices=tuple(device.strip() for device in devices.split(",") if device.strip()),
        time_out=time_out or None,
        retry_failed=retry_failed,
        skip_unavailable=skip_unavailable,
    )
    listed = () if config.manifest is None else read_pool_manifest(config.manifest)
    items = expand_inputs(paths or named_files(listed, config.manifest), stdin=sys.stdin)
    with stage_progress() as progress:
        labelled = label_pool(items, output, config, progress=progress)
    _tell(labelled, output)
    raise typer.Exit(exits.FAILED if labelled.failed else exits.OK)


def split_names(values: Sequence[str]) -> list[str]:
    """Return the names of teachers in values that are separated by commas.

    A command may hold commas itself, so it is the rest of its value.

    Example:
        >>> split_names(["niqe, brisque", "vmaf,command:rate --in {path} --as a,b"])
        ['niqe', 'brisque', 'vmaf', 'command:rate --in {path} --as a,b']
    """
    names = []
    for value in values:
        rest = value.strip()
        while rest:
            name, _, after = (rest, "", "") if rest.startswith("command:") else rest.partition(",")
            names.append(name.strip())
            rest = after.strip()
    return [name for name in names if name]


def _teachers(values: Sequence[str], parameters: Sequence[str], options: Sequence[str]) -> tuple[PoolTeacher, ...]:
    from w2svqa.stages.pool_teachers import PoolTeacher

    names = split_names(values)
    places = _places(names, parameters)
    settings: dict[str, dict[str, Option]] = {name: {} for name in names}
    for text in options:
        owner = max((name for name in names if text.startswith(f"{name}.")), key=len, default=None)
        key, equals, value = text.removeprefix(f"{owner}.").partition("=")
        if owner is None or not equals:
            raise typer.BadParameter(
                f"{text!r}: write NAME.OPTION=VALUE, of {', '.join(names)}", param_hint="--options"
            )
        settings[owner][key] = _value(owner, key, value)
    return tuple(PoolTeacher(name=name, parameters=places.get(name), options=settings[name]) for name in names)


def _places(names: Sequence[str], parameters: Sequence[str]) -> dict[str, str]:
    """Return where the parameters of each teacher are, as far as that is said or found."""
    from w2svqa.stages.student_teacher import PREFIX
    from w2svqa.teachers.listing import find_parameters

    places: dict[str, str] = {}
    folders: list[Path] = []
    for text in parameters:
        name, _, place = text.partition("=")
        if name in names and place:
            places[name] = place
        elif Path(text).is_dir():
            folders.append(Path(text))
        else:
            problem = f"{text!r}: write NAME=PATH, of {', '.join(names)}, or a folder"
            raise typer.BadParameter(problem, param_hint="--parameters")
    for name in (each for each in names if each not in places and not each.startswith(PREFIX)):
        found = [find_parameters(name, folder) for folder in folders]
        known = [each for each in found if each is not None]
        if known:
            places[name] = str(known[0])
    return places


def _value(teacher: str, key: str, text: str) -> Option:
    """Return the value of an option as the kind of its default."""
    from w2svqa.stages.pool_teachers import teacher_class

    defaults: Mapping[str, Option] = getattr(teacher_class(teacher), "options", {})
    default = defaults.get(key, "")  # an unknown option is refused when the teacher is loaded
    try:
        return _WORDS[text.lower()] if isinstance(default, bool) else type(default)(text)
    except (KeyError, ValueError):
        raise typer.BadParameter(
            f"{teacher}.{key} is {text!r}, not as its default {default!r}", param_hint="--options"
        ) from None


def _tell(labelled: LabelledPool, output: Path) -> None:
    """Print one line per teacher on stdout, and on stderr what failed or did not fit."""
    from rich.table import Table

    from w2svqa.cli.console import show

    table = Table(box=None, pad_edge=False)
    for heading in ("teacher", "version", "better", "scored", "failed", "least", "greatest", "new"):
        table.add_column(heading, justify="left" if heading in ("teacher", "version", "better") else "right")
    for labels in labelled.labels:
        table.add_row(*_cells(labels))
        _tell_failures(labels, {row.clip_id: row.path for row in labelled.videos})
    for name, reason in labelled.unavailable.items():
        exits.note(f"{name} was left out: {reason}")
    pool = labelled.pool
    if pool.repeated:
        exits.note(f"{len(pool.repeated)} files are copies of others, which were scored once")
    if pool.unlisted:
        exits.note(f"the manifest does not name {len(pool.unlisted)} of the videos, such as {pool.unlisted[0]}")
    if pool.unused:
        exits.note(f"{len(pool.unused)} lines of the manifest name no video of the pool, such as {pool.unused[0]}")
    show(table)
    exits.note(f"{len(labelled.videos)} videos in {output / 'videos'}, their scores in {output / 'scores'}")


def _cells(labels: TeacherLabels) -> tuple[str, ...]:
    facts, values = labels.facts, [row.value for row in labels.rows if row.value is not None]
    ends = (f"{min(values):.4g}", f"{max(values):.4g}") if values else ("", "")
    better = "higher" if facts.higher_is_better else "lower"
    counts = (str(len(values)), str(len(labels.failed)))
    return printable(facts.name), facts.version, better, *counts, *ends, str(labels.computed)


def _tell_failures(labels: TeacherLabels, paths: Mapping[str, str]) -> None:
    for note in labels.notes:
        exits.note(f"{labels.facts.name}: {note}")
    for row in labels.failed[:_MOST_LINES]:
        exits.note(f"{row.teacher}: {paths[row.clip_id]}: {row.message}")
    if len(labels.failed) > _MOST_LINES:
        exits.note(f"{labels.facts.name}: {len(labels.failed) - _MOST_LINES} more in the table of scores")
