"""Files and functions stay short, and every module and function says what it is."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT, parsed, python_files

FILE_CAP = 400
MODEL_FILE_CAP = 600  # a model is read from top to bottom in one file
MODEL_FILES = {"src/w2svqa/students/compact.py", "src/w2svqa/students/llava_onevision.py"}
FUNCTION_CAP = 80
FUNCTION_MEDIAN = 12
FUNCTION_P90 = 40

# Where numbers are made, a public function names what it raises, returns or rests on.
HEADINGS = ("Args:", "Attributes:", "Example:", "Raises:", "Returns:", "Source:")
NUMERIC_PARTS = ("distort", "metrics", "preference", "students", "teachers")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, Function):
            yield node


def code_lines(function: Function) -> int:
    """Lines from ``def`` to the end; the docstring is manual, not code."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", python_files("src", "tests", "benchmarks"), ids=name)
def test_a_file_is_short(path: Path) -> None:
    cap = MODEL_FILE_CAP if name(path) in MODEL_FILES else FILE_CAP
    assert len(path.read_text(encoding="utf-8").splitlines()) <= cap


@pytest.mark.parametrize("path", python_files("src", "tests", "benchmarks"), ids=name)
def test_functions_are_short(path: Path) -> None:
    assert {each.name: code_lines(each) for each in functions(path) if code_lines(each) > FUNCTION_CAP} == {}


def test_most_functions_are_much_shorter() -> None:
    lengths = [code_lines(each) for path in python_files("src") for each in functions(path)]
    assert statistics.median(lengths) <= FUNCTION_MEDIAN
    assert statistics.quantiles(lengths, n=10)[-1] <= FUNCTION_P90


@pytest.mark.parametrize("path", python_files("src", "benchmarks", "examples"), ids=name)
def test_a_module_says_what_it_is_in_its_first_line(path: Path) -> None:
    docstring = ast.get_docstring(parsed(path))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", "?", ":", "!"))


def undocumented(path: Path) -> list[str]:
    """Return the public functions of a module that make something of three or more arguments and have no headings.

    One or two arguments are told in a sentence; a method shares the docstring of its class or protocol.
    """
    found = [node for node in parsed(path).body if isinstance(node, Function) and not node.name.startswith("_")]
    makers = [each for each in found if each.returns is None or ast.unparse(each.returns) != "None"]
    manual = {each.name: ast.get_docstring(each) or "" for each in makers if arguments(each) > 2}
    return [each for each, docstring in manual.items() if not any(heading in docstring for heading in HEADINGS)]


def arguments(function: Function) -> int:
    return len(function.args.posonlyargs + function.args.args + function.args.kwonlyargs)


@pytest.mark.parametrize("path", python_files(*(f"src/w2svqa/{part}" for part in NUMERIC_PARTS)), ids=name)
def test_public_functions_where_numbers_are_made_have_headed_docstrings(path: Path) -> None:
    assert undocumented(path) == []


def test_the_method_is_cited() -> None:
    """Each part that follows the paper says where in it."""
    for part in NUMERIC_PARTS:
        paths = python_files(f"src/w2svqa/{part}")
        assert not paths or any("Source:" in path.read_text(encoding="utf-8") for path in paths), part
