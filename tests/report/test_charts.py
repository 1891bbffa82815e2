"""Charts: what they draw, that colours follow the page, and that nothing in a name is taken for mark-up."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from w2svqa.core.errors import MissingExtraError
from w2svqa.report import charts
from w2svqa.report.charts import Series, bars, histogram, lines, scatter
from w2svqa.report.svg import SERIES, Svg

matplotlib = pytest.importorskip("matplotlib")

HOSTILE = '</svg><script>alert(1)</script> $x_1$ "&\n'
NAN = float("nan")


def three(edges: list[float] | None = None, label: str = "noise (levels)", alt: str = "noise") -> Svg:
    return histogram(
        edges or [0.0, 1.0, 2.0], before=[0.25, 0.75], after=[0.5, 0.5], target=[1.0, 0.0], label=label, alt=alt
    )


def every_chart(name: str = "plain") -> list[Svg]:
    intervals = Series(name=name, values=[1.0, 2.0], low=[0.5, 1.0], high=[1.5, 2.5])
    return [
        three(label=name, alt=name),
        bars([name, "b"], [intervals, Series(name="other", values=[0.5, NAN])], label=name, alt=name),
        scatter([1.0, 2.0, NAN], [1.0, 2.0, 3.0], labels=(name, name), alt=name, fit=([1, 2], [1, 2])),
        lines([1.0, 2.0], [intervals, Series(name="other", values=[0.5, 1.0])], labels=(name, name), alt=name),
    ]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def test_the_same_data_give_the_same_text() -> None:
    assert every_chart() == every_chart()


def test_the_users_settings_neither_matter_nor_change() -> None:
    plain = every_chart()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path", "svg.hashsalt": None}):
        before = dict(matplotlib.rcParams)
        assert every_chart() == plain
        assert dict(matplotlib.rcParams) == before


def test_names_are_drawn_as_they_are() -> None:
    for svg in every_chart(HOSTILE):
        root = ElementTree.fromstring(svg)  # it is whole
        assert not [element for element in root.iter() if "script" in element.tag]
        assert "<script" not in svg
        assert root.attrib["aria-label"].endswith('$x_1$ "&\\n')
        assert any("$x_1" in text or "..." in text for text in texts(svg))


def test_a_figure_has_no_size_of_its_own_and_says_what_it_shows() -> None:
    for svg in every_chart("the alternative"):
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == "the alternative"
        assert "viewBox" in root.attrib
        assert not {"width", "height", "id"} & set(root.attrib)


def test_every_colour_is_one_of_the_pages() -> None:
    for svg in every_chart():
        fixed = re.findall(r"(?:fill|stroke): (#\w+)", re.sub(r"var\([^)]*\)", "", svg))
        assert fixed == []
        assert "var(--series-1, #0072b2)" in svg


def test_figures_share_no_ids() -> None:
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in [three(), three(alt="another"), *every_chart()[1:]]]
    assert len(set.union(*ids)) == sum(map(len, ids)) > 0
    for svg in every_chart():
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
        referred = {one or other for one, other in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)}
        assert referred == set(re.findall(r'id="([^"]+)"', svg))


def test_a_histogram_has_three_series_that_differ_in_form() -> None:
    svg = three()
    assert [text for text in texts(svg) if text in ("before", "after", "target")] == ["before", "after", "target"]
    assert "noise (levels)" in texts(svg)
    assert "100%" in texts(svg)
    dashed = [line for line in re.findall(r'style="([^"]+)"', svg) if "stroke-dasharray" in line]
    assert dashed
    assert all(f"var(--series-2, {SERIES[1]})" in line for line in dashed)


def test_a_histogram_of_a_metric_that_is_everywhere_the_same() -> None:
    svg = histogram([3.0, 3.0], before=[1.0], after=[1.0], target=[1.0], label="x", alt="x")
    shown = [float(text) for text in texts(svg) if re.fullmatch(r"\d+\.\d+", text)]
    assert 2.5 <= min(shown) < 3 < max(shown) <= 3.5


def test_points_of_a_large_cloud_are_thinned_to_evenly_spaced_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "MOST_POINTS", 10)
    values = np.arange(1000.0)
    thinned, all_of_ten = (scatter(each, each, labels=("a", "b"), alt="c") for each in (values, values[:10]))
    assert thinned.count("<use") - all_of_ten.count("<use") in range(-4, 5)  # ticks aside


def test_places_that_are_whole_numbers_have_whole_ticks() -> None:
    def ticks(x: list[float]) -> set[str]:
        return set(texts(lines(x, [Series(name="a", values=[0.25, 0.5])], labels=("stage", "SRCC"), alt="a")))

    assert {"1", "2"} <= ticks([1.0, 2.0])
    assert "1.2" not in ticks([1.0, 2.0])
    assert "1.2" in ticks([1.0, 1.5])


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 values, 1 lower and 1 upper"):
        Series(name="a", values=[1.0, 2.0], low=[0.0], high=[1.0])
    with pytest.raises(ValueError, match="a: 2 values, where 3 are due"):
        bars(["a", "b", "c"], [Series(name="a", values=[1.0, 2.0])], label="x", alt="x")
    with pytest.raises(ValueError, match="a: 2 values, where 1 are due"):
        lines([1.0], [Series(name="a", values=[1.0, 2.0])], labels=("x", "y"), alt="x")
    with pytest.raises(ValueError, match=r"shape \(1,\), y \(2,\)"):
        scatter([1.0], [1.0, 2.0], labels=("x", "y"), alt="x")


def test_missing_matplotlib_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="matplotlib")

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'w2svqa\[plot\]'"):
        three()
