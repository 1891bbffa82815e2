"""The contracts by which the parts meet: a clip, a student, a teacher's facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.records import Chunk, ClipSpec, MediaInfo, Reason, Tokens


@runtime_checkable
class Clip(Protocol):
    """A video or still image, decoded once, as a stream of one-second chunks in bounded memory."""

    @property
    def info(self) -> MediaInfo:
        """What is known about the file."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file was read where that matters; complete once :meth:`chunks` has ended."""
        ...

    @property
    def problem(self) -> str | None:
        """Why only part of the file decoded; ``None`` if all of it did. Final once :meth:`chunks` has ended."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Decode from the start and yield chunks in time order; at least one.

        Raises:
            MediaError: nothing could be decoded.
        """
        ...


@runtime_checkable
class Student(Protocol):
    """A model that compares two videos. Everything above it (anchors, scores, mining) knows only this."""

    @property
    def name(self) -> str:
        """Name and version, such as ``"compact-1"``."""
        ...

    @property
    def clip_spec(self) -> ClipSpec:
        """What it wants to see besides key frames."""
        ...

    @property
    def antisymmetric(self) -> bool:
        """Whether exchanging first and second always reverses the five logits, so that one order is enough."""
        ...

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        """Return the tokens of a video, float32 ``(chunks, ...)``; once per video, cacheable.

        ``encode(chunks)[k:k + 1]`` are the tokens of second ``k`` alone.
        """
        ...

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        """Return five logits per pair, float64 ``(pairs, 5)``: the level of ``second[i]`` relative to ``first[i]``.

        The order is that of :data:`w2svqa.core.levels.LEVELS`: inferior to superior.

        Raises:
            ValueError: the two sequences differ in length.
        """
        ...


@runtime_checkable
class Costly(Protocol):
    """A student whose every comparison takes long: it says what it is spared, and what it leaves out of a video."""

    @property
    def both_orders(self) -> bool:
        """Whether a video is compared with the anchors in both orders; otherwise with the anchor first alone."""
        ...

    @property
    def each_second(self) -> bool:
        """Whether the seconds of a video are scored one by one where nobody asks for them."""
        ...

    def notes(self, tokens: Tokens) -> tuple[str, ...]:
        """Return what a reader of a video's score must know of how it is judged; mostly nothing."""
        ...


@runtime_checkable
class Diagnostician(Protocol):
    """A student that can also say what is wrong."""

    def diagnose(self, tokens: Tokens) -> tuple[Reason, ...]:
        """Return the likely distortions of a video, most probable first; empty for a clean one."""
        ...

    def diagnose_seconds(self, tokens: Tokens) -> tuple[tuple[Reason, ...], ...]:
        """Return what :meth:`diagnose` says of each second alone, in time order."""
        ...


@runtime_checkable
class Video(Protocol):
    """A whole video or still image as teachers take it: frames by number, or seconds. May be read more than once."""

    @property
    def info(self) -> MediaInfo:
        """What is known about it."""
        ...

    def count(self) -> int:
        """Return the number of frames, at least 1; 1 for a still."""
        ...

    def frames_at(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames of the given numbers, uint8 ``(height, width, 3)``, RGB 0-255, native size.

        Args:
            indices: from 0, in the order shown, never falling; a number may come again. Beyond the last frame that can
                be decoded, that frame is repeated.

        Raises:
            InputError: nothing can be decoded.
            ValueError: the numbers fall, or one is negative.
        """
        ...

    def chunks(self, spec: ClipSpec = ...) -> Iterator[Chunk]:
        """Yield one chunk per second, at least one, as :meth:`Clip.chunks` does.

        Raises:
            InputError: nothing can be decoded.
        """
        ...


@runtime_checkable
class Teacher(Protocol):
    """A model or metric that scores a video, well or badly: the weak knowledge a student learns from."""

    @property
    def name(self) -> str:
        """Its name in the registry, such as ``"niqe"``."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever its numbers change: a part of every cache key."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Direction of its scale."""
        ...

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest value it can give; infinite where it has no bound."""
        ...

    @property
    def needs_reference(self) -> bool:
        """Whether it compares with the untouched video."""
        ...

    @property
    def needs_motion(self) -> bool:
        """Whether it looks at neighbouring frames, so that key frames alone are not enough."""
        ...

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video on the teacher's own scale. The same video has the same score, always.

        Args:
            video: what to score.
            reference: the untouched video it was made from; only where the teacher needs one.

        Raises:
            InputError: it cannot score this video (too small, say), or there is no reference and it needs one.
        """
        ...
