"""The compact student as it ships: ONNX Runtime on one thread, the same numbers in every setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import BundleError
from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Chunk, ClipSpec, Reason, Tokens
from w2svqa.students.looks import Looks
from w2svqa.students.views import MOTION_FRAMES, MOTION_SIZE, MOTION_SPEC, make_motion, make_views

if TYPE_CHECKING:
    import onnxruntime

ENCODER, COMPARATOR, DIAGNOSIS = "encoder.onnx", "comparator.onnx", "diagnosis.onnx"

# Rows per call of the comparator and the diagnosis, padded: matrix kernels round differently for other row counts, and
# the same pair must get the same logits alone and in any batch.
_ROWS: Final = 64

_LEAST_PROBABILITY: Final = 0.1
"""Distortions less probable than this are not named beside the most probable one."""

_Second = tuple[NDArray[np.uint8], NDArray[np.uint8], int]
"""Views, motion frames and how many of these are real."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisScale:
    """What makes probabilities of the kind logits: fitted on contents that the student was not trained on.

    Attributes:
        temperature: divides all logits.
        none_bias: is then added to the logit of "none".
    """

    temperature: float = 1.0
    none_bias: float = 0.0

    def __post_init__(self) -> None:
        """Reject a scale that cannot be used.

        Raises:
            ValueError: a number that is not finite, or a temperature that is not above 0.
        """
        if not (math.isfinite(self.temperature) and self.temperature > 0 and math.isfinite(self.none_bias)):
            raise ValueError(
                f"temperature {self.temperature} and none_bias {self.none_bias} must be finite, the first > 0"
            )

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map logits ``(N, 1 + kinds)``, "none" first, to probabilities of the same shape; rows sum to 1.

        Example:
            >>> DiagnosisScale(none_bias=np.log(2)).probabilities(np.zeros((1, 3))).round(3)
            array([[0.5 , 0.25, 0.25]])
        """
        scaled = logits / self.temperature
        scaled[:, 0] += self.none_bias
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return shares


def first_answers(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what is said of each video first: 0 for "none", else 1 + the index of a distortion, int64 ``(N,)``.

    "None" is said where it is at least as probable as all distortions together. The doubt which of them it is, blur or
    resizing, is no reason to call a video clean.

    Args:
        probabilities: ``(N, 1 + kinds)``, "none" first; rows sum to 1.

    Example:
        >>> first_answers(np.array([[0.4, 0.3, 0.3], [0.5, 0.5, 0.0]]))
        array([1, 0])
    """
    distortions = probabilities[:, 1:]
    if not distortions.shape[1]:
        return np.zeros(len(probabilities), dtype=np.int64)
    return np.where(probabilities[:, 0] >= 0.5, 0, 1 + distortions.argmax(axis=1))


