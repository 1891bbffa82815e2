"""student of stage k -> pairs of stage k + 1: hard pairs, labelled by the student that is now the teacher.

- ``gmad``: two untouched clips that one model holds for equally good and another for most different; the student's word
  is their label, for nobody knows the truth.
- ``misclassified``: severity pairs of the training set that the student gets wrong; the truth is known, and the label.
  Every severity pair is trained on from the first stage on; these come again, and so count more.
- ``random``: the control, as many pairs of either sort, drawn without looking at the student.

Source: arXiv 2505.03631, section 4 (iterative training on difficult samples).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.core.records import Tokens
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.core.stage_rows import MinedOrigin, MinedRow
from w2svqa.distort import SIMULATORS
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.soft import judge_pieces
from w2svqa.stages.mining_gmad import MinedPairs, gmad_pairs, misclassified, random_pairs
from w2svqa.stages.pool_pairs import uncertain_levels
from w2svqa.teachers.calibration import PseudoLabel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Labels = Literal["direct", "scores", "ensemble"]

LEAST_DEVIATION: Final = 1.0
"""Points: nobody knows the quality of a clip better, as for the teachers' labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextPairsConfig:
    """Which pairs a stage adds.

    Attributes:
        gmad_share: gMAD pairs, as a share of the first stage's pairs of real clips, or of the clips if these are more.
            The paper: 85 k of 250 k pairs.
        misclassified_share: misclassified pairs, as a share of the first stage's severity pairs, as many from each
            family of simulators. The paper: 15 k of 250 k.
        selection: ``"hard"``, or ``"random"`` for as many pairs at random: the control.
        bins: of quality, in which gMAD pairs are looked for.
        most_per_video: gMAD pairs that one clip may be in; ``None`` for four times as many as if all had as many.
        labels: who labels gMAD pairs: the student by comparing them (``"direct"``), by its scores and their deviations
            (``"scores"``), or its scores together with the weak teachers' labels (``"ensemble"``).
    """

    gmad_share: float = 0.34
    misclassified_share: float = 0.06
    selection: Literal["hard", "random"] = "hard"
    bins: int = 10
    most_per_video: int | None = None
    labels: Labels = "direct"

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: a negative share, no bins, or clips that may be in no pair.
        """
        if not (0 <= self.gmad_share < np.inf and 0 <= self.misclassified_share < np.inf):
            raise ValueError(f"shares must be 0 or more: {self.gmad_share}, {self.misclassified_share}")
        if self.bins < 1 or (self.most_per_video is not None and self.most_per_video < 1):
            raise ValueError("bins and most_per_video must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What the student says of the training versions.

    Attributes:
        rows: the versions.
        tokens: of each, float32 ``(1, token)``.
        raw: score of each before it is cut to 0-100, float64 ``(N,)``.
        deviation: of each score in points, float64 ``(N,)``.
        judge: the student with its anchors.
    """

    rows: Sequence[VersionRow]
    tokens: Sequence[Tokens]
    raw: Floats
    deviation: Floats
    judge: AnchoredJudge


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """The pairs that a stage adds.

    Attributes:
        rows: gMAD pairs, then misclassified ones.
        notes: where there are fewer than wanted, and why.
    """

    rows: tuple[MinedRow, ...]
    notes: tuple[str, ...]


def listen(judge: AnchoredJudge, rows: Sequence[VersionRow], tokens: Sequence[Tokens]) -> Said:
    """Return what a student says of versions whose tokens are known."""
    placed = judge.place(tokens)
    unit = 100 / (judge.scale.latent_hundred - judge.scale.latent_zero)
    raw = (placed.latent - judge.scale.latent_zero) * unit
    return Said(
        rows=rows, tokens=tokens, raw=raw, deviation=np.maximum(placed.deviation * unit, LEAST_DEVIATION), judge=judge
    )


def mine_pairs(
    said: Said,
    pairs: Sequence[PairRow],
    teachers: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, PseudoLabel],
    config: NextPairsConfig,
    *,
    seed: int,
) -> Mined:
    """Mine and label the pairs of the next stage.

    Args:
        said: what the student says of the training versions.
        pairs: of the first stage; their numbers are what the shares are of.
        teachers: calibrated scores by teacher and clip id, higher is better; clips may be missing.
        labels: what the weak teachers say together, by clip id.
        config: how many, and who labels.
        seed: draws what is left to chance.
    """
    place = {row.version_id: index for index, row in enumerate(said.rows)}
    clips = sum(row.kind == "none" for row in said.rows)
    wanted = round(config.gmad_share * max(clips, sum(pair.origin == "teacher" for pair in pairs)))
    severity = [pair for pair in pairs if pair.origin == "severity" and {pair.first, pair.second} <= place.keys()]
    missed_wanted = round(config.misclassified_share * len(severity))
    real, notes = _gmad(said, teachers, labels, wanted, config, seed)
    missed = _misclassified(said, place, severity, missed_wanted, config, seed)
    if len(missed) < missed_wanted:
        notes.append(
            f"{len(missed)} misclassified pairs of {missed_wanted} wanted: the student is right about the rest"
        )
    return Mined(rows=(*real, *missed), notes=tuple(notes))


