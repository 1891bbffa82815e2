"""How a student does on contents that it was not trained on: its order of severities, and the labels it would give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.levels import SIMILAR
from w2svqa.core.records import Tokens
from w2svqa.core.rows import VersionRow
from w2svqa.core.stage_rows import HeldBackRow
from w2svqa.core.statistics import spearman
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.soft import judge_pieces
from w2svqa.stages.pair import PairConfig, make_pairs
from w2svqa.stages.pool_pairs import uncertain_levels

Floats = NDArray[np.float64]

VMAF_APART: Final = 10.0
"""Points of VMAF from which two versions of different contents are taken to differ: twice what one is off by."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """A version and its tokens."""

    row: VersionRow
    tokens: Tokens

    @property
    def halves(self) -> tuple[Tokens, Tokens]:
        """Even and odd seconds."""
        return self.tokens[0::2], self.tokens[1::2]


def figures(judge: AnchoredJudge, items: Sequence[Encoded]) -> dict[str, object]:
    """Return how scores order the severities of held-out contents, per kind and overall, with N.

    ``pair_accuracy``: share of severity pairs more than one step apart that the raw scores order right.
    ``within``: mean Spearman correlation of step and falling raw score, over contents, per kind (-1 to 1; 1 is best).
    ``across``: Spearman correlation of level and falling raw score over all primaries together, per kind (-1 to 1).
    ``clean_spread``: standard deviation of the raw scores of untouched primaries.
    """
    raw = judge.score([item.tokens for item in items]).raw
    ladders: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    kinds = sorted({item.row.kind for item in items} - {"none"})
    for item, value in zip(items, raw.tolist(), strict=True):
        if item.row.kind != "none":
            ladders[item.row.kind, item.row.clip_id].append((item.row.level, value))
        elif item.row.primary:
            for kind in kinds:
                ladders[kind, item.row.clip_id].append((0, value))
    right = [
        better > worse
        for ladder in ladders.values()
        for step, (_, better) in enumerate(sorted(ladder))
        for _, worse in sorted(ladder)[step + 2 :]
    ]
    within = {
        kind: [_order(ladder) for (name, _), ladder in ladders.items() if name == kind and len(ladder) > 1]
        for kind in kinds
    }
    clean = [value for item, value in zip(items, raw.tolist(), strict=True) if is_clean(item.row)]
    return {
        "pair_accuracy": float(np.mean(right)) if right else None,
        "pairs": len(right),
        "within": {kind: float(np.mean(values)) for kind, values in within.items() if values},
        "across": {kind: _across(items, raw, kind) for kind in kinds},
        "clean_spread": float(np.std(clean)) if clean else None,
        "clean": len(clean),
        "contents": len({item.row.clip_id for item in items}),
        "versions": len(items),
    }


def label_figures(judge: AnchoredJudge, items: Sequence[Encoded]) -> dict[str, object]:
    """Return how the two ways of labelling pairs do on severity pairs of held-out contents, whose truth is known.

    ``direct`` is the student's comparison of the two, ``scores`` the paper's rule on their scores and deviations.
    ``exact``: share of pairs with the right one of five levels. ``order``: share that is not on the wrong side;
    "similar" counts half. With N.
    """
    place = {item.row.version_id: index for index, item in enumerate(items)}
    made = make_pairs([item.row for item in items], PairConfig(), split="calibration", seed=0)
    pairs = [pair for pair in made if pair.origin == "severity"]
    if not pairs:
        return {"pairs": 0}
    first, second = (np.array([place[getattr(pair, side)] for pair in pairs]) for side in ("first", "second"))
    tokens = [item.tokens for item in items]
    direct = judge_pieces(
        judge.student, [tokens[index] for index in first.tolist()], [tokens[index] for index in second.tolist()]
    ).argmax(axis=1)
    placed = judge.place(tokens)
    deviation = np.sqrt(placed.deviation[first] ** 2 + placed.deviation[second] ** 2)
    by_scores = uncertain_levels(placed.latent[second] - placed.latent[first], deviation)
    truth = np.array([pair.level for pair in pairs])
    return {
        "pairs": len(pairs),
        **{
            name: {"exact": float(np.mean(found == truth)), "order": float(np.mean(_right_side(found, truth)))}
            for name, found in (("direct", direct), ("scores", by_scores))
        },
    }


def _right_side(found: NDArray[np.int64], truth: NDArray[np.int64]) -> Floats:
    """1 where both levels are on the same side of "similar", 0 where not, 0.5 where ``found`` is similar."""
    side, true_side = np.sign(found - SIMILAR), np.sign(truth - SIMILAR)
    return np.where(side == 0, 0.5, (side == true_side).astype(np.float64))


def held_back(judge: AnchoredJudge, items: Sequence[Encoded]) -> tuple[HeldBackRow, ...]:
    """Return the score of every version, by which stages are compared."""
    raw = judge.score([item.tokens for item in items]).raw.tolist()
    return tuple(
        HeldBackRow(
            version_id=item.row.version_id,
            clip_id=item.row.clip_id,
            kind=item.row.kind,
            level=item.row.level,
            primary=item.row.primary,
            vmaf=item.row.vmaf,
            raw=value,
        )
        for item, value in zip(items, raw, strict=True)
    )


def _across(items: Sequence[Encoded], raw: Floats, kind: str) -> float | None:
    """Spearman's correlation of level and falling score over the primaries; ``None`` without two levels."""
    chosen = [
        (item.row.level, value) for item, value in zip(items, raw.tolist(), strict=True) if _shows(item.row, kind)
    ]
    return _order(chosen) if len({level for level, _ in chosen}) > 1 else None


