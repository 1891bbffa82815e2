"""Pages: whole, safe, for everyone to read, and the same for the same content."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
from pathlib import Path

import pytest

from w2svqa.core.errors import MissingExtraError, StoreError
from w2svqa.report import page as module
from w2svqa.report.charts import Series, bars
from w2svqa.report.page import (
    Card,
    Column,
    Facts,
    Figure,
    Figures,
    Gallery,
    Page,
    Provenance,
    Section,
    Table,
    Text,
    render_page,
    write_page,
)
from w2svqa.report.svg import BEFORE, GRID, SERIES

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

HOSTILE = "\"><img src=x onerror=alert(1)></title></style></script><script>alert('1')</script>{{ 7 * 7 }}\n\udce9.mp4"
PIXEL = "data:image/jpeg;base64,/9j/"
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Reader(html.parser.HTMLParser):
    """Notes elements, their attributes and texts, and that every element ends where it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open:
            self.texts.append((self._open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def page_of(text: str = "plain") -> Page:
    columns = (Column(title=text), Column(title="number", form=".2f"))
    chart = bars([text], [Series(name=text, values=[1.0])], label=text, alt=text)
    card = Card(title=text, facts=((text, text),), image=PIXEL)
    blocks = (
        Facts(items=((text, text),)),
        Text(paragraphs=(text,)),
        Table(caption=text, columns=columns, rows=((text, 1.5), (text, None), (text, float("nan")))),
        Figures(figures=(Figure(title=text, svg=chart, caption=text),)),
        Gallery(cards=(card, Card(title=text, missing=text)), caption=text),
        Gallery(cards=(Card(title=text, video="data:video/mp4;base64,AAAA", image=PIXEL),) * 2, paired=True),
    )
    made = Provenance(config={text: [text]}, inputs={text: text}, versions={text: text}, seed=7)
    sections = tuple(Section(title=text, blocks=blocks if place == 0 else ()) for place in range(3))
    return Page(title=text, lead=(text,), sections=sections, provenance=made)


def test_text_is_text_whatever_it_is() -> None:
    plain, hostile = Reader(render_page(page_of())), Reader(render_page(page_of(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert not [names for _, names in hostile.elements if any(name.startswith("on") for name in names)]
    assert hostile.said("h1") == [HOSTILE.replace("\n", "\\n").replace("\udce9", "\\udce9")]
    assert [attributes["alt"] for attributes in hostile.all("img")] == [f"a frame of {hostile.said('h1')[0]}"]


def test_nothing_leads_out_of_the_page() -> None:
    reader = Reader(render_page(page_of()))
    addresses = [
        value or ""
        for _, attributes in reader.elements
        for name, value in attributes.items()
        if name in ("src", "href", "poster", "srcset", "data", "action")
    ]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "url(" not in "".join(reader.said("style"))
    assert "@import" not in "".join(reader.said("style"))
    assert not reader.all("link")
    [policy] = [each["content"] for each in reader.all("meta") if "http-equiv" in each]
    assert policy is not None
    assert policy.startswith("default-src 'none';")


def test_the_policy_admits_the_one_script() -> None:
    text = render_page(page_of())
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert text.count("<script") == 1
    [policy] = [each["content"] or "" for each in Reader(text).all("meta") if "http-equiv" in each]
    assert f"script-src 'sha256-{digest}';" in policy


def test_a_page_can_be_read_by_everyone() -> None:
    reader = Reader(render_page(page_of("words")))
    assert reader.all("html") == [{"lang": "en"}]
    assert len(reader.said("h1")) == 1
    assert all(each.get("alt") for each in reader.all("img"))
    assert all(each.get("aria-label") for each in reader.all("svg") + reader.all("video"))
    assert reader.said("caption") == ["words"]
    assert {each["scope"] for each in reader.all("th")} == {"col", "row"}
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {(each["href"] or "")[1:] for each in reader.all("a")}
    assert links == {"section-1", "section-2", "section-3"}
    assert links <= set(ids)
    style = "".join(reader.said("style"))
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_the_charts_variables_are_defined_for_every_scheme() -> None:
    style = module._template_text("page.css")
    light = style.split("@media")[0]
    for number, colour in enumerate(SERIES, start=1):
        assert f"--series-{number}: {colour};" in light
        assert style.count(f"--series-{number}:") == 3  # light, dark, print
    for name, colour in (("grid", GRID), ("before", BEFORE)):
        assert f"--{name}: {colour};" in light
        assert style.count(f"--{name}:") == 3


def test_numbers_are_written_as_asked_and_sorted_by_their_value() -> None:
    reader = Reader(render_page(page_of()))
    assert reader.said("td") == ["1.50", "\N{EN DASH}", "\N{EN DASH}"]
    assert [each["data-value"] for each in reader.all("td")] == ["1.5", "", ""]


def test_pairs_stand_side_by_side_and_can_be_played() -> None:
    reader = Reader(render_page(page_of()))
    assert [each["class"] for each in reader.all("div") if "gallery" in (each.get("class") or "")] == [
        "gallery",
        "gallery paired",
    ]
    assert all("controls" in each for each in reader.all("video"))


def test_the_same_page_gives_the_same_file_and_it_is_whole_or_not_there(tmp_path: Path) -> None:
    write_page(tmp_path / "a.html", page_of())
    write_page(tmp_path / "b.html", page_of())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.html", "b.html"]
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        write_page(tmp_path / "file" / "page.html", page_of())


def test_the_foot_says_what_it_was_made_of() -> None:
    made = Provenance(config={"ids": [str(each) for each in range(1000)], "deep": {"count": 3}}, seed=5)
    assert json.loads(made.settings) == {
        "ids": [*(str(each) for each in range(20)), "... 1000 in all"],
        "deep": {"count": 3},
    }
    reader = Reader(render_page(Page(title="t", lead=(), sections=(), provenance=made)))
    assert reader.said("dd") == ["5"]
    assert "1000 in all" in "".join(reader.said("pre"))
    assert not reader.all("nav")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="a row has 1 cells, where 2 are due"):
        Table(caption="t", columns=(Column(title="a"), Column(title="b")), rows=(("x",),))
    with pytest.raises(ValueError, match="is no data:image/ address"):
        Card(title="t", image="https://example.org/a.jpg")
    with pytest.raises(ValueError, match="is no data:video/ address"):
        Card(title="t", video="file:///a.mp4")


def test_missing_jinja_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    module._environment.cache_clear()
    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"'jinja2'.*pip install 'w2svqa\[plot\]'"):
        render_page(Page(title="t", lead=(), sections=(), provenance=Provenance()))
