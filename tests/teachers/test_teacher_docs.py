"""docs/teachers.md names every teacher, and its example is a teacher."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.protocols import Teacher
from w2svqa.teachers.listing import facts_of
from w2svqa.teachers.registry import TEACHERS
from w2svqa.video.whole import FramesVideo

DOCS = Path(__file__).parents[2] / "docs" / "teachers.md"
TEXT = DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(TEACHERS))
def test_every_teacher_is_told_of_with_its_facts(name: str) -> None:
    if name.endswith(":"):
        assert f"### `{name}" in TEXT
        return
    [row] = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")]
    kind = TEACHERS.load(name)
    facts = facts_of(name, kind)
    assert f"| {'higher' if facts.higher_is_better else 'lower'} |" in row
    if facts.files:
        assert f"`{facts.files[0]}`" in row
    assert facts.range is not None
    low, high = facts.range
    scale = "no bounds" if np.isinf(low) else f"{low:g} upwards" if np.isinf(high) else f"{low:g} to {high:g}"
    assert f"| {scale} |" in row


def test_the_example_is_a_teacher() -> None:
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, type] = {}
    exec(code, names)  # the example itself, as it is printed
    teacher: object = names["Brightness"].load(None)  # type: ignore[attr-defined]  # the class of the example
    assert isinstance(teacher, Teacher)
    assert teacher.score(FramesVideo([np.full((4, 4, 3), level, np.uint8) for level in (10, 30)])) == 20.0
