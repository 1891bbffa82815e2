"""Fine-tuning on precomputed features: tables, splits that share no content, and a student that can be read again."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.errors import ConfigError, InputError, StoreError
from w2svqa.core.random import generator
from w2svqa.stages import finetune_features as stage
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.feature_training import FeatureTrainConfig
from w2svqa.stages.finetune_features import (
    FeatureTuneConfig,
    RatedFeatures,
    feature_scores,
    finetune_features,
    held_out_places,
    read_feature_student,
    read_features,
)
from w2svqa.stages.ratings import Rating, Ratings, read_ratings

CONFIG = FeatureTuneConfig(
    seeds=2,
    inner=2,
    members=2,
    candidates=(FeatureTrainConfig(epochs=0), FeatureTrainConfig(epochs=12, batch=16, learning_rate=3e-3)),
)


def rated(count: int = 80, *, contents: int = 40, higher: bool = True) -> RatedFeatures:
    """Features of which the first tells the rating; one is missing now and then."""
    random = generator(0, "features")
    features = random.normal(size=(count, 5))
    values = 3 + features[:, 0] + 0.1 * random.normal(size=count)
    features[::7, 4] = np.nan
    rows = tuple(
        Rating(
            name=f"v{place}",
            value=value if higher else -value,
            deviation=float("nan"),
            content=f"c{place % contents}",
            distortion="",
        )
        for place, value in enumerate(values.tolist())
    )
    return RatedFeatures(features=features, rows=rows, higher_is_better=higher, columns=tuple("abcde"), notes=())


def table(path: Path, columns: dict[str, list[object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def some_ratings(count: int = 60) -> Ratings:
    rows = tuple(
        Rating(name=f"v{place}.mp4", value=float(place), deviation=float("nan"), content=f"v{place}", distortion="")
        for place in range(count)
    )
    return Ratings(benchmark=Benchmark(name="mine"), rows=rows, sha256="0" * 64, notes=())


def test_tables_are_joined_by_name_and_ratings_are_no_features(tmp_path: Path) -> None:
    names: list[object] = [f"V{place}" for place in reversed(range(60))]
    mos: list[object] = [str(place) for place in range(60)]
    first = table(tmp_path / "a.csv", {"name": names, "mos": mos, "one": [str(-place) for place in range(60)]})
    gaps: list[object] = ["" if place == 3 else "inf" if place == 4 else "2" for place in range(60)]
    second = table(tmp_path / "b.csv", {"video": names, "text": ["red"] * 60, "two": gaps, "mos_std": mos})
    found = read_features([first, second], some_ratings())
    assert found.columns == ("one", "two")
    assert found.features[0, 0] == -59
    assert np.isnan(found.features[56, 1])
    assert np.isinf(found.features[55, 1])
    assert sum("no features" in note for note in found.notes) == 2


def test_tables_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    names: list[object] = [f"v{place}" for place in range(60)]
    numbers: list[object] = ["1"] * 60
    with pytest.raises(ConfigError, match="no table of features"):
        read_features([], some_ratings())
    with pytest.raises(InputError, match=r"has no column of names .it has f, g"):
        read_features([table(tmp_path / "a.csv", {"f": numbers, "g": numbers})], some_ratings())
    with pytest.raises(InputError, match="has no column of numbers"):
        read_features([table(tmp_path / "b.csv", {"name": names, "mos": numbers})], some_ratings())
    with pytest.raises(InputError, match="has v1 twice"):
        read_features([table(tmp_path / "c.csv", {"name": [*names[:-1], "v1"], "f": numbers})], some_ratings())
    with pytest.raises(InputError, match="40 of 60 rated videos have features, 50 are needed"):
        read_features([table(tmp_path / "d.csv", {"name": names[:40], "f": numbers[:40]})], some_ratings())


@given(st.lists(st.sampled_from("abcdefghij"), min_size=10, max_size=60), st.integers(0, 5))
def test_a_test_part_is_whole_contents_of_about_the_share(contents: list[str], seed: int) -> None:
    places = held_out_places(contents, 0.2, seed).tolist()
    inside = {contents[place] for place in places}
    assert [place for place, content in enumerate(contents) if content in inside] == places
    most = max(contents.count(content) for content in inside)
    assert 0.2 * len(contents) <= len(places) < 0.2 * len(contents) + most


@pytest.mark.parametrize("objective", ["scores", "pairs"])
def test_what_tells_the_rating_is_found(objective: stage.Objective) -> None:
    found = finetune_features(rated(), replace(CONFIG, objective=objective, pairs_per_video=4, members=1))
    assert [seed.candidate for seed in found.seeds] == [1, 1]
    assert found.mean("srcc")[0] > 0.8
    for seed in found.seeds:
        inside = {rated().contents[place] for place in seed.test}
        assert not inside & {rated().contents[place] for place in range(80) if place not in seed.test}


def test_test_ratings_change_nothing_but_the_figures() -> None:
    one = rated()
    [seed] = finetune_features(one, replace(CONFIG, seeds=1)).seeds
    rows = tuple(replace(row, value=6 - row.value) if place in seed.test else row for place, row in enumerate(one.rows))
    [again] = finetune_features(replace(one, rows=rows), replace(CONFIG, seeds=1)).seeds
    assert (again.test, again.candidate, again.scores) == (seed.test, seed.candidate, seed.scores)
    assert again.figures["srcc"] == pytest.approx(-seed.figures["srcc"])


def test_ratings_of_the_other_direction_give_the_mirrored_student() -> None:
    up, down = (finetune_features(rated(higher=higher), replace(CONFIG, seeds=1)) for higher in (True, False))
    assert up.seeds[0].scores == down.seeds[0].scores


def test_a_student_is_read_again_and_seeds_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = finetune_features(rated(), CONFIG, tmp_path)
    members, columns = read_feature_student(tmp_path)
    assert columns == tuple("abcde")
    features = rated().features
    assert feature_scores(members, features).tolist() == feature_scores(found.members, features).tolist()
    tested = {row["name"] for row in csv.DictReader((tmp_path / "scores.csv").read_text().splitlines())}
    assert tested == {f"v{place}" for seed in found.seeds for place in seed.test}
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["figures"]["srcc"]["n"] == 2

    asked: list[int] = []
    places = stage.held_out_places

    def counted(contents: list[str], share: float, seed: int) -> object:
        asked.append(seed)
        return places(contents, share, seed)

    monkeypatch.setattr(stage, "held_out_places", counted)
    again = finetune_features(rated(), replace(CONFIG, seeds=3), tmp_path)
    assert asked == [2]
    assert again.seeds[:2] == found.seeds
    with pytest.raises(StoreError, match="another configuration"):
        finetune_features(rated(), replace(CONFIG, members=1), tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="holds no feature student"):
        read_feature_student(tmp_path)


def test_what_cannot_be_divided_or_learned_is_refused() -> None:
    with pytest.raises(InputError, match="3 contents are too few"):
        finetune_features(rated(contents=3), CONFIG)
    one = rated()
    same = replace(one, rows=tuple(replace(row, value=2.0) for row in one.rows))
    with pytest.raises(InputError, match="all ratings are the same"):
        finetune_features(same, CONFIG)
    with pytest.raises(ConfigError, match="0 seeds"):
        FeatureTuneConfig(seeds=0)


def test_real_ratings_are_read_as_elsewhere(tmp_path: Path) -> None:
    path = table(tmp_path / "mos.csv", {"name": [f"v{place}" for place in range(60)], "mos": list(range(60))})
    features = table(tmp_path / "f.csv", {"name": [f"v{place}.mp4" for place in range(60)], "f": list(range(60))})
    found = read_features([features], read_ratings(path, Benchmark(name="mine")))
    assert found.features[:, 0].tolist() == found.values.tolist()
