"""The compact student as it ships: ONNX Runtime on one thread, the same numbers in every setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import BundleError
from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Chunk, ClipSpec, Reason, Tokens
from w2svqa.students.views import make_views

if TYPE_CHECKING:
    import onnxruntime

ENCODER, COMPARATOR, DIAGNOSIS = "encoder.onnx", "comparator.onnx", "diagnosis.onnx"

# Rows per call of the comparator, padded: matrix kernels round differently for other row counts, and the same pair
# must get the same logits alone and in any batch.
_ROWS: Final = 64

_LEAST_PROBABILITY: Final = 0.1
"""Distortions less probable than this are not named."""


class CompactStudent:
    """Compares two videos by their key frames, with the networks of a bundle.

    Satisfies :class:`w2svqa.core.protocols.Student` and :class:`w2svqa.core.protocols.Diagnostician`.

    Args:
        folder: holds ``encoder.onnx``, ``comparator.onnx`` and ``diagnosis.onnx``.
        name: what it is called in results.
        kinds: the distortions it can name, in the order of the diagnosis network; "none" is not among them.

    Raises:
        BundleError: a network is missing or cannot be loaded.
    """

    antisymmetric = True
    clip_spec = ClipSpec()

    def __init__(self, folder: Path, *, name: str, kinds: Sequence[str]) -> None:
        self.name = name
        self._kinds = tuple(kinds)
        self._encoder = _session(folder / ENCODER)
        self._comparator = _session(folder / COMPARATOR)
        self._diagnosis = _session(folder / DIAGNOSIS)

    @classmethod
    def from_card(cls, folder: Path, card: Mapping[str, object]) -> CompactStudent:
        """Load the student of a bundle whose card has been checked.

        Raises:
            BundleError: the card names no distortions, or a network cannot be loaded.
        """
        kinds = card.get("kinds")
        if not isinstance(kinds, list):
            raise BundleError("its card has no list 'kinds'", path=folder, remedy="export the bundle again")
        return cls(folder, name=str(card.get("name")), kinds=[str(kind) for kind in kinds])

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        """Return one token per chunk, float32 ``(chunks, token)``."""
        return self.encode_views(make_views(chunk.key_frame) for chunk in chunks)

    def encode_views(self, views: Iterable[NDArray[np.uint8]]) -> Tokens:
        """Return one token per second from its views, uint8 ``(7, 128, 128, 3)`` each.

        Raises:
            ValueError: there are no views.
        """
        # one second per call, so that a second's token does not depend on its neighbours
        tokens = [self._encoder.run(None, {"views": second[None]})[0][0] for second in views]
        if not tokens:
            raise ValueError("a video needs at least one second to be encoded")
        return np.stack(tokens)

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        """Return five logits per pair, float64 ``(pairs, 5)``: the level of ``second[i]`` relative to ``first[i]``.

        Raises:
            ValueError: the two sequences differ in length.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first videos cannot be paired with {len(second)} second videos")
        if not first:
            return np.empty((0, len(LEVELS)))
        left, right = _means(first), _means(second)
        blocks = [
            self._judge_block(left[start : start + _ROWS], right[start : start + _ROWS])
            for start in range(0, len(left), _ROWS)
        ]
        return np.concatenate(blocks)

    def _judge_block(self, left: Tokens, right: Tokens) -> NDArray[np.float64]:
        logits = self._comparator.run(None, {"first": _padded(left), "second": _padded(right)})[0]
        return np.asarray(logits[: len(left)], dtype=np.float64)

    def diagnose(self, tokens: Tokens) -> tuple[Reason, ...]:
        """Return the distortions it sees, most probable first; empty where "none" is more likely than any."""
        logits, severity = self._diagnosis.run(None, {"tokens": _padded(_means([tokens]))})
        exponentials = np.exp(logits[0].astype(np.float64) - float(logits[0].max()))
        none, *rest = (exponentials / exponentials.sum()).tolist()
        if none >= max(rest, default=0.0):
            return ()
        reasons = [
            Reason(distortion=kind, severity=float(severity[0]), probability=probability)
            for kind, probability in zip(self._kinds, rest, strict=True)
            if probability >= _LEAST_PROBABILITY
        ]
        return tuple(sorted(reasons, key=lambda reason: -reason.probability))


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


def _padded(rows: Tokens) -> Tokens:
    return np.concatenate([rows, np.zeros((_ROWS - len(rows), rows.shape[1]), np.float32)])
