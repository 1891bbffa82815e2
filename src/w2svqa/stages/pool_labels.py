"""scores -> labels: what the teachers say together of every video of a pool, on one scale of 0-100.

Reads the artifacts ``videos/`` and ``scores/`` of a labelled folder and writes ``labels/`` beside them, the fits in its
manifest. A label has a mean and a variance over teachers: see :func:`make_labels` for what the variance is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.config import to_mapping
from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.rows import PseudoLabelRow, TeacherScoreRow, VideoRow
from w2svqa.core.store import Manifest, read_artifact, write_artifact
from w2svqa.stages.pool_scores import SCORES, VIDEOS
from w2svqa.teachers.calibration import LEAST_VARIANCE
from w2svqa.teachers.consensus import FitPoints, Scores, calibrate_pool
from w2svqa.teachers.pool_scale import PoolCalibration, weighted_moments
from w2svqa.teachers.registry import TEACHERS

LABELS: Final = "labels"
"""Folder of the table of labels, and the artifact's kind."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLabelConfig:
    """How scores become labels.

    Attributes:
        weights: of teachers, 0 or more; 1 where none is given.
        least_teachers: a video that fewer of the calibrated teachers scored gets no label.
        use_mos: fit the teachers to the opinion scores of the videos' manifest instead of to each other.
        mos_range: the opinion scores that are 0 and 100; found from the scores if not given.
        variance: ``"spread"``, as in the paper, or ``"floored"``: see :func:`make_labels`.
        higher_is_better: teachers whose direction neither the scores' manifest nor the registry tells.
        lower_is_better: the same, of the other direction.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    least_teachers: int = 2
    use_mos: bool = False
    mos_range: tuple[float, float] | None = None
    variance: Literal["spread", "floored"] = "spread"
    higher_is_better: tuple[str, ...] = ()
    lower_is_better: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: ``least_teachers`` is below 1.
        """
        if self.least_teachers < 1:
            raise ValueError(f"least_teachers must be at least 1, not {self.least_teachers}")


class PoolLabels(NamedTuple):
    """Labels, the calibration they rest on, and the points of its fits by teacher.

    ``few`` counts the videos that too few teachers scored, ``strangers`` the scores of videos that are not listed.
    """

    rows: list[PseudoLabelRow]
    calibration: PoolCalibration
    points: dict[str, FitPoints]
    few: int
    strangers: int


def label_pool(folder: StrPath, config: PoolLabelConfig) -> PoolLabels:
    """Make the labels of a labelled folder and store them in its ``labels/``.

    Raises:
        ConfigError: a direction or a weight is missing or wrong.
        InputError: nobody can be calibrated, or scores contradict each other.
        StoreError: an artifact is missing, damaged, or cannot be written.
        MissingExtraError: pyarrow or SciPy is not installed.
    """
    place = Path(folder)
    videos, scores = read_artifact(place / VIDEOS, VideoRow), read_artifact(place / SCORES, TeacherScoreRow)
    names = sorted({row.teacher for row in scores.rows})
    found = make_labels(
        scores.rows, videos.rows, higher_is_better=directions(names, scores.manifest, config), config=config
    )
    if not found.rows:
        raise InputError(f"no video gets a label: {_why_none(found, config)}", path=place, remedy=_remedy(found))
    write_artifact(
        place / LABELS,
        found.rows,
        PseudoLabelRow,
        kind=LABELS,
        config=config,
        inputs={VIDEOS: videos.manifest.table_sha256, SCORES: scores.manifest.table_sha256},
        extra={
            "calibration": to_mapping(found.calibration),
            "versions": teacher_versions(scores.rows),
            "too_few_teachers": found.few,
        },
    )
    return found


def make_labels(
    scores: Sequence[TeacherScoreRow],
    videos: Sequence[VideoRow],
    *,
    higher_is_better: Mapping[str, bool],
    config: PoolLabelConfig,
) -> PoolLabels:
    """Return a label of every listed video that enough calibrated teachers scored, in the videos' order.

    The mean is weighted. The variance is the unbiased weighted variance over the teachers (see
    :func:`~w2svqa.teachers.pool_scale.weighted_moments`), at least a squared point. Of one teacher alone it is the
    square of the deviation of its fit. With ``variance="floored"`` it is moreover at least the mean variance of the
    pool's videos: two teachers often agree by chance, and a label is then taken to be no better than most.

    Args:
        scores: rows without a value, or with one that is not finite, count as missing.
        videos: the pool; a file that is listed twice is labelled once.
        higher_is_better: direction of each teacher; see :func:`directions`.
        config: how.

    Raises:
        ConfigError: a weight is wrong, or opinion scores lie outside ``mos_range``.
        InputError: a teacher gives one video two scores, or opinion scores are asked for and there are none.

    Source: arXiv 2505.03631, section 4 (mean and variance over teachers). Ours: the weights and the floors.
    """
    clips = list(dict.fromkeys(row.clip_id for row in videos))
    values, strangers = _values(scores, set(clips))
    mos = {row.clip_id: row.mos for row in videos if row.mos is not None} if config.use_mos else None
    if mos is not None and not mos:
        raise InputError("no video has an opinion score", remedy="add the column 'mos' to the manifest, or go without")
    calibration, points = calibrate_pool(
        values, higher_is_better=higher_is_better, weights=config.weights, mos=mos, mos_range=config.mos_range
    )
    aligned = _aligned(values, calibration, clips)
    rows = _rows(clips, aligned, calibration, config) if calibration.fits else []
    return PoolLabels(rows, calibration, points, len(clips) - len(rows), strangers)


