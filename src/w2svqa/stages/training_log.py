"""The log of a training as it can be read at any time: half-written lines, steps twice and odd values are left out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LOG: Final = "log.jsonl"

Record = Mapping[str, float]
"""Numbers of one step by name, finite, ``"step"`` among them."""


def read_log(folder: Path) -> tuple[tuple[Record, ...], str]:
    """Return the records of a training by step, and what is wrong with the log; empty if nothing is.

    A run that was resumed may have logged a step twice: the later record is that of the weights there are. A last line
    that is being written, or was torn off, is no damage.

    Args:
        folder: of the training.
    """
    path = folder / LOG
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return (), ""
    except OSError as error:
        return (), f"{path}: cannot be read: {error.strerror}"
    lines = text.split(b"\n")
    records: dict[float, Record] = {}
    damaged = []
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is not None:
            records[record["step"]] = record
        elif line.strip() and number < len(lines):
            damaged.append(number)
    problem = f"{path}: line {', '.join(map(str, damaged[:5]))} is damaged and left out" if damaged else ""
    return tuple(records[step] for step in sorted(records)), problem


def _record(line: bytes) -> Record | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    numbers = {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    return numbers if "step" in numbers else None
