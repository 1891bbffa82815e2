"""Cross-validation: test folds are never looked at, choices are made on inner folds, and folds can be kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from finetune_material import CONFIG, material

from w2svqa.core.errors import StoreError
from w2svqa.stages.finetune_data import content_folds
from w2svqa.stages.finetune_folds import (
    UNTOUCHED,
    choose,
    decode_fold,
    encode_fold,
    run_fold,
    train_chosen,
)
from w2svqa.stages.finetune_scale import fit_judge
from w2svqa.stages.finetune_train import LastLayers, qualities


def test_ratings_of_the_test_fold_change_nothing() -> None:
    whole = material()
    folds = content_folds(whole.rated.contents, 3, 0)
    held = set(np.flatnonzero(folds == 1).tolist())
    turned = tuple(
        replace(video, rating=6 - video.rating) if place in held else video
        for place, video in enumerate(whole.rated.videos)
    )
    other = replace(whole, rated=replace(whole.rated, videos=turned))
    found, again = run_fold(whole, folds, 1, CONFIG), run_fold(other, folds, 1, CONFIG)
    assert found == again
    assert set(found.places) == held
    assert set(found.ladders) == held & set(whole.ladders)
    # while those of the others do
    assert run_fold(other, folds, 0, CONFIG) != run_fold(whole, folds, 0, CONFIG)


def test_what_people_like_is_learned_and_scores_are_on_their_scale() -> None:
    whole = material()
    found = run_fold(whole, content_folds(whole.rated.contents, 3, 0), 0, CONFIG)
    points = 100 * (whole.rated.values[list(found.places)] - whole.ends[0]) / (whole.ends[1] - whole.ends[0])
    old = whole.original.score(whole.seen[list(found.places)]).raw
    assert np.corrcoef(found.raw, points)[0, 1] > np.corrcoef(old, points)[0, 1]
    assert found.choice.after > found.choice.before
    assert found.choice.steps in (10, 20)
    assert found.agreed == 1.0  # tokens stay, so the diagnosis does


def test_none_is_chosen_where_nothing_is_better_than_the_old_student() -> None:
    whole = material()
    places = list(range(len(whole.rated.videos)))
    ratings = qualities(LastLayers(whole.model), whole.seen).tolist()
    liked = tuple(replace(video, rating=rating) for video, rating in zip(whole.rated.videos, ratings, strict=True))
    same = replace(whole, rated=replace(whole.rated, videos=liked))
    choice = choose(same, places, CONFIG, "all")
    assert choice.candidate == UNTOUCHED
    assert choice.before == choice.after == 1.0
    assert train_chosen(same, places, choice, CONFIG) is same.model


def test_no_training_is_allowed_that_puts_severities_out_of_order() -> None:
    whole = material()
    upside_down = {
        place: replace(ladder, levels=tuple(reversed(ladder.levels))) for place, ladder in whole.ladders.items()
    }
    places = list(range(len(whole.rated.videos)))
    free = replace(CONFIG, tune=replace(CONFIG.tune, ladder_weight=0.0), tolerance=1.0)
    strict = replace(free, tolerance=-1.1)  # nothing is as good as that
    against = replace(whole, ladders=upside_down)
    assert choose(against, places, free, "all").candidate == 0
    assert choose(against, places, strict, "all").candidate == UNTOUCHED
    # without a ladder nothing is known to fall
    assert choose(replace(whole, ladders={}), places, CONFIG, "all").candidate == 0


def test_a_fold_survives_a_journal() -> None:
    whole = material()
    found = run_fold(whole, content_folds(whole.rated.contents, 3, 0), 2, CONFIG)
    assert decode_fold(encode_fold(found)) == found
    with pytest.raises(StoreError, match="no mapping"):
        decode_fold([1])


def test_the_line_predicts_ratings_and_a_student_that_falls_with_them_is_told() -> None:
    whole = material()
    videos = whole.rated.videos
    judged = fit_judge(whole.model, whole.seen, videos, whole.bundle, anchors=5, seed=0, ends=whole.ends)
    raw = judged.score(whole.seen).raw
    points = 100 * (whole.rated.values - whole.ends[0]) / (whole.ends[1] - whole.ends[0])
    slope, offset = np.polyfit(raw, points, 1)
    assert (slope, offset) == pytest.approx((1, 0), abs=1e-6)
    assert len(judged.anchors) == len(judged.judge.anchors) == 5
    assert sorted(judged.judge.scale.anchor_positions) == list(judged.judge.scale.anchor_positions)
    turned = [replace(video, rating=-video.rating) for video in videos]
    falling = np.corrcoef(raw, points)[0, 1] > 0
    assert falling
    fallen = fit_judge(whole.model, whole.seen, turned, whole.bundle, anchors=5, seed=0, ends=(-5, -1))
    assert judged.rises
    assert not fallen.rises
    assert np.corrcoef(fallen.score(whole.seen).raw, raw)[0, 1] > 0.99  # nothing is turned round


def test_objectives_differ() -> None:
    whole = material()
    folds = content_folds(whole.rated.contents, 3, 0)
    by_pairs = replace(CONFIG, tune=replace(CONFIG.tune, objective="pairs"))
    assert run_fold(whole, folds, 0, CONFIG).raw != run_fold(whole, folds, 0, by_pairs).raw
