"""Configuration: a strict way from a YAML file to frozen dataclasses and back.

A configuration is a frozen dataclass whose fields are text, numbers, booleans, paths, literals, optionals, tuples,
string-keyed mappings or further such dataclasses. A field may be one of several dataclasses that have a field ``kind``,
each with a literal of its own: the mapping's ``kind`` says which; without one the first is meant. Nothing is guessed:
an unknown key, a missing one or a value of another type is an error that names the file, the line, the key and, where
there is one, the name that was meant.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from w2svqa.core.conversion import Place, build
from w2svqa.core.document import read_document
from w2svqa.core.errors import StrPath

ConfigT = TypeVar("ConfigT")


def load_config(path: StrPath, kind: type[ConfigT]) -> ConfigT:
    """Read a YAML file into the frozen dataclass ``kind``.

    Text that spells a number is taken where a number is due: an environment variable is always text, and YAML 1.1
    reads ``1e-4`` as text too.

    Raises:
        ConfigError: the file cannot be read, or does not fit ``kind``.
        MissingExtraError: PyYAML is not installed.
    """
    document = read_document(path)
    return build(kind, document.mapping, Place(source=path, lines=document.lines))


def from_mapping(kind: type[ConfigT], mapping: Mapping[str, object], *, where: StrPath | None = None) -> ConfigT:
    """Make the frozen dataclass ``kind`` of a mapping of plain values, such as one read from JSON.

    Args:
        kind: the frozen dataclass.
        mapping: the values; a field that is left out takes its default.
        where: the file the mapping is from, for messages.

    Raises:
        ConfigError: the mapping does not fit ``kind``, or its ``__post_init__`` rejects the values.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Train:
        ...     steps: int
        ...     rate: float = 1e-3
        >>> from_mapping(Train, {"steps": 5})
        Train(steps=5, rate=0.001)
        >>> from_mapping(Train, {"stepz": 5}, where="a.yaml")
        Traceback (most recent call last):
        w2svqa.core.errors.ConfigError: a.yaml: unknown key 'stepz' (did you mean 'steps'?)
    """
    return build(kind, mapping, Place(source=where))


def to_mapping(config: object) -> dict[str, object]:
    """Return a configuration as plain values that JSON can hold; :func:`from_mapping` reads them back.

    Args:
        config: a dataclass instance, or a mapping of values that configurations may hold.

    Raises:
        TypeError: it is neither, or a value is of a type that cannot stand in a configuration.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Size:
        ...     pixels: tuple[int, int] = (4, 3)
        >>> to_mapping(Size())
        {'pixels': [4, 3]}
    """
    if isinstance(config, Mapping):
        return {str(key): _plain(value) for key, value in config.items()}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {each.name: _plain(getattr(config, each.name)) for each in dataclasses.fields(config) if each.init}
    raise TypeError(f"{config!r} of type {type(config).__name__} is no configuration")


def config_hash(config: object) -> str:
    """Return 32 hex digits that change whenever a value of the configuration changes.

    Args:
        config: a configuration, or plain values as :func:`to_mapping` gives them.
    """
    text = json.dumps(_plain(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def difference(old: object, new: object) -> list[str]:
    """Return one readable line per value that differs, sorted by key; empty if nothing does.

    Args:
        old: a configuration, or plain values as :func:`to_mapping` gives them.
        new: the same.

    Example:
        >>> difference({"train": {"steps": 100, "seed": 1}}, {"train": {"steps": 200, "seed": 1}})
        ['train.steps: 100 -> 200']
    """
    before, after = leaves(old), leaves(new)
    return [
        f"{key}: {_shown(before, key)} -> {_shown(after, key)}"
        for key in sorted(before.keys() | after.keys())
        if _shown(before, key) != _shown(after, key)
    ]


def leaves(config: object) -> dict[str, object]:
    """Return every value of a configuration by its dotted key; lists and empty mappings are values.

    Args:
        config: a configuration, or plain values as :func:`to_mapping` gives them.

    Example:
        >>> leaves({"train": {"steps": 100, "widths": [4, 8]}})
        {'train.steps': 100, 'train.widths': [4, 8]}
    """
    return dict(_leaves(_plain(config), ""))


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return to_mapping(value)


def _leaves(value: object, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _shown(leaves: Mapping[str, object], key: str) -> str:
    return json.dumps(leaves[key]) if key in leaves else "(absent)"
