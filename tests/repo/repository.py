"""What the tests of the repository itself share: its files and its source modules."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "w2svqa"


@functools.cache
def kept_files() -> tuple[Path, ...]:
    """Every file that git has or would take; without git, every file that is not hidden or built."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        found = [ROOT / name for name in listed.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not path.relative_to(ROOT).parts[0].startswith(".")]
    return tuple(sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts))


@functools.cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Every kept Python file below the given folders of the repository."""
    roots = [ROOT / folder for folder in folders]
    return tuple(
        path for path in kept_files() if path.suffix == ".py" and any(path.is_relative_to(root) for root in roots)
    )


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    """The dotted name of a source file, such as ``w2svqa.core.errors``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
