"""Plain values into frozen dataclasses, strictly: every misfit is an error that says where, what and what was meant."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from w2svqa.core.document import Keys
from w2svqa.core.errors import ConfigError, StrPath

BuiltT = TypeVar("BuiltT")

TypeForm: TypeAlias = Any
"""What may stand in an annotation: Python 3.11 has no name for it."""

TAG: Final = "kind"
"""Field by which the dataclasses of a union are told apart; each has one literal of its own there."""


def near_name(name: str, names: list[str]) -> str | None:
    """Return the one of ``names`` that was probably meant by ``name``.

    Example:
        >>> near_name("niqr", ["brisque", "niqe"])
        'niqe'
    """
    close = difflib.get_close_matches(name, names, n=1)
    return close[0] if close else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands, for messages.

    Attributes:
        source: the file, if there is one.
        lines: line of each value in the file.
        keys: the way to the value.
    """

    source: StrPath | None
    lines: Mapping[Keys, int] = field(default_factory=dict)
    keys: Keys = ()

    def child(self, key: str | int) -> Place:
        """Return the place of the value that stands under ``key`` here."""
        return dataclasses.replace(self, keys=(*self.keys, key))

    @property
    def name(self) -> str:
        """The dotted key, such as ``train.steps`` or ``sizes[1]``."""
        text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys)
        return text.removeprefix(".")

    def error(self, problem: str, remedy: str | None = None) -> ConfigError:
        """Return the error that says what is wrong here."""
        line = f"line {self.lines[self.keys]}: " if self.keys in self.lines else ""
        return ConfigError(f"{line}{problem}", path=self.source, remedy=remedy)

    def mismatch(self, expected: str, value: object, remedy: str | None = None) -> ConfigError:
        """Return the error that says what was expected here and what was found."""
        return self.error(f"{self.name or 'the value'} must be {expected}, not {_written(value)}", remedy)


