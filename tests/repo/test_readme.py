"""The README does what it says: every command in it is run, or checked as far as a test can without installing."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import readme
from repository import PACKAGE, ROOT, parsed

from w2svqa.video.scene import write_scene

PYTEST = ["python", "-m", "pytest"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the README mentions as the user's."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "clips").mkdir()
    (folder / "weights").mkdir()
    for seed, name in enumerate(["clip.mp4", "a.mp4", "b.mp4", "clips/c.mp4", "clips/d.mp4"]):
        write_scene(folder / name, seed=seed, width=160, height=96, seconds=2, fps=5)
    return folder


def w2svqa(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as the console script does."""
    program = "from w2svqa.cli.app import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(each).resolve()) for each in sys.path if each)}
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        env=environment,
        input="a.mp4\nb.mp4\n",
        capture_output=True,
        text=True,
        check=False,
    )


def check_run(words: Sequence[str], folder: Path) -> None:
    done = w2svqa(words[1:], folder)
    assert done.returncode in ({0, 3} if "--fail-under" in words else {0}), done.stderr
    assert "Traceback" not in done.stderr


def check_parses(words: Sequence[str], folder: Path) -> None:
    """Too long to run here (the end-to-end test does): the command, its options and its files must be there."""
    done = w2svqa([words[1], "--help"], folder)
    assert done.returncode == 0, done.stderr
    options = [word.partition("=")[0] for word in words[2:] if word.startswith("--")]
    assert all(option in done.stdout for option in options)
    assert all((ROOT / word).exists() for word in words[2:] if word.startswith("configs/"))


def check_on_cluster(words: Sequence[str], folder: Path) -> None:
    """``w2svqa --ray ADDRESS COMMAND ...``: tests/cli/test_ray_option.py runs one."""
    assert words[2] in ("local", "auto")
    check_parses([words[0], *words[3:]], folder)


def check_pip(words: Sequence[str], folder: Path) -> None:
    """Installing is the work of .ci/run; here, what is installed must be declared and what is named must be there."""
    assert words[:2] == ["pip", "install"]
    del folder
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rest = list(words[2:])
    while rest:
        word = rest.pop(0)
        if word in ("-c", "--constraint"):
            assert (ROOT / rest.pop(0)).is_file()
        elif word != "-e":
            match = re.fullmatch(r"(?:\.|w2svqa)(?:\[([\w,]+)\])?", word)
            assert match, f"what is {word!r}?"
            assert set((match[1] or "").split(",")) - {""} <= declared.keys()


def check_in_ci(words: Sequence[str], folder: Path) -> None:
    del folder
    assert " ".join(words) in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def check_make(words: Sequence[str], folder: Path) -> None:
    del folder
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(words[1:]) <= set(targets)


def check_benchmark(words: Sequence[str], folder: Path) -> None:
    del folder
    assert (ROOT / words[1]).is_file()


def check_list(words: Sequence[str], folder: Path) -> None:
    assert words[:2] == ["find", "clips"]
    assert (folder / "clips").is_dir()


# The beginning of a command -> how it is checked. A command that begins otherwise fails the test.
CHECKS: dict[tuple[str, ...], Callable[[Sequence[str], Path], None]] = {
    ("w2svqa", "run"): check_parses,
    ("w2svqa", "label"): check_parses,  # with checkpoints that no test has
    ("w2svqa", "pair"): check_parses,
    ("w2svqa", "ingest"): check_parses,
    ("w2svqa", "curate"): check_parses,
    ("w2svqa", "mine"): check_parses,
    ("w2svqa", "evaluate"): check_parses,
    ("w2svqa", "finetune"): check_parses,  # with ratings that no test has
    ("w2svqa", "report"): check_parses,
    ("w2svqa", "runs"): check_parses,
    ("w2svqa", "--ray"): check_on_cluster,
    ("w2svqa", "teachers"): check_run,
    ("w2svqa", "export"): check_parses,  # with checkpoints that no test has
    ("w2svqa", "score"): check_run,
    ("w2svqa", "score", "clip.mp4", "--student"): check_parses,  # from a hub
    ("w2svqa", "compare"): check_run,
    ("w2svqa", "demo"): check_run,
    ("w2svqa", "distort"): check_run,  # each into a file that is not there yet
    ("w2svqa", "doctor"): check_run,
    ("pip", "install"): check_pip,
    tuple(PYTEST): check_in_ci,
    ("make",): check_make,
    ("python",): check_benchmark,
    ("find",): check_list,
}


def check_of(words: Sequence[str]) -> Callable[[Sequence[str], Path], None] | None:
    fitting = [beginning for beginning in CHECKS if tuple(words[: len(beginning)]) == beginning]
    return CHECKS[max(fitting, key=len)] if fitting else None


@pytest.mark.parametrize("words", readme.commands(), ids=" ".join)
def test_a_command_works(words: list[str], workplace: Path) -> None:
    check = check_of(words)
    assert check is not None, f"the README has a command that no test knows: {' '.join(words)}"
    check(words, workplace)


def test_the_first_two_commands_are_the_whole_set_up() -> None:
    first, second, third, fourth = readme.commands()[:4]
    assert (first, second[:2]) == (["pip", "install", "."], ["w2svqa", "score"])
    assert (third, fourth) == (["pip", "install", "-c", "constraints.txt", "-e", ".[dev]"], PYTEST)
    body = readme.blocks("bash", "console")[0]
    assert len(body.strip().splitlines()) == 2


def test_an_unknown_command_is_noticed() -> None:
    assert check_of(["curl", "x"]) is None
    assert check_of(["w2svqa", "nonsense"]) is None
    assert check_of(["w2svqa", "run", "x"]) is check_parses


@pytest.mark.parametrize("source", readme.blocks("python"))
def test_a_python_example_runs(source: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    exec(compile(source, "README.md", "exec"), {})


def first_sentence(path: Path) -> str:
    return (ast.get_docstring(parsed(path)) or "").splitlines()[0].rstrip(".")


def test_the_tree_is_that_of_the_folders() -> None:
    entries = readme.tree()
    packages = {path.parent for path in PACKAGE.rglob("__init__.py")}
    expected = {"src/w2svqa/": first_sentence(PACKAGE / "__init__.py")}
    for path in PACKAGE.rglob("*.py"):
        if path.stem != "__init__":
            expected[path.relative_to(ROOT).as_posix()] = first_sentence(path)
    for folder in packages - {PACKAGE}:
        expected[f"{folder.relative_to(ROOT).as_posix()}/"] = first_sentence(folder / "__init__.py")
    inside = {path: phrase for path, phrase in entries.items() if path.startswith("src/w2svqa/")}
    assert inside == expected, "run python tests/repo/update_readme.py"
    assert all((ROOT / path).exists() for path in entries)


def test_figures_name_the_scripts_that_print_them() -> None:
    """Figures are quoted from the benchmarks; until they are, the README says that they are missing."""
    figures = readme.text().partition("## Figures")[2].partition("\n## ")[0]
    scripts = re.findall(r"benchmarks/\w+\.py", figures)
    assert scripts or "to be filled in" in figures
    assert all((ROOT / script).is_file() for script in scripts)
