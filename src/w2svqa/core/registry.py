"""Things by name: a table in plain sight, loaded on use, which other packages may add to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata

from w2svqa.core.conversion import near_name
from w2svqa.core.errors import ConfigError


class Registry(Mapping[str, str]):
    """Names and where to find what they stand for, ``"module:attribute"``.

    Nothing is imported before :meth:`load`. What is loaded carries its facts (range, direction, needs) as attributes.
    Other packages add names by an entry point; a name of the table itself cannot be replaced.

    Args:
        kind: what the names stand for, such as ``"teacher"``: for messages.
        table: the names this package brings.
        group: the entry point group of other packages, such as ``"w2svqa.teachers"``; ``None`` for a closed table.

    Example:
        >>> codecs = Registry("codec", {"json": "json:dumps"})
        >>> codecs.load("json")([1])
        '[1]'
        >>> codecs.load("jsn")
        Traceback (most recent call last):
        w2svqa.core.errors.ConfigError: unknown codec 'jsn' (did you mean 'json'? known: json)
    """

    def __init__(self, kind: str, table: Mapping[str, str], *, group: str | None = None) -> None:
        self._kind = kind
        self._table = dict(table)
        self._group = group

    def __getitem__(self, name: str) -> str:
        targets = self._targets()
        if name not in targets:
            raise KeyError(name)
        return targets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets()))

    def __len__(self) -> int:
        return len(self._targets())

    def load(self, name: str) -> object:
        """Import and return what ``name`` stands for.

        Raises:
            ConfigError: the name is unknown; near names are listed.
            ImportError: its module is broken or needs a package that is not installed; never hidden.
            AttributeError: its module does not have it.
        """
        targets = self._targets()
        if name not in targets:
            near = near_name(name, list(targets))
            hint = f"did you mean {near!r}? " if near else ""
            raise ConfigError(f"unknown {self._kind} {name!r}", remedy=f"{hint}known: {', '.join(self) or 'none'}")
        module, _, attribute = targets[name].partition(":")
        found: object = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found

    def _targets(self) -> dict[str, str]:
        if self._group is None:
            return self._table
        others = {point.name: point.value for point in metadata.entry_points(group=self._group)}
        return {**others, **self._table}
