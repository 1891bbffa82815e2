"""clips -> labels: weak teachers score the pool, are tested, brought to one scale, and speak together.

Every teacher scores every untouched training clip. What a teacher is worth is found on versions of some clean sources,
which every teacher scores too: a teacher that does not order their severities is heard no further. The rest are brought
to the scale of VMAF on the same versions and on every untouched primary, which has 100, and give each clip one mean and
one variance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.config import to_mapping
from w2svqa.core.errors import InputError
from w2svqa.core.protocols import Teacher
from w2svqa.core.random import generator
from w2svqa.core.rows import ClipRow, ScoreRow, VersionRow
from w2svqa.distort import SIMULATORS
from w2svqa.stages.versions import VMAF_KINDS, Source, make_versions
from w2svqa.teachers.admission import Admission, AdmissionConfig, admit
from w2svqa.teachers.calibration import Calibration, PseudoLabel, calibrate_teachers, calibrated_scores, pseudo_labels
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.decode import open_clip
from w2svqa.video.whole import FramesVideo

Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """One teacher.

    Attributes:
        name: in the registry of teachers.
        parameters: the folder with its trained parameters; ``None`` where it has none.
    """

    name: str
    parameters: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """Which teachers, how much they see, and what they must reach.

    Attributes:
        teachers: who takes the test; none leaves the stage out.
        seconds: a teacher sees the key frames of so many seconds from the start, of untouched clips and of versions
            alike; more than one, because some clips begin black.
        test_primaries: how many training primaries take part in the test and the calibration, half of them
            photographs where there are as many.
        admission: floors of the test.
        calibration_kinds: distortions whose versions bring the teachers to one scale. Not noise: VMAF hardly minds it,
            and it is none of the usual faults of real clips.
    """

    teachers: tuple[TeacherConfig, ...] = ()
    seconds: int = 2
    test_primaries: int = 24
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    calibration_kinds: tuple[str, ...] = ("resizing", "blur", "h264", "h265")

    def __post_init__(self) -> None:
        """Reject a teacher that is named twice, kinds without VMAF, and counts that cannot be.

        Raises:
            ValueError: a name comes twice, a kind is none that VMAF may judge, there is no second, or fewer sources
                than the test needs.
        """
        names = [teacher.name for teacher in self.teachers]
        if len(set(names)) < len(names):
            raise ValueError(f"a teacher is named twice: {', '.join(names)}")
        known = kinds_tested(tuple(SIMULATORS))
        if unknown := sorted(set(self.calibration_kinds) - set(known)):
            raise ValueError(f"calibration_kinds {', '.join(unknown)} must be of {', '.join(known)}")
        if self.seconds < 1:
            raise ValueError(f"seconds must be at least 1, not {self.seconds}")
        if self.test_primaries < self.admission.least_contents:
            raise ValueError(
                f"test_primaries is {self.test_primaries}, admission needs {self.admission.least_contents} contents"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What :func:`label_clip` made of a clip.

    Attributes:
        tested: its versions were scored too.
        scores: one row per version and teacher, as far as they could be scored.
        failures: one line per teacher that could not score one of them or more.
        versions: of the teachers, in the order of the configuration.
    """

    tested: bool
    scores: tuple[ScoreRow, ...]
    failures: tuple[str, ...]
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found about the teachers, and what they say.

    Attributes:
        admissions: result of every teacher's test.
        calibration: the admitted ones on one scale.
        labels: by clip id, of untouched clips.
        calibrated: what each teacher says of untouched clips on the common scale, by teacher and clip id.
    """

    admissions: tuple[Admission, ...]
    calibration: Calibration
    labels: dict[str, PseudoLabel]
    calibrated: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line per teacher and step, to be shown."""
        refused = (f"{teacher}: not used: {reason}" for teacher, reason in self.calibration.refused)
        return (*map(str, self.admissions), *map(str, self.calibration.fits), *refused)

    @property
    def facts(self) -> dict[str, object]:
        """The records as plain values, for a manifest."""
        return {
            "admissions": [to_mapping(record) for record in self.admissions],
            "calibration": to_mapping(self.calibration),
            "labelled_clips": len(self.labels),
        }


