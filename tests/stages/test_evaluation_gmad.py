"""Two models against each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_cases import rated, scored, write_table

from w2svqa.core.errors import ConfigError
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluate import EvaluateConfig, Evaluation, evaluate
from w2svqa.stages.evaluation_gmad import compete
from w2svqa.stages.evaluation_models import rated_set
from w2svqa.stages.ratings import read_ratings

pytest.importorskip("scipy")

PLAIN = EvaluateConfig(resamples=0)


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    return evaluate([rated(tmp_path)], [scored(tmp_path, "good", 0.1), scored(tmp_path, "blind", 20)], None, PLAIN)


def test_pairs_are_equal_to_one_model_and_far_apart_to_the_other(evaluation: Evaluation) -> None:
    found = compete(evaluation, "good", "blind", pairs=3, bins=4)
    assert (found.models, found.videos) == (("good", "blind"), 40)
    assert [duel.attacked for duel in found.duels] == ["blind"] * 3 + ["good"] * 3
    for duel in found.duels:
        sides = {"good": 0, "blind": 1}
        held, seen = sides[duel.holder], sides[duel.attacked]
        assert duel.better.places[seen] - duel.worse.places[seen] == pytest.approx(duel.gap)
        assert duel.better.scores[seen] > duel.worse.scores[seen]
        assert abs(duel.better.places[held] - duel.worse.places[held]) < duel.gap
    names = [video.video for duel in found.duels for video in (duel.better, duel.worse)]
    assert len(set(names)) == len(names)


def test_people_side_with_the_model_that_follows_them(evaluation: Evaluation) -> None:
    found = compete(evaluation, "good", "blind", pairs=4, bins=4)
    attacked_good = [duel.agrees for duel in found.duels if duel.attacked == "good"]
    assert attacked_good.count(True) == len(attacked_good)


def test_directions_of_scales_are_minded(tmp_path: Path, evaluation: Evaluation) -> None:
    mine = Benchmark(name="mine", higher_is_better=False)
    tables = [scored(tmp_path, "good", 0.1, sign=-1), scored(tmp_path, "blind", 20)]
    models = [replace(tables[0], higher_is_better=False), tables[1]]
    turned = evaluate([rated(tmp_path, benchmark=mine)], models, None, PLAIN)
    plain, found = (compete(each, "good", "blind", pairs=2, bins=4) for each in (evaluation, turned))
    named = [[(duel.better.video, duel.worse.video) for duel in each.duels] for each in (plain, found)]
    assert named[0] == named[1]
    verdicts = [[duel.agrees for duel in each.duels] for each in (plain, found)]
    assert verdicts[0] == [None if each is None else not each for each in verdicts[1]]


def test_videos_of_different_benchmarks_are_not_judged_by_ratings(tmp_path: Path) -> None:
    names = [f"w{number}" for number in range(40)]
    path = write_table(tmp_path / "other.csv", names, mos=[float(number) for number in range(40)])
    sets = [rated(tmp_path), rated_set(read_ratings(path, Benchmark(name="other")), None)]
    one, two = scored(tmp_path, "one", 0.1), scored(tmp_path, "two", 9.0)
    more = write_table(tmp_path / "more.csv", names, score=[float(number % 7) for number in range(40)])
    models = [replace(each, paths=(*each.paths, str(more))) for each in (one, two)]
    found = compete(evaluate(sets, models, None, PLAIN), "one", "two", pairs=6, bins=2)
    assert found.videos == 80
    for duel in found.duels:
        if duel.better.benchmark != duel.worse.benchmark:
            assert duel.agrees is None


def test_models_must_be_two_that_were_evaluated(evaluation: Evaluation) -> None:
    with pytest.raises(ConfigError, match=r"'god' was not evaluated.*did you mean 'good'"):
        compete(evaluation, "god", "blind")
    with pytest.raises(ConfigError, match="name two models"):
        compete(evaluation, "good", "good")


def test_models_that_agree_have_no_pairs(tmp_path: Path) -> None:
    one = scored(tmp_path, "one", 0.0)
    found = compete(evaluate([rated(tmp_path, 8)], [one, replace(one, name="two")], None, PLAIN), "one", "two", bins=40)
    assert found.duels == ()
