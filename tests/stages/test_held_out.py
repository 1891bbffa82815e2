"""How stages are compared: the order of what is held back, content by content."""

from __future__ import annotations

import pytest

from w2svqa.core.stage_rows import HeldBackRow
from w2svqa.stages.held_out import content_accuracy


def row(
    clip: str, kind: str, level: int, raw: float, *, vmaf: float | None = None, primary: bool = True
) -> HeldBackRow:
    return HeldBackRow(
        version_id=f"{clip}-{kind}-{level}",
        clip_id=clip,
        kind=kind,
        level=level,
        primary=primary,
        vmaf=vmaf,
        raw=raw,
    )


def test_a_ladder_in_order_is_1_one_reversed_0_and_equal_scores_are_half() -> None:
    ladders = {"right": (80, 60, 40), "wrong": (40, 60, 80), "flat": (50, 50, 50)}
    rows = [row(clip, "blur", level, raw) for clip, scores in ladders.items() for level, raw in enumerate(scores, 1)]
    assert content_accuracy(rows) == {"right": 1.0, "wrong": 0.0, "flat": 0.5}


def test_the_untouched_version_is_the_mildest_of_a_primary_alone() -> None:
    ladder = [("none", 0, 10.0), ("blur", 1, 80.0), ("blur", 2, 60.0)]
    for primary, share in ((True, 1 / 3), (False, 1.0)):
        rows = [row("a", kind, level, raw, primary=primary) for kind, level, raw in ladder]
        assert content_accuracy(rows)["a"] == pytest.approx(share)


def test_severities_of_two_distortions_are_not_compared() -> None:
    rows = [
        row("a", kind, level, raw)
        for kind, scores in (("blur", (9, 8)), ("noise", (2, 1)))
        for level, raw in enumerate(scores, 1)
    ]
    assert content_accuracy(rows) == {"a": 1.0}


def test_contents_are_compared_where_vmaf_tells_them_apart() -> None:
    one, other = row("a", "blur", 1, 50, vmaf=90), row("b", "blur", 1, 60, vmaf=40)
    assert content_accuracy([one, other]) == {"a": 0.0, "b": 0.0}
    near = row("b", "blur", 1, 60, vmaf=81)
    assert content_accuracy([one, near]) == {}
    unknown = row("b", "blur", 1, 60, vmaf=40, primary=False)
    assert content_accuracy([one, unknown]) == {}


def test_both_shares_count_alike_however_many_pairs_each_has() -> None:
    rows = [row("a", "blur", level, raw, vmaf=vmaf) for level, raw, vmaf in ((1, 80, 95), (2, 60, 50))]
    rows.append(row("b", "blur", 1, 100, vmaf=70))  # above what is better and above what is worse
    found = content_accuracy(rows)
    assert found["a"] == pytest.approx((1.0 + 0.5) / 2)
    assert found["b"] == pytest.approx(0.5)
