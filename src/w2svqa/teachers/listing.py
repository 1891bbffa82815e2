"""What each teacher is, needs, and whether it can run now: read from the facts of the classes, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.teachers import registry


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherFacts:
    """One teacher as it is listed.

    Attributes:
        name: in the registry; one that ends with a colon takes an argument.
        higher_is_better: direction of its scale; ``None`` where that depends on the argument.
        range: least and greatest value, infinite where it has no bound; ``None`` where that depends on the argument.
        needs_reference: it compares with the untouched video; ``None`` where that depends on the argument.
        needs_motion: it looks at neighbouring frames.
        needs_parameters: it has to be given trained parameters.
        files: usual names of their files, the one of the official release first.
        uses_device: it computes on a device, such as ``"cuda:0"``.
        batch: how many pictures, or clips, go through its network together, unless its option ``batch`` says otherwise.
        options: what it can be told, with the defaults.
        runs: it can run now, given its parameters where they were not looked for.
        problem: why it cannot, or cannot yet; ``None`` if nothing is missing.
        remedy: what to do about it; ``None`` if nothing.
    """

    name: str
    higher_is_better: bool | None = None
    range: tuple[float, float] | None = None
    needs_reference: bool | None = None
    needs_motion: bool = False
    needs_parameters: bool = False
    files: tuple[str, ...] = ()
    uses_device: bool = False
    batch: int = 1
    options: dict[str, object]
    runs: bool
    problem: str | None = None
    remedy: str | None = None


def list_teachers(parameters: Path | None = None) -> tuple[TeacherFacts, ...]:
    """Return the facts of every teacher, those of other packages too, by name.

    Args:
        parameters: a folder to look for parameters in: in itself, or in a folder in it that is called as the teacher is
            (``niqe``, say) or begins so (``niqe-live``).
    """
    return tuple(_listed(name, parameters) for name in registry.TEACHERS)


def _listed(name: str, parameters: Path | None) -> TeacherFacts:
    try:
        kind = registry.load_class(name)
    except ConfigError as error:
        return TeacherFacts(name=name, options={}, runs=False, problem=error.problem, remedy=error.remedy)
    return facts_of(name, kind, parameters)


def facts_of(name: str, kind: object, parameters: Path | None = None) -> TeacherFacts:
    """Return the facts of one class.

    Args:
        name: what it is listed as.
        kind: a class with the facts of :class:`w2svqa.teachers.base.BaseTeacher`.
        parameters: as in :func:`list_teachers`.
    """
    problem, remedy = _lacks(name, kind, parameters)
    scale, higher = getattr(kind, "range", None), getattr(kind, "higher_is_better", None)
    reference = getattr(kind, "needs_reference", False)
    return TeacherFacts(
        name=name,
        higher_is_better=higher if isinstance(higher, bool) else None,
        range=(float(scale[0]), float(scale[1])) if isinstance(scale, tuple) else None,
        needs_reference=reference if isinstance(reference, bool) else None,
        needs_motion=getattr(kind, "needs_motion", False) is True,
        needs_parameters=getattr(kind, "needs_parameters", False) is True,
        files=tuple(getattr(kind, "files", ())),
        uses_device=getattr(kind, "uses_device", False) is True,
        batch=int(getattr(kind, "batch", 1)),
        options=dict(getattr(kind, "options", {})),
        runs=problem in (None, _UNNAMED),
        problem=problem,
        remedy=remedy,
    )


def find_parameters(name: str, folder: Path) -> Path | None:
    """Return where in ``folder`` a teacher's parameters are: there, or in a folder in it that begins with its name.

    ``None`` where there are none, and for a teacher that has none.

    Raises:
        ConfigError: the name is unknown, or its class cannot be imported.
    """
    kind = registry.load_class(name)
    if not getattr(kind, "needs_parameters", False):
        return None
    return next((place for place in _places(name, folder) if _holds(place, kind)), None)


_UNNAMED = "needs its parameters"


def _lacks(name: str, kind: object, parameters: Path | None) -> tuple[str | None, str | None]:
    """Return what keeps a teacher from running, and the remedy."""
    missing = [(module, extra) for module, extra in getattr(kind, "modules", ()) if find_spec(module) is None]
    if missing:
        extras = ",".join(dict.fromkeys(extra for _, extra in missing))
        modules = ", ".join(module for module, _ in missing)
        return f"without {modules}", f"pip install 'w2svqa[{extras}]'"
    check = getattr(kind, "check", None)
    if callable(check):
        try:
            check()
        except W2SVQAError as error:
            return error.problem, error.remedy
    if not getattr(kind, "needs_parameters", False):
        return None, None
    files = ", ".join(getattr(kind, "files", ()))
    remedy = f"name the folder that holds {files}" if files else "name the folder that holds them"
    if parameters is None:
        return _UNNAMED, remedy
    if not any(_holds(place, kind) for place in _places(name, parameters)):
        return f"no parameters in {parameters}", remedy
    return None, None


def _places(name: str, parameters: Path) -> Iterator[Path]:
    yield parameters
    if parameters.is_dir():
        yield from sorted(each for each in parameters.iterdir() if each.is_dir() and each.name.startswith(name))


def _holds(place: Path, kind: object) -> bool:
    """Whether a folder has what the class needs: one of its files, or all where all are needed."""
    files = getattr(kind, "files", ())
    found = [(place / file).is_file() for file in files]
    return all(found) if getattr(kind, "needs_all_files", False) else any(found)
