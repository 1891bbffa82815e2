"""Teachers that do as the name of the file says, found by entry points as those of other packages are."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pytest

from w2svqa.core.errors import InputError, MissingInputError, StrPath, UnwritableError
from w2svqa.core.protocols import Video
from w2svqa.teachers.base import BaseTeacher, required
from w2svqa.video.encode import write_lossless

LOG = "FAKE_TEACHER_LOG"
ENTRIES = """[w2svqa.teachers]
grey = label_fakes:GreyTeacher
contrast = label_fakes:ContrastTeacher
heavy = label_fakes:HeavyTeacher
placed = label_fakes:PlacedTeacher
broken = label_fakes:NotThere
table: = label_fakes:TableTeacher
"""


def log(line: str) -> None:
    with Path(os.environ[LOG]).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def hang() -> float:
    time.sleep(600)
    return 0.0


def crash() -> float:
    os._exit(7)


def fail() -> float:
    raise ValueError("division by cucumber")


def refuse() -> float:
    raise InputError("too dark to judge", remedy="switch on the light")


def full() -> float:
    raise UnwritableError("cannot be written: No space left on device", path="somewhere", remedy="free some space")


def spoil() -> float:
    if not (spoiled := Path(os.environ[LOG] + ".spoiled")).exists():
        spoiled.touch()
        raise RuntimeError("CUDA error: device-side assert triggered")
    return 1.0


BEHAVIOURS: dict[str, Callable[[], float]] = {
    "hang": hang,
    "crash": crash,
    "fail": fail,
    "refuse": refuse,
    "full": full,
    "spoil": spoil,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
}


class GreyTeacher(BaseTeacher):
    """The mean of the first frame, unless the file's name says otherwise."""

    name = "grey"
    higher_is_better = True
    range = (0.0, 255.0)
    needs_parameters = False
    options: ClassVar[dict[str, int | float | str | bool]] = {"shift": 0.0, "again": False}

    def __init__(self, version: str = "1", shift: float = 0.0) -> None:
        super().__init__(version)
        self._shift = shift

    @classmethod
    def load(cls, parameters: StrPath | None, *, shift: float = 0.0, again: bool = False) -> Self:
        del again
        if parameters is None:
            return cls(shift=shift)
        try:
            return cls(Path(parameters).read_text(encoding="utf-8"), shift)
        except OSError as error:
            raise MissingInputError(f"cannot be read: {error.strerror}", path=parameters, remedy="look") from None

    def score(self, video: Video, reference: Video | None = None) -> float:
        del reference
        name = Path(video.info.path).stem
        log(f"{self.name} {name}")
        if name in BEHAVIOURS and os.environ.get("FAKE_TEACHER_IS_WELL") is None:
            return BEHAVIOURS[name]()
        [frame] = video.frames_at([0])
        return float(frame.mean()) + self._shift


class ContrastTeacher(BaseTeacher):
    """The difference to the reference."""

    name = "contrast"
    higher_is_better = False
    needs_reference = True
    needs_parameters = False

    @classmethod
    def load(cls, parameters: StrPath | None) -> Self:
        del parameters
        return cls("1")

    def score(self, video: Video, reference: Video | None = None) -> float:
        log(f"contrast {Path(video.info.path).stem}")
        [first], [second] = video.frames_at([0]), required(reference, self.name).frames_at([0])
        return abs(float(first.mean()) - float(second.mean()))


class HeavyTeacher(GreyTeacher):
    """Takes long to load, but its version is known without; says when it is loaded. Its parameters may be ``bad``."""

    name = "heavy"
    options: ClassVar[dict[str, int | float | str | bool]] = {"batch": 1}

    @classmethod
    def load(cls, parameters: StrPath | None, *, batch: int = 1) -> Self:  # type: ignore[override]  # fewer options
        del batch
        log("heavy loaded")
        if parameters == "bad":
            raise InputError("1 key not finite: x", path=parameters)
        return cls("1" if parameters != "changed" else "2")

    @classmethod
    def identify(cls, parameters: StrPath | None, *, batch: int = 1) -> str:
        del parameters, batch
        return "1"


class PlacedTeacher(BaseTeacher):
    """Says on which device it is."""

    name = "placed"
    higher_is_better = True
    needs_parameters = False
    uses_device = True

    def __init__(self, device: str) -> None:
        super().__init__("1")
        self._device = device

    @classmethod
    def load(cls, parameters: StrPath | None, *, device: str) -> Self:
        del parameters
        return cls(device)

    def score(self, video: Video, reference: Video | None = None) -> float:
        del video, reference
        log(f"{self._device} {os.getpid()} {os.environ['OMP_NUM_THREADS']}")
        time.sleep(0.3)  # long enough for the other process to get some
        return 1.0


class _Joined:
    def __init__(self, found: int) -> None:
        self._found = found

    def lines(self) -> tuple[str, ...]:
        return (f"{self._found} joined",)


class TableTeacher(BaseTeacher):
    """Knows videos by their names, which are commas apart in its argument."""

    name = "table"
    higher_is_better = True
    needs_parameters = False

    def __init__(self, names: list[str]) -> None:
        super().__init__("1")
        self._names = names

    @classmethod
    def load(cls, parameters: StrPath | None, *, argument: str) -> Self:
        del parameters
        return cls(argument.split("+"))

    def score(self, video: Video, reference: Video | None = None) -> float:
        del reference
        if Path(video.info.path).stem not in self._names:
            raise InputError("has no row")
        return 5.0

    def joined(self, paths: list[str]) -> _Joined:
        return _Joined(sum(Path(path).stem in self._names for path in paths))


def install(folder: Path) -> Path:
    """Make ``folder`` a place where the teachers are found, if it is on the path."""
    facts = folder / "packages" / "label_fakes-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: label-fakes\nVersion: 1\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(ENTRIES, encoding="utf-8")
    return facts.parent


class FakePool:
    """Grey clips with the fakes as teachers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "pool"
        self.output = folder / "output"
        self.log = folder / "log"
        self.folder.mkdir()
        monkeypatch.syspath_prepend(str(install(folder)))
        monkeypatch.setenv(LOG, str(self.log))

    def clip(self, name: str, level: int) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_lossless(path, (np.full((32, 48, 3), level, np.uint8) for _ in range(2)), fps=2)
        return path

    def asked(self) -> list[str]:
        """Return what the teachers have scored since the last call, sorted."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(lines)
