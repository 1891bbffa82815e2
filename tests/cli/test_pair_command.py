"""``w2svqa pair`` from a labelled folder to pairs, plots and a data set, and back from the authors' JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from running import Run

from w2svqa.cli.pair import parse_weights
from w2svqa.core.rows import PoolPairRow, PseudoLabelRow, TeacherScoreRow, VideoRow
from w2svqa.core.store import read_artifact, write_artifact

VIDEOS = 40


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    quality = random.normal(size=VIDEOS)
    videos = [
        VideoRow(clip_id=f"{n:016x}", path=f"/p/{n}.mp4", name=f"{n}.mp4", sha256=f"{n:016x}" * 4)
        for n in range(VIDEOS)
    ]
    scores = [
        TeacherScoreRow(clip_id=row.clip_id, teacher=name, version="1", value=float(sign * (q + 0.2 * random.normal())))
        for name, sign in (("niqe", -1), ("scores:x", 1), ("liar", -1))
        for row, q in zip(videos, quality, strict=True)
    ]
    facts = {"teachers": {"liar": {"higher_is_better": True}}}
    write_artifact(tmp_path / "pool" / "videos", videos, VideoRow, kind="videos", config={})
    write_artifact(tmp_path / "pool" / "scores", scores, TeacherScoreRow, kind="scores", config={}, extra=facts)
    return tmp_path / "pool"


def test_scores_become_labels_pairs_plots_and_a_data_set(run: Run, labelled: Path, tmp_path: Path) -> None:
    options = ("--count", "50", "--balance", "--weight", "niqe=2", "--higher-is-better", "scores:x", "--seed", "3")
    done = run("pair", labelled, *options, "--plots", tmp_path / "plots", "--export", tmp_path / "set")
    assert done.code == 0, done.err
    assert "left out: liar: rank correlation -0" in done.err
    assert f"{VIDEOS} videos labelled" in done.out
    assert len(read_artifact(labelled / "labels", PseudoLabelRow).rows) == VIDEOS
    pairs = read_artifact(labelled / "pairs", PoolPairRow)
    assert pairs.manifest.extra["levels"] == {"ensemble": [10] * 5}
    assert pairs.manifest.seed == 3
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"niqe.png", "scores-x.png"}
    back = run("pair", "--import-json", tmp_path / "set" / "pairs.json", "--output", tmp_path / "back")
    assert back.code == 0, back.err
    assert read_artifact(tmp_path / "back" / "pairs", PoolPairRow).rows == pairs.rows


def test_a_direction_that_nobody_knows_is_asked_for(run: Run, labelled: Path) -> None:
    done = run("pair", labelled)
    assert done.code == 1
    assert "--higher-is-better" in done.err
    assert len(done.err.splitlines()) == 1


def test_unusable_items_are_told_and_the_rest_is_stored(run: Run, tmp_path: Path) -> None:
    turns = [{"from": "gpt", "value": "The quality of the second video is better to the first video."}]
    (tmp_path / "l.json").write_text(json.dumps([{"image": ["a", "b"], "conversations": turns}, 5]))
    done = run("pair", "--import-json", "l.json", "--output", "out")
    assert done.code == 1
    assert "l.json: item 1 is no record" in done.err
    assert len(read_artifact(tmp_path / "out" / "pairs", PoolPairRow).rows) == 1


@pytest.mark.parametrize(
    "arguments",
    [(), ("--import-json", "x"), ("d", "--output", "o"), ("d", "--variance", "none"), ("d", "--weight", "a")],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("pair", *arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_weights_are_read_from_the_last_sign() -> None:
    assert parse_weights(["a=2", "scores:x=y.csv=0.5"]) == {"a": 2.0, "scores:x=y.csv": 0.5}


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=-1", "a=nan", "a=inf"])
def test_weights_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="NAME=W"):
        parse_weights([text])
    with pytest.raises(typer.BadParameter, match="twice"):
        parse_weights(["a=1", "a=2"])