def _shows(row: VersionRow, kind: str) -> bool:
    return row.primary and row.kind in ("none", kind)


def _order(steps: Sequence[tuple[int, float]]) -> float:
    """Spearman's correlation of level and falling score, -1 to 1; 0 where the score does not change."""
    levels, values = zip(*steps, strict=True)
    return spearman(levels, np.negative(values))


def is_clean(row: VersionRow) -> bool:
    """Return whether a version is an untouched primary."""
    return row.primary and row.kind == "none"


def content_accuracy(rows: Sequence[HeldBackRow]) -> dict[str, float]:
    """Return how well each held-back content is ordered, 0 to 1, by clip id: the figure by which stages are compared.

    It is the mean of two shares of pairs whose scores are in the right order, or the one that there is: severity pairs
    of the content itself (the untouched version of a primary is the mildest), and pairs of a version of it and one of
    another content whose VMAF differ by :data:`VMAF_APART` or more. Equal scores count half. Contents without either
    have no entry.

    Args:
        rows: one per version.
    """
    within = {clip: _share_in_order(_ladders(members)) for clip, members in _by_clip(rows).items()}
    across = _across_contents(rows)
    shares = {clip: [share for share in (within[clip], across.get(clip)) if share is not None] for clip in within}
    return {clip: float(np.mean(found)) for clip, found in shares.items() if found}


def _by_clip(rows: Sequence[HeldBackRow]) -> dict[str, list[HeldBackRow]]:
    found: dict[str, list[HeldBackRow]] = defaultdict(list)
    for row in rows:
        found[row.clip_id].append(row)
    return found


def _ladders(rows: Sequence[HeldBackRow]) -> list[list[float]]:
    """The scores of each distortion of one content, mild to severe."""
    clean = [row.raw for row in rows if row.kind == "none" and row.primary]
    kinds = sorted({row.kind for row in rows} - {"none"})
    return [clean + [row.raw for row in sorted(rows, key=lambda row: row.level) if row.kind == kind] for kind in kinds]


def _share_in_order(ladders: Sequence[Sequence[float]]) -> float | None:
    signs = [np.sign(milder - worse) for ladder in ladders for milder, worse in combinations(ladder, 2)]
    return float(np.mean(np.add(signs, 1) / 2)) if signs else None


def _across_contents(rows: Sequence[HeldBackRow]) -> dict[str, float]:
    known = [row for row in rows if row.primary and row.vmaf is not None]
    vmaf = np.array([row.vmaf for row in known], dtype=np.float64)
    raw = np.array([row.raw for row in known])
    clips = np.array([row.clip_id for row in known], dtype=object)
    found = {}
    for clip in dict.fromkeys(clips.tolist()):
        own = clips == clip
        apart = vmaf[own][:, None] - vmaf[~own][None, :]
        right = (np.sign(raw[own][:, None] - raw[~own][None, :]) * np.sign(apart) + 1) / 2
        told = np.abs(apart) >= VMAF_APART
        if told.any():
            found[str(clip)] = float(right[told].mean())
    return found
