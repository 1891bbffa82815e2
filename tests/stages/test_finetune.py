"""The whole of a fine-tuning on small rated pictures: what is kept, what is refused, and that a rerun goes on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rated_pictures import picture, write_rated

from w2svqa.core.errors import ConfigError, InputError, StoreError
from w2svqa.core.files import hold
from w2svqa.stages import finetune as stage
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluate import EvaluateConfig, evaluate
from w2svqa.stages.evaluation_models import RatedSet, rated_set
from w2svqa.stages.evaluation_statistics import Estimate
from w2svqa.stages.finetune import FinetuneConfig, finetune, srcc_of
from w2svqa.stages.finetune_folds import FoldConfig, FoldFound, run_fold
from w2svqa.stages.finetune_ladder import LadderChange
from w2svqa.stages.finetune_material import Source
from w2svqa.stages.finetune_train import Candidate, TuneConfig
from w2svqa.stages.pool_teachers import PoolTeacher
from w2svqa.stages.ratings import read_ratings
from w2svqa.stages.score import Scorer
from w2svqa.students.bundle import load_bundle

CONFIG = FinetuneConfig(
    folds=FoldConfig(
        tune=TuneConfig(
            objective="scores",
            candidates=(Candidate(parts="token", pull=0.001, rate=3e-3),),
            steps=20,
            check_steps=10,
        ),
        folds=2,
        inner=2,
        tolerance=0.1,
    ),
    ladder_contents=3,
    kinds=("blur", "noise"),
    resamples=50,
    license="CC0",
)


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Leave out the export, which takes seconds; return where bundles would have been written."""
    written: list[Path] = []

    def remember(*arguments: object) -> None:
        target = arguments[-1]
        assert isinstance(target, Path)
        written.append(target)

    monkeypatch.setattr(stage, "write_tuned", remember)
    return written


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> RatedSet:
    """Pictures that no test changes."""
    return write_rated(tmp_path_factory.mktemp("rated"))


