"""The pairs that a stage adds: which, labelled by whom, and what is said where there are too few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.levels import BETTER, INFERIOR, SUPERIOR, WORSE
from w2svqa.core.records import Tokens
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.stages.next_pairs import Mined, NextPairsConfig, agreement, listen, mine_pairs, pair_rows
from w2svqa.stages.pair import severity_level
from w2svqa.teachers.calibration import PseudoLabel

CLIPS = 40
ANCHORS = (-2.0, 0.0, 2.0)
CONFIG = NextPairsConfig(gmad_share=0.5, misclassified_share=0.25)
KINDS = ("blur", "stuttering", "h264")


class ByNumber:
    """A student whose token is the quality itself; its levels follow the difference."""

    antisymmetric = True
    name = "by number"

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        difference = np.array([float(other.mean() - one.mean()) for one, other in zip(first, second, strict=True)])
        gaps: NDArray[np.float64] = difference[:, None] - np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
        return -np.square(gaps)


def version(clip: int, kind: str = "none", level: int = 0) -> VersionRow:
    return VersionRow(
        version_id=f"{clip:04}-{kind}-{level}",
        clip_id=f"{clip:04}",
        kind=kind,
        level=level,
        severity=level / 3,
        primary=True,
        split="train",
        is_still=False,
        vmaf=None,
        views="",
        row=0,
        stored=True,
        seconds=1,
    )


def ladder(clip: int, kind: str) -> list[PairRow]:
    names = [f"{clip:04}-none-0", *(f"{clip:04}-{kind}-{level}" for level in (1, 2, 3))]
    return [
        PairRow(first=names[i], second=names[j], level=severity_level(i, j), origin="severity", kind=kind, group="g")
        for i in range(4)
        for j in range(i + 1, 4)
    ]


def teacher_pair(index: int) -> PairRow:
    return PairRow(first="0000-none-0", second="0001-none-0", level=2, origin="teacher", kind="none", group=str(index))


ROWS = [
    version(clip, kind, level)
    for clip in range(CLIPS)
    for kind, level in [("none", 0), *((k, lv) for k in KINDS for lv in (1, 2, 3))]
]
PAIRS = [pair for clip in range(CLIPS) for kind in KINDS for pair in ladder(clip, kind)] + [
    teacher_pair(i) for i in range(60)
]


def quality(row: VersionRow, random: np.random.Generator) -> float:
    """Falls with the level, but for stuttering, which this student does not see."""
    step = 0.0 if row.kind == "stuttering" else 0.8
    return float(np.random.default_rng(int(row.clip_id)).normal() - step * row.level + 0.01 * random.normal())


def mined(config: NextPairsConfig = CONFIG, *, seed: int = 1, labels: dict[str, PseudoLabel] | None = None) -> Mined:
    random = np.random.default_rng(0)
    tokens = [np.array([[quality(row, random)]], dtype=np.float32) for row in ROWS]
    judge = AnchoredJudge(
        ByNumber(),  # type: ignore[arg-type]  # what encodes and is configured is not needed
        [np.array([[anchor]], dtype=np.float32) for anchor in ANCHORS],
        Scale(anchor_positions=ANCHORS, latent_zero=-3, latent_hundred=3),
    )
    said = listen(judge, ROWS, tokens)
    teachers = {"other": {f"{clip:04}": float(np.random.default_rng(clip + 500).normal()) for clip in range(CLIPS)}}
    return mine_pairs(said, PAIRS, teachers, labels or {}, config, seed=seed)


def test_there_are_as_many_pairs_as_the_shares_say() -> None:
    counts = Counter(row.origin for row in mined().rows)
    assert counts["gmad"] == 30  # half of the teachers' pairs
    assert counts["misclassified"] == 180  # a quarter of the severity pairs
    assert mined().notes == ()


def test_gmad_pairs_are_two_untouched_clips_that_one_of_the_models_tells_apart() -> None:
    rows = [row for row in mined().rows if row.origin == "gmad"]
    assert all(row.kind == "none" and row.first.endswith("-none-0") and row.second.endswith("-none-0") for row in rows)
    assert Counter((row.by, row.attacked) for row in rows) == {("other", "student"): 15, ("student", "other"): 15}
    assert all(abs(row.gap) > 0 for row in rows)


def test_direct_labels_are_the_students_comparison_and_scores_say_the_same_direction() -> None:
    rows = [row for row in mined().rows if row.origin == "gmad"]
    assert all(row.level == row.direct for row in rows)
    for row in rows:
        if row.direct in (INFERIOR, SUPERIOR):
            assert np.sign(row.by_scores - 2) == np.sign(row.direct - 2)
    by_scores = [row for row in mined(replace(CONFIG, labels="scores")).rows if row.origin == "gmad"]
    assert all(row.level == row.by_scores for row in by_scores)
    assert [row.first for row in by_scores] == [row.first for row in rows]


def test_misclassified_pairs_keep_the_truth_and_are_what_the_student_does_not_see() -> None:
    rows = [row for row in mined().rows if row.origin == "misclassified"]
    truth = {(pair.first, pair.second): pair.level for pair in PAIRS}
    assert all(row.level == truth[row.first, row.second] != row.direct for row in rows)
    kinds = Counter(row.kind for row in rows)
    assert kinds["stuttering"] >= 60  # a third from each family, as far as each has any


def test_random_pairs_are_as_many_and_do_not_look_at_the_student() -> None:
    rows = mined(replace(CONFIG, selection="random")).rows
    assert {row.origin for row in rows} == {"random"}
    assert sum(row.kind == "none" for row in rows) == 30
    missed = [row for row in rows if row.kind != "none"]
    assert len(missed) == 180
    assert any(row.level == row.direct for row in missed)


def test_the_ensemble_follows_the_teachers_where_they_are_sure() -> None:
    sure = {f"{clip:04}": PseudoLabel(mean=float(clip), variance=1e-6, teachers=3) for clip in range(CLIPS)}
    rows = [row for row in mined(replace(CONFIG, labels="ensemble"), labels=sure).rows if row.origin == "gmad"]
    assert all(row.level == (SUPERIOR if row.second > row.first else INFERIOR) for row in rows)
    assert all(row.by_teachers is not None for row in rows)
    doubtful = {clip: replace(label, variance=1e12) for clip, label in sure.items()}
    alone = [row for row in mined(replace(CONFIG, labels="ensemble"), labels=doubtful).rows if row.origin == "gmad"]
    assert [row.level for row in alone] == [row.by_scores for row in alone]


def test_too_few_teachers_or_wrong_pairs_are_said() -> None:
    none = mined(replace(CONFIG, gmad_share=50.0, most_per_video=1)).notes
    assert any("of 3000 wanted" in note for note in none)
    many = mined(replace(CONFIG, misclassified_share=1.0)).notes
    assert any("misclassified pairs of 720 wanted" in note for note in many)


def test_the_same_seed_mines_the_same_and_another_one_other_random_pairs() -> None:
    assert mined().rows == mined().rows
    config = replace(CONFIG, selection="random")
    assert mined(config, seed=1).rows != mined(config, seed=2).rows


def test_pairs_of_one_ladder_form_a_group_and_pairs_of_clips_stand_alone() -> None:
    rows = mined().rows
    pairs = pair_rows(rows, 2)
    groups = Counter(pair.group for pair in pairs)
    assert all(groups[pair.group] == 1 for pair in pairs if pair.kind == "none")
    assert len(groups) < len(pairs)
    for pair in pairs:
        if pair.kind != "none":
            assert {pair.first[:4], pair.second[:4]} == {pair.group.split("-")[2]}
    assert {pair.group for pair in pairs}.isdisjoint(pair.group for pair in pair_rows(rows, 3))


def test_agreement_counts_pairs_of_clips_alone() -> None:
    found = agreement(mined().rows)
    assert found["pairs"] == 30
    assert found["pairs_of_teachers"] == 0
    assert found["direct_and_teachers"] is None
    share = found["direct_and_scores"]
    assert share is not None
    assert 0 <= share <= 1
    assert agreement([])["direct_and_scores"] is None


@pytest.mark.parametrize(
    "changes", [{"gmad_share": -1.0}, {"bins": 0}, {"most_per_video": 0}, {"misclassified_share": float("nan")}]
)
def test_numbers_that_cannot_be_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        NextPairsConfig(**changes)  # type: ignore[arg-type]


def test_levels_mirror_the_order_of_a_pair() -> None:
    rows = [row for row in mined().rows if row.origin == "misclassified" and row.kind == "blur"]
    assert {row.level for row in rows} <= {INFERIOR, WORSE, BETTER, SUPERIOR}
