"""The public names: sorted, complete, real."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest
from repository import PACKAGE, parsed

import w2svqa
from w2svqa.core import errors


def declared_for_type_checkers() -> dict[str, str]:
    """Names and modules of the imports under ``if TYPE_CHECKING``."""
    tree = parsed(PACKAGE / "__init__.py")
    [block] = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {
        alias.name: statement.module or ""
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_the_list_is_sorted_and_without_repetition() -> None:
    assert w2svqa.__all__ == sorted(set(w2svqa.__all__))


def test_type_checkers_and_interpreter_see_the_same_names() -> None:
    declared = {name: module.removeprefix("w2svqa.") for name, module in declared_for_type_checkers().items()}
    assert declared == w2svqa._HOMES
    assert sorted(declared) == w2svqa.__all__


@pytest.mark.parametrize("name", w2svqa.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(w2svqa, name)
    assert value is getattr(importlib.import_module(f"w2svqa.{w2svqa._HOMES[name]}"), name)
    assert inspect.getdoc(value)
    assert name in dir(w2svqa)


def test_every_error_is_public() -> None:
    ours = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert ours <= set(w2svqa.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'scorer'"):
        w2svqa.scorer  # noqa: B018 - the access is the test
