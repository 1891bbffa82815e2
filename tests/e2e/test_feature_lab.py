"""The feature lab on made-up features whose truth is known."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

import _feature_arms
import _feature_data as data
import feature_lab
from _feature_arms import Bench
from _feature_stages import Settings, label_pairs, next_stage, record, say_together, student_levels, without_confidence
from _feature_tables import Draws, correlate, correlations_within, difference, rank_correlations
from w2svqa.core.errors import InputError, W2SVQAError
from w2svqa.core.statistics import spearman
from w2svqa.stages.feature_training import FeatureTrainConfig, train_on_pairs

Floats = NDArray[np.float64]
QUICK = Settings(train=FeatureTrainConfig(epochs=3, batch=128, hidden=16, learning_rate=1e-2), pairs_per_video=8)
PLACES = {
    "labelled": "d22fc231bd3578bc",
    "pool_in": "6d1ab4abee20f62b",
    "test_in": "bed5068cef759f8b",
    "pool_ood": "e9531f119a8aeb3c",
    "test_ood": "df0388a66dfb3059",
}
"""Hashes of the places of each part's videos: they move if the split, or the generator under it, does."""


def part(name: str, quality: Floats, seed: int) -> data.Part:
    """Videos of which every feature set shows the quality under noise of its own, with some cells missing."""
    random = np.random.default_rng(seed)
    sets = {}
    for each in data.SETS:
        values = quality[:, None] + random.normal(scale=0.7, size=(len(quality), 3))
        values[::13, 0], values[::19, 1] = np.nan, np.inf
        sets[each] = values
    return data.Part(names=tuple(f"{name}{place:03}" for place in range(len(quality))), sets=sets)


def made_up() -> tuple[data.Material, data.Truth]:
    random = np.random.default_rng(1)
    known, pool, inside, outside = (random.normal(size=count) for count in (60, 90, 60, 60))
    material = data.Material(
        labelled=part("l", known, 2),
        ratings=known,
        pool=part("p", pool, 3),
        known=50,
        inside=part("i", inside, 4),
        outside=part("o", outside, 5),
    )
    lines = np.repeat([360, 1080], 30)
    return material, data.Truth(pool=pool, inside=inside, outside=outside, lines=lines)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (_feature_arms, feature_lab):
            patch.setattr(module, "SETTINGS", QUICK)
        yield _feature_arms.prepare(*made_up(), small=True)


@pytest.fixture(scope="module")
def seed(bench: Bench) -> dict[str, Any]:
    """What one seed finds."""
    return _feature_arms.run_seed(bench, 0)


def options(**given: Any) -> argparse.Namespace:  # noqa: ANN401 - as argparse has it
    return argparse.Namespace(**{"output": None, "seeds": 2, "workers": 1, "resamples": 20, "small": True} | given)


def test_the_split_is_disjoint_complete_and_the_one_that_is_written_down() -> None:
    rule = json.loads(data.SPLITS.read_text(encoding="utf-8"))
    found: dict[str, NDArray[np.int64]] = {}
    for name, videos in (("KoNViD-1k", 1200), ("YouTube-UGC", 1201)):
        parts = data.split(videos, rule["parts"][name], rule["seed"], name)
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(videos))
        found |= parts
    assert {key: len(places) for key, places in found.items()} == {
        "labelled": 400,
        "pool_in": 500,
        "test_in": 300,
        "pool_ood": 600,
        "test_ood": 601,
    }
    assert {key: data.names_hash([str(place) for place in places])[:16] for key, places in found.items()} == PLACES
    assert rule["sha256"].keys() == PLACES.keys()


def test_features_are_read_by_name_and_other_videos_than_those_of_the_split_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, count in (("konvid1k", 12), ("ytugc", 7)):
        for name in (*data.SETS, "metadata"):
            write_table(tmp_path / "features" / folder / f"{name}.csv", name, folder, count)
    with pytest.raises(InputError, match="other videos than were written down"):
        data.read_material(tmp_path)
    rule = {"seed": 6, "parts": {"KoNViD-1k": {"labelled": 4, "pool_in": 5, "test_in": 3}}, "sha256": {}}
    rule["parts"]["YouTube-UGC"] = {"pool_ood": None, "test_ood": None}  # type: ignore[index]
    (tmp_path / "splits.json").write_text(json.dumps(rule), encoding="utf-8")
    monkeypatch.setattr(data, "SPLITS", tmp_path / "splits.json")
    material, truth = data.read_material(tmp_path)
    assert [len(each.names) for each in (material.labelled, material.pool, material.inside, material.outside)] == [
        4,
        5 + 3,
        3,
        4,
    ]
    for each, ratings in ((material.labelled, material.ratings), (material.pool, truth.pool)):
        assert ratings.tolist() == [rating_of(name) for name in each.names]
        assert each.sets["niqe"][:, 0].tolist() == [10 * rating_of(name) for name in each.names]
        assert np.isnan(each.sets["niqe"][:, 1]).all()
    assert set(truth.lines.tolist()) == {720}


