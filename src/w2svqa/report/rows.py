"""A score or comparison as a row: JSON objects and CSV cells, there and back."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from w2svqa.core.records import Comparison, Reason, Score, Status

CSV_COLUMNS: Final = (
    "path",
    "status",
    "score",
    "low",
    "high",
    "seconds",
    "reasons",
    "message",
    "student",
    "raw",
    "notes",
)
"""Columns of a CSV table, and keys of a JSON object, in this order."""

STATUSES: Final[dict[str, Status]] = {"ok": "ok", "partial": "partial", "error": "error"}
_NOTE_SEPARATOR = " | "


def score_to_dict(score: Score) -> dict[str, object]:
    """Return a score as a JSON object: floats are numbers, absent is ``None``.

    Example:
        >>> row = score_to_dict(Score(path="a.mp4", status="error", message="no such file"))
        >>> row["status"], row["score"], row["seconds"]
        ('error', None, [])
    """
    return {
        "path": score.path,
        "status": score.status,
        "score": score.value,
        "low": score.low,
        "high": score.high,
        "seconds": list(score.seconds),
        "reasons": [{**asdict(reason), "seconds": list(reason.seconds)} for reason in score.reasons],
        "message": score.message,
        "student": score.student,
        "raw": score.raw,
        "notes": list(score.notes),
    }


def score_from_dict(row: Mapping[str, object]) -> Score:
    """Return the score that :func:`score_to_dict` wrote.

    Raises:
        ValueError: ``row`` is no such object.

    Example:
        >>> score_from_dict(score_to_dict(Score(path="a.mp4", status="ok", value=50.0))).value
        50.0
    """
    reasons = _list(row, "reasons")
    return Score(
        path=_text(row, "path"),
        status=_status(_text(row, "status")),
        value=_number_or_none(row, "score"),
        low=_number_or_none(row, "low"),
        high=_number_or_none(row, "high"),
        raw=_number_or_none(row, "raw"),
        seconds=tuple(_number(value) for value in _list(row, "seconds")),
        reasons=tuple(_reason(reason) for reason in reasons),
        notes=tuple(str(note) for note in _list(row, "notes")),
        message=None if row.get("message") is None else _text(row, "message"),
        student=_text(row, "student"),
    )


def comparison_to_dict(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as a JSON object.

    Example:
        >>> levels = (0.0, 0.0, 0.1, 0.8, 0.1)
        >>> pair = Comparison(first="a.mp4", second="b.mp4", level="better", probabilities=levels, preference=0.75)
        >>> comparison_to_dict(pair)["probabilities"]
        [0.0, 0.0, 0.1, 0.8, 0.1]
    """
    return {
        "first": comparison.first,
        "second": comparison.second,
        "level": comparison.level,
        "probabilities": list(comparison.probabilities),
        "preference": comparison.preference,
        "status": comparison.status,
        "notes": list(comparison.notes),
        "message": comparison.message,
        "student": comparison.student,
    }


def failed_comparison(first: str, second: str, message: str, student: str) -> dict[str, object]:
    """Return the JSON object of a pair that could not be compared: no level, no numbers.

    Example:
        >>> failed_comparison("a.mp4", "b.mp4", "b.mp4: no such file", "compact-1")["level"] is None
        True
    """
    return {
        "first": first,
        "second": second,
        "level": None,
        "probabilities": None,
        "preference": None,
        "status": "error",
        "notes": [],
        "message": message,
        "student": student,
    }


def to_json(row: Mapping[str, object]) -> str:
    r"""Return one line of strict JSON in ASCII.

    Bytes of a name that are not UTF-8 appear as surrogate escapes, so ``os.fsencode(json.loads(line)["path"])`` gives
    the name back.

    Raises:
        ValueError: a number is not finite.

    Example:
        >>> to_json({"path": "caf\udce9.mp4"})
        '{"path": "caf\\udce9.mp4"}'
    """
    return json.dumps(row, ensure_ascii=True, allow_nan=False)


