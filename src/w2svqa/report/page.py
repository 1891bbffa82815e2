"""Pages: one HTML file each that needs nothing else, neither network nor other files, made of a few kinds of blocks."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, ClassVar, Final

from w2svqa.core.errors import StrPath, printable
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_write
from w2svqa.report.svg import Svg

if TYPE_CHECKING:
    import jinja2

Cell = str | int | float | None
"""A cell of a table: text, a number, or nothing."""

_MOST_ITEMS: Final = 20  # of a list in a configuration, such as ids that must be chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Figures that a reader looks for first.

    Attributes:
        items: name and value of each.
    """

    kind: ClassVar[str] = "facts"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Paragraphs.

    Attributes:
        paragraphs: plain text, as it is.
    """

    kind: ClassVar[str] = "text"
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        form: how its numbers are written, as in ``format``; empty for a column of text.
    """

    title: str
    form: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that can be sorted by a click on a heading.

    Attributes:
        caption: what it shows.
        columns: from the left; the first names the row.
        rows: a cell per column.

    Raises:
        ValueError: a row has another number of cells.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        """Reject rows that do not fit."""
        if wrong := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"{self.caption}: a row has {len(wrong[0])} cells, where {len(self.columns)} are due")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart.

    Attributes:
        title: what it is of.
        svg: what :mod:`w2svqa.report.charts` returned.
        caption: what is to be said of it.
    """

    title: str
    svg: Svg
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Charts beside each other, as many as the page is wide.

    Attributes:
        figures: in order.
    """

    kind: ClassVar[str] = "figures"
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A video or picture and what is said of it.

    Attributes:
        title: its name.
        facts: name and value of each.
        image: a picture as a ``data:`` address; empty for none.
        video: a clip that can be played, as a ``data:`` address; empty for none.
        missing: said where there is neither.

    Raises:
        ValueError: an address leads out of the page.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    image: str = ""
    video: str = ""
    missing: str = "no picture"

    def __post_init__(self) -> None:
        """Reject what would need a network or another file."""
        for address, kind in ((self.image, "image"), (self.video, "video")):
            if address and not address.startswith(f"data:{kind}/"):
                raise ValueError(f"{self.title}: {address[:40]} is no data:{kind}/ address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Cards beside each other.

    Attributes:
        cards: in order.
        caption: what they are.
        paired: two in a row, for comparing them, rather than as many as the page is wide.
    """

    kind: ClassVar[str] = "gallery"
    cards: tuple[Card, ...]
    caption: str = ""
    paired: bool = False


Block = Facts | Text | Table | Figures | Gallery


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        blocks: from the top.
    """

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a page was made of, for its foot.

    Attributes:
        config: as plain values, see :func:`w2svqa.core.config.to_mapping`.
        inputs: hashes of what went in, by name.
        versions: of the packages that may change numbers, by name.
        seed: of the random choices; ``None`` if there are none.
    """

    config: Mapping[str, object] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None

    @property
    def settings(self) -> str:
        """The configuration as JSON; of long lists the beginning."""
        return json.dumps(_brief(self.config), indent=2, ensure_ascii=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page.

    Attributes:
        title: its heading, and the window's.
        lead: what a hurried reader should know, in paragraphs.
        sections: from the top.
        provenance: what it was made of.
    """

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    provenance: Provenance


def render_page(page: Page) -> str:
    """Return a page as HTML. The same page gives the same text; it holds no date.

    Whatever text the page has stands there as text: mark-up in it, in a file name say, has no effect. A policy in the
    page's head forbids the browser to load anything, and to run any script but the one that sorts tables.

    Raises:
        MissingExtraError: Jinja is not installed.
    """
    environment = _environment()
    script = _template_text("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html.j2").render(
        page=page, style=_template_text("page.css"), script=script, script_hash=f"sha256-{digest}"
    )


def write_page(path: StrPath, page: Page) -> None:
    """Write a page as one HTML file, whole or not at all; an existing file is replaced.

    Raises:
        MissingExtraError: Jinja is not installed.
        StoreError: the file cannot be written.
    """
    text = render_page(page)
    with atomic_write(path) as file:
        file.write(text.encode())


@cache
def _environment() -> jinja2.Environment:
    jinja = require("jinja2", extra="plot")
    environment: jinja2.Environment = jinja.Environment(
        loader=jinja.FunctionLoader(_template_text),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # file names may hold bytes that are no text, and control characters
        finalize=lambda value: printable(value) if type(value) is str and not value.isprintable() else value,
    )
    environment.filters["cell"] = _written
    environment.filters["sorted_by"] = _sorted_by
    environment.filters["lines"] = str.splitlines
    return environment


def _template_text(name: str) -> str:
    return resources.files("w2svqa.report").joinpath("templates", name).read_text(encoding="utf-8")


def _written(cell: Cell, column: Column) -> str:
    if isinstance(cell, str):
        return cell
    return "\N{EN DASH}" if cell is None or math.isnan(cell) else format(cell, column.form)


def _sorted_by(cell: Cell) -> Cell:
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell


def _brief(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _brief(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        shown = [_brief(each) for each in value[:_MOST_ITEMS]]
        return [*shown, f"... {len(value)} in all"] if len(value) > len(shown) else shown
    return value
