"""What a run's folder holds, read without touching it: for listings and reports, of runs in any state.

Nothing in here takes the lock or raises for what it finds: damage, other people's folders and unfinished work come out
as facts.

```
runs/NAME/
├── run.json          the effective configuration
├── provenance.json   its starts                        (core.provenance)
├── clips/ versions/ labels/                            what all stages share
├── stage-K/          pairs/ train/ bundle/ held_back/ and figures of its student, held_back.json (stages.held_back);
│                     from stage 2 on tokens/, mined/ and what was decided after it, stopping.json (stages.stopping)
├── quality/          quality of labels, per stage      (stages.label_quality)
└── bundle/           the student that the run ends with
```
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from w2svqa.core.errors import BundleError, MissingExtraError, MissingInputError, StoreError, StrPath
from w2svqa.core.holder import Holder, is_alive, read_holder
from w2svqa.core.provenance import Start, read_starts
from w2svqa.core.rows import LabelQualityRow
from w2svqa.core.store import MANIFEST_NAME, TABLE_NAME, read_artifact, read_manifest
from w2svqa.stages.held_back import HeldBack, read_held_back
from w2svqa.stages.label_quality import QUALITY
from w2svqa.stages.stopping import Decision, read_decision
from w2svqa.stages.training_log import Record, read_log
from w2svqa.students.bundle import CARD, read_card

CONFIG: Final = "run.json"
BUNDLE: Final = "bundle"
SHARED: Final = ("clips", "versions", "labels")
"""Tables that all stages share, shown with the first, in flow order; ``labels`` only where there are teachers."""

FIRST: Final = ("pairs",)
"""Tables of the first stage's folder."""

FURTHER: Final = ("mined", "pairs")
"""Tables of the folder of each stage after it."""

TRAIN: Final = "train"

_STAGE = re.compile(r"stage-([1-9]\d{0,3})")

RunState = Literal["finished", "running", "stopped", "failed", "damaged", "foreign"]
"""``stopped``: neither finished nor running, and no error was recorded: interrupted, or killed; the same command goes
on. ``failed``: the last start ended with an error. ``damaged``: its
configuration, record or card cannot be read.
``foreign``: no folder of a run."""

PartState = Literal["complete", "begun", "damaged", "absent"]

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One folder of a stage.

    Attributes:
        name: such as ``"pairs"``.
        state: how far it is.
        rows: of its table; ``None`` where it has none, or none that can be read.
        facts: what its manifest says besides.
        problem: what is wrong with it; empty otherwise.
    """

    name: str
    state: PartState
    rows: int | None = None
    facts: Mapping[str, object]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of weak-to-strong training.

    Attributes:
        number: from 1.
        parts: in flow order.
        log: of its training, by step.
        held_back: figure of its student by content; ``None`` where none was kept.
        decision: whether the run stopped after it, and why; ``None`` where nothing was decided.
        problem: what could not be read of it; empty otherwise.
    """

    number: int
    parts: tuple[Part, ...]
    log: tuple[Record, ...]
    held_back: HeldBack | None = None
    decision: Decision | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything there is to know of a run.

    Attributes:
        folder: of the run.
        name: as its configuration says, or the folder's.
        state: see :data:`RunState`.
        holder: the process that works on it, or may do so; ``None`` if none does.
        problems: what could not be read, a line each, and the error that ended the last start.
        config: effective configuration as plain values; empty if it cannot be read.
        starts: oldest first.
        stages: from 1.
        quality: of labels; empty where the run has no such table.
        card: of the bundle; ``None`` if there is none.
    """

    folder: Path
    name: str
    state: RunState
    holder: Holder | None
    problems: tuple[str, ...]
    config: Mapping[str, Any]
    starts: tuple[Start, ...]
    stages: tuple[Stage, ...]
    quality: tuple[LabelQualityRow, ...]
    card: Mapping[str, Any] | None


def find_runs(folder: StrPath) -> list[RunFacts]:
    """Return what is in a folder of runs, by name; a folder that is itself a run is the only one.

    Tables of label quality are not read. Folders that are no runs are among them, marked as foreign; hidden ones and
    plain files are not.

    Raises:
        MissingInputError: there is no such folder, or it may not be read.
    """
    root = Path(folder)
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise MissingInputError(
            f"cannot be read: {error.strerror}", path=root, remedy="name a folder of runs, or start one: w2svqa run"
        ) from None
    if (root / CONFIG).exists():
        return [read_run(root, tables=False)]
    return [read_run(path, tables=False) for path in folders]


def read_run(folder: StrPath, *, tables: bool = True, holding: bool = False) -> RunFacts:
    """Return everything there is to know of a run.

    Args:
        folder: of the run.
        tables: read the table of label quality, which needs the extra ``train``.
        holding: this process holds the folder itself and asks what others will find when it is done.

    Raises:
        MissingInputError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise MissingInputError("no such folder", path=root, remedy="w2svqa runs FOLDER lists what there is")
    notes = _Notes()
    config = _config(root, notes)
    starts: tuple[Start, ...] = notes.keep((), read_starts, root)
    holder = None if holding else _present(read_holder(root))
    card = notes.keep(None, read_card, root / BUNDLE) if (root / BUNDLE / CARD).exists() else None
    state = _state(config, starts, holder, card, damaged=bool(notes.lines))
    if state == "failed":
        notes.lines.append(starts[-1].problem)
    quality: tuple[LabelQualityRow, ...] = ()
    if tables:
        quality = notes.keep(quality, _quality, root)
    name = config.get("name")
    return RunFacts(
        folder=root,
        name=name if isinstance(name, str) else root.resolve().name,
        state=state,
        holder=holder,
        problems=tuple(notes.lines),
        config=config,
        starts=starts,
        stages=() if state == "foreign" else _stages(root),
        quality=quality,
        card=card,
    )


