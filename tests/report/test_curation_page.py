"""The page of a selection: everything that the issue asks to see, of a real selection over real files."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import ConfigError
from w2svqa.core.metric_table import MetricTable, read_metric_table
from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import write_artifact
from w2svqa.report.curation_page import curation_page, write_curation_page
from w2svqa.report.page import Figures, Gallery, Page, Table, Text, render_page
from w2svqa.stages.curate import select
from w2svqa.stages.mismatch import compare_tables
from w2svqa.stages.selection_bins import Stated, Target
from w2svqa.stages.selection_candidates import CurateConfig
from w2svqa.stages.selection_report import Selection
from w2svqa.video.encode import write_lossless

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

NAMES = ("noise", "si", "own_metric")
HOSTILE = "<img src=x onerror=alert(1)>\n\udce9.mkv"
CONFIG = CurateConfig(count=6, bins=4, seed=11, weights={"noise": 2.0}, include=("v00",), stratify="source", seconds=1)


@pytest.fixture(scope="module")
def pool() -> MetricTable:
    values = np.random.default_rng(0).normal(size=(20, 3)) + 3
    values[19, 0] = np.nan
    labels = {"source": ["film", "phone"] * 10, "license": ["MIT"] * 15 + [""] * 5}
    return MetricTable([f"v{place:02d}" for place in range(20)], NAMES, values, labels)


@pytest.fixture(scope="module")
def selection(pool: MetricTable) -> Selection:
    return select(pool, "uniform", CONFIG)


def rows(folder: Path, pool: MetricTable) -> list[PoolClipRow]:
    """Clips whose files are one small video, under a hostile name where the system knows it; the last is missing."""
    first = folder / "plain.mkv"
    write_lossless(first, [np.full((36, 64, 3), 90, np.uint8)] * 2, fps=Fraction(2))
    hostile = os.path.join(folder, HOSTILE)  # noqa: PTH118 (a name that is no text)
    os.link(first, hostile)
    paths = [str(first)] * 10 + [hostile] * 9 + [str(folder / "gone.mkv")]
    return [
        PoolClipRow(
            clip_id=clip_id,
            path=path,
            name=os.path.basename(path),  # noqa: PTH119
            source="",
            license="MIT",
            width=64,
            height=36,
            fps=None if place % 2 else 2.0,
        )
        for place, (clip_id, path) in enumerate(zip(pool.ids.tolist(), paths, strict=True))
    ]


def blocks(page: Page, title: str) -> tuple[object, ...]:
    [section] = [each for each in page.sections if each.title == title]
    return section.blocks


def test_there_is_a_plot_per_metric_with_its_unit_and_its_distances(pool: MetricTable, selection: Selection) -> None:
    page = curation_page(selection=selection, config=CONFIG, pool=pool)
    [_, figures] = blocks(page, "Distributions")
    assert isinstance(figures, Figures)
    assert [figure.title for figure in figures.figures] == list(NAMES)
    noise, own = figures.figures[0], figures.figures[2]
    fit = selection.metrics[0]
    assert noise.caption == f"L1 {fit.before:.3f} before, {fit.after:.3f} after; higher is noisier"
    assert "noise (grey levels)" in noise.svg
    assert "own_metric" in own.svg  # no metric of the registry: without unit and meaning
    assert own.caption.endswith("after")


def test_the_distances_are_those_of_the_selection(pool: MetricTable, selection: Selection) -> None:
    [table] = blocks(curation_page(selection=selection, config=CONFIG, pool=pool), "Distance from the target")
    assert isinstance(table, Table)
    assert [(row[0], *row[3:]) for row in table.rows] == [
        (each.metric, each.weight, each.before, each.after, each.lacking) for each in selection.metrics
    ]


def test_the_lead_says_how_many_how_well_and_what_bounds_it(pool: MetricTable, selection: Selection) -> None:
    page = curation_page(selection=selection, config=CONFIG, pool=pool, target="uniform")
    assert page.title == "6 videos chosen of 20"
    assert page.lead[0].startswith("6 of 19 candidates were chosen, in a pool of 20 videos, so that 3 metrics")
    before = sum(each.weight * each.before for each in selection.metrics)
    assert f"was {before:.4f} and is {selection.value:.4f}" in page.lead[1]
    assert f"less than {selection.lp_bound:.4f}" in page.lead[1]
    optimal, not_optimal = (
        curation_page(selection=replace(selection, optimal=each), config=CONFIG, pool=pool).lead[1]
        for each in (True, False)
    )
    assert optimal.endswith("No choice is better.")
    assert not_optimal.endswith(f"better by more than {selection.gap:.4f}.")


def test_what_the_pool_lacks_is_listed(pool: MetricTable) -> None:
    wish: Target = {"noise": Stated(edges=(50.0, 60.0, 70.0), shares=(1.0, 3.0))}
    config = CurateConfig(count=4, seconds=1)
    page = curation_page(selection=select(pool, wish, config), config=config, pool=pool)
    [*_, left_out, unfilled] = blocks(page, "What the pool lacks")
    assert isinstance(left_out, Table)
    assert left_out.rows == (("no noise", 1),)
    assert isinstance(unfilled, Table)
    assert [row[0] for row in unfilled.rows] == ["noise", "noise"]
    numbers = np.array([row[1:] for row in unfilled.rows], dtype=np.float64)
    assert numbers == pytest.approx(np.array([[60.0, 70.0, 3.0, 0, 3.0], [50.0, 60.0, 1.0, 0, 1.0]]))
    assert "noise is distributed" in page.lead[0]


def test_a_pool_that_lacks_nothing_says_so(pool: MetricTable) -> None:
    config = CurateConfig(count=2, bins=1, seconds=1)
    page = curation_page(selection=select(pool, pool, config), config=config, pool=pool)
    assert Text(paragraphs=("No bin lacks a whole video.",)) in blocks(page, "What the pool lacks")


def test_counts_are_of_the_pool_and_of_the_chosen(pool: MetricTable, selection: Selection) -> None:
    page = curation_page(selection=selection, config=CONFIG, pool=pool)
    tables = {each.columns[0].title: each for each in blocks(page, "What the videos are") if isinstance(each, Table)}
    chosen = {row.clip_id for row in selection.rows}
    films = sum(pool.labels["source"][place] == "film" for place, each in enumerate(pool.ids) if each in chosen)
    assert ("film", 10, 0.5, films, films / 6) in tables["Source"].rows
    assert [row[:2] for row in tables["Licence"].rows] == [("MIT", 15), ("unknown", 5)]
    assert {row[0] for row in tables["source"].rows} == {"film", "phone"}  # the groups, with what was wished


def test_samples_are_chosen_videos_from_the_fewest_edges_to_the_most(
    tmp_path: Path, pool: MetricTable, selection: Selection
) -> None:
    wide = pool.joined(MetricTable(pool.ids, [], np.empty((20, 0)), {"path": [str(tmp_path / "gone")] * 20}))
    page = curation_page(selection=selection, config=CONFIG, pool=wide, thumbnails=4)
    [gallery] = blocks(page, "Some of the chosen videos")
    assert isinstance(gallery, Gallery)
    chosen = pool.rows(np.isin(pool.ids, [row.clip_id for row in selection.rows]))
    shown = [float(dict(card.facts)["si"]) for card in gallery.cards]
    assert shown == sorted(shown)
    assert len(shown) == 4
    edges = np.sort(chosen.column("si"))
    assert [shown[0], shown[-1]] == pytest.approx([edges[0], edges[-1]], rel=1e-3)
    assert all("no such file" in card.missing for card in gallery.cards)
    without = curation_page(selection=selection, config=CONFIG, pool=wide, thumbnails=0)
    assert "Some of the chosen videos" not in [section.title for section in without.sections]
    with pytest.raises(ConfigError, match="-1 thumbnails"):
        curation_page(selection=selection, config=CONFIG, pool=wide, thumbnails=-1)


def test_the_pool_beside_another_table(pool: MetricTable, selection: Selection) -> None:
    other = MetricTable(["x", "y"], [*NAMES[:2], "fps"], [[9.0, 9.0, 25.0], [9.5, 9.5, 30.0]])
    found = compare_tables(pool, other)
    page = curation_page(selection=selection, config=CONFIG, pool=pool, mismatch=found)
    [text, distances, strangers] = blocks(page, "The pool beside another table")
    assert isinstance(text, Text)
    assert text.paragraphs[0].startswith("20 of 20 videos of the pool (100.0%) lie outside")
    assert text.paragraphs[1:] == ("Only the pool has own_metric.", "Only the other table has fps.")
    assert isinstance(distances, Table)
    assert [row[0] for row in distances.rows] == ["noise", "si"]
    assert isinstance(strangers, Table)
    assert [row[0] for row in strangers.rows] == pool.ids.tolist()
    named = pool.joined(MetricTable(["v03"], [], np.empty((1, 0)), {"name": ["a.mp4"]}))
    [*_, strangers] = blocks(
        curation_page(selection=selection, config=CONFIG, pool=named, mismatch=found), "The pool beside another table"
    )
    assert isinstance(strangers, Table)
    assert [row[0] for row in strangers.rows[2:5]] == ["v02", "a.mp4", "v04"]


@pytest.mark.skipif(os.name != "posix", reason="other systems do not allow such names")
def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path, pool: MetricTable, selection: Selection) -> None:
    clips = rows(tmp_path, pool)
    target = tmp_path / "page.html"
    inputs = {"metrics": "0123abcd"}

    def made(given: MetricTable | list[PoolClipRow]) -> bytes:
        write_curation_page(target, selection=selection, config=CONFIG, pool=pool, clips=given, inputs=inputs)
        return target.read_bytes()

    page = made(clips)
    text = page.decode()
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;\\n\\udce9.mkv" in text
    assert len(re.findall('<img src="data:image/jpeg;base64,[^"]+" alt="a frame of [^"]+"', text)) == 6
    assert "64 x 36" in text
    assert "0123abcd" in text
    assert made(clips) == page
    # and the same from the stored table, where such bytes are escaped
    write_artifact(tmp_path / "clips", clips, PoolClipRow, kind="pool-clips", config={})
    assert made(read_metric_table(tmp_path / "clips", kind=None)) == page


def test_a_pool_of_which_nothing_else_is_known(pool: MetricTable) -> None:
    bare = MetricTable(pool.ids, pool.names, pool.values)
    config = CurateConfig(count=3, seconds=0)
    page = curation_page(selection=select(bare, bare, config), config=config, pool=bare)
    assert [section.title for section in page.sections] == [
        "Key figures",
        "Distributions",
        "Distance from the target",
        "What the pool lacks",
    ]
    assert render_page(page).startswith("<!DOCTYPE html>")
