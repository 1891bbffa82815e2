"""Figures as SVG to be put into a page: text stays text, colours follow its scheme, equal figures equal bytes."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NewType
from xml.etree import ElementTree

from w2svqa.core.errors import printable
from w2svqa.core.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Svg = NewType("Svg", str)
"""An ``<svg>`` element that this package made: pages take it as it is."""

INK: Final = "#1b1b1b"
"""Text and axes: the colour of the page's text."""

GRID: Final = "#d4d4d4"
BEFORE: Final = "#9c9c9c"
SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that differ for colour-blind people too. Source: M. Okabe, K. Ito, "Color Universal Design", 2008."""

# What a figure is drawn with, and the page's variable for it, which differs in the dark; page.css has the same names.
_COLOURS: Final = {
    INK: "currentColor",
    GRID: f"var(--grid, {GRID})",
    BEFORE: f"var(--before, {BEFORE})",
    **{colour: f"var(--series-{number}, {colour})" for number, colour in enumerate(SERIES, start=1)},
}
_STYLE: Final = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "w2svqa",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
_SPACE: Final = "{http://www.w3.org/2000/svg}"
_LINK: Final = "{http://www.w3.org/1999/xlink}href"
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}\b")
_FONT: Final = re.compile(r"font-family: [^;]*; ")  # the page's
_LONGEST: Final = 28


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure, in inches; within the block the settings are the project's, whatever the user's are.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    style = require("matplotlib.style", extra="plot")
    from matplotlib.figure import Figure

    with style.context(["default", dict(_STYLE)]):
        yield Figure(figsize=(width, height))


def finished(figure: Figure, alt: str) -> Svg:
    """Return a figure as an ``<svg>`` element, within the block of :func:`drawing`.

    It has no size of its own but a ``viewBox``, so it is as wide as the page lets it be. Its ids are like no other
    figure's.

    Args:
        figure: finished otherwise.
        alt: what it shows, in words, for those who do not see it.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # the page's reader has a font for it, or draws a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for child in list(root):
        if child.tag == f"{_SPACE}metadata" or child.find(f"{_SPACE}style") is not None:
            root.remove(child)
    digest = hashlib.sha256(buffer.getvalue() + alt.encode("utf-8", "surrogatepass")).hexdigest()
    _rename(root, f"f{digest[:8]}")
    view = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib |= {
        "xmlns": _SPACE[1:-1],
        "viewBox": view,
        "role": "img",
        "aria-label": printable(alt),
        # what the style element said of all, which in a page would be all of the page
        "style": "stroke-linejoin: round; stroke-linecap: butt",
    }
    return Svg(ElementTree.tostring(root, encoding="unicode"))


def short(name: str, limit: int = _LONGEST) -> str:
    r"""Return a name as one line that fits beside an axis.

    Example:
        >>> short("a-very-long-name-of-a-collection-of-videos"), short("two\nlines")
        ('a-very-long-name-of-a-col...', 'two\\nlines')
    """
    text = printable(name)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """Drop namespaces and the ids that nothing refers to, make the others unique, put variables for colours."""
    referred = set(re.findall(r"#([\w-]+)", " ".join(_references(root))))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SPACE)
        for key, value in list(element.attrib.items()):
            if key == "id":
                del element.attrib[key]
                if value in referred:
                    element.set("id", f"{prefix}-{value}")
            elif key == _LINK:
                del element.attrib[key]
                element.set("href", f"#{prefix}-{value[1:]}")
            elif key == "clip-path":
                element.set(key, value.replace("#", f"#{prefix}-"))
            elif key == "style":
                element.set(key, _COLOUR.sub(lambda found: _COLOURS.get(found[0], found[0]), _FONT.sub("", value)))


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        yield from (value for key, value in element.attrib.items() if key in (_LINK, "clip-path"))
