"""The error tree: one line each, and whole after the way between processes."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core import errors
from w2svqa.core.errors import MediaError, W2SVQAError, printable

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, W2SVQAError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling_and_has_one_docstring(kind: type[W2SVQAError]) -> None:
    error = kind("no frames", path="a\udcff.mp4", remedy="record it again")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.problem, copy.path, copy.remedy, str(copy)) == (error.problem, error.path, error.remedy, str(error))
    assert kind.__name__ in (errors.__doc__ or "")


@given(st.text(), st.none() | st.text(), st.none() | st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"])))
def test_a_message_is_one_line_that_any_terminal_takes(problem: str, path: str | None, remedy: str | None) -> None:
    message = str(MediaError(problem, path=path, remedy=remedy))
    assert len(message.splitlines()) <= 1


@given(st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF) | st.characters(exclude_categories=["Cs"])))
def test_a_printable_path_can_be_written_anywhere(path: str) -> None:
    shown = printable(path)
    assert shown.isprintable()
    shown.encode("utf-8")