def _present(holder: Holder | None) -> Holder | None:
    return None if holder is None or is_alive(holder) is False else holder


class _Notes:
    """What could not be read, collected instead of raised."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def keep(self, default: _Kind, read: Callable[[Path], _Kind], folder: Path) -> _Kind:
        try:
            return read(folder)
        except (StoreError, BundleError, MissingExtraError) as error:
            self.lines.append(str(error))
            return default


def _config(root: Path, notes: _Notes) -> Mapping[str, Any]:
    path = root / CONFIG
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        notes.lines.append(f"{path}: cannot be read: {error}")
        return {}
    if isinstance(config, dict):
        return config
    notes.lines.append(f"{path}: is damaged: no mapping")
    return {}


def _state(
    config: Mapping[str, Any],
    starts: Sequence[Start],
    holder: Holder | None,
    card: Mapping[str, Any] | None,
    *,
    damaged: bool,
) -> RunState:
    if holder is not None and (config or damaged):
        return "running"
    if damaged:
        return "damaged"
    if not config:
        return "foreign"
    # runs from before there were records have a bundle and no starts
    if card is not None and (not starts or starts[-1].outcome == "finished"):
        return "finished"
    return "failed" if starts and starts[-1].outcome == "failed" else "stopped"


def _stages(root: Path) -> tuple[Stage, ...]:
    numbered = {int(found[1]): path for path in root.iterdir() if (found := _STAGE.fullmatch(path.name))}
    shared = [_part(root / name) for name in SHARED]
    first = _stage(1, root / "stage-1", FIRST, shared)
    return (first, *(_stage(number, numbered[number], FURTHER) for number in sorted(numbered) if number > 1))


def _stage(number: int, folder: Path, names: Sequence[str], shared: Sequence[Part] = ()) -> Stage:
    parts = [*shared, *(_part(folder / name) for name in names)]
    log, problem = read_log(folder / TRAIN)
    parts.append(Part(name=TRAIN, state=_training(folder), rows=None, facts={}, problem=problem))
    notes = _Notes()
    return Stage(
        number=number,
        parts=tuple(parts),
        log=log,
        held_back=notes.keep(None, read_held_back, folder),
        decision=notes.keep(None, read_decision, folder),
        problem="; ".join(notes.lines),
    )


def _training(folder: Path) -> PartState:
    """A training is complete when its student was exported."""
    if (folder / BUNDLE / CARD).exists():
        return "complete"
    train = folder / TRAIN
    return "begun" if train.is_dir() and any(train.iterdir()) else "absent"


def _part(folder: Path) -> Part:
    if not folder.is_dir():
        return Part(name=folder.name, state="absent", facts={})
    if not (folder / MANIFEST_NAME).exists():
        return Part(name=folder.name, state="begun", facts={})
    try:
        manifest = read_manifest(folder)
        size = (folder / TABLE_NAME).stat().st_size
    except (StoreError, OSError) as error:
        return Part(name=folder.name, state="damaged", facts={}, problem=str(error))
    if size != manifest.table_bytes:
        problem = f"{folder / TABLE_NAME}: has {size} bytes, not {manifest.table_bytes} as its manifest says"
        return Part(name=folder.name, state="damaged", facts={}, problem=problem)
    return Part(name=folder.name, state="complete", rows=manifest.rows, facts=manifest.extra)


def _quality(root: Path) -> tuple[LabelQualityRow, ...]:
    if not (root / QUALITY).exists():
        return ()
    return tuple(read_artifact(root / QUALITY, LabelQualityRow, kind=QUALITY).rows)
