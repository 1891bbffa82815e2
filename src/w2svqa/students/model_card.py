"""The card of a bundle for people: ``README.md``, written from ``card.json`` and nothing else.

It has the front matter that the Hugging Face hub reads. A README may be edited: no hash vouches for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

README: Final = "README.md"

TAGS: Final = ("w2svqa", "video-quality-assessment", "image-quality-assessment", "no-reference", "weak-to-strong")

UNSTATED: Final = "unstated"

_COUNTS: Final = frozenset(
    {"clean", "contents", "count", "distorted", "n", "pairs", "scale_contents", "versions", "videos"}
)
_OF: Final[Mapping[str, str]] = {
    "pair_accuracy": "pairs",
    "exact": "pairs",
    "order": "pairs",
    "clean_spread": "clean",
    "none_rate": "clean",
    "top1": "distorted",
    "top1_mean": "distorted",
    "calibration_error": "distorted",
    "calibration_error_unfitted": "distorted",
    "same_reason": "videos",
}
"""What figures without an N of their own are of, where it is not contents: see :mod:`w2svqa.stages.held_out`."""

_MOST_ANCHORS: Final = 20

_INTENDED: Final = (
    "To rank videos or still images by technical quality without a reference: encodes of one source, a camera's takes,"
    " uploads to a service; to watch a stream of videos for faults; as a teacher for further students."
)
_NOT_INTENDED: Final = (
    "Not for judging people, works or their worth, not where a wrong score does harm that nobody can see and undo, and"
    " not as a stand-in for a test with people: a score says nothing of taste, content or how pleasing a picture is."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFigure:
    """A number of a card.

    Attributes:
        name: its path, such as ``"within/blur"``.
        value: finite.
        interval: its ends, if the card has any.
        n: of how many things it is, in words; empty if the card does not say.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    n: str


def model_card(card: Mapping[str, Any], *, license: str = "") -> str:  # noqa: A002 (the hub's word)
    """Return the Markdown of a card.

    Args:
        card: what ``card.json`` says; entries that are missing are left out.
        license: of the bundle, such as ``"apache-2.0"``; the card's own if it states one.

    Returns:
        Front matter and sections: use, intended use, data, making, figures, weaknesses, files.

    Example:
        >>> text = model_card({"name": "try", "figures": {"pair_accuracy": 0.9, "pairs": 40}})
        >>> "| pair_accuracy | 0.900 |  | 40 pairs |" in text
        True
    """
    parts = (_head, _use, _intended, _data, _making, _figures, _score, _weaknesses, _start, _files)
    sections = ["\n".join(_front_matter(card, license)), *("\n".join(part(card)) for part in parts)]
    return "\n\n".join(section for section in sections if section) + "\n"


def card_figures(figures: object) -> list[CardFigure]:
    """Return the figures of a card's entry, flat; numbers of things stand beside what they are of.

    Example:
        >>> [(each.name, each.value, each.n) for each in card_figures({"within": {"blur": 0.5}, "contents": 3})]
        [('within/blur', 0.5, '3 contents')]
    """
    return list(_flat(figures, "", {}))


def _flat(value: object, path: str, counts: Mapping[str, object]) -> Iterator[CardFigure]:
    if isinstance(value, Mapping):
        if _is_number(value.get("value")):
            yield _with_interval(value, path)
            return
        counts = {**counts, **{key: value[key] for key in _COUNTS if _is_number(value.get(key))}}
        for name, each in value.items():
            if name not in _COUNTS:
                yield from _flat(each, f"{path}/{name}" if path else str(name), counts)
    elif _is_number(value) and path:
        yield CardFigure(name=path, value=float(str(value)), interval=None, n=_counted(path, counts))


def _counted(path: str, counts: Mapping[str, object]) -> str:
    """Of how many things a figure without an N of its own is, such as ``"16 contents"``."""
    of = next((_OF[part] for part in reversed(path.split("/")) if part in _OF), "contents")
    return f"{counts[of]} {of}" if of in counts else ""