def directions(names: Sequence[str], manifest: Manifest, config: PoolLabelConfig) -> dict[str, bool]:
    """Return whether higher is better, by teacher: from the configuration, the scores' manifest, or the registry.

    The manifest may hold it in ``extra["teachers"]``: by name, or as a list of records with ``name``, each a record
    with ``higher_is_better``.

    Raises:
        ConfigError: nothing tells the direction of a teacher, or one is named that scored nothing.
    """
    said = {**dict.fromkeys(config.higher_is_better, True), **dict.fromkeys(config.lower_is_better, False)}
    if unknown := sorted(set(said) - set(names)):
        raise ConfigError(
            f"a direction is given for {', '.join(unknown)}, which scored nothing",
            remedy=f"teachers: {', '.join(names) or 'none'}",
        )
    told = {**_told(manifest.extra.get("teachers")), **said}
    return {name: told[name] if name in told else _declared(name) for name in names}


def teacher_versions(scores: Sequence[TeacherScoreRow]) -> dict[str, str]:
    """Return the version of each teacher; several are joined by commas."""
    versions: dict[str, set[str]] = defaultdict(set)
    for row in scores:
        versions[row.teacher].add(row.version)
    return {name: ", ".join(sorted(versions[name])) for name in sorted(versions)}


def _told(found: Any) -> dict[str, bool]:  # noqa: ANN401 - plain values of a manifest
    records = found if isinstance(found, list) else []
    if isinstance(found, dict):
        records = [{"name": name, **record} for name, record in found.items() if isinstance(record, dict)]
    return {
        str(record["name"]): record["higher_is_better"]
        for record in records
        if isinstance(record, dict) and "name" in record and isinstance(record.get("higher_is_better"), bool)
    }


def _declared(name: str) -> bool:
    prefix, colon, _ = name.partition(":")
    if prefix == "student":
        return True
    # what scores made elsewhere mean is not a fact of a class
    if prefix + colon in TEACHERS and not colon:
        declared = getattr(TEACHERS.load(name), "higher_is_better", None)
        if isinstance(declared, bool):
            return declared
    raise ConfigError(
        f"nothing says whether higher scores of {name!r} are better",
        remedy="name it by --higher-is-better or --lower-is-better",
    )


def _values(scores: Sequence[TeacherScoreRow], clips: set[str]) -> tuple[Scores, int]:
    """Finite scores by teacher and clip, and how many were of other clips."""
    values: dict[str, dict[str, float]] = defaultdict(dict)
    strangers = 0
    for row in scores:
        if row.value is None or not math.isfinite(row.value):
            continue
        if row.clip_id not in clips:
            strangers += 1
        elif values[row.teacher].setdefault(row.clip_id, row.value) != row.value:
            raise InputError(
                f"{row.teacher} gives the video {row.clip_id} two scores, {values[row.teacher][row.clip_id]:g} and "
                f"{row.value:g}",
                remedy="remove one of them",
            )
    return values, strangers


def _aligned(values: Scores, calibration: PoolCalibration, clips: Sequence[str]) -> Floats:
    """Scores on the common scale, float64 ``(teachers, videos)``, NaN where missing."""
    raw = np.array([[values[fit.teacher].get(clip, math.nan) for clip in clips] for fit in calibration.fits])
    for row, fit in enumerate(calibration.fits):
        there = np.isfinite(raw[row])
        raw[row, there] = fit.curve(raw[row, there])
    return raw


def _rows(
    clips: Sequence[str], aligned: Floats, calibration: PoolCalibration, config: PoolLabelConfig
) -> list[PseudoLabelRow]:
    mean, spread = weighted_moments(aligned, np.array([fit.weight for fit in calibration.fits]))
    heard = np.isfinite(aligned)
    counts = heard.sum(axis=0)
    errors = (np.array([fit.error**2 for fit in calibration.fits])[:, None] * heard).sum(axis=0)
    variance = np.where(counts > 1, np.nan_to_num(spread), errors)  # of one teacher the sum is its own error
    floor = LEAST_VARIANCE
    if config.variance == "floored" and (counts > 1).any():
        floor = max(floor, float(spread[counts > 1].mean()))
    variance = np.maximum(variance, floor)
    return [
        PseudoLabelRow(clip_id=clip, mean=value, variance=deviation, teachers=count)
        for clip, value, deviation, count in zip(clips, mean.tolist(), variance.tolist(), counts.tolist(), strict=True)
        if count >= config.least_teachers
    ]


def _why_none(found: PoolLabels, config: PoolLabelConfig) -> str:
    if not found.calibration.fits:
        return "; ".join(f"{name}: {problem}" for name, problem in found.calibration.refused) or "there are no scores"
    return f"at least {config.least_teachers} of {len(found.calibration.fits)} teachers must have scored it"


def _remedy(found: PoolLabels) -> str:
    return "lower --least-teachers" if found.calibration.fits else "see the reasons, or label with other teachers"
