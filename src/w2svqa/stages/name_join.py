"""Which of two lists of names mean the same videos, though folders, suffixes or upper case differ.

A name is compared by as many of its last parts as both have, the most telling way first: as it stands; without regard
to case; without the suffix of a video; without what some copies of a set add to its names. A name that fits several
equally well fits none, and is told apart from one that fits nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2svqa.core.inputs import MEDIA_SUFFIXES

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """How two lists of names fit.

    Attributes:
        pairs: for names of the first list their counterpart in the second, as given.
        missing: names of the first list that fit nothing.
        extra: names of the second list that nothing fits.
        ambiguous: names of the first list that fit several, or what another fits as well, and what that is.
    """

    pairs: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    ambiguous: Mapping[str, tuple[str, ...]]

    def lines(self, first: str, second: str) -> Iterator[str]:
        """Yield what did not fit, in words.

        Args:
            first: what the names of the first list are of, such as ``"ratings"``.
            second: of the second, such as ``"videos"``.
        """
        for title, names in ((f"{first} without {second}", self.missing), (f"{second} without {first}", self.extra)):
            if names:
                yield f"{len(names)} {title}: {_some(names)}"
        if self.ambiguous:
            told = [f"{name} ({' or '.join(others[:2])})" for name, others in self.ambiguous.items()]
            yield f"{len(told)} {first} fit several {second}: {_some(told)}"


def join_names(first: Sequence[str], second: Sequence[str], *, dropped: str = "") -> Join:
    """Return which names of two lists mean the same.

    Args:
        first: names, such as those of ratings; repeated ones count once.
        second: names or paths, likewise.
        dropped: regular expression of what some copies add to a name without folders and suffix.

    Example:
        >>> join_names(["KoNViD/12.mp4", "13.MP4", "14"], ["data/12.mp4", "data/13.mp4", "15.avi"]).pairs
        {'KoNViD/12.mp4': 'data/12.mp4', '13.MP4': 'data/13.mp4'}
    """
    names, others = list(dict.fromkeys(first)), list(dict.fromkeys(second))
    pairs: dict[str, str] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    for form in _forms(dropped):
        taken = set(pairs.values())
        index = _index([other for other in others if other not in taken], form)
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for name in names:
            if name in pairs or name in ambiguous:
                continue
            length, fits = _fitting(form(name), index)
            if len(fits) == 1:
                found[fits[0]].append((length, name))
            elif fits:
                ambiguous[name] = tuple(sorted(fits))
        for other, claims in found.items():
            most = max(length for length, _ in claims)
            best = [name for length, name in claims if length == most]
            if len(best) == 1:
                pairs[best[0]] = other
            else:
                ambiguous |= dict.fromkeys(best, (other,))
    meant = set(pairs.values()) | {other for fits in ambiguous.values() for other in fits}
    return Join(
        pairs={name: pairs[name] for name in names if name in pairs},
        missing=tuple(name for name in names if name not in pairs and name not in ambiguous),
        extra=tuple(other for other in others if other not in meant),
        ambiguous=ambiguous,
    )


def stem_of(name: str) -> str:
    """Return a name without folders and without the suffix of a video; what else follows a dot is a part of it.

    Example:
        >>> stem_of("a/b_t_20.0.mp4"), stem_of("b_t_20.0")
        ('b_t_20.0', 'b_t_20.0')
    """
    return _without_suffix(_parts(name))[-1]


Parts = tuple[str, ...]


def _forms(dropped: str) -> Iterator[Callable[[str], Parts]]:
    yield _parts
    yield lambda name: _parts(name.casefold())
    yield lambda name: _without_suffix(_parts(name.casefold()))
    if dropped:
        pattern = re.compile(dropped, re.IGNORECASE)

        def without(name: str) -> Parts:
            *folders, last = _without_suffix(_parts(name.casefold()))
            return (*folders, pattern.sub("", last))

        yield without


def _parts(name: str) -> Parts:
    """The parts of a path, however it is written."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".")) or (name,)


def _without_suffix(parts: Parts) -> Parts:
    stem, dot, suffix = parts[-1].rpartition(".")
    return (*parts[:-1], stem) if dot and stem and f".{suffix.lower()}" in MEDIA_SUFFIXES else parts


def _index(names: Sequence[str], form: Callable[[str], Parts]) -> dict[Parts, list[str]]:
    """Names by each of their ends."""
    index: dict[Parts, list[str]] = defaultdict(list)
    for name in names:
        parts = form(name)
        for begin in range(len(parts)):
            index[parts[begin:]].append(name)
    return index


def _fitting(parts: Parts, index: Mapping[Parts, list[str]]) -> tuple[int, list[str]]:
    """What ends like a name, by the longest end that anything has, and how many parts that is."""
    for begin in range(len(parts)):
        if found := index.get(parts[begin:]):
            return len(parts) - begin, found
    return 0, []


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
