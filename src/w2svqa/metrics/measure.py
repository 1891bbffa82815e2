"""Measuring a video: one pass over its frames, one moment per second, all metrics."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from w2svqa.core.errors import StrPath
from w2svqa.core.protocols import Video
from w2svqa.core.records import Chunk, ClipSpec
from w2svqa.metrics.base import Metric, Moment
from w2svqa.metrics.registry import NAMES, load_metrics
from w2svqa.video.ahead import reading_ahead
from w2svqa.video.decode import open_clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of a video.

    Attributes:
        values: of the video by metric, in the metric's unit; ``None`` where it has none.
        seconds: of each second by metric, in time order; ``None`` for a second without.
        missing: why a metric has no value, by metric.
        problem: why only part of the file was measured; ``None`` if all of it was.
    """

    values: Mapping[str, float | None]
    seconds: Mapping[str, tuple[float | None, ...]]
    missing: Mapping[str, str]
    problem: str | None = None


def measure(video: Video | StrPath, names: Sequence[str] = NAMES, *, threads: int | None = None) -> Measured:
    """Return the metrics of a video or still image. The same video has the same values, always.

    One moment is measured per second: its first frame, which is the frame on display at the full second. A second
    without a frame of its own counts with the frame that is still on display; it has no motion. Metrics of motion look
    at that frame and those just before it; in the first second, and those just after it. A second in which a metric
    has no value is left out of the mean or maximum.

    Args:
        video: a path, or an open video.
        names: of the metrics.
        threads: decoding threads for a path; ``None`` for as many as there are cores.

    Raises:
        InputError: it cannot be read as a video or image.
        ConfigError: a metric cannot be had.
        MissingExtraError: OpenCV is not installed.

    Source: arXiv 2505.03631, low-level metrics of the pool (one frame per second, mean, maximum for SI and TI).

    Example:
        >>> import numpy as np
        >>> from w2svqa.video.whole import FramesVideo
        >>> still = FramesVideo([np.full((90, 160, 3), 51, np.uint8)])
        >>> measure(still, ["luminance", "si", "ti"]).values
        {'luminance': 153.0, 'si': 0.0, 'ti': None}
    """
    metrics = load_metrics(names)
    spec = ClipSpec(luma_frames=max(metric.frames for metric in metrics))
    seconds: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    obstacles: dict[str, str] = {}
    with _chunks_of(video, spec, threads) as (chunks, problem):
        for chunk in chunks:
            moment = Moment(chunk)
            for metric in metrics:
                obstacle = metric.obstacle(moment)
                if obstacle is not None:
                    obstacles.setdefault(metric.name, obstacle)
                seconds[metric.name].append(metric.of(moment))
        return _pooled(metrics, seconds, obstacles, problem())


@contextmanager
def _chunks_of(
    video: Video | StrPath, spec: ClipSpec, threads: int | None
) -> Iterator[tuple[Iterator[Chunk], Callable[[], str | None]]]:
    """Yield the chunks, and what tells afterwards whether some are missing."""
    if not isinstance(video, str | os.PathLike):
        yield video.chunks(spec), lambda: None
        return
    clip = open_clip(video, spec, threads=threads)
    with clip, reading_ahead(clip) as chunks:
        yield chunks, lambda: clip.problem


def _pooled(
    metrics: Sequence[Metric],
    seconds: Mapping[str, Sequence[float]],
    obstacles: Mapping[str, str],
    problem: str | None,
) -> Measured:
    values = {metric.name: pool(metric, seconds[metric.name]) for metric in metrics}
    missing = {
        name: obstacles.get(name, "there is nothing to judge in any of its key frames")
        for name, value in values.items()
        if value is None
    }
    by_second = {
        name: tuple(each if math.isfinite(each) else None for each in column) for name, column in seconds.items()
    }
    return Measured(values=values, seconds=by_second, missing=missing, problem=problem)


def pool(metric: Metric, seconds: Sequence[float]) -> float | None:
    """Return the value of a video from those of its seconds; ``None`` if none of them is a number.

    Example:
        >>> [metric] = load_metrics(["si"])
        >>> pool(metric, [10.0, math.nan, 30.0])
        30.0
    """
    known = [each for each in seconds if math.isfinite(each)]
    if not known:
        return None
    return max(known) if metric.pooling == "max" else math.fsum(known) / len(known)
