"""Pages and tables of evaluations."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "stages"))
from evaluation_cases import rated, scored

sys.path.pop(0)

from w2svqa.core.errors import InputError, StoreError
from w2svqa.core.evaluation_rows import AgreementRow
from w2svqa.report import paper_tables as tables
from w2svqa.report.evaluation_page import evaluation_page, write_evaluation_page
from w2svqa.report.evaluation_tables import best_of, figures_terminal
from w2svqa.report.gmad_page import write_gmad_page
from w2svqa.report.leaderboard_page import leaderboard_page, read_leaderboard
from w2svqa.report.page import Column, Table, render_block, render_page
from w2svqa.report.published import published
from w2svqa.stages.benchmark_table import BENCHMARKS
from w2svqa.stages.evaluate import EvaluateConfig, evaluate
from w2svqa.stages.evaluation_gmad import compete
from w2svqa.video.encode import write_video

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

QUICK = EvaluateConfig(resamples=20)


def figure(benchmark: str, model: str, value: float, *, measure: str = "srcc", n: int = 100) -> AgreementRow:
    return AgreementRow(
        benchmark=benchmark,
        model=model,
        facet="",
        part="",
        measure=measure,
        value=value,
        low=value - 0.1,
        high=value + 0.1,
        n=n,
        expected=100,
        contents=n,
        message=None,
    )


def test_the_papers_overall_figures_follow_from_its_others() -> None:
    """So the rows that ship are the paper's, and weights are numbers of videos."""
    rows = {(row.method, row.dataset): row for row in published() if row.group != "ablation"}
    for method in dict.fromkeys(method for method, _ in rows):
        for group, overall in (("in-domain", "in-domain-overall"), ("OOD", "OOD-overall")):
            sets = [each for each in BENCHMARKS if each.group == group]
            values = [rows[method, each.title].srcc or math.nan for each in sets]
            mean = float(np.average(values, weights=[each.videos for each in sets]))
            assert mean == pytest.approx(rows[method, overall].srcc, abs=0.0016), (method, group)


def test_best_and_second_are_of_ours_and_theirs_together() -> None:
    ours = [figure("kvq", "mine", 0.7719), figure("cgvds", "mine", 0.9), figure("OOD-overall", "mine", 0.1)]
    [table, ablation] = tables.paper_tables(ours)
    assert (table.name, ablation.name) == ("ood", "ablation")
    assert table.lines[-1].ours
    column = table.columns.index(("KVQ", "srcc"))
    marks = {table.lines[row].name: mark for (row, place), mark in table.marks().items() if place == column}
    assert marks == {"W2S-stage3": "best", "mine": "best", "VQA2": "second"}  # 0.772 both, as written
    column = table.columns.index(("CGVDS", "srcc"))
    assert table.marks()[len(table.lines) - 1, column] == "best"


def test_figures_of_too_few_videos_are_not_called_best() -> None:
    [table, *_] = tables.paper_tables([figure("kvq", "mine", 0.99, n=90)])
    assert not [row for row, _ in table.marks() if table.lines[row].ours]
    assert table.notes == ("mine on KVQ: 90 of 100 videos",)


def test_tables_of_other_benchmarks_are_left_out() -> None:
    assert tables.paper_tables([figure("my-own", "mine", 0.9)]) == []


def test_markdown_has_every_number_once_and_marks() -> None:
    [table, *_] = tables.paper_tables([figure("kvq", "a|b", 0.9)])
    lines = tables.to_markdown(table).splitlines()
    cells = [line for line in lines if line.startswith("| a")]
    assert cells[0].startswith("| a\\|b * |")
    assert "**0.900**" in cells[0]
    assert "_0.772_" in next(line for line in lines if line.startswith("| W2S-stage3"))
    assert len({line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}) == 1


