"""What counts in each figure, on rows whose right answer is plain."""

from __future__ import annotations

import numpy as np
import pytest
from ladder_fakes import ladder, row

from w2svqa.stages.ladder_figures import (
    Named,
    order_figures,
    reason_figures,
    timeline_figures,
    vmaf_figures,
)
from w2svqa.stages.ladder_intervals import Figure
from w2svqa.stages.ladder_items import LadderRow


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def falling(rows: list[LadderRow]) -> dict[str, float]:
    """Scores that fall with the level, whatever the kind."""
    return {each.version_id: 100.0 - 10 * each.level for each in rows}


def test_a_perfect_order_is_perfect_everywhere() -> None:
    rows = [*ladder("blur", [2, 3, 4, 5]), *ladder("vp9", [1, 2, 3])[1:]]
    found = by_name(order_figures(rows, falling(rows)))
    for name in ("within_mean", "within_worst", "within_unseen", "pair_accuracy", "clean_order", "within/vp9"):
        assert found[name].value == 1.0, name
    assert found["within_mean"].n == 2
    assert found["within_unseen"].n == 1


def test_a_reversed_order_is_wrong_everywhere() -> None:
    rows = ladder("blur", [1, 2, 3, 4, 5])
    found = by_name(order_figures(rows, {key: -value for key, value in falling(rows).items()}))
    assert found["within/blur"].value == -1.0
    assert found["pair_accuracy"].value == found["clean_order"].value == 0.0


def test_a_constant_score_orders_nothing() -> None:
    rows = ladder("noise", [1, 2, 3])
    found = by_name(order_figures(rows, {each.version_id: 50.0 for each in rows}))
    assert found["within/noise"].value == 0.0
    assert found["pair_accuracy"].value == 0.0


def test_only_gaps_above_one_are_pairs() -> None:
    rows = ladder("blur", [2, 3, 5])
    # levels 0, 2, 3, 5: all pairs but (2, 3)
    assert by_name(order_figures(rows, falling(rows)))["pair_accuracy"].n == 5


def test_the_untouched_clip_counts_for_primaries_alone() -> None:
    rows = ladder("blur", [3, 4], primary=False)
    found = by_name(order_figures(rows, falling(rows)))
    assert found["within_mean"].n == 0  # two visible steps are too few
    assert found["clean_order"].n == 0
    assert by_name(order_figures(ladder("blur", [3, 4]), falling(rows)))["within_mean"].n == 1


def test_the_worst_kind_and_the_mean_of_kinds() -> None:
    rows = [*ladder("blur", [1, 2, 3]), *ladder("noise", [1, 2, 3])[1:]]
    raw = falling(rows) | {f"clip-noise-{level}": 100.0 + level for level in (1, 2, 3)}
    found = by_name(order_figures(rows, raw))
    assert found["within/noise"].value == -1.0
    assert (found["within_mean"].value, found["within_worst"].value) == (0.0, -1.0)


def test_clean_order_asks_the_two_worst_levels() -> None:
    rows = ladder("blur", [1, 2, 3, 4, 5])
    raw = falling(rows) | {"clip-blur-1": 200.0, "clip-blur-4": 200.0}
    found = by_name(order_figures(rows, raw))
    assert (found["clean_order/blur"].value, found["clean_order/blur"].n) == (0.5, 2)


def test_versions_without_a_score_do_not_count() -> None:
    rows = ladder("blur", [1, 2, 3])
    raw = falling(rows)
    del raw["clip-blur-3"]
    assert by_name(order_figures(rows, raw))["pair_accuracy"].n == 1


def test_vmaf_counts_its_kinds_on_primaries() -> None:
    rows = [
        row("none", 0, vmaf=100.0),
        row("blur", 4, vmaf=40.0),
        row("blur", 5, vmaf=10.0),
        row("av1", 3, levels=3, vmaf=70.0),
        row("darkening", 5),
        row("blur", 5, clip="other", primary=False),
    ]
    raw = {"clip-none-0": 90.0, "clip-blur-4": 50.0, "clip-blur-5": 20.0, "clip-av1-3": 10.0, "other-blur-5": 0.0}
    found = by_name(vmaf_figures(rows, raw))
    assert found["vmaf_srcc"].n == 4
    assert found["vmaf_srcc"].value == pytest.approx(0.4)  # ranks 3 1 0 2 against 3 2 1 0
    assert found["vmaf_srcc/blur"].value == pytest.approx(1.0)
    assert found["vmaf_srcc/unseen"].value == pytest.approx(1.0)
    assert found["vmaf_srcc/unseen"].n == 2
    assert "vmaf_srcc/darkening" not in found


def test_reasons_at_the_three_worst_levels() -> None:
    rows = [*ladder("blur", [1, 2, 3, 4, 5]), row("h264", 4, levels=4), row("vp9", 1, levels=3)]
    named = {each.version_id: Named(kind="blur", probability=0.75) for each in rows}
    named |= {
        "clip-none-0": Named(kind="none", probability=0.75),
        "clip-blur-2": Named(kind="none", probability=0.75),
        "clip-h264-4": Named(kind="h265", probability=0.75),
        "clip-vp9-1": Named(kind="h264", probability=0.75),
    }
    found = by_name(reason_figures(rows, named, ("blur", "h264", "h265")))
    assert (found["reasons/blur"].value, found["reasons/blur"].n) == (1.0, 3)
    assert (found["reasons/h264"].value, found["reasons"].value) == (0.0, 0.75)
    assert found["reasons_merged"].value == 1.0
    assert (found["reasons_none"].value, found["reasons_none"].n) == (1.0, 1)
    assert found["reasons_unseen_codec"].value == 1.0
    # four of the five that count are right at 0.75
    assert found["reasons_calibration_error"].value == pytest.approx(0.05)


def test_kinds_that_the_student_cannot_name_do_not_count() -> None:
    rows = ladder("jitter", [1, 2, 3], levels=3)
    named = {each.version_id: Named(kind="none", probability=None) for each in rows}
    found = by_name(reason_figures(rows, named, ("blur",)))
    assert (found["reasons"].n, found["reasons_none"].n) == (0, 1)
    assert found["reasons_calibration_error"].n == 0


def test_the_timeline_wants_the_degraded_second_strictly_lowest() -> None:
    rows = ladder("blur", [3, 4, 5])
    seconds = {
        "clip-none-0": np.array([80.0, 90.0, 70.0]),
        "clip-blur-3": np.array([0.0, 0.0, 0.0]),  # not one of the two worst levels
        "clip-blur-4": np.array([75.0, 60.0, 60.0]),  # 75 is not below the clean third second
        "clip-blur-5": np.array([70.0, 10.0, 10.0]),  # a tie is not lowest
    }
    found = by_name(timeline_figures(rows, seconds))
    assert found["timeline"].value == pytest.approx(4 / 6)
    assert found["timeline"].n == found["timeline_primaries"].n == 6


def test_short_clips_have_no_timeline() -> None:
    rows = ladder("blur", [5], seconds=2)
    seconds = {each.version_id: np.array([1.0, 2.0]) for each in rows}
    assert by_name(timeline_figures(rows, seconds))["timeline"].n == 0
