"""What a card says of a fine-tuning: figures with N and sign, and an interval that holds ratings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rated_pictures import rated_videos

from w2svqa.core.random import generator
from w2svqa.report.finetune_text import lines
from w2svqa.stages.evaluate import EvaluateConfig, Evaluation, evaluate
from w2svqa.stages.evaluation_models import RatedSet, ScoreTable
from w2svqa.stages.finetune import AFTER, BEFORE, Finetuned, gain_of
from w2svqa.stages.finetune_bundle import agreement_figures, fit_interval, ladder_entry
from w2svqa.stages.finetune_data import content_folds
from w2svqa.stages.finetune_folds import Choice
from w2svqa.stages.finetune_ladder import LadderChange

COUNT = 60


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """One that got better: before says nothing, after nearly all."""
    rated = rated_videos([float(place) for place in range(COUNT)], [f"c{place}" for place in range(COUNT)])
    random = generator(0, "bundle")
    tables = []
    for name, noise in ((BEFORE, 80.0), (AFTER, 8.0)):
        scores = rated.values + noise * random.normal(size=COUNT)
        path = tmp_path / f"{name}.csv"
        said = [f"{video.name},{score}\n" for video, score in zip(rated.videos, scores.tolist(), strict=True)]
        path.write_text("name,score\n" + "".join(said))
        tables.append(ScoreTable(name=name, paths=(str(path),)))
    return evaluate([RatedSet(ratings=rated.ratings)], tables, None, EvaluateConfig(resamples=100))


def test_a_gain_is_after_minus_before(evaluation: Evaluation) -> None:
    figures = agreement_figures(evaluation.figures, evaluation.differences, BEFORE, AFTER)
    srcc = figures["srcc"]
    assert isinstance(srcc, dict)
    assert srcc["after"]["value"] > 0.9 > 0.5 > srcc["before"]["value"]
    assert srcc["gain"]["value"] == pytest.approx(srcc["after"]["value"] - srcc["before"]["value"], abs=2e-4)
    low, high = srcc["gain"]["interval"]
    assert 0 < low < srcc["gain"]["value"] < high
    assert srcc["gain"]["n"] == COUNT
    assert set(figures) == {"srcc", "krcc", "plcc", "rmse"}
    gain = gain_of(evaluation)
    assert (round(gain.value, 4), round(gain.low, 4), round(gain.high, 4)) == (srcc["gain"]["value"], low, high)


def test_intervals_hold_new_ratings() -> None:
    random = generator(1, "interval")
    count = 400
    contents = [f"c{place // 2}" for place in range(count)]
    raw = random.uniform(0, 100, count)
    deviation = random.uniform(1, 3, count)
    target = raw + 4 * deviation * random.normal(size=count)
    folds = content_folds(contents, 5, 0)
    found = fit_interval(raw, deviation, target, folds, contents, seed=0)
    assert found.factor == pytest.approx(4 * 1.645, rel=0.15)
    assert 0.86 < found.coverage.share < 0.94
    assert found.coverage.low < found.coverage.share < found.coverage.high
    assert (found.coverage.count, found.coverage.contents) == (count, 200)
    # what a fold is measured with is not fitted on it: a fold of outliers is not held
    target[folds == 0] += 1000
    assert fit_interval(raw, deviation, target, folds, contents, seed=0).coverage.share < 0.85


def test_a_card_without_a_ladder_says_nothing_of_it() -> None:
    none = LadderChange(before=np.nan, after=np.nan, low=np.nan, high=np.nan, final=np.nan, pairs=0, contents=0)
    assert ladder_entry(none) == {}


def test_lines_for_a_terminal(evaluation: Evaluation, tmp_path: Path) -> None:
    rated = rated_videos([1.0, 2.0], ["a", "b"])
    interval = fit_interval(
        np.arange(40.0),
        np.ones(40),
        np.arange(40.0) + 1,
        np.arange(40) % 2,
        [str(place) for place in range(40)],
        seed=0,
    )
    found = Finetuned(
        bundle=None,
        refused=("so",),
        rated=rated,
        folds=(),
        choice=Choice(candidate=1, steps=40, before=0.5, after=0.6),
        evaluation=evaluation,
        test=evaluation,
        ladder=LadderChange(before=0.9, after=0.95, low=0.01, high=0.08, final=0.97, pairs=40, contents=3),
        interval=interval,
        same_reason=0.98,
        work=tmp_path,
        notes=(),
    )
    text = list(lines(found))
    assert sum(line.startswith("SRCC ") for line in text) == 2  # of the folds, and of the separate test
    srcc = next(line for line in text if line.startswith("SRCC "))
    assert srcc.split()[-3].startswith("0.")  # a gain, not a loss
    assert "severities in order: 0.900 before, 0.950 after (0.050 [0.010, 0.080]), 0.970 the new student" in "\n".join(
        text
    )
    assert text[-1] == "new student: 40 steps of candidate 2"