def _with_interval(entry: Mapping[str, Any], path: str) -> CardFigure:
    ends, n = entry.get("interval"), entry.get("n")
    known = isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))
    interval = (float(ends[0]), float(ends[1])) if known and ends is not None else None
    return CardFigure(name=path, value=float(entry["value"]), interval=interval, n="" if n is None else str(n))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _front_matter(card: Mapping[str, Any], told: str) -> Iterator[str]:
    """YAML, its texts written as JSON, which is YAML too."""
    named = told or str(card.get("license") or "")
    yield "---"
    yield f"license: {_text(named.lower() if named else 'other')}"
    if not named:
        yield f"license_name: {UNSTATED}"
    yield "library_name: w2svqa"
    yield "pipeline_tag: video-classification"
    yield "tags:"
    yield from (f"- {tag}" for tag in TAGS)
    results = list(_results(card))
    if results:
        yield f"model-index: {json.dumps([{'name': _name(card), 'results': results}])}"
    yield "---"


def _results(card: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """Figures that fit the hub's table: rank and linear correlation with ratings, and order of severities."""
    figures = card.get("figures")
    if not isinstance(figures, Mapping):
        return
    ratings = _of(card, "finetune", "ratings")
    for key, title in (("ratings", "cross-validation"), ("test", "separate test")):
        rows = figures.get(key)
        if isinstance(rows, Mapping):
            name = f"{ratings.get('name', 'ratings')} ({title})"
            found = {f"{measure.upper()}": _of(rows, measure, "after") for measure in ("srcc", "plcc")}
            yield from _result(name, "human-ratings", found)
    ladder = figures.get("ladder")
    if isinstance(ladder, Mapping) and "manifest" in ladder:
        found = {measure: _of(ladder, measure) for measure in ("within_mean", "pair_accuracy", "vmaf_srcc")}
        yield from _result(f"simulated distortions, manifest {ladder['manifest']}", "w2svqa-ladder", found)


def _result(name: str, kind: str, found: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, object]]:
    metrics = [
        {"type": measure.lower(), "name": measure, "value": entry["value"]}
        for measure, entry in found.items()
        if _is_number(entry.get("value"))
    ]
    if metrics:
        task = {"type": "video-classification", "name": "no-reference video quality assessment"}
        yield {"task": task, "dataset": {"name": name, "type": kind}, "metrics": metrics}


