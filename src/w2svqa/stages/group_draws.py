"""Which groups of pairs a step of training takes: drawn from seed, step and place, and from nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from w2svqa.core.errors import ConfigError
from w2svqa.core.random import generator
from w2svqa.core.rows import Origin, PairRow

Group = list[PairRow]
"""Pairs that share versions and are looked at together."""


class GroupDraws:
    """Draws the groups of any step.

    The same seed and step give the same groups, so that a resumed run goes on as if it had never stopped. Groups do not
    depend on each other: each process draws its own.

    Args:
        pairs: rows of the pair stage.
        wanted: how many groups of each origin a step takes; an origin without pairs takes none.
        seed: fixes everything that is drawn.
        share: ``(index, count)`` of this process among several: it makes every ``count``-th group.
        most: pairs of a group, drawn at random where it has more; ``None`` for all.
        length: of a pair; where given, groups are sorted by it.
        parts: into which sorted groups are cut; those of a step are all from the same part, and so of about one length.

    Raises:
        ConfigError: no pair is of an origin that a step takes, or a step has fewer groups than there are processes.
    """

    def __init__(
        self,
        pairs: Sequence[PairRow],
        wanted: Mapping[Origin, int],
        *,
        seed: int,
        share: tuple[int, int] = (0, 1),
        most: int | None = None,
        length: Callable[[PairRow], int] | None = None,
        parts: int = 1,
    ) -> None:
        groups = _by_origin(pairs)
        if length is not None:
            groups = {origin: _sorted(members, length) for origin, members in groups.items()}
        taken = ((origin, count) for origin, count in wanted.items() if origin in groups)
        self._choices = [groups[origin] for origin, count in taken for _ in range(count)]
        self._seed = seed
        self._share = share
        self._most = most
        self._parts = parts
        if not self._choices:
            raise ConfigError(
                f"none of the {len(pairs)} pairs is of an origin that a step takes", remedy="give a step more groups"
            )
        if len(self._choices) < share[1]:
            raise ConfigError(
                f"a step has {len(self._choices)} groups for {share[1]} processes", remedy="start fewer processes"
            )

    def own(self, step: int) -> list[tuple[Group, np.random.Generator]]:
        """Return this process's groups of a step, each with what draws its looks."""
        index, count = self._share
        return [self._drawn(step, place) for place in range(index, len(self._choices), count)]

    def all(self, step: int) -> list[tuple[Group, np.random.Generator]]:
        """Return the groups of all processes."""
        return [self._drawn(step, place) for place in range(len(self._choices))]

    def _drawn(self, step: int, place: int) -> tuple[Group, np.random.Generator]:
        random = generator(self._seed, "batch", step, place)
        groups = self._choices[place]
        if self._parts > 1:
            parts = min(self._parts, len(groups))
            part = int(generator(self._seed, "length", step).random() * parts)
            groups = groups[part * len(groups) // parts : (part + 1) * len(groups) // parts]
        pairs = groups[int(random.integers(len(groups)))]
        if self._most is not None and len(pairs) > self._most:
            pairs = [pairs[index] for index in sorted(random.permutation(len(pairs))[: self._most].tolist())]
        return pairs, random


def names_of(groups: Sequence[tuple[Group, np.random.Generator]]) -> tuple[str, ...]:
    """Return the version ids of some groups, each once."""
    return tuple(dict.fromkeys(name for pairs, _ in groups for pair in pairs for name in (pair.first, pair.second)))


def _by_origin(pairs: Sequence[PairRow]) -> dict[str, list[Group]]:
    groups: dict[tuple[str, str], Group] = defaultdict(list)
    for pair in pairs:
        groups[pair.origin, pair.group].append(pair)
    by_origin: dict[str, list[Group]] = defaultdict(list)
    for (origin, _), members in groups.items():
        by_origin[origin].append(members)
    return by_origin


def _sorted(groups: Sequence[Group], length: Callable[[PairRow], int]) -> list[Group]:
    return sorted(groups, key=lambda pairs: max(map(length, pairs)))