def rating_of(name: str) -> float:
    return 1 + int(name[-2:]) / 10


def write_table(path: Path, table: str, folder: str, count: int) -> None:
    names = [f"{folder}{number:02}" for number in range(count)]
    names = names[::-1] if table == "niqe" else names
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if table == "metadata":
            writer.writerow(["name", "mos", "height", "resolution"][: 4 if folder == "ytugc" else 3])
            writer.writerows([name, rating_of(name), 540, 720][: 4 if folder == "ytugc" else 3] for name in names)
        else:
            writer.writerow(["name", "mos", "mos_std", "a", "b"])
            writer.writerows([name, 0, 0, 10 * rating_of(name), ""] for name in names)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metadata\.csv"):
        data.read_material(tmp_path)


def test_without_data_it_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("W2SVQA_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["feature_lab.py"])
    with pytest.raises(SystemExit) as ended:
        feature_lab.main()
    assert ended.value.code == 2
    assert "--data" in capsys.readouterr().err


def test_folds_hold_out_labelled_videos_and_show_no_other_rating() -> None:
    material, truth = made_up()
    held: list[str] = []
    for fold in range(data.FOLDS):
        inner, ratings = data.held_out_fold(material, truth, fold)
        assert not set(inner.labelled.names) & set(inner.inside.names)
        assert inner.outside.names == inner.inside.names
        assert np.isnan(ratings.pool).all()
        held += inner.inside.names
    assert sorted(held) == sorted(material.labelled.names)


@pytest.mark.slow
def test_every_student_learns_the_order_and_the_ensemble_is_better_than_its_teachers(
    bench: Bench, seed: dict[str, Any]
) -> None:
    best = max(spearman(scores, bench.truth.outside) for scores in bench.teachers["outside"].values())
    for name, scores in seed["scores"].items():
        assert spearman(scores["ood"], bench.truth.outside) > 0.6, name
    for name in ("ensemble", "+ confidence", "+ stage 2", "+ stage 3"):
        assert spearman(seed["scores"][name]["ood"], bench.truth.outside) > best, name
    labels = seed["labels"]
    assert labels["all teachers"]["right_in"] > max(labels[name]["right_in"] for name in data.TEACHERS)
    assert labels["brisque"]["agreement"] is None
    assert 0.4 < labels["+ stage 2"]["agreement"] <= 1


@pytest.mark.slow
def test_no_rating_of_pool_or_tests_reaches_a_student(bench: Bench, seed: dict[str, Any]) -> None:
    truth = bench.truth
    hidden = data.Truth(pool=-truth.pool, inside=truth.inside * 0, outside=-truth.outside, lines=truth.lines)
    assert _feature_arms.run_seed(dataclasses.replace(bench, truth=hidden), 0)["scores"] == seed["scores"]


@pytest.mark.parametrize("labelled_by", ["direct", "scores", "together"])
def test_each_way_of_labelling_gives_levels_that_follow_the_truth(
    bench: Bench,
    labelled_by: Any,  # noqa: ANN401 - one of three words
) -> None:
    lab = bench.lab(dataclasses.replace(QUICK, labelled_by=labelled_by), 0)
    student = _feature_arms.first_stage(lab, "ensemble")
    worst, best = np.argsort(bench.truth.pool)[:10], np.argsort(bench.truth.pool)[-10:]
    assert (student_levels(lab, student, worst, best) >= 2).all()
    assert (student_levels(lab, student, worst, best) > 2).mean() > 0.5
    np.testing.assert_array_equal(
        student_levels(lab, student, best, worst), 4 - student_levels(lab, student, worst, best)
    )


def test_stage_2_learns_from_the_pairs_before_and_as_many_more_as_asked_for(bench: Bench) -> None:
    lab = bench.lab(QUICK, 0)
    before = _feature_arms.first_stage(lab, "+ confidence")
    picks: tuple[Literal["gmad", "random"], ...] = ("gmad", "random")
    for pick in picks:
        after = next_stage(lab, before, 2, pick=pick)
        np.testing.assert_array_equal(after.pairs.first[: lab.first_count], before.pairs.first)
        assert len(after.pairs.first) == lab.first_count + lab.later_count


def test_known_domain_first_shows_the_first_stage_no_other_video(bench: Bench) -> None:
    settings = dataclasses.replace(QUICK, known_first=True)
    before = _feature_arms.first_stage(bench.lab(settings, 0), "ensemble")
    known = bench.material.known
    assert max(before.pairs.first.max(), before.pairs.second.max()) < known
    seen, plain = bench.material.pool.features[:known], without_confidence(bench.lab(settings, 0))
    again = train_on_pairs(seen, before.pairs, plain, seed=0)
    for one, two in zip(before.model.state_dict().values(), again.state_dict().values(), strict=True):
        assert one.equal(two)
    after = next_stage(bench.lab(settings, 0), before, 2)
    assert max(after.pairs.first.max(), after.pairs.second.max()) >= known


def test_pairs_of_one_teacher_carry_its_own_order() -> None:
    material, _ = made_up()
    scores = {"only": material.pool.sets["niqe"][:, 2]}
    pairs = label_pairs(material.pool, say_together(material.pool, scores), 300, 0)
    gaps = scores["only"][pairs.second] - scores["only"][pairs.first]
    assert (np.sign(gaps[pairs.level != 2]) == np.sign(pairs.level[pairs.level != 2] - 2)).all()


def test_a_resumed_lab_finds_what_an_uninterrupted_one_does_and_does_nothing_twice(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def quick(bench: Bench, seed: int) -> dict[str, Any]:
        done.append(seed)
        student = _feature_arms.first_stage(bench.lab(QUICK, seed), "ensemble")
        return {"scores": {"ensemble": record(student, bench.material)}, "labels": {}}

    monkeypatch.setattr(feature_lab, "run_seed", quick)
    whole = feature_lab.run_seeds(bench, options())
    done.clear()
    first = feature_lab.run_seeds(bench, options(seeds=1, output=tmp_path))
    assert feature_lab.run_seeds(bench, options(output=tmp_path)) == whole
    assert first == whole[:1]
    assert whole[0] != whole[1]
    assert done == [0, 1]
    monkeypatch.setattr(feature_lab, "SETTINGS", dataclasses.replace(QUICK, hard_share=0.5))
    with pytest.raises(W2SVQAError, match=r"seeds\.jsonl"):
        feature_lab.run_seeds(bench, options(output=tmp_path))


@pytest.mark.slow
def test_the_tables_end_with_one_line_of_json(
    bench: Bench, seed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    known = [f"{stage}: {_feature_arms.KNOWN_FIRST}" for stage in _feature_arms.CHAIN]
    others = ("supervised, pairs", "ensemble: twice the pairs", *known)
    others += tuple(f"student of {name}: {_feature_arms.KNOWN_FIRST}" for name in data.TEACHERS)
    scores = seed["scores"] | dict.fromkeys(others, seed["scores"]["ensemble"])
    feature_lab.show(bench, [seed | {"scores": scores}] * 2, options(small=False))
    printed = capsys.readouterr().out.splitlines()
    found = json.loads(printed[-1])
    row = found["rows"]["+ stage 3"]
    assert (row["seeds"], row["n_in"], row["n_ood"], row["sd_ood"]) == (2, 60, 60, 0)
    assert row["srcc_ood"] == pytest.approx(spearman(seed["scores"]["+ stage 3"]["ood"], bench.truth.outside), abs=1e-4)
    assert found["rows"]["teacher videval"]["seeds"] == 1
    assert any(line.startswith("One student per teacher") for line in printed)
    assert any(line.startswith(others[1]) and "+0.000 [+0.000, +0.000]" in line for line in printed)
    assert sum("wanted" in line for line in printed) >= 4


def test_rank_correlations_are_those_of_scipy_with_ties() -> None:
    random = np.random.default_rng(0)
    scores, ratings = random.integers(5, size=(4, 30)).astype(float), random.integers(4, size=30).astype(float)
    wanted = [spearmanr(row, ratings).statistic for row in scores]
    np.testing.assert_allclose(rank_correlations(scores, ratings), wanted, atol=1e-12)


def test_correlations_within_groups_do_not_see_what_lies_between_them() -> None:
    groups = np.repeat([0, 1], [10, 30])
    ratings = np.concatenate([np.arange(10.0), 100 + np.arange(30.0)])
    within = np.concatenate([100 + np.arange(10.0), np.arange(30.0)])
    between = np.concatenate([-np.arange(10.0), 100 - np.arange(30.0)])
    found = correlations_within(np.stack([within, between]), ratings, groups)
    np.testing.assert_allclose(found, [1, -1], atol=1e-12)
    assert rank_correlations(within[None], ratings)[0] < 0 < rank_correlations(between[None], ratings)[0]


def test_a_paired_interval_holds_a_difference_that_is_there_and_is_empty_for_a_scorer_itself() -> None:
    random = np.random.default_rng(0)
    ratings = random.normal(size=80)
    good, bad = (ratings + random.normal(scale=scale, size=(5, 80)) for scale in (0.3, 2.0))
    draws = Draws.make("in", 5, 80, 200)
    one, other = (correlate(scores, ratings, np.zeros(80, dtype=np.int64), draws) for scores in (good, bad))
    gain, low, high = difference(one, other)
    assert 0 < low < gain < high
    assert difference(one, one) == (0.0, 0.0, 0.0)
    assert not math.isnan(one.deviation)
