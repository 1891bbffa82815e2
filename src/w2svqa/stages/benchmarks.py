"""Benchmarks: videos that people have rated, by name or by a small YAML file of one's own.

A YAML file has the keys of :class:`Benchmark`; ``name`` is the only one that it must have:

```yaml
name: my-set
title: My set
videos: 240
ratings: mos.csv        # beside the file; columns name and mos
higher_is_better: true
content: '([a-z]+)_'    # what a video shows, from its name
distortion: '_([a-z0-9]+)$'
```
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from w2svqa.core.config import load_config
from w2svqa.core.conversion import near_name
from w2svqa.core.errors import ConfigError
from w2svqa.stages.name_join import stem_of

Group = Literal["in-domain", "OOD", "other"]

UNKNOWN: Final = "unknown"
"""Stands where a fact is not known for certain: nothing here is guessed."""

_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A set of rated videos.

    Attributes:
        name: as it is asked for.
        title: as tables call it; the name if empty.
        group: of the paper's tables, whose overall figure it counts in.
        videos: how many the paper scores, or the set has; 0 if that is not known.
        published: how many the set was published with; 0 if that is not known.
        split: which part of the set it is.
        scale: of the ratings.
        higher_is_better: direction of the ratings: true for opinion scores, false for differential ones (DMOS).
        page: where videos and ratings are found.
        access: how.
        citation: of the set.
        license: as far as known.
        content: regular expression, searched for in a name without folders and suffix, whose first group is what the
            video shows; videos of one content are drawn together. Empty: each shows something else.
        distortion: the same for what was done to it. Empty: unknown.
        dropped: regular expression of what some copies add to names; it is dropped where names are joined.
        ratings: of a YAML file: the table of ratings, relative to it.
        videos_folder: of a YAML file: the folder of the videos, relative to it.

    Raises:
        ValueError: a number is negative, or a regular expression is none or has no group.
    """

    name: str
    title: str = ""
    group: Group = "other"
    videos: int = 0
    published: int = 0
    split: str = ""
    scale: str = UNKNOWN
    higher_is_better: bool = True
    page: str = UNKNOWN
    access: str = UNKNOWN
    citation: str = ""
    license: str = UNKNOWN
    content: str = ""
    distortion: str = ""
    dropped: str = ""
    ratings: str = ""
    videos_folder: str = ""

    def __post_init__(self) -> None:
        """Reject what cannot be used."""
        if min(self.videos, self.published) < 0:
            raise ValueError(f"videos: {self.videos} and published: {self.published} must be 0 or more")
        for key in ("content", "distortion", "dropped"):
            pattern = getattr(self, key)
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"{key}: {pattern!r} is no regular expression: {error}") from None
            if pattern and key != "dropped" and not groups:
                raise ValueError(f"{key}: {pattern!r} has no group in parentheses")

    @property
    def shown(self) -> str:
        """The title, or the name where there is none."""
        return self.title or self.name

    def content_of(self, name: str) -> str:
        """Return what a video shows, from its name; the name itself where that is not told.

        Example:
            >>> Benchmark(name="a", content="(.+)_crf").content_of("videos/books_crf_63.mp4")
            'books'
        """
        return _searched(self.content, name) or name

    def distortion_of(self, name: str) -> str:
        """Return what was done to a video, from its name; empty if that is not known."""
        return _searched(self.distortion, name)


def _searched(pattern: str, name: str) -> str:
    found = re.search(pattern, stem_of(name)) if pattern else None
    return next((group for group in found.groups() if group), "") if found else ""


def find_benchmarks(names: Sequence[str]) -> list[Benchmark]:
    """Return benchmarks by name, by group (``in-domain``, ``ood``, ``all``), or by YAML file, each once.

    Raises:
        ConfigError: a name is unknown (a near one is shown), or a file cannot be used.

    Example:
        >>> [benchmark.title for benchmark in find_benchmarks(["kvq", "OOD"])][:2]
        ['KVQ', 'LIVE-YT-Gaming']
        >>> find_benchmarks(["konvid1k"])
        Traceback (most recent call last):
        w2svqa.core.errors.ConfigError: unknown benchmark 'konvid1k' (did you mean 'konvid-1k'? ...
    """
    found: dict[str, Benchmark] = {}
    for name in names:
        for benchmark in _named(name):
            found.setdefault(benchmark.name, benchmark)
    return list(found.values())


def _named(name: str) -> list[Benchmark]:
    from w2svqa.stages.benchmark_table import BENCHMARKS

    if name.lower().endswith(_YAML):
        return [_own(name)]
    key = name.lower()
    groups = {"all": list(BENCHMARKS)}
    for benchmark in BENCHMARKS:
        groups.setdefault(benchmark.group.lower(), []).append(benchmark)
    known = {benchmark.name: [benchmark] for benchmark in BENCHMARKS} | groups
    by_title = {benchmark.shown.lower(): [benchmark] for benchmark in BENCHMARKS}
    if key not in known and key not in by_title:
        near = near_name(key, [*known, *by_title])
        hint = f"did you mean {near!r}? " if near else ""
        raise ConfigError(
            f"unknown benchmark {name!r}", remedy=f"{hint}known: {', '.join(known)}, or a YAML file of your own"
        )
    return known.get(key) or by_title[key]


def _own(path: str) -> Benchmark:
    """A benchmark of a YAML file, with paths as seen from here."""
    benchmark = load_config(path, Benchmark)
    folder = Path(path).parent
    return replace(
        benchmark,
        ratings=str(folder / benchmark.ratings) if benchmark.ratings else "",
        videos_folder=str(folder / benchmark.videos_folder) if benchmark.videos_folder else "",
    )
