"""Imports run one way through the figure of the pipeline, and scoring needs only what the package itself requires."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import PACKAGE, module_name, python_files

# From the bottom up. Packages of one tier never import each other: what they share stands below them.
TIERS = (
    {"core"},
    {"video"},
    {"networks"},
    {"metrics", "distort", "teachers", "students", "preference"},
    {"stages"},
    {"pipeline"},
    {"report"},
    {"cli", "serve"},
    {"__main__"},
)
RANKS = {name: rank for rank, names in enumerate(TIERS) for name in names}

# What `pip install w2svqa` does not bring; the parts below must work without it.
HEAVY = (
    "PIL",
    "accelerate",
    "cv2",
    "fsspec",
    "huggingface_hub",
    "imagehash",
    "imageio_ffmpeg",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnxscript",
    "peft",
    "pyarrow",
    "ray",
    "safetensors",
    "scipy",
    "sentencepiece",
    "tensorboard",
    "tokenizers",
    "torch",
    "transformers",
    "yaml",
)
SCORING_PARTS = ("w2svqa.cli", "w2svqa.core", "w2svqa.preference", "w2svqa.report", "w2svqa.video")
SCORING_MODULES = ("w2svqa.stages.score", "w2svqa.students.runtime", "w2svqa.students.bundle")

MODULES = [path for path in python_files("src") if path != PACKAGE / "__init__.py"]


def imported(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import, wherever it stands, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) + 1 - node.level] if node.level else []
            start = ".".join([*base, node.module] if node.module else base)
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def violations(source: str, module: str) -> list[str]:
    """Return one line per import of ``module`` that runs against the direction."""
    own = module.split(".")[1]
    if own not in RANKS:
        return [f"{module}: {own!r} stands in no tier"]
    found = []
    for line, name in imported(ast.parse(source), module.rpartition(".")[0]):
        parts = name.split(".")
        if parts[0] != "w2svqa" or name == "w2svqa.__version__":
            continue
        # The package itself is its public names, which come from everywhere: only the top tiers may use them.
        target = parts[1] if len(parts) > 1 else ""
        rank = RANKS.get(target, RANKS["report"])
        if target != own and rank >= RANKS[own]:
            found.append(f"{module}:{line}: {name}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_run_one_way(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), module_name(path)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("w2svqa.core.x", "from w2svqa.video.decode import open_clip"),
        ("w2svqa.core.x", "import w2svqa.stages.score"),
        ("w2svqa.core.x", "from w2svqa import Scorer"),
        ("w2svqa.core.x", "from .. import video"),
        ("w2svqa.core.x", "from ..video import decode"),
        ("w2svqa.students.x", "def late():\n    from w2svqa.preference import thurstone"),
        ("w2svqa.preference.x", "if TYPE_CHECKING:\n    from w2svqa.students.bundle import Bundle"),
        ("w2svqa.stages.x", "from w2svqa.pipeline import run"),
        ("w2svqa.stages.x", "from w2svqa import cli"),
        ("w2svqa.unheard_of.x", ""),
    ],
)
def test_the_check_finds_a_made_up_violation(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("w2svqa.core.x", "from w2svqa import __version__\nfrom w2svqa.core import errors\nfrom . import errors"),
        (
            "w2svqa.students.x",
            "from w2svqa.video.decode import open_clip\nfrom w2svqa.students import views\nimport numpy",
        ),
        ("w2svqa.cli.x", "from w2svqa import Scorer\nfrom w2svqa.report import timeline"),
    ],
)
def test_the_check_lets_the_right_direction_pass(module: str, source: str) -> None:
    assert violations(source, module) == []


def modules_after(program: str, *arguments: str) -> list[str]:
    """Run a program in a fresh interpreter and return the names of the modules it has loaded, in order."""
    program += "\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def strangers(modules: list[str]) -> set[str]:
    """Top-level names that are neither the standard library's nor ours; site hooks of editable installs aside."""
    names = {name.partition(".")[0] for name in modules} - {"w2svqa", "__main__"} - sys.stdlib_module_names
    return {name for name in names if not name.startswith(("_", "sitecustomize", "usercustomize"))}


def test_importing_the_package_loads_no_other() -> None:
    bare = strangers(modules_after(""))
    assert strangers(modules_after("import w2svqa\nassert w2svqa.__version__")) == bare
    assert strangers(modules_after("import w2svqa\nw2svqa.MediaError, w2svqa.W2SVQAError")) == bare


def test_scoring_loads_little_beyond_its_three_libraries() -> None:
    """The import budget, counted in modules: unlike seconds, their number is the same on every machine and every day.

    Import time is spent almost wholly in other people's modules. So scoring may load no further package than the three
    that it stands on, and of the standard library at most a fifth of what those load anyway. Our own modules are small
    by rule and not counted.
    """
    bare = modules_after("import numpy, av, onnxruntime")
    scoring = modules_after("import numpy, av, onnxruntime, w2svqa\nw2svqa.Scorer")
    assert strangers(scoring) == strangers(bare)
    further = {name for name in set(scoring) - set(bare) if name.partition(".")[0] != "w2svqa"}
    assert len(further) <= 0.2 * len(bare), sorted(further)


def test_scoring_needs_none_of_the_extras() -> None:
    """Import every part that scoring uses where the extras cannot be imported."""
    below = [f"{part}." for part in SCORING_PARTS]
    names = [module_name(path) for path in MODULES]
    wanted = [name for name in names if name in SCORING_MODULES or f"{name}.".startswith(tuple(below))]
    program = """
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"{name} is an extra", name=name)
sys.meta_path.insert(0, Refuse())
for name in sys.argv[2:]:
    importlib.import_module(name)
"""
    loaded = modules_after(program, ",".join(HEAVY), *wanted)
    assert set(wanted) <= set(loaded)


def test_every_module_is_below_a_package_with_a_docstring() -> None:
    for path in MODULES:
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is no package"
