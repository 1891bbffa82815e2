"""What may be in the repository: nothing large, nothing of one machine, one version."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from repository import PACKAGE, ROOT, kept_files, python_files

import w2svqa

LARGEST = 2 * 2**20
BUNDLE_SUFFIXES = {".onnx", ".safetensors", ".npz", ".w2s", ".zip", ".bundle"}  # weights: only in the shipped bundle
GOLDENS = ROOT / "tests" / "teachers" / "goldens"  # what official code made of made-up weights: arrays, no weights
LARGEST_GOLDEN = 200 * 2**10
LARGEST_BUNDLE = 10 * 2**20

# Folders of a person's or a company's machine. Written so that this file does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w.:~}\])])/(?:home|root|Users|mnt|opt|scratch|workspace)/[\w.-]")
ADDRESS = re.compile(r"\b(?!127\.0\.0\.1\b|0\.0\.0\.0\b)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def test_no_file_is_large_but_the_bundle() -> None:
    sizes = {name(path): path.stat().st_size for path in kept_files()}
    goldens = {each for each in sizes if (ROOT / each).parent == GOLDENS}
    assert {each: sizes[each] for each in goldens if sizes[each] > LARGEST_GOLDEN} == {}
    bundles = {each for each in sizes if Path(each).suffix in BUNDLE_SUFFIXES} - goldens
    assert all((ROOT / each).is_relative_to(PACKAGE) for each in bundles), "weights outside the package"
    assert {each: size for each, size in sizes.items() if size > LARGEST and each not in bundles} == {}
    assert sum(sizes[each] for each in bundles) < LARGEST_BUNDLE


def test_no_built_or_personal_files() -> None:
    litter = re.compile(
        r"(^|/)(__pycache__|\.idea|\.vscode|\.DS_Store|\.ipynb_checkpoints|.*\.(pyc|swp|orig|rej))(/|$)"
    )
    assert [name(path) for path in kept_files() if litter.search(name(path))] == []


def test_nothing_names_a_machine() -> None:
    here = {str(path) for path in (ROOT, Path.home(), Path(sys.prefix)) if len(path.parts) > 2}
    found = []
    for path in kept_files():
        content = text_of(path)
        found += [f"{name(path)}: {each}" for each in here if each in content]
        found += [
            f"{name(path)}: {match[0]}" for match in MACHINE_PATH.finditer(content) if b"\0" not in path.read_bytes()
        ]
    assert found == []


def test_no_network_address_is_written_down() -> None:
    sources = [path for path in kept_files() if path.suffix in {".py", ".yaml", ".toml", ".md", ".txt", ""}]
    assert [f"{name(path)}: {match[0]}" for path in sources for match in ADDRESS.finditer(text_of(path))] == []


def test_the_checks_find_what_they_look_for() -> None:
    assert MACHINE_PATH.search("data in /" + "home/ann/clips")
    assert ADDRESS.search("http://" + ".".join(["10", "1", "2", "3"]))
    assert not MACHINE_PATH.search("https://example.org/" + "home/page")


def test_the_version_stands_in_one_place_and_in_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/w2svqa/__init__.py"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(w2svqa.__version__)}\]", changelog, re.MULTILINE)
    assert "## [Unreleased]" in changelog


def test_tests_mirror_the_source() -> None:
    folders = {
        path.relative_to(ROOT / "tests").parts[0] for path in python_files("tests") if path.parent != ROOT / "tests"
    }
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders - {"repo", "e2e", "parity", "golden"} <= packages


def test_names_of_test_files_are_unique() -> None:
    names = [path.name for path in python_files("tests") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("extra", ["plot", "train", "dev"])
def test_every_extra_is_explained(extra: str) -> None:
    assert f"[{extra}]" in text_of(ROOT / "README.md") + text_of(ROOT / "CONTRIBUTING.md")
