"""The table of teachers, and how one is made ready."""

from __future__ import annotations

from pathlib import Path

from w2svqa.core.errors import ConfigError
from w2svqa.core.protocols import Teacher
from w2svqa.core.registry import Registry

TEACHERS = Registry(
    "teacher",
    {
        "brisque": "w2svqa.teachers.brisque:Brisque",
        "cnniqa": "w2svqa.teachers.cnniqa:Cnniqa",
        "niqe": "w2svqa.teachers.niqe:Niqe",
        "vmaf": "w2svqa.teachers.vmaf:VmafReference",
    },
    group="w2svqa.teachers",
)
"""Names and classes. Every class has the facts ``name``, ``higher_is_better``, ``range`` and ``needs_reference``; one
that scores a video by itself has ``load(folder) -> Teacher``. Other packages add theirs by an entry point."""


def load_teacher(name: str, parameters: Path | None) -> Teacher:
    """Return the teacher called ``name``, ready to score.

    Args:
        name: in :data:`TEACHERS`, one that needs no reference.
        parameters: the folder with its trained parameters (or the file, where it is but one); ``None`` where it has
            none.

    Raises:
        ConfigError: the name is unknown, the teacher needs a reference, or parameters are missing.
        MissingInputError: a parameter file is not there.
        InputError: a parameter file is damaged or belongs to something else.
        MissingExtraError: a package that it needs is not installed.
    """
    kind = TEACHERS.load(name)
    if getattr(kind, "needs_reference", False):
        raise ConfigError(
            f"the teacher {name!r} compares with a reference, it cannot score a video by itself",
            remedy="choose another one to label with",
        )
    load = getattr(kind, "load", None)
    if not callable(load):
        raise ConfigError(f"the teacher {name!r} has no way to be loaded", remedy="its class needs `load(folder)`")
    if parameters is None and getattr(kind, "needs_parameters", False):
        raise ConfigError(f"the teacher {name!r} has no parameters", remedy="name the folder that holds them")
    made: object = load(parameters)
    if not isinstance(made, Teacher):
        raise ConfigError(f"the teacher {name!r} lacks a part of the protocol", remedy="see core/protocols.py")
    return made