def pair_rows(mined: Sequence[MinedRow], stage: int) -> list[PairRow]:
    """Return mined pairs as rows to train on; pairs of one clip and distortion form a group."""
    rows = []
    for number, row in enumerate(mined):
        # "CLIP-KIND-LEVEL" without the level: versions of one ladder share pictures
        ladder = row.first.rpartition("-")[0]
        group = f"{row.origin}-{stage}-{number if row.kind == 'none' else ladder}"
        rows.append(
            PairRow(first=row.first, second=row.second, level=row.level, origin=row.origin, kind=row.kind, group=group)
        )
    return rows


def agreement(mined: Sequence[MinedRow]) -> dict[str, float | int | None]:
    """Return how far the three ways of labelling gMAD pairs agree: shares of equal levels, with N; ``None`` of none."""
    real = [row for row in mined if row.kind == "none"]
    heard = [row for row in real if row.by_teachers is not None]
    return {
        "direct_and_scores": _share([row.direct == row.by_scores for row in real]),
        "direct_and_teachers": _share([row.direct == row.by_teachers for row in heard]),
        "pairs": len(real),
        "pairs_of_teachers": len(heard),
    }


def _share(equal: Sequence[bool]) -> float | None:
    return float(np.mean(equal)) if equal else None


def _gmad(
    said: Said,
    teachers: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, PseudoLabel],
    wanted: int,
    config: NextPairsConfig,
    seed: int,
) -> tuple[list[MinedRow], list[str]]:
    """Pairs of untouched clips, labelled; and what there is to say."""
    places = np.array([index for index, row in enumerate(said.rows) if row.kind == "none"], dtype=np.int64)
    if not wanted:
        return [], []
    student = said.raw[places]
    scores = {name: _scores_of(said, places, values) for name, values in teachers.items()}
    most = config.most_per_video or max(1, -(-8 * wanted // max(1, len(places))))
    if config.selection == "random":
        first, second = random_pairs(len(places), wanted, most_per_video=most, seed=seed)
        found = _unmined(first, second)
    else:
        each = -(-wanted // max(1, 2 * len(scores)))  # every teacher holds, and is attacked, equally often
        found = gmad_pairs(
            student, scores, count=wanted, bins=config.bins, most_per_video=most, most_per_role=each, seed=seed
        )
    origin: MinedOrigin = "random" if config.selection == "random" else "gmad"
    rows = _labelled(said, places[found.first], places[found.second], found, labels, config, origin)
    notes = [f"no gMAD pairs by {name}: {reason}" for name, reason in found.skipped.items()]
    if len(rows) < wanted:
        notes.append(f"{len(rows)} pairs of real clips of {wanted} wanted: the pool has no more")
    return rows, notes


def _unmined(first: Ints, second: Ints) -> MinedPairs:
    nobody = ("",) * len(first)
    return MinedPairs(first=first, second=second, gap=np.zeros(len(first)), by=nobody, attacked=nobody, skipped={})


def _scores_of(said: Said, places: Ints, values: Mapping[str, float]) -> Floats:
    return np.array([values.get(said.rows[index].clip_id, np.nan) for index in places.tolist()], dtype=np.float64)


def _labelled(
    said: Said,
    first: Ints,
    second: Ints,
    found: MinedPairs,
    labels: Mapping[str, PseudoLabel],
    config: NextPairsConfig,
    origin: MinedOrigin,
) -> list[MinedRow]:
    """Label pairs of untouched clips in all ways, and choose one."""
    if not len(first):
        return []
    direct = _direct(said, first, second).argmax(axis=1)
    by_scores = _levels(said.raw, said.deviation**2, first, second)
    means, variances = _teachers(said, labels)
    known = np.isfinite(means[first]) & np.isfinite(means[second])
    by_teachers = np.full(len(first), -1, dtype=np.int64)
    by_teachers[known] = _levels(means, variances, first[known], second[known])
    chosen = {"direct": direct, "scores": by_scores, "ensemble": _together(said, means, variances, first, second)}
    return [
        MinedRow(
            first=said.rows[one].version_id,
            second=said.rows[other].version_id,
            level=level,
            origin=origin,
            kind="none",
            by=by,
            attacked=attacked,
            gap=gap,
            direct=mine,
            by_scores=scored,
            by_teachers=None if theirs < 0 else theirs,
        )
        for one, other, level, by, attacked, gap, mine, scored, theirs in zip(
            first.tolist(),
            second.tolist(),
            chosen[config.labels].tolist(),
            found.by,
            found.attacked,
            found.gap.tolist(),
            direct.tolist(),
            by_scores.tolist(),
            by_teachers.tolist(),
            strict=True,
        )
    ]


def _direct(said: Said, first: Ints, second: Ints) -> Floats:
    tokens = said.tokens
    return judge_pieces(
        said.judge.student, [tokens[index] for index in first.tolist()], [tokens[index] for index in second.tolist()]
    )


def _levels(means: Floats, variances: Floats, first: Ints, second: Ints) -> Ints:
    return uncertain_levels(means[second] - means[first], np.sqrt(variances[first] + variances[second]))


def _teachers(said: Said, labels: Mapping[str, PseudoLabel]) -> tuple[Floats, Floats]:
    """Mean and variance by the teachers of each row; NaN where they say nothing."""
    found = [labels.get(row.clip_id) for row in said.rows]
    means = np.array([np.nan if label is None else label.mean for label in found])
    return means, np.array([np.nan if label is None else label.variance for label in found])


def _together(said: Said, means: Floats, variances: Floats, first: Ints, second: Ints) -> Ints:
    """Levels by student and teachers, each weighed by its variance.

    The student's scores are brought to the teachers' scale by the line through mean and standard deviation over the
    untouched clips that both know: two scales of one quality, neither of which is the truth.
    """
    both = np.isfinite(means) & np.array([row.kind == "none" for row in said.rows])
    if both.sum() < 2 or not said.raw[both].std() or not means[both].std():
        return _levels(said.raw, said.deviation**2, first, second)
    slope = means[both].std() / said.raw[both].std()
    mine = means[both].mean() + slope * (said.raw - said.raw[both].mean())
    weight_mine, weight_theirs = 1 / (slope * said.deviation) ** 2, np.where(np.isfinite(means), 1 / variances, 0.0)
    total = weight_mine + weight_theirs
    joined = (weight_mine * mine + weight_theirs * np.nan_to_num(means)) / total
    return _levels(joined, 1 / total, first, second)


def _misclassified(
    said: Said, place: Mapping[str, int], pairs: Sequence[PairRow], wanted: int, config: NextPairsConfig, seed: int
) -> list[MinedRow]:
    """Severity pairs that the student gets wrong, as many from each family as far as there are."""
    families: dict[str, list[PairRow]] = defaultdict(list)
    for pair in pairs:
        families[SIMULATORS[pair.kind].family].append(pair)
    wrong = {
        family: _wrong(said, place, members, wanted, config, generator(seed, "misclassified", family))
        for family, members in families.items()
    }
    rows: list[MinedRow] = []
    # the family with the fewest first: what it cannot give, the others do
    for number, found in enumerate(sorted(wrong.values(), key=len)):
        rows += found[: (wanted - len(rows)) // (len(wrong) - number)]
    return rows


def _wrong(
    said: Said,
    place: Mapping[str, int],
    pairs: Sequence[PairRow],
    most: int,
    config: NextPairsConfig,
    random: np.random.Generator,
) -> list[MinedRow]:
    """At most so many of the pairs that the student gets wrong, worst first; or of all, in random order."""
    first = np.array([place[pair.first] for pair in pairs], dtype=np.int64)
    second = np.array([place[pair.second] for pair in pairs], dtype=np.int64)
    logits, levels = _direct(said, first, second), np.array([pair.level for pair in pairs], dtype=np.int64)
    if config.selection == "random":
        chosen = random.permutation(len(pairs))[:most]
    else:
        chosen = misclassified(levels, logits, most, seed=int(random.integers(1 << 30)))
    by_scores = _levels(said.raw, said.deviation**2, first, second)
    origin: MinedOrigin = "random" if config.selection == "random" else "misclassified"
    return [
        MinedRow(
            first=pairs[index].first,
            second=pairs[index].second,
            level=pairs[index].level,
            origin=origin,
            kind=pairs[index].kind,
            by="",
            attacked="",
            gap=0.0,
            direct=int(logits[index].argmax()),
            by_scores=int(by_scores[index]),
            by_teachers=None,
        )
        for index in chosen.tolist()
    ]
