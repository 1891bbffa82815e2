"""``w2svqa score`` and ``compare`` with a bundle of the LLaVA student."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from llava_cases import CPU, tiny_student, write_bundle
from typer.testing import CliRunner

from w2svqa.cli.commands import app
from w2svqa.video.encode import write_lossless

pytestmark = pytest.mark.llm

OPTIONS = [part for name, value in CPU.items() for part in ("--option", f"{name}={value}")]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("llava") / "bundle", tiny_student())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, random = tmp_path_factory.mktemp("clips") / "clip.mkv", np.random.default_rng(0)
    write_lossless(path, (random.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(12)), fps=Fraction(4))
    return path


def said(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_score(bundle: Path, clip: Path) -> None:
    [row] = json.loads(said("score", clip, "--json", "--student", bundle, *OPTIONS, "--option", "most_seconds=2"))
    assert (row["status"], row["seconds"], row["student"]) == ("ok", [], "tiny (2 seconds)")
    assert "compared by 2 of its 3 seconds, evenly spaced: the frame budget" in row["notes"]


def test_a_table_is_continued_and_its_seconds_come_when_they_are_asked_for(
    bundle: Path, clip: Path, tmp_path: Path
) -> None:
    table = tmp_path / "scores.json"
    arguments = ("score", clip, "--json", "--student", bundle, "--output", table, *OPTIONS)
    [first] = json.loads(said(*arguments))
    assert first["seconds"] == []
    assert "\n" in said(*arguments, "--timeline")
    [timed] = json.loads(said(*arguments))  # kept, with more than was asked for
    assert len(timed["seconds"]) == 3
    assert timed["score"] == pytest.approx(first["score"], abs=1e-3)


def test_compare(bundle: Path, clip: Path) -> None:
    verdict = json.loads(said("compare", clip, clip, "--json", "--student", bundle, *OPTIONS))
    assert verdict["preference"] == pytest.approx(0.5, abs=1e-6)