def _of(card: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The mapping at a path of a card; an empty one where there is none."""
    found: object = card
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _name(card: Mapping[str, Any]) -> str:
    return str(card.get("name") or "student")


def _text(value: str) -> str:
    return value if value.replace("-", "").replace(".", "").isalnum() else json.dumps(value)


def _plain(value: object) -> str:
    """Text for a cell or a line: no new lines, and no mark that ends a cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _head(card: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {_plain(_name(card))}"
    if card.get("description"):
        yield ""
        yield _plain(card["description"])


def _use(_: Mapping[str, Any]) -> Iterator[str]:
    yield "## Use"
    yield ""
    yield (
        "A student of w2svqa, which learns video quality from weak teachers"
        " ([arXiv 2505.03631](https://arxiv.org/abs/2505.03631)). STUDENT is this folder, or the repository's id:"
    )
    yield ""
    yield "```bash"
    yield "pip install w2svqa"
    yield "w2svqa score --student STUDENT clip.mp4"
    yield "```"


def _intended(card: Mapping[str, Any]) -> Iterator[str]:
    yield "## Intended use"
    yield ""
    yield _plain(card.get("intended_use") or _INTENDED)
    yield ""
    yield _NOT_INTENDED


def _data(card: Mapping[str, Any]) -> Iterator[str]:
    data = _of(card, "data")
    clips = data.get("clips")
    if not isinstance(clips, list) or not clips:
        return
    sources = {clip.get("source") for clip in clips if isinstance(clip, Mapping)}
    yield "## Data"
    yield ""
    yield (
        f"{len(clips)} clips of {len(sources)} sources. `card.json` names each with its source, licence and the start"
        " of its SHA-256."
    )
    for title, key in (("split", "splits"), ("licence", "licenses")):
        counts = _of(data, key)
        if counts:
            yield ""
            yield from _table((title, "clips"), [(name, count) for name, count in counts.items()])


def _making(card: Mapping[str, Any]) -> Iterator[str]:
    lines = list(_made(card))
    if lines:
        yield "## How it was made"
        yield ""
        yield from lines


def _made(card: Mapping[str, Any]) -> Iterator[str]:
    config = _of(card, "config")
    if "stage" in card:
        yield f"- Stage {card['stage']} of weak-to-strong training."
    pairs = _of(card, "pairs")
    if pairs:
        yield f"- Pairs: {', '.join(f'{count} {origin}' for origin, count in pairs.items())}."
    teachers = _of(card, "teachers").get("admissions")
    if isinstance(teachers, list):
        names = [str(each.get("teacher")) for each in teachers if isinstance(each, Mapping) and each.get("admitted")]
        yield f"- Weak teachers: {', '.join(names) or 'none'}."
    train = _of(config, "train")
    if train:
        yield f"- {train.get('steps')} steps, seed {config.get('seed')}; the whole configuration is in `card.json`."
    tuned = _of(card, "finetune")
    if tuned:
        ratings = _of(tuned, "ratings")
        yield (
            f"- Fine-tuned on {ratings.get('videos')} ratings of {ratings.get('contents')} contents"
            f" ({_plain(ratings.get('name'))}, SHA-256 {str(ratings.get('sha256'))[:16]}...): {tuned.get('trained')},"
            f" {tuned.get('steps')} steps."
        )
    if "w2svqa" in card:
        yield f"- Made with w2svqa {card['w2svqa']}."
    if "made_of" in card:
        yield f"- Made of inputs {card['made_of']} (hash)."


def _figures(card: Mapping[str, Any]) -> Iterator[str]:
    found = card_figures(card.get("figures"))
    if not found:
        return
    yield "## Figures"
    yield ""
    yield "Intervals are 95 %, by a bootstrap over contents or sources. docs/evaluation.md explains the figures."
    yield ""
    rows = [(each.name, f"{each.value:.3f}", _ends(each.interval), each.n) for each in found]
    yield from _table(("figure", "value", "interval", "N"), rows)


def _ends(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _score(card: Mapping[str, Any]) -> Iterator[str]:
    meaning = card.get("scale_meaning")
    cover, scale = _of(card, "coverage"), _of(card, "scale")
    if not meaning and not cover and not scale:
        return
    yield "## What a score means"
    yield ""
    yield _plain(
        meaning
        or "Higher is better. One in twenty of the simulators' worst severities scores below 0, one in twenty clean"
        " sources above 100; what lies beyond is shown as 0 and 100."
    )
    if _is_number(cover.get("share")):
        ends = f"{cover.get('low', math.nan):.3f} to {cover.get('high', math.nan):.3f}"
        yield ""
        yield (
            f"Intervals of {float(scale.get('interval_level', 0.9)):.0%} held {_plain(cover.get('target'))} in"
            f" {float(cover['share']):.1%} of {cover.get('count')} cases ({ends}; {cover.get('contents')} contents)."
        )
    yield from _anchors(card.get("anchors"))


def _anchors(anchors: object) -> Iterator[str]:
    if not isinstance(anchors, list) or not anchors:
        return
    yield ""
    yield "A video is compared with these anchors, worst first:"
    yield ""
    keys = ("name", "source", "license", "kind", "level")
    rows = [[each.get(key, "") for key in keys] for each in anchors[:_MOST_ANCHORS] if isinstance(each, Mapping)]
    yield from _table(("anchor", *keys[1:]), rows)


def _weaknesses(card: Mapping[str, Any]) -> Iterator[str]:
    found = card.get("weaknesses")
    yield "## Weaknesses"
    yield ""
    if isinstance(found, list) and found:
        yield from (f"- {_plain(each)}" for each in found)
    else:
        yield "None are stated, which does not mean that there are none."


def _start(card: Mapping[str, Any]) -> Iterator[str]:
    start = _of(card, "start")
    if not start:
        return
    yield "## What it started from"
    yield ""
    yield f"{_plain(start.get('name'))}: {_plain(start.get('description', ''))}"
    weaknesses = start.get("weaknesses")
    if isinstance(weaknesses, list) and weaknesses:
        yield ""
        yield from (f"- {_plain(each)}" for each in weaknesses)


def _files(card: Mapping[str, Any]) -> Iterator[str]:
    files = _of(card, "files")
    if files:
        yield "## Files"
        yield ""
        yield from _table(("file", "SHA-256"), list(files.items()))


def _table(titles: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield _row(titles)
    yield _row(["---"] * len(titles))
    yield from map(_row, rows)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"
