"""The page of a run: what it shows, what it leaves out, and that names stay names."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from run_facts import LOG, QUALITY, START, finished, stages

from w2svqa.core.errors import InputError, MissingInputError
from w2svqa.core.files import hold
from w2svqa.core.provenance import recorded
from w2svqa.report.page import render_page
from w2svqa.report.run_page import MOST_PLACES, REPORT, run_page, write_run_page
from w2svqa.stages.held_back import HeldBack
from w2svqa.stages.run_folder import RunFacts


class _Headings(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._inside = tag == "h2"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found.append(data.strip())
            self._inside = False


def headings(text: str) -> list[str]:
    parser = _Headings()
    parser.feed(text)
    return parser.found


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def with_held_back() -> RunFacts:
    first, second = stages()
    kept = [HeldBack(measure="pair accuracy", values={"a": value, "b": value + 0.1}) for value in (0.5, 0.6)]
    return finished(stages=(replace(first, held_back=kept[0]), replace(second, held_back=kept[1])))


def test_a_whole_run_shows_everything() -> None:
    text = render_page(run_page(with_held_back()))
    assert headings(text)[:7] == [
        "Summary",
        "Stages",
        "Held-back contents",
        "Label quality",
        "Training",
        "The student",
        "Provenance",
    ]
    shown = words(text)
    for expected in (
        "The run is finished: 2 stages. It was worked on for 1 h 02 min.",
        "After stage 2: gained 0.010 [-0.010, 0.030] on 6 held-back contents; the 90 % interval holds 0",
        "3 severity, 2 vmaf",
        "stage 1: ensemble, right order by severity 0.900 0.800 0.950 40 4",
        "stage 2 0.650 0.600 0.700 2",
        "Stage 2: loss and its terms",
        "Stage 1: lambda and accuracy",
        "ladder/within_mean 0.8 0.7 0.85 40 higher",
        "diagnosis/calibration_error 0.1 \N{EN DASH} \N{EN DASH} \N{EN DASH} lower",
        "w2svqa run a.yaml",
        "2 x EPYC, 16.0 GiB",
    ):
        assert expected in shown
    assert text.count("<svg") == 6  # held back, quality, and two for each training


def test_the_same_run_gives_the_same_page() -> None:
    assert render_page(run_page(with_held_back())) == render_page(run_page(with_held_back()))


def test_a_run_that_has_nothing_has_a_summary() -> None:
    bare = finished(state="stopped", starts=(), stages=(), quality=(), card=None)
    text = render_page(run_page(bare))
    assert headings(text)[0] == "Summary"
    assert "The run is stopped: nothing yet." in words(text)
    assert "start it again to go on" in words(text)
    assert "<svg" not in text


def test_label_qualities_of_nothing_are_in_the_table_alone() -> None:
    nothing = replace(QUALITY, value=None, low=None, high=None, n=0)
    text = render_page(run_page(finished(quality=(nothing,), stages=())))
    assert "<svg" not in text
    assert "ensemble, right order by severity \N{EN DASH}" in words(text)


def test_long_logs_are_averaged_and_terms_that_come_later_are_drawn() -> None:
    log = tuple({"step": float(step), "loss": 1.0} | ({"kind": 2.0} if step > 500 else {}) for step in range(1000))
    first, _ = stages()
    long = render_page(run_page(finished(stages=(replace(first, log=log),), quality=())))
    longer = render_page(run_page(finished(stages=(replace(first, log=log[:: 1000 // MOST_PLACES]),), quality=())))
    assert "kind" in long
    assert len(long) < 2 * len(longer)


def test_one_record_is_no_curve() -> None:
    first, _ = stages()
    text = render_page(run_page(finished(stages=(replace(first, log=LOG[:1]),), quality=())))
    assert "<svg" not in text


def test_names_and_errors_stay_text() -> None:
    bad = "<script>alert(1)</script>"
    facts = finished(name=bad, problems=(bad,), starts=(replace(START, command=bad),), state="failed")
    text = render_page(run_page(facts))
    assert bad not in text
    assert text.count("&lt;script&gt;") >= 3


def test_the_page_is_written_into_the_folder(tmp_path: Path) -> None:
    config = {"name": "try"}
    with hold(tmp_path / "run"):
        with recorded(tmp_path / "run", config=config):
            (tmp_path / "run" / "run.json").write_text(json.dumps(config), encoding="ascii")
        path = write_run_page(tmp_path / "run", holding=True)
    assert path == tmp_path / "run" / REPORT
    text = words(path.read_text(encoding="utf-8"))
    assert "Run try" in text
    assert f"process {os.getpid()}" in text
    assert "held by" not in text


def test_other_folders_get_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder of a run"):
        write_run_page(tmp_path)
    with pytest.raises(MissingInputError):
        write_run_page(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