class CompactStudent:
    """Compares two videos by their key frames and their motion, with the networks of a bundle.

    Satisfies :class:`w2svqa.core.protocols.Student` and :class:`w2svqa.core.protocols.Diagnostician`.

    Args:
        folder: holds ``encoder.onnx``, ``comparator.onnx`` and ``diagnosis.onnx``.
        name: what it is called in results.
        kinds: the distortions it can name, in the order of the diagnosis network; "none" is not among them.
        motion: its encoder takes motion frames; otherwise views alone.
        diagnosis_scale: what makes probabilities of its kind logits; ``None`` takes them as they are.

    Raises:
        BundleError: a network is missing or cannot be loaded.
    """

    antisymmetric = True

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        kinds: Sequence[str],
        motion: bool,
        diagnosis_scale: DiagnosisScale | None = None,
    ) -> None:
        self.name = name
        self.motion = motion
        self.clip_spec = MOTION_SPEC if motion else ClipSpec()
        self.diagnosis_scale = diagnosis_scale or DiagnosisScale()
        self.kinds = tuple(kinds)
        self._encoder = _session(folder / ENCODER)
        self._comparator = _session(folder / COMPARATOR)
        self._diagnosis = _session(folder / DIAGNOSIS)

    @classmethod
    def from_card(cls, folder: Path, card: Mapping[str, object]) -> CompactStudent:
        """Load the student of a bundle whose card has been checked.

        Raises:
            BundleError: an entry of the card is missing or of no use, or a network cannot be loaded.
        """
        again = "export the bundle again"
        kinds, motion = card.get("kinds"), card.get("motion")
        if not isinstance(kinds, list):
            raise BundleError("its card has no list 'kinds'", path=folder, remedy=again)
        if not isinstance(motion, bool):
            raise BundleError(f"its card has 'motion' {motion!r}, not true or false", path=folder, remedy=again)
        return cls(
            folder,
            name=str(card.get("name")),
            kinds=[str(kind) for kind in kinds],
            motion=motion,
            diagnosis_scale=_diagnosis_scale(card.get("diagnosis", {}), folder),
        )

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        """Return one token per chunk, float32 ``(chunks, token)``.

        Raises:
            ValueError: there are no chunks.
        """
        return self._encode((make_views(chunk.key_frame), *self._motion_of(chunk)) for chunk in chunks)

    def encode_looks(self, looks: Looks) -> Tokens:
        """Return the tokens of one video that was looked at before, float32 ``(seconds, token)``: those of its chunks.

        Args:
            looks: of one version, seconds on the first axis, views without margin.

        Raises:
            ValueError: there are no seconds.
        """
        return self._encode(zip(looks.views, looks.motion, looks.counts.tolist(), strict=True))

    def _motion_of(self, chunk: Chunk) -> tuple[NDArray[np.uint8], int]:
        # without a motion branch a chunk has none, and nobody looks at what is given here
        return make_motion(chunk.motion) if self.motion else (np.empty((0, *MOTION_SIZE), np.uint8), 0)

    def _encode(self, seconds: Iterable[_Second]) -> Tokens:
        # one second per call, its motion padded to one length, so that a token does not depend on its neighbours
        tokens = [self._encoder.run(None, self._inputs(*second))[0][0] for second in seconds]
        if not tokens:
            raise ValueError("a video needs at least one second to be encoded")
        return np.stack(tokens)

    def _inputs(
        self, views: NDArray[np.uint8], motion: NDArray[np.uint8], count: int
    ) -> dict[str, NDArray[np.generic]]:
        if not self.motion:
            return {"views": views[None]}
        if motion.shape != (MOTION_FRAMES, *MOTION_SIZE):
            raise ValueError(f"motion must have shape {(MOTION_FRAMES, *MOTION_SIZE)}, not {motion.shape}")
        return {"views": views[None], "motion": motion[None], "count": np.array([count], np.int64)}

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        """Return five logits per pair, float64 ``(pairs, 5)``: the level of ``second[i]`` relative to ``first[i]``.

        Raises:
            ValueError: the two sequences differ in length.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first videos cannot be paired with {len(second)} second videos")
        if not first:
            return np.empty((0, len(LEVELS)))
        [logits] = _in_blocks(self._comparator, {"first": _means(first), "second": _means(second)})
        return logits

    def diagnose(self, tokens: Tokens) -> tuple[Reason, ...]:
        """Return the distortions it sees, most probable first; empty where "none" is as likely as all of them."""
        return self._reasons([tokens])[0]

    def diagnose_seconds(self, tokens: Tokens) -> tuple[tuple[Reason, ...], ...]:
        """Return what :meth:`diagnose` says of each second alone."""
        return self._reasons([tokens[index : index + 1] for index in range(len(tokens))])

    def diagnosis(self, videos: Sequence[Tokens]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what the diagnosis network says of videos, before :attr:`diagnosis_scale`.

        Returns:
            Kind logits float64 ``(videos, 1 + kinds)``, "none" first; severities float64 ``(videos, kinds)``, 0-1.

        Raises:
            ValueError: there are no videos.
        """
        logits, severities = _in_blocks(self._diagnosis, {"tokens": _means(videos)})
        return logits, severities

    def _reasons(self, videos: Sequence[Tokens]) -> tuple[tuple[Reason, ...], ...]:
        logits, severities = self.diagnosis(videos)
        return self._reasons_of(self.diagnosis_scale.probabilities(logits), severities)

    def _reasons_of(
        self, probabilities: NDArray[np.float64], severities: NDArray[np.float64]
    ) -> tuple[tuple[Reason, ...], ...]:
        answers = first_answers(probabilities)
        rows = zip(answers.tolist(), probabilities.tolist(), severities.tolist(), strict=True)
        return tuple(self._named(*row) for row in rows)

    def _named(self, answer: int, probabilities: Sequence[float], severities: Sequence[float]) -> tuple[Reason, ...]:
        if not answer:
            return ()
        named = zip(self.kinds, severities, probabilities[1:], strict=True)
        reasons = [
            Reason(distortion=kind, severity=severity, probability=probability)
            for index, (kind, severity, probability) in enumerate(named, start=1)
            if index == answer or probability >= _LEAST_PROBABILITY
        ]
        return tuple(sorted(reasons, key=lambda reason: -reason.probability))


def _diagnosis_scale(entry: object, folder: Path) -> DiagnosisScale:
    try:
        if not isinstance(entry, dict):
            raise TypeError(f"{entry!r} is no object")
        return DiagnosisScale(**{str(key): float(value) for key, value in entry.items()})
    except (TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            f"its card has no valid 'diagnosis': {error}", path=folder, remedy="export the bundle again"
        ) from None


def _session(path: Path) -> onnxruntime.InferenceSession:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    # decoding runs beside it on the other cores, and one thread sums in one order
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    damaged = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        UnicodeDecodeError,  # a message that quotes the damaged text
    )
    try:
        # its fallback would print to stdout and try the same again
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
    except damaged as error:
        raise BundleError(f"cannot be loaded: {error}", path=path, remedy="install the bundle again") from None


def _means(tokens: Sequence[Tokens]) -> Tokens:
    """Average each video over time, float32 ``(videos, token)``."""
    return np.stack([video.mean(axis=0, dtype=np.float64) for video in tokens]).astype(np.float32)


def _in_blocks(network: onnxruntime.InferenceSession, inputs: Mapping[str, Tokens]) -> tuple[NDArray[np.float64], ...]:
    """Run a network on any number of rows, in blocks of one size."""
    blocks = list(_blocks(network, inputs))
    return tuple(np.concatenate(column).astype(np.float64) for column in zip(*blocks, strict=True))


def _blocks(network: onnxruntime.InferenceSession, inputs: Mapping[str, Tokens]) -> Iterator[list[NDArray[np.float32]]]:
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, _ROWS):
        parts = {name: _padded(tokens[start : start + _ROWS]) for name, tokens in inputs.items()}
        yield [output[: rows - start] for output in network.run(None, parts)]


def _padded(rows: Tokens) -> Tokens:
    return np.concatenate([rows, np.zeros((_ROWS - len(rows), rows.shape[1]), np.float32)])
