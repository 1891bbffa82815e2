from __future__ import annotations

import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Comparison, Reason, Score
from w2svqa.report.rows import (
    CSV_COLUMNS,
    comparison_to_dict,
    failed_comparison,
    score_from_cells,
    score_from_dict,
    score_to_cells,
    score_to_dict,
    to_json,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text("abcdefgh0123456789 -", min_size=1).map(str.strip).filter(bool)
reasons = st.builds(
    Reason,
    distortion=st.text("abcdefgh0123456789-", min_size=1),
    severity=st.floats(0, 1),
    probability=st.floats(0, 1),
    seconds=st.sets(st.integers(0, 10_000)).map(sorted).map(tuple),
)
scores = st.builds(
    Score,
    # names as the file system gives them: any bytes
    path=st.binary(min_size=1).filter(lambda name: b"\0" not in name).map(os.fsdecode),
    status=st.sampled_from(["ok", "partial", "error"]),
    value=st.none() | finite,
    low=st.none() | finite,
    high=st.none() | finite,
    raw=st.none() | finite,
    seconds=st.lists(finite).map(tuple),
    reasons=st.lists(reasons).map(tuple),
    notes=st.lists(words).map(tuple),
    message=st.none() | words,
    student=words,
)


@given(scores)
def test_json_gives_the_score_back(score: Score) -> None:
    text = to_json(score_to_dict(score))
    assert text.isascii()
    assert "\n" not in text
    assert score_from_dict(json.loads(text)) == score


@given(scores)
def test_cells_give_the_score_back(score: Score) -> None:
    cells = score_to_cells(score)
    assert len(cells) == len(CSV_COLUMNS)
    assert score_from_cells(dict(zip(CSV_COLUMNS, cells, strict=True))) == score


def test_keys_are_the_columns() -> None:
    assert tuple(score_to_dict(Score(path="a.mp4", status="ok"))) == CSV_COLUMNS


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_takes_no_number_that_is_none(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(score_to_dict(Score(path="a.mp4", status="ok", value=value)))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"path": None},
        {"score": "80"},
        {"score": True},
        {"seconds": None},
        {"seconds": [None]},
        {"reasons": ["blur"]},
        {"reasons": [{"distortion": "blur"}]},
        {"reasons": [{"distortion": "blur", "severity": 0.5, "probability": 0.5, "seconds": [0.5]}]},
        {"reasons": [{"distortion": "blur", "severity": 0.5, "probability": 0.5, "seconds": [-1]}]},
        {"reasons": [{"distortion": "blur", "severity": 0.5, "probability": 0.5, "seconds": None}]},
        {"message": 3},
    ],
)
def test_other_objects_are_refused(change: dict[str, object]) -> None:
    row = score_to_dict(Score(path="a.mp4", status="ok", value=50.0)) | change
    with pytest.raises(ValueError, match=r"not|one of"):
        score_from_dict(row)


def test_reasons_written_before_they_had_seconds_are_read() -> None:
    row = score_to_dict(Score(path="a.mp4", status="ok", value=50.0))
    old = {"distortion": "blur", "severity": 0.5, "probability": 0.25}
    assert score_from_dict(row | {"reasons": [old]}).reasons[0].seconds == ()
    cells = dict(zip(CSV_COLUMNS, score_to_cells(score_from_dict(row)), strict=True))
    assert score_from_cells(cells | {"reasons": "blur:0.5:0.25"}).reasons == (Reason(**old),)  # type: ignore[arg-type]  # a mapping of mixed values


def test_a_cell_says_which_seconds() -> None:
    stall = Reason(distortion="stuttering", severity=0.8, probability=0.5, seconds=(3, 4))
    cells = score_to_cells(Score(path="a.mp4", status="ok", reasons=(stall,)))
    assert cells[CSV_COLUMNS.index("reasons")] == "stuttering:0.8:0.5@3,4"


def test_failed_comparison_has_the_keys_of_a_good_one() -> None:
    good = Comparison(first="a", second="b", level=LEVELS[2], probabilities=(0, 0, 1, 0, 0), preference=0.5)
    failed = failed_comparison("a", "b", "b: no such file", "compact-1")
    assert list(failed) == list(comparison_to_dict(good))
    assert (failed["status"], failed["level"], failed["preference"]) == ("error", None, None)
