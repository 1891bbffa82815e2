"""The datasheet of a data set of pseudo-labelled pairs: what it is, how it was labelled, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2svqa.core.errors import printable
from w2svqa.core.files import atomic_write
from w2svqa.core.levels import LEVELS
from w2svqa.core.rows import PoolPairRow
from w2svqa.stages.pool_pairs import ENSEMBLE, SEVERITY, level_counts
from w2svqa.teachers.pool_scale import PoolCalibration, PoolFit

_FITTED = {
    "mos": "Each teacher was fitted to mean opinion scores: {low:g} is 0 and {high:g} is 100 of the common scale.",
    "consensus": "No human label was used: each teacher was fitted to the consensus of the others. 50 of the common "
    "scale is the median of this pool, 0 and 100 lie three standard deviations of it below and above: values say "
    "nothing about videos of another pool.",
    "itself": "A single teacher scored the pool, and no human label was used: its scores stand at the places of their "
    "ranks, and nothing verified them.",
}

_USE = """\
## Intended use

Training and studying students of video quality that compare two videos. The level is of the second video relative to
the first: {levels}. A label with a large `uncertainty` deserves less trust than one with a small one.

## Limits

- The labels are of machines, not of people. They hold the errors that the teachers share, and agreement of teachers is
  no proof that they are right: do not evaluate a model on them.
- A level follows from how far the teachers agree, so "similar" also means that they do not know.
- Severity pairs say which of two versions of one video was distorted more, which need not be visible.
- The videos are not part of this folder; their licences stay as they are, and those listed as unknown must be found out
  before anything that rests on them is given away. Some teachers may restrict the use of their scores, too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """What a datasheet says.

    Attributes:
        pairs: all pairs.
        videos: number of videos in them.
        versions_of_primaries: how many of these are distorted versions.
        labelled: how many of them have a pseudo-label.
        licenses: number of videos by licence.
        sources: number of different sources that are named.
        calibration: the teachers on the common scale; ``None`` if it is not known.
        teacher_versions: by teacher.
        label_config: how labels were made.
        pair_config: how pairs were made.
        software: version of this package.
    """

    pairs: Sequence[PoolPairRow]
    videos: int
    versions_of_primaries: int
    labelled: int
    licenses: Mapping[str, int]
    sources: int
    calibration: PoolCalibration | None
    teacher_versions: Mapping[str, str]
    label_config: Mapping[str, object]
    pair_config: Mapping[str, object]
    software: str


def write_datasheet(path: Path, sheet: Datasheet) -> Path:
    """Write a datasheet as Markdown; return its path.

    Raises:
        UnwritableError: the disk is full, say.
    """
    with atomic_write(path) as file:
        file.write("\n\n".join(_sections(sheet)).encode("utf-8", "backslashreplace"))
    return path


def _sections(sheet: Datasheet) -> Iterator[str]:
    yield "# Pseudo-labelled pairs of videos"
    yield (
        f"{len(sheet.pairs)} pairs of {sheet.videos} videos ({sheet.versions_of_primaries} of them distorted versions) "
        f"from {sheet.sources} named sources, made with w2svqa {sheet.software}. `pairs.parquet` holds the pairs, "
        f"`videos.parquet` hash, name, source and licence of each video, `labels.parquet` the pseudo-label of "
        f"{sheet.labelled} of them, `pairs.json` the pairs as questions and answers."
    )
    yield "## How it was labelled"
    yield from _labelling(sheet)
    yield "## Levels"
    yield _levels(sheet.pairs)
    yield "## Licences of the videos"
    ranked = sorted(sheet.licenses.items(), key=lambda each: (-each[1], each[0]))
    yield _table(("licence", "videos"), [(name, str(count)) for name, count in ranked])
    yield _USE.format(levels=", ".join(LEVELS))


def _labelling(sheet: Datasheet) -> Iterator[str]:
    sources = {pair.source for pair in sheet.pairs}
    if ENSEMBLE in sources:
        yield from _teachers(sheet)
        labels, pairs = sheet.label_config, sheet.pair_config
        yield (
            f"Per video, mean and variance over teachers (at least {labels.get('least_teachers', 1)}, variance: "
            f"{labels.get('variance', 'spread')}). "
            "Per pair, D = mean(second) - mean(first) and s = sqrt(variance(first) + variance(second)), which is "
            "`uncertainty`: superior if D > 2s, better if s < D <= 2s, similar if -s < D <= s, worse if -2s < D <= -s, "
            "inferior if D <= -2s. Pairs were drawn at random "
            f"(seed {pairs.get('seed', 'unknown')}; {'balanced' if pairs.get('balance') else 'natural'} levels)."
        )
    if SEVERITY in sources:
        yield (
            "Severity pairs join two severities of one distortion of one clean video: one step apart better or worse, "
            "more than one superior or inferior, never similar."
        )


def _teachers(sheet: Datasheet) -> Iterator[str]:
    if sheet.calibration is None:
        yield "Which teachers labelled them is not recorded."
        return
    low, high = sheet.calibration.mos_range or (0.0, 0.0)
    yield _FITTED[sheet.calibration.against].format(low=low, high=high)
    header = ("teacher", "version", "weight", "videos", "rank correlation", "residual deviation", "curve")
    yield _table(header, [_fit_cells(fit, sheet.teacher_versions) for fit in sheet.calibration.fits])
    yield from (f"Left out: {_public(name)}: {problem}." for name, problem in sheet.calibration.refused)


def _fit_cells(fit: PoolFit, versions: Mapping[str, str]) -> tuple[str, ...]:
    curve = fit.curve
    sign = "x" if curve.higher_is_better else "-x"
    share = f"(1 + exp(-({sign} - {curve.centre:.4g}) / {curve.width:.4g}))"
    return (
        _public(fit.teacher),
        versions.get(fit.teacher, "unknown"),
        f"{fit.weight:g}",
        str(fit.videos),
        "-" if fit.spearman is None else f"{fit.spearman:.3f}",
        f"{fit.deviation:.2f}",
        f"{curve.low:.4g} + {curve.high - curve.low:.4g} / {share}",
    )


def _levels(pairs: Sequence[PoolPairRow]) -> str:
    rows = [(each.source, *map(str, each.counts), str(sum(each.counts))) for each in level_counts(pairs)]
    return _table(("source", *LEVELS, "all"), rows)


def _public(teacher: str) -> str:
    """A teacher's name without the folders of a machine: the argument of a prefix may be a path.

    Example:
        >>> _public("scores:/srv/a/s.csv"), _public("dover")
        ('scores:s.csv', 'dover')
    """
    prefix, colon, argument = teacher.partition(":")
    return prefix + colon + argument.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(printable(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
