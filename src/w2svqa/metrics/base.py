"""What a metric is, and what it is given: one moment of a video, with the work that several metrics share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, InputError
from w2svqa.core.extras import require
from w2svqa.core.records import Chunk

Frame = NDArray[np.uint8]
"""uint8 ``(height, width, 3)``, RGB 0-255."""

Grey = NDArray[np.uint8]
"""uint8 ``(height, width)``, 0-255."""

Pooling = Literal["mean", "max"]
"""How the values of the seconds become that of the video."""


class Moment:
    """A key frame and its neighbours, in the forms that metrics look at; each is made once, when first asked for.

    Args:
        chunk: of which the moment is the first frame; with luma.

    Attributes:
        rgb: the key frame as shown: upright, square pixels, SDR.
        luma: the key frame's luma as coded, stretched to 0-255: not turned, pixels as stored, HDR not tone-mapped.
        frames: luma of consecutive frames of one size, the key frame among them, in time order; see
            :attr:`w2svqa.core.records.Chunk.luma`.
    """

    def __init__(self, chunk: Chunk) -> None:
        if not chunk.luma:
            raise InputError("the video comes without luma", remedy="have its chunks honour ClipSpec.luma_frames")
        self.rgb: Frame = chunk.key_frame
        self.luma: Grey = chunk.key_luma
        self.frames: tuple[Grey, ...] = chunk.luma
        self._first = chunk.index == 0

    @cached_property
    def grey(self) -> Grey:
        """BT.601 luma of the key frame as shown."""
        cv2 = require("cv2", extra="train")
        grey: Grey = cv2.cvtColor(np.ascontiguousarray(self.rgb), cv2.COLOR_RGB2GRAY)
        return grey

    def last(self, count: int) -> tuple[Grey, ...]:
        """Return ``count`` consecutive frames: the last ends the moment, or, in the first second, the first begins it.

        Fewer where there are not as many.
        """
        return self.frames[:count] if self._first else self.frames[-count:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A low-level metric and its facts.

    Attributes:
        name: in the registry, and of its column.
        unit: of its values, in words.
        range: least and greatest value it can give; infinite where it has no bound.
        meaning: what a higher value means.
        pooling: how the values of the seconds become that of the video.
        version: changes whenever its numbers change: a part of every cache key.
        value: the value of a moment; NaN where there is nothing to judge.
        frames: consecutive frames it looks at: 1 for key frames alone.
        least_size: height and width in pixels below which it has no value.

    Raises:
        ConfigError: the name is no word of lower-case letters, digits and underscores, or a fact cannot be.
    """

    name: str
    unit: str
    range: tuple[float, float]
    meaning: str
    value: Callable[[Moment], float]
    pooling: Pooling = "mean"
    version: str = "1"
    frames: int = 1
    least_size: int = 1

    def __post_init__(self) -> None:
        """Reject facts that cannot be."""
        if not (self.name.isidentifier() and self.name == self.name.lower()):
            raise ConfigError(f"a metric is called {self.name!r}", remedy="use lower-case letters, digits and _")
        low, high = self.range
        if not low < high or self.pooling not in ("mean", "max") or self.frames < 1 or self.least_size < 1:
            raise ConfigError(
                f"the metric {self.name!r} has range {self.range}, pooling {self.pooling!r}, {self.frames} frames"
                f" and least size {self.least_size}",
                remedy='give a rising range, "mean" or "max", and 1 or more',
            )

    @property
    def needs_neighbours(self) -> bool:
        """Whether it looks at neighbouring frames, so that a still image has no value."""
        return self.frames > 1

    def of(self, moment: Moment) -> float:
        """Return its value; NaN where the moment has too few frames or pixels, or nothing to judge.

        Example:
            >>> from w2svqa.metrics.luminance import METRIC
            >>> white = np.full((4, 4, 3), 255, np.uint8)
            >>> none = np.zeros((0, 4, 4), np.uint8)
            >>> chunk = Chunk(
            ...     index=0, start=0.0, key_frame=white, motion=none, motion_times=np.zeros(0), luma=(white[..., 0],)
            ... )
            >>> METRIC.of(Moment(chunk))
            765.0
        """
        return math.nan if self.obstacle(moment) else self.value(moment)

    def obstacle(self, moment: Moment) -> str | None:
        """Return why it can have no value, or ``None``."""
        height, width = moment.luma.shape
        if min(height, width) < self.least_size:
            return f"{width}x{height} is too small: it needs {self.least_size}x{self.least_size} pixels"
        if len(moment.frames) < self.frames:
            return f"it needs {self.frames} consecutive frames"
        return None


BAND: Final = 64
"""Rows that metrics work on at a time, so that what they make stays in the processor's cache."""


def bands(height: int, overlap: int = 0) -> Iterator[slice]:
    """Yield rows of a picture, :data:`BAND` at a time and ``overlap`` more that the next band has too.

    Example:
        >>> list(bands(130, overlap=2))
        [slice(0, 66, None), slice(64, 130, None)]
    """
    for start in range(0, max(1, height - overlap), BAND):
        yield slice(start, min(start + BAND + overlap, height))


def mean_and_spread(parts: Iterable[NDArray[np.generic]]) -> tuple[float, float]:
    """Return mean and population standard deviation of all numbers in some arrays, uint8, int16 or float32.

    Args:
        parts: at least one number in all.

    Source: Chan, Golub & LeVeque 1983: moments of parts are joined by the differences of their means.

    Example:
        >>> mean_and_spread([np.zeros((1, 2), np.uint8), np.full((1, 2), 255, np.uint8)])
        (127.5, 127.5)
    """
    cv2 = require("cv2", extra="train")
    count, mean, squares = 0, 0.0, 0.0
    for part in parts:
        (part_mean,), (part_spread,) = (each.ravel().tolist() for each in cv2.meanStdDev(part))
        total = count + part.size
        squares += part.size * part_spread**2 + (part_mean - mean) ** 2 * count * part.size / total
        mean += (part_mean - mean) * part.size / total
        count = total
    return mean, math.sqrt(squares / count)
