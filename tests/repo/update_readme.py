"""Write the folder tree of the README anew, from the first lines of the modules' docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

from repository import PACKAGE, ROOT, parsed

OTHERS = {
    "benchmarks/": "The figures quoted below, printed by one script each",
    "configs/": "Runs that are ready to start",
    "docs/": "Decisions and what was tried",
    "tests/": "The same folders again, and tests of the repository itself",
}


def phrase(path: Path) -> str:
    return (ast.get_docstring(parsed(path)) or "").splitlines()[0].rstrip(".")


def lines(folder: Path, depth: int) -> list[str]:
    """Return the lines of a package: its files, then its sub-packages."""
    indent = "  " * depth
    files = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
    found = [f"{indent}{path.name:<{24 - 2 * depth}}  {phrase(path)}" for path in files]
    for package in sorted(path.parent for path in folder.glob("*/__init__.py")):
        found.append(f"{indent}{package.name + '/':<{24 - 2 * depth}}  {phrase(package / '__init__.py')}")
        found += lines(package, depth + 1)
    return found


def main() -> None:
    """Replace the block that begins with the package's folder."""
    top = [f"{'src/w2svqa/':<24}  {phrase(PACKAGE / '__init__.py')}", *lines(PACKAGE, 1)]
    top += [f"{name:<24}  {text}" for name, text in OTHERS.items() if (ROOT / name).is_dir()]
    path = ROOT / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition("```text\nsrc/w2svqa/")
    _, _, after = rest.partition("\n```\n")
    path.write_text(before + "```text\n" + "\n".join(top) + "\n```\n" + after, encoding="utf-8")


if __name__ == "__main__":
    main()