def kinds_tested(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return those simulators that teachers are tested with: the ones VMAF may judge.

    Example:
        >>> kinds_tested(["blur", "darkening", "h264"])
        ('blur', 'h264')
    """
    return tuple(kind for kind in kinds if kind in VMAF_KINDS)


def choose_tested(clips: Sequence[ClipRow], config: LabelConfig, *, seed: int) -> frozenset[str]:
    """Return the ids of the training primaries whose versions teachers are tested on.

    Clips and photographs in equal numbers as far as there are. Each is drawn by a number of its own: further clips
    displace a few of the others and leave the rest.
    """
    primaries = [clip for clip in clips if clip.primary and clip.split == "train"]
    order = sorted(primaries, key=lambda clip: generator(seed, "label", clip.clip_id).random())
    moving = [clip for clip in order if not clip.is_still]
    still = [clip for clip in order if clip.is_still]
    half = config.test_primaries // 2
    stills = min(len(still), max(half, config.test_primaries - len(moving)))
    chosen = moving[: config.test_primaries - stills] + still[:stills]
    return frozenset(clip.clip_id for clip in chosen)


def label_clip(
    clip: ClipRow, config: LabelConfig, *, tested: frozenset[str], kinds: tuple[str, ...], seed: int
) -> Labelled:
    """Score the untouched clip with every teacher, and its versions if it takes part in the test.

    A teacher that cannot score a version gives no row for it; the others go on.

    Args:
        clip: of the training split.
        config: the teachers.
        tested: from :func:`choose_tested`.
        kinds: names of the simulators of the run; those that VMAF cannot judge are left out.
        seed: of the distort stage, so that versions are the same.

    Raises:
        MediaError: the clip cannot be decoded.
        ConfigError: a teacher is unknown or has no parameters.
        InputError: a teacher's parameters cannot be used.
    """
    teachers = _load(config.teachers)
    is_tested = clip.clip_id in tested
    scores: list[ScoreRow] = []
    failures: dict[str, list[str]] = defaultdict(list)
    versions = _versions(clip, config.seconds, kinds_tested(kinds), seed) if is_tested else _untouched(clip, config)
    try:
        for version_id, frames in versions:
            for teacher in teachers:
                value = _score(teacher, frames)
                if isinstance(value, str):
                    failures[teacher.name].append(f"{version_id}: {value}")
                else:
                    scores.append(
                        ScoreRow(version_id=version_id, clip_id=clip.clip_id, teacher=teacher.name, value=value)
                    )
    except InputError as error:
        if not scores and not failures:
            raise
        # the clip itself is fine: it was scored before an encoder refused it
        failures["versions"].append(error.without_path)
    return Labelled(
        tested=is_tested,
        scores=tuple(scores),
        failures=tuple(_lines(clip, failures)),
        versions=tuple(teacher.version for teacher in teachers),
    )


def judge_teachers(
    scores: Sequence[ScoreRow],
    versions: Sequence[VersionRow],
    config: LabelConfig,
    *,
    kinds: Sequence[str],
    seed: int,
) -> Judged:
    """Test the teachers, bring the admitted ones to one scale, and let them label the clips.

    Args:
        scores: of all clips, from :func:`label_clip`.
        versions: rows of the distort stage.
        config: the teachers and floors.
        kinds: names of the simulators of the run.
        seed: of the bootstrap.

    Raises:
        ConfigError: a teacher is unknown or has no parameters.
        MissingExtraError: SciPy is not installed.
    """
    directions = {teacher.name: teacher.higher_is_better for teacher in _load(config.teachers)}
    admissions = admit(
        scores,
        versions,
        higher_is_better=directions,
        kinds=kinds_tested(kinds),
        config=config.admission,
        seed=seed,
    )
    admitted = {record.teacher: directions[record.teacher] for record in admissions if record.admitted}
    calibration = calibrate_teachers(scores, versions, higher_is_better=admitted, kinds=config.calibration_kinds)
    return Judged(
        admissions=admissions,
        calibration=calibration,
        labels=pseudo_labels(scores, calibration),
        calibrated=calibrated_scores(scores, calibration),
    )


def teacher_versions(config: LabelConfig) -> dict[str, str]:
    """Return the version of each teacher by name: what scores depend on besides clips and configuration.

    Raises:
        ConfigError: a teacher is unknown or has no parameters.
        InputError: a teacher's parameters cannot be used.
    """
    return {teacher.name: teacher.version for teacher in _load(config.teachers)}


@lru_cache(maxsize=1)
def _load(teachers: tuple[TeacherConfig, ...]) -> tuple[Teacher, ...]:
    """The teachers, loaded once per process."""
    return tuple(
        load_teacher(each.name, None if each.parameters is None else Path(each.parameters)) for each in teachers
    )


def _untouched(clip: ClipRow, config: LabelConfig) -> Iterator[tuple[str, Frames]]:
    with open_clip(clip.path) as source:
        yield f"{clip.clip_id}-none-0", [chunk.key_frame for chunk in islice(source.chunks(), config.seconds)]


def _versions(clip: ClipRow, seconds: int, kinds: tuple[str, ...], seed: int) -> Iterator[tuple[str, Frames]]:
    source = Source(path=clip.path, is_still=clip.is_still, seconds=seconds)
    for version in make_versions(source, [SIMULATORS[kind] for kind in kinds], seed=seed):
        yield f"{clip.clip_id}-{version.kind}-{version.level}", version.key_frames


def _score(teacher: Teacher, frames: Frames) -> float | str:
    """Return the score, or why there is none."""
    try:
        value = teacher.score(FramesVideo(frames))
    except InputError as error:
        return error.without_path
    return value if math.isfinite(value) else f"the score is {value}"


def _lines(clip: ClipRow, failures: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for teacher, problems in failures.items():
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield f"{clip.name}: {teacher}: {problems[0]}{more}"
