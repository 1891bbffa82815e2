"""From a released checkpoint and anchor clips to a bundle that scores; the command that does it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from released_folder import SIDE, released_checkpoint
from typer.testing import CliRunner

from w2svqa.cli.commands import app
from w2svqa.core.errors import ConfigError, InputError
from w2svqa.stages.export_released import RELEASED_RATINGS, export_released, fit_line
from w2svqa.stages.score import Scorer
from w2svqa.students.bundle import load_bundle
from w2svqa.students.llava.config import released_config
from w2svqa.students.llava.convert import convert_released
from w2svqa.students.llava.options import LlavaOptions
from w2svqa.students.llava.runtime import LlavaStudent
from w2svqa.video.encode import write_lossless

pytestmark = pytest.mark.llm

CPU = LlavaOptions(device="cpu")
FPS = 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three clips, in the order in which the random student ranks them."""
    folder, random = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    paths = []
    for number, level in enumerate((30, 120, 250)):
        frames = [random.integers(0, level, (48, 64, 3), dtype=np.uint8) for _ in range(FPS)]
        paths.append(folder / f"{number}.mkv")
        write_lossless(paths[-1], frames, fps=Fraction(FPS))
    return paths


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    return convert_released(released_checkpoint(folder / "released"), folder / "ours").folder


@pytest.fixture(scope="module")
def ranked(checkpoint: Path, clips: list[Path]) -> list[Path]:
    """The clips as the random student ranks them: it knows nothing of quality."""
    try:
        export_released(checkpoint, clips, checkpoint.with_name("probe"), name="probe", options=CPU, progress=quiet)
    except InputError:
        return clips[::-1]
    return clips


def quiet(done: int, total: int, text: str) -> None:
    del done, total, text


def test_the_bundle_scores_in_both_forms(checkpoint: Path, ranked: list[Path], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    scale = export_released(
        checkpoint,
        ranked,
        tmp_path / "bundle",
        name="converted",
        options=CPU,
        progress=lambda done, total, _: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    bundle = load_bundle(tmp_path / "bundle", {"device": "cpu"})
    assert isinstance(bundle.student, LlavaStudent)
    assert bundle.student.model.config == released_config(SIDE)
    assert [row["rating"] for row in bundle.card["anchors"]] == pytest.approx([100 / 6, 50, 500 / 6])
    scores = [
        Scorer.load(tmp_path / "bundle", form=form, options={"device": "cpu"}).score(ranked[1])
        for form in ("anchored", "released")
    ]
    assert all(score.status == "ok" and 0 <= (score.value or -1) <= 100 for score in scores)
    assert scores[0].raw != scores[1].raw
    assert scale.to_dict() == bundle.scale_mapping


def test_a_student_that_ranks_otherwise_is_refused(checkpoint: Path, ranked: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not rank the anchors as they are rated"):
        export_released(checkpoint, ranked[::-1], tmp_path / "bundle", name="x", options=CPU, progress=quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ratings", [(1.0, 2.0), (3.0, 2.0, 1.0), (-1.0, 2.0, 3.0), (1.0, 2.0, 101.0)])
def test_ratings_that_do_not_fit_are_refused(
    ratings: tuple[float, ...], checkpoint: Path, clips: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="one rating per anchor, from 0 to 100, rising"):
        export_released(checkpoint, clips, tmp_path / "b", name="x", ratings=ratings, options=CPU, progress=quiet)
    with pytest.raises(ConfigError, match="at least two"):
        export_released(checkpoint, clips[:1], tmp_path / "b", name="x", options=CPU, progress=quiet)


def test_the_line_goes_through_ratings_that_lie_on_one() -> None:
    positions = (np.array(RELEASED_RATINGS) - 45) / 12
    scale = fit_line(positions, RELEASED_RATINGS)
    assert scale.score(positions, np.zeros(5)).raw == pytest.approx(RELEASED_RATINGS)


def command(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["export", *map(str, arguments)])
    return done.exit_code, done.output if done.exception is None or done.exit_code == 2 else repr(done.exception)


def test_the_command_converts_and_makes_a_bundle(ranked: list[Path], tmp_path: Path) -> None:
    source = released_checkpoint(tmp_path / "released")
    anchors = [word for anchor in ranked for word in ("--anchor", str(anchor))]
    ratings = ["--rating", "20", "--rating", "50", "--rating", "80"]
    code, told = command(
        source,
        tmp_path / "ours",
        "--from-released",
        "--bundle",
        tmp_path / "student",
        *anchors,
        *ratings,
        "--option",
        "device=cpu",
    )
    assert code == 0, told
    assert "SlowFast is the copy in the checkpoint" in told
    assert "3 of 3" in told
    card = load_bundle(tmp_path / "student", {"device": "cpu"}).card
    assert (card["name"], card["base"]["checkpoint"]) == ("student", str(tmp_path / "ours"))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda place: (place, "new", "--anchor", place), "only with --from-released"),
        (lambda place: (place, "new", "--from-released", "--stage", "1"), "is of a run"),
        (lambda place: (place, "new", "--from-released", "--bundle", "b"), "a bundle needs anchors"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    make: Callable[[Path], tuple[str | Path, ...]], problem: str, tmp_path: Path
) -> None:
    code, told = command(*make(tmp_path))
    assert code == 2
    assert problem in told