@pytest.fixture(scope="module")
def decoded(rated: RatedSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which they and their ladders are decoded, to be copied."""
    place = tmp_path_factory.mktemp("work")
    source = Source(place=place, student="compact", config=CONFIG, progress=lambda *_: None)
    source.material(source.read(rated, None)[0])
    return place


@pytest.fixture
def work(decoded: Path, tmp_path: Path) -> Path:
    """A work folder of one's own."""
    return Path(shutil.copytree(decoded, tmp_path / "work"))


def shuffled(rated: RatedSet) -> RatedSet:
    """The same pictures with ratings that say nothing of them."""
    values = [row.value for row in rated.ratings.rows]
    order = np.random.default_rng(0).permutation(len(values)).tolist()
    rows = tuple(replace(row, value=values[place]) for row, place in zip(rated.ratings.rows, order, strict=True))
    return replace(rated, ratings=replace(rated.ratings, rows=rows))


@pytest.mark.slow
def test_a_student_that_agrees_better_becomes_a_bundle(rated: RatedSet, work: Path, tmp_path: Path) -> None:
    found = finetune(rated, tmp_path / "new", replace(CONFIG, ends=(0.5, 5.5), name="liked"), work=work)
    assert found.bundle == tmp_path / "new"
    assert found.gain.value == pytest.approx(srcc_of(found.evaluation, "after") - srcc_of(found.evaluation, "before"))
    bundle = load_bundle(found.bundle)
    card = bundle.card
    assert card["name"] == "liked"
    assert card["start"]["name"] == load_bundle().card["name"]
    assert card["scale_meaning"].startswith("0 stands for a rating of 0.5, 100 for one of 5.5")
    assert card["figures"]["ratings"]["srcc"]["after"]["n"] == 24
    assert card["data"]["splits"]["rated"] == 24
    assert card["data"]["licenses"]["CC0"] >= 24
    assert {anchor["kind"] for anchor in card["anchors"]} == {"rated"}
    assert "liked" in (found.bundle / "README.md").read_text()
    # as it ships it says what was measured
    scorer = Scorer(bundle)
    scores = np.array([scorer.score(video.path).raw for video in found.rated.videos[:6]], np.float64)
    ratings = [100 * (video.rating - 0.5) / 5 for video in found.rated.videos[:6]]
    assert np.corrcoef(scores, np.array(ratings))[0, 1] > 0.8
    # and is not evaluated on what it learned from
    with pytest.raises(ConfigError, match="was trained on 24 of the videos"):
        evaluate([rated], [PoolTeacher(name=f"student:{found.bundle}")], tmp_path / "again", EvaluateConfig())


def test_a_rerun_repeats_no_finished_fold(
    rated: RatedSet, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unwritten: list[Path]
) -> None:
    whole = finetune(rated, tmp_path / "whole", CONFIG, work=shutil.copytree(work, tmp_path / "other"))
    done: list[int] = []

    def stop_after_one(*arguments: Any) -> FoldFound:  # noqa: ANN401
        if arguments[2] == 1:
            raise KeyboardInterrupt
        return run_fold(*arguments)

    def counted(*arguments: Any) -> FoldFound:  # noqa: ANN401
        done.append(arguments[2])
        return run_fold(*arguments)

    monkeypatch.setattr(stage, "run_fold", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        finetune(rated, tmp_path / "new", CONFIG, work=work)
    monkeypatch.setattr(stage, "run_fold", counted)
    found = finetune(rated, tmp_path / "new", CONFIG, work=work)
    assert done == [1]
    assert found.folds == whole.folds
    assert found.ladder == whole.ladder
    assert unwritten == [tmp_path / "whole", tmp_path / "new"]
    # other settings are other folds, beside those that are there
    finetune(rated, tmp_path / "new", replace(CONFIG, folds=replace(CONFIG.folds, seed=1)), work=work)
    assert done == [1, 0, 1]


def test_ratings_that_say_nothing_change_nothing(
    rated: RatedSet, work: Path, tmp_path: Path, unwritten: list[Path]
) -> None:
    found = finetune(shuffled(rated), tmp_path / "new", replace(CONFIG, certain=True), work=work)
    assert found.bundle is None
    assert unwritten == []
    assert found.gain.low < 0
    assert any("did not rise" in reason or "may be chance" in reason for reason in found.refused)


def test_a_gain_that_may_be_chance_is_told_or_refused_on_request(
    rated: RatedSet, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unwritten: list[Path]
) -> None:
    monkeypatch.setattr(stage, "gain_of", lambda _: Estimate(value=0.1, low=-0.05, high=0.2))
    told = "the gain of SRCC may be chance: +0.100, 95 % interval -0.050 to +0.200"
    found = finetune(rated, tmp_path / "new", replace(CONFIG, certain=True), work=work)
    assert found.refused == (told,)
    assert unwritten == []
    kept = finetune(rated, tmp_path / "new", CONFIG, work=work)
    assert kept.bundle == tmp_path / "new"
    assert told in kept.notes
    assert kept.folds == found.folds


def test_a_student_that_orders_severities_worse_is_not_kept(
    rated: RatedSet, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unwritten: list[Path]
) -> None:
    fallen = LadderChange(before=0.9, after=0.79, low=-0.2, high=0.0, final=0.9, pairs=40, contents=3)
    monkeypatch.setattr(stage, "ladder_change", lambda *_, **__: fallen)
    found = finetune(rated, tmp_path / "new", CONFIG, work=work)
    assert found.bundle is None
    [reason] = found.refused
    assert reason.startswith("the share of severities in the right order fell by 0.110, from 0.900; 0.1 is allowed")
    assert unwritten == []
    assert replace(fallen, after=0.9, final=0.7).fall == pytest.approx(0.2)  # the student that is kept counts too


def test_a_separate_test_is_only_measured(rated: RatedSet, work: Path, tmp_path: Path, unwritten: list[Path]) -> None:
    test = write_rated(tmp_path / "test", contents=6)
    pictures = tmp_path / "test" / "pictures"
    with pytest.raises(ConfigError, match="12 videos are in training and test"):
        finetune(rated, tmp_path / "new", CONFIG, test=test, work=work)
    for content in range(6):
        for size in (1, 8):
            Image.fromarray(picture(100 + content, size)).save(pictures / f"{content}-{size}.png")
    found = finetune(rated, tmp_path / "new", CONFIG, test=test, work=work)
    assert found.test is not None
    assert [row.n for row in found.test.figures if row.measure == "srcc" and not row.facet] == [12, 12]
    for path in pictures.iterdir():
        path.write_bytes(f"no picture, {path.name}".encode())
    with pytest.raises(InputError, match="no video of the test can be decoded"):
        finetune(rated, tmp_path / "new", CONFIG, test=test, work=work)
    alone = finetune(rated, tmp_path / "new", CONFIG, work=work)
    assert alone.folds == found.folds
    assert unwritten


def test_bad_files_are_left_out_and_too_few_are_refused(tmp_path: Path, unwritten: list[Path]) -> None:
    rated = write_rated(tmp_path)
    (tmp_path / "pictures" / "3-8.png").write_bytes(b"no picture")
    found = finetune(rated, tmp_path / "new", CONFIG)
    assert len(found.rated.videos) == 23
    assert any("left out" in note and "3-8.png" in note for note in found.notes)
    assert any("23 videos are few" in note for note in found.notes)
    few = replace(rated, ratings=replace(rated.ratings, rows=rated.ratings.rows[:19]))
    with pytest.raises(InputError, match="19 rated videos of pictures are here, fine-tuning takes 20"):
        finetune(few, tmp_path / "few", CONFIG)
    assert not (tmp_path / "few.work" / "seen").exists()  # nothing was decoded for it
    assert unwritten


def test_differential_ratings_fall(tmp_path: Path, unwritten: list[Path]) -> None:
    write_rated(tmp_path)
    lines = (tmp_path / "mos.csv").read_text().splitlines()
    turned = [lines[0]]
    for line in lines[1:]:
        name, mos, *rest = line.split(",")
        turned.append(",".join((name, f"{6 - float(mos):.3f}", *rest)))
    (tmp_path / "mos.csv").write_text("\n".join(turned) + "\n")
    ratings = read_ratings(tmp_path / "mos.csv", Benchmark(name="pictures", higher_is_better=False))
    found = finetune(rated_set(ratings, tmp_path / "pictures"), tmp_path / "new", CONFIG)
    assert srcc_of(found.evaluation, "after") > 0.5
    assert unwritten


def test_what_cannot_be_is_said(rated: RatedSet, work: Path, tmp_path: Path, unwritten: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"ratings from .* on a scale from 1 to 4"):
        finetune(rated, tmp_path / "new", replace(CONFIG, ends=(1.0, 4.0)), work=work)
    with pytest.raises(ConfigError, match="a scale from 5 to 1"):
        replace(CONFIG, ends=(5.0, 1.0))
    with pytest.raises(ConfigError, match="1 folds"):
        replace(CONFIG, folds=replace(CONFIG.folds, folds=1))
    with hold(work), pytest.raises(StoreError, match="held by"):
        finetune(rated, tmp_path / "new", CONFIG, work=work)
    assert unwritten == []