def score_to_cells(score: Score) -> list[str]:
    """Return the cells of :data:`CSV_COLUMNS`; absent is empty, seconds and reasons are separated by spaces.

    A reason reads ``distortion:severity:probability``, and ``@3,4`` after it if it is confined to seconds 3 and 4.

    Example:
        >>> score_to_cells(Score(path="a.mp4", status="ok", value=50.0, seconds=(49.0, 51.0)))[:6]
        ['a.mp4', 'ok', '50.0', '', '', '49.0 51.0']
    """
    return [
        score.path,
        score.status,
        _cell(score.value),
        _cell(score.low),
        _cell(score.high),
        " ".join(map(repr, score.seconds)),
        " ".join(map(_reason_cell, score.reasons)),
        score.message or "",
        score.student,
        _cell(score.raw),
        _NOTE_SEPARATOR.join(score.notes),
    ]


def score_from_cells(row: Mapping[str, str]) -> Score:
    """Return the score that :func:`score_to_cells` wrote, given its cells by column.

    Raises:
        ValueError: a cell cannot be read.
        KeyError: a column is missing.

    Example:
        >>> written = Score(path="a.mp4", status="ok", value=50.0, seconds=(49.0, 51.0), notes=("interlaced",))
        >>> score_from_cells(dict(zip(CSV_COLUMNS, score_to_cells(written), strict=True))) == written
        True
    """
    return Score(
        path=row["path"],
        status=_status(row["status"]),
        value=_from_cell(row["score"]),
        low=_from_cell(row["low"]),
        high=_from_cell(row["high"]),
        raw=_from_cell(row["raw"]),
        seconds=tuple(map(float, row["seconds"].split())),
        reasons=tuple(_reason_from_cell(cell) for cell in row["reasons"].split()),
        notes=tuple(row["notes"].split(_NOTE_SEPARATOR)) if row["notes"] else (),
        message=row["message"] or None,
        student=row["student"],
    )


def csv_line(cells: Sequence[str]) -> bytes:
    r"""Return one CSV line with its line end, in UTF-8 but for bytes of names that never were.

    Example:
        >>> csv_line(["a, b.mp4", "caf\udce9.mp4"])
        b'"a, b.mp4",caf\xe9.mp4\n'
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", sys.getfilesystemencodeerrors())


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _from_cell(cell: str) -> float | None:
    return _number(float(cell)) if cell else None


def _reason_cell(reason: Reason) -> str:
    where = f"@{','.join(map(str, reason.seconds))}" if reason.seconds else ""
    return f"{reason.distortion}:{reason.severity!r}:{reason.probability!r}{where}"


def _reason_from_cell(cell: str) -> Reason:
    distortion, severity, rest = cell.rsplit(":", 2)
    probability, _, seconds = rest.partition("@")
    return Reason(
        distortion=distortion,
        severity=float(severity),
        probability=float(probability),
        seconds=tuple(map(int, seconds.split(","))) if seconds else (),
    )


def _status(text: str) -> Status:
    if text not in STATUSES:
        raise ValueError(f"status {text!r} is not one of {', '.join(STATUSES)}")
    return STATUSES[text]


def _text(row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is {value!r}, not a text")
    return value


def _list(row: Mapping[str, object], key: str) -> list[object]:
    value = row.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key!r} is {value!r}, not a list")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not the number of a second")
    return value


def _number_or_none(row: Mapping[str, object], key: str) -> float | None:
    return None if row.get(key) is None else _number(row[key])


def _reason(value: object) -> Reason:
    if not isinstance(value, dict):
        raise ValueError(f"reason {value!r} is not an object")
    return Reason(
        distortion=_text(value, "distortion"),
        severity=_number(value.get("severity")),
        probability=_number(value.get("probability")),
        seconds=tuple(_index(second) for second in _list({"seconds": []} | value, "seconds")),
    )
