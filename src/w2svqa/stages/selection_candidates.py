"""Whom a selection is made of: the configuration, the candidates, the groups they are stratified by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError
from w2svqa.core.metric_table import MetricTable
from w2svqa.stages.selection_bins import Target
from w2svqa.stages.selection_problem import Counts, Floats, Places
from w2svqa.stages.selection_quotas import quotas
from w2svqa.stages.selection_report import GroupFit

_MOST_GROUPS: Final = 1000
_NAMED: Final = 5  # ids that a message lists


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateConfig:
    """How videos are chosen.

    Attributes:
        count: how many.
        weights: of metrics, 0 or more; 1 for those not named, 0 leaves a metric out.
        bins: per metric.
        stratify: column of text: each of its values gets the share that it has in the target, or in the pool where the
            target does not have the column.
        include: ids that must be chosen.
        exclude: ids that must not.
        seed: of the choice among equally good videos.
        seconds: time for swaps, and for the exact solver where the pool is small enough for it.
    """

    count: int
    weights: Mapping[str, float] = field(default_factory=dict)
    bins: int = 50
    stratify: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    seed: int = 0
    seconds: float = 60.0

    def __post_init__(self) -> None:
        """Reject what cannot be.

        Raises:
            ConfigError: a number is out of range, or a video must and must not be chosen.
        """
        if self.count < 1:
            raise ConfigError(f"{self.count} videos are to be chosen", remedy="ask for 1 or more")
        if not 1 <= self.bins <= 10_000:
            raise ConfigError(f"{self.bins} bins per metric", remedy="ask for 1 to 10000")
        if wrong := [name for name, weight in self.weights.items() if not (np.isfinite(weight) and weight >= 0)]:
            raise ConfigError(f"the weight of {wrong[0]} is {self.weights[wrong[0]]}", remedy="give a number from 0 on")
        if both := sorted(set(self.include) & set(self.exclude)):
            raise ConfigError(
                f"{_list(both)} must and must not be chosen", remedy="take it out of one of the two lists"
            )
        if not (np.isfinite(self.seconds) and self.seconds >= 0):
            raise ConfigError(f"{self.seconds} seconds", remedy="give a number from 0 on")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """The videos there are to choose from.

    Attributes:
        table: their metrics that count, all of them there.
        forced: which must be chosen, ``(videos,)``.
        left_out: why others are no candidates, and how many.
        notes: what else a reader should know.
    """

    table: MetricTable
    forced: NDArray[np.bool_]
    left_out: dict[str, int]
    notes: tuple[str, ...]


def find_candidates(pool: MetricTable, target: Target, config: CurateConfig) -> Candidates:
    """Return the videos there are to choose from.

    Args:
        pool: all videos.
        target: a stated one names the metrics that count.
        config: which metrics count, and who must and must not be chosen.

    Raises:
        ConfigError: there are too few, a metric or id is unknown, or a must-include lacks a metric.
    """
    table = pool.only(_metrics(pool, target, config))
    missing = ~np.isfinite(table.values)
    forced = np.isin(table.ids, np.asarray(config.include, dtype=np.str_))
    banned = np.isin(table.ids, np.asarray(config.exclude, dtype=np.str_))
    _check_included(table, missing, forced, config)
    kept = ~missing.any(axis=1) & ~banned
    left_out = {f"no {name}": int(count) for name, count in zip(table.names, missing.sum(axis=0), strict=True) if count}
    if banned.any():
        left_out["excluded"] = int(banned.sum())
    if kept.sum() < config.count:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise ConfigError(
            f"{config.count} videos are to be chosen of {kept.sum()}" + (f" ({reasons})" if reasons else ""),
            remedy="ask for fewer, or leave a metric that is missing out: --weight NAME=0"
            if reasons
            else "ask for fewer",
        )
    unknown = len(set(config.exclude)) - int(banned.sum())
    notes = (f"{unknown} of the videos that must not be chosen are not in the pool",) if unknown else ()
    return Candidates(table=table.rows(kept), forced=forced[kept], left_out=left_out, notes=notes)


def _metrics(pool: MetricTable, target: Target, config: CurateConfig) -> list[str]:
    """Return the metrics that count."""
    if unknown := sorted(set(config.weights) - set(pool.names)):
        raise ConfigError(
            f"the pool has no metric {', '.join(unknown)} to give a weight to",
            remedy=f"it has {', '.join(pool.names) or 'none'}",
        )
    names = [name for name in pool.names if weight_of(config, name) > 0]
    if isinstance(target, Mapping):
        names = [name for name in names if name in target]
    if not names:
        raise ConfigError("no metric is left to choose by", remedy=f"the pool has {', '.join(pool.names) or 'none'}")
    return names


def _check_included(
    table: MetricTable, missing: NDArray[np.bool_], forced: NDArray[np.bool_], config: CurateConfig
) -> None:
    wanted = set(config.include)
    if unknown := sorted(wanted - set(table.ids[forced].tolist())):
        raise ConfigError(f"{_list(unknown)} must be chosen, but is not in the pool", remedy="check the list")
    if len(wanted) > config.count:
        raise ConfigError(
            f"{len(wanted)} videos must be chosen, but only {config.count} may",
            remedy="ask for more, or shorten the list",
        )
    bad = forced & missing.any(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        lacking = [name for name, gone in zip(table.names, missing[first], strict=True) if gone]
        raise ConfigError(
            f"{table.ids[first]} must be chosen, but has no {', '.join(lacking)}",
            remedy=f"take it off the list, or leave that out: --weight {lacking[0]}=0",
        )


def weight_of(config: CurateConfig, name: str) -> float:
    """Return the weight of a metric."""
    return float(config.weights.get(name, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """What a selection is stratified by: one group of everything where it is not.

    Attributes:
        names: of the groups; empty where it is not stratified.
        places: the group of each video, ``(videos,)``.
        shares: wished of each group, ``(groups,)``.
        quotas: videos that each group gives, ``(groups,)``.
        forced: those of them that must be chosen, ``(groups,)``.
    """

    names: tuple[str, ...]
    places: Places
    shares: Floats
    quotas: Counts
    forced: Counts

    def fits(self, chosen: NDArray[np.bool_]) -> tuple[GroupFit, ...]:
        """Return what became of each group."""
        if len(self.names) < 1:
            return ()
        there = np.bincount(self.places, minlength=len(self.names))
        taken = np.bincount(self.places[chosen], minlength=len(self.names))
        columns = zip(self.names, there, self.shares, taken, strict=True)
        return tuple(
            GroupFit(group=name, available=int(all_), wished=float(share), chosen=int(some))
            for name, all_, share, some in columns
        )

    def notes(self) -> tuple[str, ...]:
        """Return which groups cannot have their share."""
        count = int(self.quotas.sum())
        off = [
            f"{name!r}: {share * count:.0f} wished, {quota} can be"
            for name, share, quota in zip(self.names, self.shares, self.quotas, strict=False)
            if abs(share * count - quota) > 1
        ]
        return (f"the pool or the must-includes do not allow the wished groups: {'; '.join(off)}",) if off else ()


def find_groups(table: MetricTable, target: Target, forced: NDArray[np.bool_], config: CurateConfig) -> Groups:
    """Return the groups of the candidates and how many videos each gives.

    Args:
        table: the candidates.
        target: a table with the column says what share each group should have.
        forced: which must be chosen, ``(videos,)``.
        config: the column, and how many are chosen.

    Raises:
        ConfigError: there is no such column, it has too many values, or none in common with the target.
    """
    if config.stratify is None:
        places = np.zeros(len(table), np.intp)
        return Groups(
            names=(), places=places, shares=np.ones(1), quotas=np.array([config.count]), forced=np.array([forced.sum()])
        )
    found, places = np.unique(table.label(config.stratify), return_inverse=True)
    if len(found) > _MOST_GROUPS:
        raise ConfigError(
            f"{config.stratify!r} has {len(found)} values, too many to stratify by", remedy="choose another column"
        )
    there, must = (np.bincount(each, minlength=len(found)) for each in (places, places[forced]))
    shares = there / len(table)
    if isinstance(target, MetricTable) and config.stratify in target.labels:
        wished = Counter(target.label(config.stratify).tolist())
        shares = np.array([wished[str(name)] for name in found], np.float64)
        if not shares.any():
            raise ConfigError(
                f"pool and target have no value of {config.stratify!r} in common", remedy="choose another column"
            )
        shares /= shares.sum()
    return Groups(
        names=tuple(found.tolist()),
        places=places,
        shares=shares,
        quotas=quotas(shares, config.count, least=must, most=there),
        forced=must,
    )


def _list(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more
