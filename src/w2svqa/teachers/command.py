"""``command:TEMPLATE``: any program that prints a number, or JSON, for a file.

``command:vqa --in {path}`` runs ``vqa --in /videos/a.mp4`` for each video. The template is split into arguments as a
shell would, once; paths are put into the arguments afterwards, without a shell. So every file name survives: blanks,
quotes, ``$``, a leading ``-`` (paths are absolute).
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, ClassVar

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.protocols import Video
from w2svqa.teachers.base import required
from w2svqa.teachers.outside import OutsideTeacher, digest_of

ARITHMETIC = 1
_PLACES = re.compile(r"\{(path|reference)\}")
_SHOWN_CHARACTERS = 300
_MOST_OUTPUT = 16 << 20  # bytes at the end of what it prints that are looked at


class CommandTeacher(OutsideTeacher):
    """What a program prints. Its version is that of the template and the options: say when the program changes.

    Options:
        timeout: seconds after which a run is ended and the video has no score.
        key: where in the JSON it prints the number is, such as ``score`` or ``metrics.0.value``; empty for a number by
            itself: the last line that is one, or the only number (or ``score``) of a JSON object.
        higher_is_better: direction of its scale.
        low, high: ends of its scale; infinite if it has none.
        version: anything that changes when the program does.

    Args:
        template: arguments, some with ``{path}`` or ``{reference}``.
        name: ``command:TEMPLATE``.
        version: see above.
        timeout: in seconds.
        key: see above.
        higher_is_better: direction.
        scale: least and greatest value.
    """

    options: ClassVar[dict[str, int | float | str | bool]] = {
        "timeout": 600.0,
        "key": "",
        "higher_is_better": True,
        "low": -math.inf,
        "high": math.inf,
        "version": "",
    }

    def __init__(
        self,
        template: tuple[str, ...],
        name: str,
        version: str,
        *,
        timeout: float,
        key: str,
        higher_is_better: bool,
        scale: tuple[float, float],
    ) -> None:
        needs_reference = any("{reference}" in part for part in template)
        super().__init__(name, version, higher_is_better=higher_is_better, scale=scale, needs_reference=needs_reference)
        self._template = template
        self._timeout = timeout
        self._key = key

    @classmethod
    def load(
        cls,
        parameters: StrPath | None,
        *,
        argument: str,
        timeout: float = 600.0,
        key: str = "",
        higher_is_better: bool = True,
        low: float = -math.inf,
        high: float = math.inf,
        version: str = "",
    ) -> CommandTeacher:
        """Return the teacher that runs the template ``argument``; the options are those of the class.

        Raises:
            ConfigError: the template cannot be split, names no file, or its program is not found; an option is no such
                value.
        """
        del parameters  # a program has its own
        template = _template(argument)
        if not timeout > 0:
            raise ConfigError(f"a time-out of {timeout} s is none", remedy="give seconds above 0")
        if not low < high:
            raise ConfigError(f"low {low} is not below high {high}", remedy="give the ends of the program's scale")
        made = f"{ARITHMETIC}+{digest_of(template, key, version)}"
        scale = (float(low), float(high))
        return cls(
            template,
            f"command:{argument}",
            made,
            timeout=timeout,
            key=key,
            higher_is_better=higher_is_better,
            scale=scale,
        )

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the number that the program prints for the file.

        Raises:
            InputError: the video is no file, there is no reference and it needs one; the program fails, takes too long,
                prints no number or one that is not finite. The message holds its last words.
        """
        files = {"path": _file_of(video)}
        if self.needs_reference:
            files["reference"] = _file_of(required(reference, self.name))
        arguments = [_PLACES.sub(lambda place: files[place[1]], part) for part in self._template]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            problem = _run(arguments, self._timeout, output, complaints)
            text = _end_of(output, _MOST_OUTPUT)
            value = None if problem else _number(text, self._key)
            if value is None:
                last_words = " ".join((_end_of(complaints, _MOST_OUTPUT) or text).split())[-_SHOWN_CHARACTERS:]
                problem = problem or (f"printed no {self._key or 'number'}")
                raise self._failure(f"{problem}: {last_words or 'it says nothing'}", files["path"])
        if not math.isfinite(value):
            raise self._failure(f"printed {value}", files["path"])
        return value

    def _failure(self, problem: str, path: str) -> InputError:
        return InputError(f"{self._template[0]} {problem}", path=path, remedy="run the command by hand to see why")


def _template(argument: str) -> tuple[str, ...]:
    remedy = "write it as in a shell: command:PROGRAM --option {path}"
    try:
        parts = tuple(shlex.split(argument))
    except ValueError as error:
        raise ConfigError(f"the command {argument!r} cannot be read: {error}", remedy=remedy) from None
    if not any("{path}" in part for part in parts):
        raise ConfigError(f"the command {argument!r} does not say where the file goes", remedy=remedy)
    if shutil.which(parts[0]) is None:
        raise ConfigError(f"the program {parts[0]!r} is not found", remedy="install it, or name it by its full path")
    return parts


def _file_of(video: Video) -> str:
    path = os.path.abspath(video.info.path)  # noqa: PTH100 (pathlib would drop "./" and "..", which links make matter)
    if not Path(path).is_file():
        raise InputError("is no file that a program could read", path=video.info.path, remedy="use another teacher")
    return path


def _run(arguments: list[str], timeout: float, output: IO[bytes], complaints: IO[bytes]) -> str | None:
    """Run a program to its end, in a process group of its own; return what is wrong."""
    try:
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=complaints, start_new_session=True
        )
    except OSError as error:
        return f"does not start: {error.strerror}"
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        return f"was ended after {timeout:g} s"
    finally:
        _end(process)
    if code < 0:
        return f"was ended by signal {-code}"
    return f"failed with status {code}" if code else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, with all that it started (where the system knows of groups)."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _end_of(file: IO[bytes], most: int) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - most))
    return file.read().decode("utf-8", "replace")


def _number(text: str, key: str) -> float | None:
    """Return the number in what a program printed; ``None`` if there is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not key:
        for line in reversed(lines):
            try:
                return float(line)
            except ValueError:
                continue
    for part in (text, *reversed(lines)):
        try:
            found: object = json.loads(part)
        except (ValueError, RecursionError):
            continue
        return _in_json(found, key)
    return None


def _in_json(found: object, key: str) -> float | None:
    """Return the number under a dotted key; without one the number ``score``, or the only one."""
    if not key:
        if not isinstance(found, dict):
            return None
        numbers = {name: value for name, value in found.items() if _is_number(value)}
        found = numbers.get("score", next(iter(numbers.values())) if len(numbers) == 1 else None)
    for part in key.split(".") if key else ():
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return float(found) if isinstance(found, int | float) and _is_number(found) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
