"""One tree of errors; every message names the file, the problem and the remedy.

```
W2SVQAError
├── InputError              a path or value that a user gave cannot be used
│   ├── MissingInputError   it is not there, or may not be read
│   └── MediaError          it is there, but is no video or image that can be scored
│       └── RefusedMediaError   a format that could reach other files or the network
├── ConfigError             a configuration file or option is wrong
├── BundleError             a student bundle is damaged, incomplete or from another version
├── StoreError              an artifact on disk is damaged, held by another process or cannot be written
│   └── UnwritableError     the disk is full or fails, or the folder may not be written to: no item is at fault
└── MissingExtraError       an optional dependency is not installed
```
"""

from __future__ import annotations

import os

StrPath = str | os.PathLike[str]


def printable(path: StrPath) -> str:
    r"""Return ``path`` on one line, safe for any terminal or table.

    Control characters (a newline in a file name, say) and bytes that are not UTF-8 come out escaped.

    Example:
        >>> printable("two\nlines.mp4")
        'two\\nlines.mp4'
    """
    text = os.fspath(path)
    return "".join(_printable_character(character) for character in text)


def _printable_character(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


class W2SVQAError(Exception):
    """The root of everything this package raises on purpose.

    Args:
        problem: what is wrong, in a few words, with the offending value.
        path: the file it is about, if there is one.
        remedy: what the reader can do.

    ``str(error)`` is one line: ``path: problem (remedy)``.

    Example:
        >>> str(W2SVQAError("no frames", path="a.mp4", remedy="record it again"))
        'a.mp4: no frames (record it again)'
    """

    def __init__(self, problem: str, *, path: StrPath | None = None, remedy: str | None = None) -> None:
        self.problem = problem
        self.path = None if path is None else os.fspath(path)
        self.remedy = remedy
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The whole message on one line."""
        return self.without_path if self.path is None else f"{printable(self.path)}: {self.without_path}"

    @property
    def without_path(self) -> str:
        """The message without the path, for tables that have a column for it."""
        suffix = "" if self.remedy is None else f" ({self.remedy})"
        return " ".join(self.problem.split()) + suffix

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by arguments, so that errors cross process borders with their path and remedy."""
        return _rebuild, (type(self), self.problem, self.path, self.remedy)


def _rebuild(kind: type[W2SVQAError], problem: str, path: str | None, remedy: str | None) -> W2SVQAError:
    return kind(problem, path=path, remedy=remedy)


class InputError(W2SVQAError):
    """A path or value that a user gave cannot be used."""


class MissingInputError(InputError):
    """The path does not exist, or may not be read."""


class MediaError(InputError):
    """The file exists, but is no video or image that can be scored."""


class RefusedMediaError(MediaError):
    """A format or protocol that could reach other files or the network; refused before it is opened."""


class ConfigError(W2SVQAError):
    """A configuration file or an option is wrong."""


class BundleError(W2SVQAError):
    """A student bundle is damaged, incomplete or made for another version of this package."""


class StoreError(W2SVQAError):
    """An artifact on disk is damaged, held by another process, or cannot be written."""


class UnwritableError(StoreError):
    """The disk is full or fails, or the folder may not be written to: whatever is written next would fail as well."""


class MissingExtraError(W2SVQAError):
    """An optional dependency is not installed; the message holds the pip line."""
