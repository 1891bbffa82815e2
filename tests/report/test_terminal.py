from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Comparison, Reason, Score
from w2svqa.report.terminal import (
    BLOCKS,
    comparison_table,
    remarks,
    score_table,
    sentence,
    spans,
    sparkline,
    squeeze,
    timeline,
    times,
)

quality = st.floats(0, 100)
series = st.lists(quality, min_size=1, max_size=200)


def rendered(table: Table, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, color_system="truecolor", force_terminal=True)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


@given(series, st.integers(1, 40))
def test_squeezing_keeps_order_bounds_and_length(values: list[float], width: int) -> None:
    short = squeeze(values, width)
    assert len(short) == min(width, len(values))
    assert min(values) - 1e-9 <= min(short)
    assert max(short) <= max(values) + 1e-9
    assert squeeze(sorted(values), width) == pytest.approx(sorted(squeeze(sorted(values), width)))


def test_squeezing_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        squeeze([1.0], 0)


@given(series)
def test_higher_scores_have_higher_bars(values: list[float]) -> None:
    bars = [BLOCKS.index(bar) for bar in sparkline(sorted(values))]
    assert bars == sorted(bars)
    assert min(bars) >= 1
    assert len(bars) <= 16


def test_ends_of_the_scale_fill_nothing_and_all() -> None:
    assert sparkline([0.0, 100.0]) == "▁█"
    assert sparkline([0.0, 100.0], ascii_only=True) == ".#"
    assert sparkline([]) == ""


@given(series, st.integers(2, 12), st.integers(20, 120))
def test_timeline_fits(values: list[float], height: int, width: int) -> None:
    lines = timeline(Score(path="a.mp4", status="ok", value=50.0, seconds=tuple(values)), height=height, width=width)
    title, *plot = lines.splitlines()
    assert title.startswith("a.mp4")
    assert len(plot) == height + 2
    assert max(map(len, plot)) <= width + 8
    assert plot[0].startswith("100 |")
    assert plot[-1].endswith(f"{len(values)} s")


def test_timeline_in_ascii_is_ascii() -> None:
    assert timeline(Score(path="a.mp4", status="ok", value=50.0, seconds=(10.0, 55.0)), ascii_only=True).isascii()


def test_names_are_neither_markup_nor_control() -> None:
    names = ["[red]x[/red].mp4", "two\nlines.mp4", "\x1b[31mred.mp4", "caf\udce9.mp4", "[/].mp4"]
    text = rendered(score_table([Score(path=name, status="error", message="[bold]no") for name in names]))
    assert "[red]x[/red].mp4" in text
    assert "two\\nlines.mp4" in text
    assert "\\x1b[31mred.mp4" in text
    assert "caf\\udce9.mp4" in text
    assert "[bold]no" in text


def test_table_in_ascii_is_ascii() -> None:
    table = score_table([Score(path="a.mp4", status="ok", value=50.0, seconds=(10.0,))], ascii_only=True)
    assert rendered(table).isascii()


def test_remarks_name_message_notes_and_reasons() -> None:
    blur = Reason(distortion="blur", severity=0.6, probability=0.9)
    score = Score(path="a.mp4", status="partial", message="cut short", notes=("interlaced",), reasons=(blur,))
    assert remarks(score) == "cut short; interlaced; blur 60 % (p = 0.90)"


@given(st.sets(st.integers(0, 500), min_size=1))
def test_spans_cover_the_seconds_and_nothing_else(seconds: set[int]) -> None:
    found = spans(sorted(seconds))
    assert {second for start, end in found for second in range(start, end)} == seconds
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(found))


def test_many_spans_are_cut_short() -> None:
    assert times(range(0, 20, 2)) == "0:00-0:01, 0:02-0:03, 0:04-0:05, 0:06-0:07 and 6 more"


def test_timeline_marks_the_seconds_of_a_reason() -> None:
    blur = Reason(distortion="blur", severity=0.6, probability=0.9)
    stall = Reason(distortion="stuttering", severity=0.8, probability=0.7, seconds=(1, 3))
    score = Score(path="a.mp4", status="ok", value=50.0, seconds=(80.0, 10.0, 80.0, 10.0), reasons=(blur, stall))
    *plot, mark = timeline(score, height=2, ascii_only=True).splitlines()
    assert mark == "         ^^^^    ^^^^ stuttering 80 % (p = 0.70) at 0:01-0:02, 0:03-0:04"
    assert not any("blur" in line for line in plot)


@pytest.mark.parametrize("count", [1, 60, 500])
def test_a_mark_is_never_lost_however_long_the_video(count: int) -> None:
    stall = Reason(distortion="stuttering", severity=0.8, probability=0.7, seconds=(count - 1,))
    score = Score(path="a.mp4", status="ok", value=50.0, seconds=(80.0,) * count, reasons=(stall,))
    lines = timeline(score, ascii_only=True).splitlines()
    [mark] = [line for line in lines if "^" in line]
    end = next(line for line in lines if line.startswith("  0 +"))
    assert mark.rindex("^") == len(end) - 1


@pytest.mark.parametrize("level", range(5))
def test_sentence_and_table_name_the_level(level: int) -> None:
    probabilities = [0.05] * 5
    probabilities[level] = 0.8
    inferior, worse, similar, better, superior = probabilities
    comparison = Comparison(
        first="A",
        second="B",
        level=LEVELS[level],
        probabilities=(inferior, worse, similar, better, superior),
        preference=0.5,
    )
    assert sentence(comparison).startswith(f"B is {LEVELS[level]} ")
    assert "(p = 0.80)" in sentence(comparison)
    assert rendered(comparison_table(comparison)).count("0.050") == 4
