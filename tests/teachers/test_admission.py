"""The test of teachers: good ones pass, reversed, constant, random and silent ones do not, and the record says why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.rows import ScoreRow, VersionRow
from w2svqa.teachers.admission import Admission, AdmissionConfig, admit

KINDS = {"blur": 4, "noise": 5}
CONTENTS = 10


def version(clip: str, kind: str, level: int, *, primary: bool = True) -> VersionRow:
    return VersionRow(
        version_id=f"{clip}-{kind}-{level}",
        clip_id=clip,
        kind=kind,
        level=level,
        severity=level / 5,
        primary=primary,
        split="train",
        is_still=False,
        vmaf=None,
        views="",
        row=0,
        stored=False,
        seconds=1,
    )


def content(clip: str, *, primary: bool = True) -> list[VersionRow]:
    steps = [
        version(clip, kind, level, primary=primary) for kind, count in KINDS.items() for level in range(1, count + 1)
    ]
    return [version(clip, "none", 0, primary=primary), *steps]


POOL = [row for number in range(CONTENTS) for row in content(f"c{number}")]


def score(row: VersionRow, value: float, teacher: str = "t") -> ScoreRow:
    return ScoreRow(version_id=row.version_id, clip_id=row.clip_id, teacher=teacher, value=value)


def offset(row: VersionRow) -> float:
    """Contents differ far more than severities: the test must not mind."""
    return 1000.0 * int(row.clip_id[1:])


def examine(
    scores: list[ScoreRow],
    *,
    rising: bool = True,
    versions: list[VersionRow] = POOL,
    config: AdmissionConfig | None = None,
    seed: int = 0,
) -> Admission:
    (record,) = admit(
        scores,
        versions,
        higher_is_better={"t": rising},
        kinds=tuple(KINDS),
        config=config or AdmissionConfig(resamples=200),
        seed=seed,
    )
    return record


@pytest.mark.parametrize("rising", [True, False])
def test_a_teacher_that_orders_all_severities_is_admitted_in_its_own_direction(rising: bool) -> None:
    sign = -1 if rising else 1
    record = examine([score(row, offset(row) + sign * row.level) for row in POOL], rising=rising)
    assert record.admitted
    assert record.reason == ""
    assert (record.spearman, record.low, record.high) == (1.0, 1.0, 1.0)
    assert record.contents == CONTENTS
    assert [(figure.kind, figure.spearman, figure.contents) for figure in record.kinds] == [
        ("blur", 1.0, CONTENTS),
        ("noise", 1.0, CONTENTS),
    ]


def test_a_reversed_teacher_is_refused() -> None:
    record = examine([score(row, offset(row) + row.level) for row in POOL])
    assert not record.admitted
    assert record.spearman == -1
    assert "-1.000" in record.reason


def test_a_constant_teacher_orders_nothing() -> None:
    record = examine([score(row, 5.0) for row in POOL])
    assert not record.admitted
    assert record.spearman == 0


def test_a_random_teacher_is_refused_and_its_interval_holds_zero() -> None:
    random = np.random.default_rng(0)
    record = examine([score(row, float(random.random())) for row in POOL])
    assert not record.admitted
    assert record.low is not None
    assert record.high is not None
    assert record.low < 0 < record.high


def test_one_bad_kind_refuses_a_teacher_whose_mean_would_do() -> None:
    # of noise only the two worst levels are wrong
    scores = [score(row, -row.level if row.kind != "noise" or row.level < 4 else float(row.level)) for row in POOL]
    config = AdmissionConfig(floor=0.2, worst_floor=0.1, resamples=50)
    record = examine(scores, config=config)
    assert record.spearman is not None
    assert record.spearman > config.floor
    assert not record.admitted
    assert record.reason.startswith("noise has")
    assert examine(scores, config=replace(config, worst_floor=-1)).admitted


def test_the_mean_is_over_kinds_not_over_ladders() -> None:
    silent = {f"c{number}" for number in range(8)}
    scores = [
        score(row, float(row.level if row.kind == "noise" else -row.level))
        for row in POOL
        if not (row.kind == "noise" and row.clip_id in silent)
    ]
    # ladders of "noise" run from the untouched clip upwards: reversed on the two contents that are left
    config = AdmissionConfig(least_contents=1, resamples=50)
    assert examine(scores, config=config).spearman == pytest.approx(0.0)


def test_too_few_contents_refuse_even_a_perfect_teacher() -> None:
    scores = [score(row, -row.level) for row in POOL if row.kind != "noise" or row.clip_id in ("c0", "c1")]
    record = examine(scores)
    assert not record.admitted
    assert record.reason == "noise has 2 contents, 8 are needed"
    assert examine(scores, config=AdmissionConfig(least_contents=2, resamples=50)).admitted


def test_without_scores_or_versions_the_record_says_so() -> None:
    for record in (examine([]), examine([score(POOL[0], 1.0)], versions=[])):
        assert not record.admitted
        assert (record.spearman, record.low, record.high, record.contents) == (None, None, None, 0)
        assert record.reason == "blur has 0 contents, 8 are needed"
        assert str(record) == "t: refused: blur has 0 contents, 8 are needed"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers_are_missing(value: float) -> None:
    good = [score(row, offset(row) - row.level) for row in POOL]
    broken = [replace(row, value=value) if row.version_id == "c3-blur-2" else row for row in good]
    without = [row for row in good if row.version_id != "c3-blur-2"]
    assert examine(broken) == examine(without)
    assert examine(broken).admitted


def test_a_ladder_of_two_steps_does_not_count() -> None:
    scores = [score(row, -row.level) for row in POOL if row.kind == "noise" or row.level < 2]
    record = examine(scores)
    assert record.kinds[0].contents == 0
    assert record.reason.startswith("blur has 0 contents")


def test_versions_of_other_clips_than_primaries_do_not_count() -> None:
    doubtful = [row for number in range(CONTENTS) for row in content(f"c{number}", primary=False)]
    assert examine([score(row, -row.level) for row in doubtful], versions=doubtful).contents == 0


def test_other_teachers_do_not_matter() -> None:
    mine = [score(row, offset(row) - row.level) for row in POOL]
    others = [score(row, row.level, teacher="other") for row in POOL]
    assert examine(mine + others) == examine(mine)


def test_the_seed_fixes_the_interval_and_the_order_of_rows_does_not_matter() -> None:
    random = np.random.default_rng(1)
    scores = [score(row, -row.level + 2 * float(random.normal())) for row in POOL]
    record = examine(scores)
    assert examine(scores[::-1]) == record
    assert examine(scores, seed=1) != record
    assert record.low is not None
    assert record.spearman is not None
    assert record.high is not None
    assert record.low < record.spearman < record.high


def test_the_record_survives_a_manifest() -> None:
    for record in (examine([]), examine([score(row, -row.level) for row in POOL])):
        assert from_mapping(Admission, to_mapping(record)) == record


def test_the_line_of_a_record_names_every_kind() -> None:
    line = str(examine([score(row, -row.level) for row in POOL]))
    assert line == "t: admitted; orders severities 1.000 [1.000, 1.000] by blur 1.000 (N=10), noise 1.000 (N=10)"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"floor": 1.5}, "floors"), ({"worst_floor": 0.9}, "floors"), ({"least_contents": 0}, "at least 1")],
)
def test_impossible_floors_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdmissionConfig(**wrong)  # type: ignore[arg-type]  # a count is whole, which is all the same to the check


def test_without_a_kind_to_test_with_nobody_is_admitted() -> None:
    [record] = admit([], [], higher_is_better={"t": True}, kinds=[], config=AdmissionConfig(), seed=0)
    assert (record.admitted, record.reason) == (False, "the mean over kinds is -, the floor 0.8")
