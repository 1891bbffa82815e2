"""The teachers of a pool: any of the registry and any student, in a process of their own."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from w2svqa.core.errors import ConfigError, InputError, MissingExtraError, MissingInputError, W2SVQAError
from w2svqa.core.executor import Executor, make_executor, works_here
from w2svqa.core.extras import require
from w2svqa.core.memory import return_large_buffers
from w2svqa.core.protocols import Teacher
from w2svqa.stages import student_teacher
from w2svqa.stages.pool_videos import KnownFile
from w2svqa.teachers.base import SPEED_OPTIONS, BaseTeacher, required
from w2svqa.teachers.registry import check_device_of, identify_teacher, load_class, load_teacher
from w2svqa.video.whole import VideoFile

Option = int | float | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTeacher:
    """A teacher that is to label a pool.

    Attributes:
        name: in the registry of teachers, ``PREFIX:ARGUMENT``, or ``student:PATH``.
        parameters: folder or file of its trained parameters, or ``hf://OWNER/NAME/FILE``; ``None`` where it has none.
        options: of its class.
    """

    name: str
    parameters: str | None = None
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherFacts:
    """What is known of a teacher before it scores.

    Attributes:
        name: as it was asked for.
        version: of its arithmetic and parameters, with those options that are not at their default and may change
            scores.
        higher_is_better: direction of its scale.
        range: least and greatest value it can give.
        needs_reference: it compares with the untouched video.
        uses_device: it computes on a device.
        by_name: it finds scores by the files' names, so that content alone does not tell them.
    """

    name: str
    version: str
    higher_is_better: bool
    range: tuple[float, float]
    needs_reference: bool
    uses_device: bool
    by_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A video for a teacher.

    Attributes:
        key: what its score is kept under.
        name: what it is called to the user.
        video: the file.
        reference: its untouched source, where the teacher needs it.
    """

    key: str
    name: str
    video: KnownFile
    reference: KnownFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a teacher said of a video.

    Attributes:
        value: on its own scale; ``None`` where there is none.
        message: why there is none.
    """

    value: float | None
    message: str | None = None


def teacher_class(name: str) -> object:
    """Return the class of a teacher, with its facts.

    Raises:
        ConfigError: the name is unknown, or the class cannot be imported.
    """
    if name.startswith(student_teacher.PREFIX):
        return student_teacher.StudentTeacher
    return load_class(name)


def load_pool_teacher(teacher: PoolTeacher, device: str = "cpu") -> Teacher:
    """Return a teacher, ready to score.

    Raises:
        ConfigError: name or option is unknown, its class cannot be imported, or parameters are missing.
        InputError: its parameters cannot be used.
        BundleError: it is a student whose bundle cannot be used.
        MissingExtraError: a package that it needs is not installed.
    """
    kind = teacher_class(teacher.name)
    if kind is not student_teacher.StudentTeacher:
        return load_teacher(teacher.name, teacher.parameters, device=device, **teacher.options)
    if teacher.options:
        raise ConfigError(f"{teacher.name!r} has no option {', '.join(teacher.options)}", remedy="leave it out")
    return student_teacher.StudentTeacher.load(
        teacher.parameters, argument=teacher.name.removeprefix(student_teacher.PREFIX)
    )


def survey(teachers: Sequence[PoolTeacher], devices: Sequence[str]) -> tuple[dict[str, TeacherFacts], dict[str, str]]:
    """Return the facts of each teacher by name, and the reason of each that cannot run.

    They are found in another process: from the files where the class can tell (``identify``, see
    :class:`w2svqa.teachers.base.BaseTeacher`), or else by loading the teacher. Weights that are not finite and memory
    that does not suffice may so be found only when the teacher's turn has come.

    Args:
        teachers: with different names.
        devices: those that need one are tried on each, and loaded, if need be, on the first.
    """
    facts: dict[str, TeacherFacts] = {}
    unavailable: dict[str, str] = {}
    # on a cluster only a worker knows which device it has been given
    others = tuple(devices[1:]) if works_here(1) else ()
    executor = make_executor(1, initializer=_use, retries=0, places=[(devices[0],)], apart=True)
    items = [(teacher, others) for teacher in teachers]
    for outcome in executor.map(_facts, items, key=lambda item: item[0].name):
        name = teachers[outcome.index].name
        if outcome.value is not None:
            facts[name] = outcome.value
        elif outcome.error is not None:
            unavailable[name] = outcome.error.message if outcome.error.path != name else outcome.error.without_path
    return {teacher.name: facts[teacher.name] for teacher in teachers if teacher.name in facts}, unavailable


def joined_lines(teacher: PoolTeacher, paths: Sequence[str]) -> tuple[str, ...]:
    """Return what a teacher that finds scores by names says of how they fit the videos, such as ``scores:FILE``."""
    joined = getattr(load_pool_teacher(teacher), "joined", None)
    return () if joined is None else tuple(joined(paths).lines())


def executor_of(
    teacher: PoolTeacher, facts: TeacherFacts, *, workers: int, devices: Sequence[str], time_out: float | None
) -> Executor:
    """Return processes in which the teacher is loaded: one per device if it uses one, else ``workers``.

    Args:
        teacher: to be loaded in each process.
        facts: about it.
        workers: processes on the CPU.
        devices: with ``cpu`` alone, a teacher that uses a device has ``workers`` processes too.
        time_out: seconds that one video may take.
    """
    own = facts.uses_device and tuple(devices) != ("cpu",)
    places = tuple(devices) if own else ("cpu",) * workers
    return make_executor(
        len(places),
        initializer=_prepare,
        initargs=(teacher, facts.version, max(1, cores() // len(places))),
        retries=0,  # what failed is tried again when the user wants it
        time_out=time_out,
        places=[(device,) for device in places],
        apart=True,
    )


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def score_item(item: Item) -> Scored:
    """Score a video with the teacher of this process.

    Raises:
        InputError: the video cannot be scored; :class:`MissingInputError` if it is gone or was changed.
        W2SVQAError: whatever else the teacher raises.
    """
    for file in (item.video, item.reference):
        if file is not None:
            file.check()
    try:
        value = _loaded.score(item)
    except RuntimeError as error:
        _leave_if_ruined(error)
        raise
    item.video.check()
    if not math.isfinite(value):
        return Scored(value=None, message=f"the score is {value}")
    return Scored(value=value)


def failure_of(error: W2SVQAError) -> Scored | None:
    """Return what is kept of an error; ``None`` for one that says nothing about the video: it is tried again."""
    if isinstance(error, MissingInputError | MissingExtraError):
        return None
    return Scored(value=None, message=error.without_path)


def missing_reference(teacher: str) -> str:
    """Return why a teacher that compares says nothing of a video without reference."""
    try:
        required(None, teacher)
    except InputError as error:
        return error.without_path
    raise ValueError("a reference that is None was taken")


class _Loaded:
    """The teacher of a worker process, and what it works with."""

    def __init__(self) -> None:
        self._teacher: Teacher | None = None
        self._threads: int | None = None
        self.device = "cpu"

    def load(self, teacher: PoolTeacher, version: str, threads: int, device: str) -> None:
        loaded = load_pool_teacher(teacher, device)
        if _with_options(teacher, loaded.version) != version:
            raise ConfigError(f"the parameters of {teacher.name!r} were changed meanwhile", remedy="run it again")
        self._teacher, self._threads = loaded, threads

    def score(self, item: Item) -> float:
        if self._teacher is None:
            raise W2SVQAError("no teacher was loaded in this process")
        video = VideoFile(item.video.path, threads=self._threads)
        reference = None if item.reference is None else VideoFile(item.reference.path, threads=self._threads)
        return float(self._teacher.score(video, reference))


_loaded = _Loaded()
"""Of this process; only worker processes ever fill it."""


def _prepare(teacher: PoolTeacher, version: str, threads: int, device: str) -> None:
    """Make this worker process ready: its share of the cores, then its teacher, which must be of that version."""
    return_large_buffers()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # for what is not yet imported
        os.environ.setdefault(name, str(threads))
    modules = {module.partition(".")[0] for module, _ in getattr(teacher_class(teacher.name), "modules", ())}
    if "torch" in modules:
        require("torch", extra="train").set_num_threads(threads)
    if "cv2" in modules:
        require("cv2", extra="train").setNumThreads(threads)
    _loaded.load(teacher, version, threads, device)


def _use(device: str) -> None:
    _loaded.device = device


def _facts(item: tuple[PoolTeacher, tuple[str, ...]]) -> TeacherFacts:
    teacher, others = item
    kind = teacher_class(teacher.name)
    uses_device = bool(getattr(kind, "uses_device", False))
    for device in others if uses_device else ():
        check_device_of(kind, device)
    known, version = _known(teacher, kind, _loaded.device)
    return TeacherFacts(
        name=teacher.name,
        version=_with_options(teacher, version),
        higher_is_better=known.higher_is_better,
        range=known.range,
        needs_reference=known.needs_reference,
        uses_device=uses_device,
        by_name=callable(getattr(kind, "joined", None)),
    )


def _known(teacher: PoolTeacher, kind: object, device: str) -> tuple[Teacher | type[BaseTeacher], str]:
    """Return what has a teacher's facts, and its version: its class where that can tell, or else the teacher."""
    if isinstance(kind, type) and issubclass(kind, BaseTeacher) and kind is not student_teacher.StudentTeacher:
        version = identify_teacher(teacher.name, teacher.parameters, device=device, **teacher.options)
        if version is not None:
            return kind, version
    loaded = load_pool_teacher(teacher, device)
    return loaded, loaded.version


def _with_options(teacher: PoolTeacher, version: str) -> str:
    """Return what a score is kept under: the version, with the options that make scores others."""
    defaults: Mapping[str, Option] = getattr(teacher_class(teacher.name), "options", {})
    changed = [
        f"{name}={value}"
        for name, value in sorted(teacher.options.items())
        if name not in SPEED_OPTIONS and value != defaults.get(name)
    ]
    return " ".join([version, *changed])


def _leave_if_ruined(error: RuntimeError) -> None:
    """End this process after an error of CUDA, which spoils all that it would compute later: a new one goes on."""
    if "CUDA error" in str(error):
        os._exit(1)