def _written(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "null" if value is None else json.dumps(value, default=repr)


def build(kind: type[BuiltT], mapping: object, place: Place) -> BuiltT:
    """Make the frozen dataclass ``kind`` of a mapping of plain values.

    Raises:
        ConfigError: the mapping does not fit ``kind``, or its ``__post_init__`` rejects the values.
        TypeError: ``kind``, or a field of it, is of a type that a configuration cannot hold.
    """
    if not dataclasses.is_dataclass(kind):
        raise TypeError(f"{kind!r} is not a dataclass")
    if not isinstance(mapping, Mapping):
        raise place.mismatch("a mapping of keys to values", mapping)
    fields = {each.name: each for each in dataclasses.fields(kind) if each.init}
    _check_keys(fields, mapping, place)
    hints = get_type_hints(kind)
    values = {key: _convert(hints[key], value, place.child(key)) for key, value in mapping.items()}
    try:
        made: BuiltT = kind(**values)
    except ConfigError as error:
        # A __post_init__ knows the problem and the remedy, but neither the file nor the line.
        raise place.error(error.problem, error.remedy) from None
    except ValueError as error:
        raise place.error(f"{place.name}: {error}".removeprefix(": ")) from None
    return made


def _check_keys(fields: Mapping[str, dataclasses.Field[Any]], mapping: Mapping[str, object], place: Place) -> None:
    inside = f" in {place.name}" if place.name else ""
    for key in mapping:
        if key not in fields:
            near = near_name(str(key), list(fields))
            remedy = f"did you mean {near!r}?" if near else f"known keys: {', '.join(fields) or 'none'}"
            raise place.child(key).error(f"unknown key {key!r}{inside}", remedy)
    required = [name for name, each in fields.items() if each.default is MISSING and each.default_factory is MISSING]
    missing = [repr(name) for name in required if name not in mapping]
    if missing:
        raise place.error(f"missing {'key' if len(missing) == 1 else 'keys'} {', '.join(missing)}{inside}")


def _convert(kind: TypeForm, value: object, place: Place) -> object:
    """Return ``value`` as the annotated type ``kind``."""
    origin: TypeForm = get_origin(kind)
    arguments = get_args(kind)
    if origin in (Union, UnionType):
        return _union(arguments, value, place)
    if origin is Literal:
        return _literal(arguments, value, place)
    if origin is tuple:
        return _tuple(arguments, value, place)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(arguments, value, place)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return build(kind, value, place)
    if kind in _SCALARS:
        return _SCALARS[kind](value, place)
    raise TypeError(f"a configuration cannot hold the type {kind!r} ({place.name})")


def _union(choices: tuple[TypeForm, ...], value: object, place: Place) -> object:
    if value is None and NoneType in choices:
        return None
    kinds = [kind for kind in choices if kind is not NoneType]
    if len(kinds) == 1:
        return _convert(kinds[0], value, place)
    if all(_tag(kind) is not None for kind in kinds):
        return _tagged(kinds, value, place)
    for kind in sorted(kinds, key=lambda kind: kind is not type(value)):  # the value's own type comes first
        try:
            return _convert(kind, value, place)
        except ConfigError:
            continue
    raise place.mismatch(" or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds), value)


def _tag(kind: TypeForm) -> str | None:
    """The word in which dataclasses of a union differ: the one literal that the field ``kind`` may have."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return None
    hint = get_type_hints(kind).get(TAG)
    words = get_args(hint) if get_origin(hint) is Literal else ()
    return words[0] if len(words) == 1 else None


def _tagged(kinds: Sequence[TypeForm], value: object, place: Place) -> object:
    """Make the dataclass whose ``kind`` the mapping has; the first one of the union where it has none."""
    if not isinstance(value, Mapping):
        raise place.mismatch("a mapping of keys to values", value)
    by_word = {_tag(kind): kind for kind in kinds}
    word = _literal(tuple(by_word), value.get(TAG, _tag(kinds[0])), place.child(TAG))
    return build(by_word[str(word)], value, place)


def _literal(choices: tuple[TypeForm, ...], value: object, place: Place) -> object:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    near = near_name(value, [str(choice) for choice in choices]) if isinstance(value, str) else None
    remedy = f"did you mean {near!r}?" if near else None
    raise place.mismatch(f"one of {', '.join(_written(choice) for choice in choices)}", value, remedy)


def _tuple(kinds: tuple[TypeForm, ...], value: object, place: Place) -> object:
    if not isinstance(value, list | tuple):
        raise place.mismatch("a list", value)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise place.mismatch(f"a list of {len(kinds)}", value)
    return tuple(
        _convert(kind, each, place.child(index)) for index, (kind, each) in enumerate(zip(kinds, value, strict=True))
    )


def _mapping(kinds: tuple[TypeForm, ...], value: object, place: Place) -> object:
    if not isinstance(value, Mapping):
        raise place.mismatch("a mapping of keys to values", value)
    return {str(key): _convert(kinds[1], each, place.child(str(key))) for key, each in value.items()}


def _text(value: object, place: Place) -> str:
    if isinstance(value, str):
        return value
    raise place.mismatch("text", value, "put it in quotes" if isinstance(value, bool | int | float) else None)


def _boolean(value: object, place: Place) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise place.mismatch("true or false", value)


def _integer(value: object, place: Place) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value)
    raise place.mismatch("a whole number", value)


def _number(value: object, place: Place) -> float:
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        with contextlib.suppress(ValueError):
            number = float(value)
    if math.isfinite(number):
        return number
    raise place.mismatch("a finite number", value)


def _path(value: object, place: Place) -> Path:
    return Path(_text(value, place)).expanduser()


def _anything(value: object, _place: Place) -> object:
    return value


_SCALARS: dict[object, Callable[[object, Place], object]] = {
    object: _anything,
    str: _text,
    bool: _boolean,
    int: _integer,
    float: _number,
    Path: _path,
}
