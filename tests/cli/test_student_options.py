from __future__ import annotations

import pytest
import typer
from running import Run, WriteClip

from w2svqa.cli.student_options import named_options


def test_options_by_name() -> None:
    assert named_options(None) == {}
    assert named_options(["dtype=float32", "prefix_file=", "checkpoint=a=b"]) == {
        "dtype": "float32",
        "prefix_file": "",
        "checkpoint": "a=b",
    }


@pytest.mark.parametrize("options", [["dtype"], ["=float32"], [""], ["dtype=float32", "dtype=float16"]])
def test_options_that_are_none(options: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        named_options(options)


def test_wrong_options_are_wrong_usage_and_unknown_ones_an_error(run: Run, write_clip: WriteClip) -> None:
    clip = write_clip("clip.mkv")
    done = run("score", clip, "--option", "dtype")
    assert (done.code, done.out) == (2, "")
    assert "not NAME=VALUE" in done.err
    done = run("score", clip, "--student", "compact", "--option", "dtype=float32")
    assert (done.code, done.out) == (1, "")
    assert "a compact student has no options, such as 'dtype'" in done.err
