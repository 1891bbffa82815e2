"""The table of teachers, and how one is made ready."""

from __future__ import annotations

from collections.abc import Mapping

from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.protocols import Teacher
from w2svqa.core.registry import Registry
from w2svqa.networks.checkpoints import check_device

TEACHERS = Registry(
    "teacher",
    {
        "brisque": "w2svqa.teachers.brisque:Brisque",
        "cnniqa": "w2svqa.teachers.cnniqa:Cnniqa",
        "command:": "w2svqa.teachers.command:CommandTeacher",
        "cpbd": "w2svqa.teachers.cpbd:Cpbd",
        "fast-vqa": "w2svqa.teachers.fast_vqa:FastVqa",
        "fast-vqa-m": "w2svqa.teachers.fast_vqa:FastVqaM",
        "faster-vqa": "w2svqa.teachers.fast_vqa:FasterVqa",
        "dover": "w2svqa.teachers.dover:Dover",
        "dover-mobile": "w2svqa.teachers.dover:DoverMobile",
        "minimalistic-ix": "w2svqa.teachers.minimalistic:MinimalisticIx",
        "minimalistic-vii": "w2svqa.teachers.minimalistic:MinimalisticVii",
        "niqe": "w2svqa.teachers.niqe:Niqe",
        "psnr": "w2svqa.teachers.full_reference:Psnr",
        "pyiqa:": "w2svqa.teachers.pyiqa:PyiqaTeacher",
        "q-align": "w2svqa.teachers.q_align:QAlign",
        "scores:": "w2svqa.teachers.scores:ScoresTeacher",
        "ssim": "w2svqa.teachers.full_reference:Ssim",
        "vmaf": "w2svqa.teachers.full_reference:Vmaf",
        "xpsnr": "w2svqa.teachers.full_reference:Xpsnr",
    },
    group="w2svqa.teachers",
)
"""Names and classes. Every class has the facts of :class:`w2svqa.teachers.base.BaseTeacher` and ``load(parameters,
**options) -> Teacher``. A name that ends with a colon takes an argument, as in ``pyiqa:musiq``: its ``load`` takes
``argument=`` too. Other packages add theirs by an entry point."""


# What importing a module of another package may end with. Its fault must not keep the others from being listed.
_IMPORT_FAULTS = (ImportError, AttributeError, NameError, SyntaxError, TypeError, ValueError, OSError, RuntimeError)


def load_class(name: str) -> object:
    """Return the class of a teacher, for its facts; no parameters are loaded.

    Args:
        name: in :data:`TEACHERS`, with an argument or without where it ends with a colon.

    Raises:
        ConfigError: the name is unknown, or the module that it stands for cannot be imported.
    """
    prefix, colon, _ = name.partition(":")
    key = prefix + colon
    try:
        return TEACHERS.load(key)
    except _IMPORT_FAULTS as error:
        raise ConfigError(
            f"the teacher {key!r} ({TEACHERS[key]}) cannot be imported: {type(error).__name__}: {error}",
            remedy="update or remove the package that brings it; the other teachers work without it",
        ) from error


def load_teacher(name: str, parameters: StrPath | None, *, device: str = "cpu", **options: object) -> Teacher:
    """Return the teacher called ``name``, ready to score.

    Args:
        name: in :data:`TEACHERS`; ``PREFIX:ARGUMENT`` for those whose key ends with a colon.
        parameters: the folder with its trained parameters (or the file, where it is but one); ``None`` where it has
            none.
        device: for those that compute on one: ``"cpu"``, ``"cuda:0"``, ...
        options: of the teacher, see its class.

    Raises:
        ConfigError: the name or an option is unknown, or parameters are missing.
        MissingInputError: a parameter file is not there.
        InputError: a parameter file is damaged or belongs to something else.
        MissingExtraError: a package that it needs is not installed.
    """
    kind = load_class(name)
    load = getattr(kind, "load", None)
    if not callable(load):
        raise ConfigError(f"the teacher {name!r} has no way to be loaded", remedy="its class needs `load(folder)`")
    made: object = load(parameters, **_checked(name, kind, parameters, device, options))
    if not isinstance(made, Teacher):
        raise ConfigError(f"the teacher {name!r} lacks a part of the protocol", remedy="see core/protocols.py")
    return made


def identify_teacher(name: str, parameters: StrPath | None, *, device: str = "cpu", **options: object) -> str | None:
    """Return the version that a teacher would have, without loading it; ``None`` if its class does not tell.

    Args:
        name: as for :func:`load_teacher`.
        parameters: likewise.
        device: likewise.
        options: likewise.

    Raises:
        W2SVQAError: as :func:`load_teacher`, as far as that can be told from the files; values are not looked at.
    """
    kind = load_class(name)
    identify = getattr(kind, "identify", None)
    if not callable(identify):
        return None
    return str(identify(parameters, **_checked(name, kind, parameters, device, options)))


def check_device_of(kind: object, device: str) -> None:
    """Find out that a class can compute on a device, where it does so by PyTorch: of others nothing is known here.

    Raises:
        ConfigError: it cannot.
        MissingExtraError: PyTorch is not installed.
    """
    if device != "cpu" and "torch" in dict(getattr(kind, "modules", ())):
        check_device(device)


def _checked(
    name: str, kind: object, parameters: StrPath | None, device: str, options: Mapping[str, object]
) -> dict[str, object]:
    """Return the keywords that a class is loaded with."""
    if name.partition(":")[1:] == (":", ""):
        raise ConfigError(f"the teacher {name!r} needs an argument", remedy=f"write it behind the colon: {name}...")
    if parameters is None and getattr(kind, "needs_parameters", False):
        files = ", ".join(getattr(kind, "files", ()))
        raise ConfigError(
            f"the teacher {name!r} has no parameters", remedy=f"name the folder that holds them{files and f': {files}'}"
        )
    known: Mapping[str, object] = getattr(kind, "options", {})
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(
            f"the teacher {name!r} has no option {', '.join(unknown)}", remedy=f"known: {', '.join(known) or 'none'}"
        )
    keywords = dict(options)
    if argument := name.partition(":")[2]:
        keywords["argument"] = argument
    if getattr(kind, "uses_device", False):
        check_device_of(kind, device)
        keywords["device"] = device
    return keywords
