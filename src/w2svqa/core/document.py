"""Strict reading of a YAML file: no key twice, environment variables filled in, the line of every value kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.extras import require

if TYPE_CHECKING:
    from yaml.nodes import Node

Keys = tuple[str | int, ...]
"""The way from the top of a document to a value: mapping keys and list positions."""

# A doubled dollar stands for itself; otherwise ${NAME} or ${NAME:-default}.
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's mapping of plain values, and where in the file each of them stands.

    Attributes:
        mapping: dictionaries, lists, text, numbers, booleans and ``None``.
        lines: for each value its line in the file, from 1.
    """

    mapping: dict[str, object]
    lines: Mapping[Keys, int] = field(default_factory=dict)


def read_document(path: StrPath) -> Document:
    """Read a YAML file whose top level is a mapping.

    In text values ``${NAME}`` is replaced by the environment variable, ``${NAME:-default}`` falls back to ``default``
    where it is not set, and ``$$`` stands for one dollar.

    Raises:
        ConfigError: the file cannot be read, is no valid YAML mapping, has a key twice, or names a missing variable.
        MissingExtraError: PyYAML is not installed.
    """
    yaml = require("yaml", extra="train")
    return _Reader(path, yaml).read()


class _Reader:
    """Walks the nodes of one file."""

    def __init__(self, path: StrPath, yaml: ModuleType) -> None:
        self._path = path
        self._yaml = yaml
        self._lines: dict[Keys, int] = {}
        self._open: set[int] = set()  # nodes on the way from the top: meeting one again means an alias inside itself
        self._values: Any = yaml.SafeLoader("")  # only its scalar rules are used

    def read(self) -> Document:
        node = self._compose(self._text())
        if node is None:
            return Document(mapping={})
        if not isinstance(node, self._yaml.MappingNode):
            raise self._error("the top level must be a mapping of keys to values", node)
        return Document(mapping=self._mapping(node, ()), lines=self._lines)

    def _text(self) -> str:
        try:
            if Path(self._path).is_char_device() or Path(self._path).is_fifo():  # neither needs to have an end
                raise ConfigError("the configuration is no regular file", path=self._path, remedy="give a YAML file")
            return Path(self._path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"the configuration cannot be read: {error.strerror}", path=self._path, remedy="check the path"
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"byte {error.start} is not UTF-8", path=self._path, remedy="save the file as UTF-8"
            ) from None

    def _compose(self, text: str) -> Node | None:
        try:
            node: Node | None = self._yaml.compose(text, Loader=self._yaml.SafeLoader)
        except self._yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = "" if mark is None else f"line {mark.line + 1}: "
            raise ConfigError(f"{line}not valid YAML: {error.problem or error.context}", path=self._path) from None
        except self._yaml.YAMLError as error:
            raise ConfigError(f"not valid YAML: {error}", path=self._path) from None
        return node

    def _convert(self, node: Node, keys: Keys) -> object:
        self._lines.setdefault(keys, node.start_mark.line + 1)
        if isinstance(node, self._yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._error("an alias stands inside the value it names", node)
        self._open.add(id(node))
        value = self._mapping(node, keys) if isinstance(node, self._yaml.MappingNode) else self._list(node, keys)
        self._open.discard(id(node))
        return value

    def _mapping(self, node: Node, keys: Keys) -> dict[str, object]:
        return {key: self._convert(child, (*keys, key)) for key, child in self._pairs(node, keys)}

    def _list(self, node: Node, keys: Keys) -> list[object]:
        return [self._convert(child, (*keys, index)) for index, child in enumerate(node.value)]

    def _pairs(self, node: Node, keys: Keys) -> Iterator[tuple[str, Node]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, self._yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                raise self._error("keys must be plain words", key_node)
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen:
                raise self._error(f"the key {key!r} is there twice, first in line {seen[key]}", key_node)
            seen[key] = line
            self._lines[(*keys, key)] = line
            yield key, value_node

    def _scalar(self, node: Node) -> object:
        try:
            value: object = self._values.construct_object(node)
        except (self._yaml.YAMLError, ValueError):
            raise self._error(f"the value {node.value!r} cannot be read", node) from None
        if isinstance(value, str):
            return _VARIABLE.sub(lambda match: self._variable(match, node), value)
        if value is None or isinstance(value, bool | int | float):
            return value
        return str(node.value)  # dates and the like: text, exactly as written

    def _variable(self, match: re.Match[str], node: Node) -> str:
        name, default = match["name"], match["default"]
        if name is None:
            return "$"
        value = os.environ.get(name, default)
        if value is None:
            raise self._error(
                f"the environment variable {name} is not set",
                node,
                remedy=f"set it, or give a default: ${{{name}:-value}}",
            )
        return value

    def _error(self, problem: str, node: Node, remedy: str | None = None) -> ConfigError:
        return ConfigError(f"line {node.start_mark.line + 1}: {problem}", path=self._path, remedy=remedy)
