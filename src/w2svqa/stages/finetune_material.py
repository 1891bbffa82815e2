"""Ratings and files -> what the folds of a fine-tuning are made of; what cannot be used is refused before decoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError
from w2svqa.stages.evaluation_models import RatedSet, trained_on
from w2svqa.stages.finetune_data import RatedVideos, check_enough, gather, joined, refuse_shared
from w2svqa.stages.finetune_folds import FoldConfig, Material
from w2svqa.stages.finetune_ladder import ladder_places
from w2svqa.stages.finetune_seen import Vectors, read_model, see_ladders, see_videos
from w2svqa.stages.pool_videos import FileHashes
from w2svqa.students.bundle import load_bundle

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """How a student is fine-tuned.

    Attributes:
        folds: cross-validation, training, and how far the order of severities may fall.
        ends: ratings that score 0 and 100, on the scale of the table; the least and the greatest rating if not given.
        ladder_contents: contents whose order of severities is watched, at most; 0 for none.
        kinds: distortions of these ladders; all that the student can name if empty.
        certain: keep a new student only if its gain is beyond chance: the interval of the gain lies above 0.
        resamples: of the intervals.
        workers: processes that decode.
        license: of the rated videos, for the card.
        name: of the new student; the old one's and that of the ratings if empty.
    """

    folds: FoldConfig = field(default_factory=FoldConfig)
    ends: tuple[float, float] | None = None
    ladder_contents: int = 24
    kinds: tuple[str, ...] = ()
    certain: bool = False
    resamples: int = 1000
    workers: int = 1
    license: str = "unknown"
    name: str = ""

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ConfigError: ends that do not rise, or a negative number of contents.
        """
        if self.ends is not None and not self.ends[0] < self.ends[1]:
            raise ConfigError(f"a scale from {self.ends[0]:g} to {self.ends[1]:g}", remedy="give the lower end first")
        if self.ladder_contents < 0 or self.folds.folds < 2:
            raise ConfigError(
                f"{self.ladder_contents} ladders, {self.folds.folds} folds", remedy="ladders 0 or more, folds 2 or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the material of one call comes from.

    Attributes:
        place: the work folder.
        student: name or folder of the bundle to start from.
        config: how.
        progress: called as ``progress(stage, done, total, text)``.
        notes: gets what a reader should know.
    """

    place: Path
    student: str
    config: FinetuneConfig
    progress: Progress
    notes: list[str] = field(default_factory=list)

    def read(self, rated: RatedSet, test: RatedSet | None) -> tuple[RatedVideos, RatedVideos | None]:
        """Find out what there is, and refuse what cannot be, before anything is decoded.

        Raises:
            InputError: there are too few videos or contents, or all ratings are the same.
            ConfigError: a video is in training and test, or the student was trained on one of the test.
        """
        with FileHashes(self.place / "files.jsonl") as hashes:
            learned = gather(rated, hashes, progress=self._tells("hash"))
            tested = None if test is None else gather(test, hashes, progress=self._tells("hash"))
        check_enough(learned, self.config.folds.folds)
        if tested is not None:
            self.notes.extend(refuse_shared(learned, tested))
            self._refuse_known(tested)
        return learned, tested

    def _refuse_known(self, tested: RatedVideos) -> None:
        known = trained_on(self.student)
        if found := [video.path for video in tested.videos if video.clip_id in known]:
            raise ConfigError(
                f"{self.student} was trained on {len(found)} videos of the test, such as {found[0]}",
                remedy="take them out of the test",
            )

    def _tells(self, stage: str) -> Callable[[int, int, str], None]:
        return lambda done, total, text: self.progress(stage, done, total, text)

    def see(self, rated: RatedVideos) -> tuple[RatedVideos, Vectors]:
        """Return the videos that can be decoded, and what the student sees of them: mean statistics ``(N, F)``."""
        seconds, failed = see_videos(
            {video.clip_id: video.path for video in rated.videos},
            self.student,
            self.place,
            workers=self.config.workers,
            progress=self._tells("decode"),
        )
        notes = [*rated.notes, *(f"left out: {problem}" for problem in failed.values())]
        kept = joined([video for video in rated.videos if video.clip_id in seconds], rated.ratings, notes)
        self.notes.extend(kept.notes)
        vectors = [seconds[video.clip_id].mean(axis=0) for video in kept.videos]
        return kept, np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)

    def material(self, learned: RatedVideos) -> Material:
        """Decode the videos, make the ladders of some of them, and load the student.

        Raises:
            InputError: too few videos can be decoded.
            BundleError: the student cannot be trained on.
            ConfigError: a rating lies beyond the ends of the scale.
        """
        config = self.config
        rated, seen = self.see(learned)
        self.notes.extend(check_enough(rated, config.folds.folds))
        ends = oriented_ends(rated, config.ends)
        bundle, model = load_bundle(self.student), read_model(self.student)
        places = ladder_places(rated, config.ladder_contents, config.folds.seed)
        made, failed = see_ladders(
            {rated.videos[place].clip_id: rated.videos[place].path for place in places},
            self.student,
            self.place,
            kinds=config.kinds or model.config.kinds,
            seed=config.folds.seed,
            workers=config.workers,
            progress=self._tells("ladder"),
        )
        self.notes.extend(f"no ladder: {problem}" for problem in failed.values())
        ladders = {place: made[rated.videos[place].clip_id] for place in places if rated.videos[place].clip_id in made}
        return Material(rated=rated, seen=seen, ladders=ladders, model=model, bundle=bundle, ends=ends)


def oriented_ends(rated: RatedVideos, told: tuple[float, float] | None) -> tuple[float, float]:
    """Return the ratings that score 0 and 100, turned so that higher is better.

    Args:
        rated: the videos.
        told: on the scale of the table, the lower first; the least and the greatest rating if not given.

    Raises:
        ConfigError: a rating lies beyond them.
    """
    values = rated.values
    if told is None:
        return float(values.min()), float(values.max())
    low, high = told if rated.ratings.benchmark.higher_is_better else (-told[1], -told[0])
    if values.min() < low or values.max() > high:
        raise ConfigError(
            f"ratings from {values.min():g} to {values.max():g} on a scale from {low:g} to {high:g}",
            remedy="check --scale",
        )
    return low, high


def told_ends(material: Material) -> tuple[float, float]:
    """Return the ratings that score 0 and 100, on the scale of the table."""
    sign = 1 if material.rated.ratings.benchmark.higher_is_better else -1
    return sign * material.ends[0], sign * material.ends[1]


def points_of(material: Material) -> Floats:
    """Return ratings on the scale of the scores, float64 ``(N,)``."""
    low, high = material.ends
    points: Floats = 100 * (material.rated.values - low) / (high - low)
    return points
