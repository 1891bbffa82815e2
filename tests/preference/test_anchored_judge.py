from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from preference_fakes import LinearStudent, ladder, tokens_of

from w2svqa.preference import judge as judge_module
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import preference_matrix
from w2svqa.preference.thurstone import place_anchors


def scale_for(student: LinearStudent, temperature: float = 1.0) -> Scale:
    positions = place_anchors(preference_matrix(student, ladder(), temperature))
    return Scale(
        anchor_positions=tuple(positions.tolist()),
        latent_zero=-2.0,
        latent_hundred=2.0,
        temperature=temperature,
        vote_weight=50.0,
    )


def judge_with(student: LinearStudent) -> AnchoredJudge:
    return AnchoredJudge(student, ladder(), scale_for(student))


def test_better_videos_score_higher() -> None:
    scores = judge_with(LinearStudent()).score([tokens_of(quality) for quality in np.linspace(-3, 3, 200)])
    assert np.all(np.diff(scores.raw) > 0.0)
    assert np.all((scores.low <= scores.value) & (scores.value <= scores.high))
    assert scores.value[99:101].mean() == pytest.approx(50.0, abs=1e-6)


@pytest.mark.parametrize("slope", [0.5, 2.0, 50.0])
def test_no_ties_twenty_spacings_beyond_both_ends(slope: float) -> None:
    outside = np.concatenate([np.linspace(-22, -3, 300), np.linspace(3, 22, 300)])
    scores = judge_with(LinearStudent(slope=slope)).score([tokens_of(quality) for quality in outside])
    assert np.all(np.diff(scores.raw) > 0.0)
    assert len(set(scores.raw.tolist())) == 600


def test_alone_or_in_a_batch_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_module, "_PIECE", 7)
    scorer = judge_with(LinearStudent(bias=0.2, antisymmetric=False))
    videos = [tokens_of(quality) for quality in np.random.default_rng(0).normal(size=25) * 3]
    batch = scorer.score(videos)
    for row, video in enumerate(videos):
        alone = scorer.score([video])
        for field in ("value", "low", "high", "raw"):
            assert getattr(alone, field)[0] == getattr(batch, field)[row]


def test_seconds_of_a_video_are_scored_like_videos() -> None:
    scorer = judge_with(LinearStudent())
    video = np.array([[-1.0], [0.0], [1.0]], dtype=np.float32)
    seconds = scorer.score([video[k : k + 1] for k in range(3)])
    assert np.all(np.diff(seconds.raw) > 0.0)
    assert seconds.raw[1] == scorer.score([video]).raw[0]


def test_a_liking_for_the_second_place_does_not_move_scores() -> None:
    qualities = [tokens_of(quality) for quality in (-1.5, 0.0, 1.5)]
    biased = judge_with(LinearStudent(slope=0.5, bias=1.0, antisymmetric=False)).score(qualities).raw
    assert biased[1] == pytest.approx(50.0, abs=1e-9)
    assert biased[0] == pytest.approx(100.0 - biased[2], abs=1e-9)


def test_forms_can_be_selected() -> None:
    student = LinearStudent(slope=0.5)
    scale = scale_for(student)
    videos = [tokens_of(quality) for quality in (-9.0, -1.0, 0.0, 1.0, 9.0)]
    anchored = AnchoredJudge(student, ladder(), scale).score(videos)
    joint = AnchoredJudge(student, ladder(), replace(scale, form="joint")).score(videos)
    released = AnchoredJudge(student, ladder(), replace(scale, form="released")).score(videos)
    for scores in (anchored, joint):
        assert np.all(np.diff(scores.raw) > 0.0)
        assert np.all((scores.low <= scores.value) & (scores.value <= scores.high))
    assert np.all(np.diff(released.raw) >= 0.0)
    assert np.array_equal(released.low, released.high)


def test_released_form_ties_where_ours_does_not() -> None:
    student = LinearStudent(slope=4.0)
    scale = scale_for(student)
    videos = [tokens_of(quality) for quality in (8.0, 10.0, 12.0)]
    released = AnchoredJudge(student, ladder(), replace(scale, form="released")).score(videos)
    assert released.raw.tolist() == [100.0, 100.0, 100.0]
    ours = AnchoredJudge(student, ladder(), scale).score(videos)
    assert ours.raw[0] < ours.raw[1] < ours.raw[2]
    with pytest.raises(ValueError, match="no latents"):
        AnchoredJudge(student, ladder(), replace(scale, form="released")).place(videos)


def test_a_higher_temperature_makes_votes_milder() -> None:
    student = LinearStudent()
    video = [tokens_of(1.0)]
    sharp = AnchoredJudge(student, ladder(), scale_for(student)).log_odds(video)
    mild = AnchoredJudge(student, ladder(), scale_for(student, temperature=4.0)).log_odds(video)
    assert np.all(np.abs(mild) <= np.abs(sharp))
    assert np.abs(mild).sum() < np.abs(sharp).sum()


def test_no_videos_give_no_scores_and_anchors_must_fit() -> None:
    student = LinearStudent()
    assert len(judge_with(student).score([])) == 0
    with pytest.raises(ValueError, match="4 anchors, but the scale has 5"):
        AnchoredJudge(student, ladder(4), scale_for(student))