def test_latex_has_one_cell_per_column_and_escapes_names() -> None:
    [table, *_] = tables.paper_tables([figure("kvq", "my_model 50%", 0.9)])
    text = tables.to_latex(table)
    rows = [line for line in text.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {len(table.columns)}
    assert "my\\_model 50\\% &" in text
    assert "\\textbf{0.900}" in text
    assert text.count("\\midrule") == 2


def test_html_marks_cells_and_shows_names_as_text() -> None:
    [table, *_] = tables.paper_tables([figure("kvq", "<b>me</b>", 0.9)])
    text = tables.to_html(table)
    assert "&lt;b&gt;me&lt;/b&gt;" in text
    assert "<strong>0.900</strong>" in text
    assert "<u>0.772</u>" in text
    assert render_block(Table(caption="c", columns=(Column(title="x"),), rows=(("y",),))).startswith(
        '<div class="wide"'
    )


def test_lower_errors_are_better() -> None:
    assert best_of([0.5, 0.4, None, 0.4004], "rmse") == ["second", "best", None, "best"]
    assert best_of([0.5, None], "srcc") == [None, None]


def test_the_page_is_whole_and_the_same_twice(tmp_path: Path) -> None:
    models = [scored(tmp_path, "good", 0.3), replace(scored(tmp_path, "bad", 3, changed={"v1": ""}), name="<i>bad")]
    evaluation = evaluate([rated(tmp_path)], models, None, QUICK)
    for name in ("one", "two"):
        write_evaluation_page(tmp_path / name, evaluation, QUICK)
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    for title in ("mine: fits", "Differences between models", "By distortion", "Without a score"):
        assert f">{title}</h2>" in text
    assert "<i>bad" not in text
    assert "the table has no number for it" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    titles = [section.title for section in evaluation_page(evaluation, QUICK).sections]
    assert "Beside the paper" not in titles


def test_models_without_figures_are_on_the_page_with_the_reason(tmp_path: Path) -> None:
    evaluation = evaluate([rated(tmp_path, 2)], [scored(tmp_path, "m", 1, 2)], None, QUICK)
    text = render_page(evaluation_page(evaluation, QUICK))
    assert "a correlation takes 3" in text
    assert figures_terminal(evaluation, ascii_only=True).row_count == 1


def test_a_leaderboard_is_ranked_on_what_is_shared(tmp_path: Path) -> None:
    kvq = next(each for each in BENCHMARKS if each.name == "kvq")
    evaluate([rated(tmp_path)], [scored(tmp_path, "good", 0.2), scored(tmp_path, "bad", 5)], tmp_path / "a", QUICK)
    both = [rated(tmp_path), rated(tmp_path, benchmark=replace(kvq, videos=40))]
    evaluate(both, [scored(tmp_path, "middle", 1.0)], tmp_path / "b", QUICK)
    board = read_leaderboard([tmp_path / "a", tmp_path / "b"])
    assert board.models == ("good", "middle", "bad")
    assert (board.shared, board.benchmarks) == (("mine",), ("mine", "kvq"))
    text = render_page(leaderboard_page(board))
    assert "Beside the paper" in text
    assert "Ordered by the mean rank of SRCC on mine" in text


def test_one_name_with_different_figures_is_two_models(tmp_path: Path) -> None:
    evaluate([rated(tmp_path)], [scored(tmp_path, "m", 0.2)], tmp_path / "a", QUICK)
    evaluate([rated(tmp_path)], [scored(tmp_path, "m", 4)], tmp_path / "b", QUICK)
    assert set(read_leaderboard([tmp_path / "a", tmp_path / "b"]).models) == {"m", "m (b)"}
    assert read_leaderboard([tmp_path / "a", tmp_path / "a"]).models == ("m",)


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        read_leaderboard([tmp_path])
    with pytest.raises(InputError, match="there is no evaluation"):
        read_leaderboard([])


def test_duels_are_playable_side_by_side(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(8):
        frames = [np.full((32, 48, 3), 20 * number, np.uint8)] * 4
        write_video(folder / f"v{number}.mp4", iter(frames), fps=4)
    (folder / "v7.mp4").write_bytes(b"no video")
    models = [scored(tmp_path, "one", 0.2, 8), scored(tmp_path, "two", 9, 8)]
    evaluation = evaluate([rated(tmp_path, 8, videos=folder)], models, None, QUICK)
    found = compete(evaluation, "one", "two", pairs=2, bins=1)
    write_gmad_page(tmp_path / "gmad.html", found)
    text = (tmp_path / "gmad.html").read_text()
    shown = [video.video for duel in found.duels for video in (duel.better, duel.worse)]
    assert text.count('src="data:video/mp4;base64,') == len(shown) - shown.count("v7.mp4")
    assert text.count("gallery paired") == len(found.duels)


def test_duels_without_videos_are_rows(tmp_path: Path) -> None:
    models = [scored(tmp_path, "one", 0.2), scored(tmp_path, "two", 9)]
    found = compete(evaluate([rated(tmp_path)], models, None, QUICK), "one", "two", pairs=2)
    write_gmad_page(tmp_path / "gmad.html", found)
    text = (tmp_path / "gmad.html").read_text()
    assert "The scores came without videos." in text
    assert "<video" not in text
