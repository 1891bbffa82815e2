"""The compact student from PyTorch to ONNX, with a check that both give the same numbers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from w2svqa.core.errors import BundleError
from w2svqa.core.random import generator
from w2svqa.students.bundle import WEIGHTS
from w2svqa.students.compact import CompactModel, Encoder
from w2svqa.students.looks import Looks
from w2svqa.students.runtime import COMPARATOR, DIAGNOSIS, ENCODER, CompactStudent
from w2svqa.students.views import MOTION_FRAMES, MOTION_SIZE, VIEW_SIZE, VIEWS

TOLERANCE = 1e-3
"""Largest allowed difference between ONNX Runtime and PyTorch, see :func:`largest_difference`; both compute in float32,
in another order."""

COUNTS = (0, 1, 2, 3, 30, MOTION_FRAMES)
"""Numbers of real motion frames that parity is checked with: none, too few, the fewest, a usual one, all."""


def export_onnx(model: CompactModel, folder: Path) -> None:
    """Write the three networks and the weights of a model in evaluation mode.

    The encoder takes ``views``, and with a motion branch ``motion`` and ``count``. Only the batch is of any size.

    Args:
        model: the student.
        folder: gets ``encoder.onnx``, ``comparator.onnx``, ``diagnosis.onnx`` and ``weights.safetensors``.
    """
    views = torch.zeros((2, VIEWS, VIEW_SIZE, VIEW_SIZE, 3), dtype=torch.uint8)
    tokens = torch.zeros((2, model.config.token))
    if model.config.motion:
        motion = torch.zeros((2, MOTION_FRAMES, *MOTION_SIZE), dtype=torch.uint8)
        seen, names = (views, motion, torch.tensor([0, MOTION_FRAMES])), ["views", "motion", "count"]
        _export(model.encoder, seen, folder / ENCODER, inputs=names, outputs=["tokens"])
    else:
        _export(_ViewsOnly(model.encoder), (views,), folder / ENCODER, inputs=["views"], outputs=["tokens"])
    _export(model.comparator, (tokens, tokens + 1), folder / COMPARATOR, inputs=["first", "second"], outputs=["logits"])
    _export(model.diagnosis, (tokens,), folder / DIAGNOSIS, inputs=["tokens"], outputs=["kinds", "severities"])
    weights = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    (folder / WEIGHTS).write_bytes(weights)  # safetensors' own files could be read by nobody else


class _ViewsOnly(nn.Module):
    """An encoder without a motion branch, without the inputs that it does not look at."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, views: Tensor) -> Tensor:
        # of the motion only the number of seconds is read, which the views have as well
        tokens: Tensor = self.encoder(views, views, views)
        return tokens


def largest_difference(model: CompactModel, student: CompactStudent, *, seed: int = 0) -> float:
    """Return the largest difference of a logit between the two, over random seconds.

    It is absolute where no logit is beyond 1, and else a share of the largest, for float32 rounds by shares.

    A second for each of :data:`COUNTS` motion frames, views and motion of rising contrast; compared are the levels of
    each against another, and the diagnosis of each.

    Args:
        model: in evaluation mode.
        student: made from the files of :func:`export_onnx`.
        seed: draws the pictures.
    """
    looks = _random_looks(seed)
    with torch.no_grad():
        tokens = model.encoder(*(torch.from_numpy(part) for part in (looks.views, looks.motion, looks.counts)))
        levels, kinds = model.comparator(tokens, tokens.flip(0)), model.diagnosis(tokens)[0]
    encoded = student.encode_looks(looks)
    singles = [encoded[index : index + 1] for index in range(len(looks))]
    pairs = ((student.judge(singles, singles[::-1]), levels), (student.diagnosis(singles)[0], kinds))
    return max(
        float(np.abs(ours - theirs.numpy()).max()) / max(1.0, float(theirs.abs().max())) for ours, theirs in pairs
    )


def _random_looks(seed: int) -> Looks:
    """Noise of rising contrast; also behind the real motion frames, where it must not matter."""
    random = generator(seed, "parity")
    seconds = len(COUNTS)
    contrasts = np.linspace(2, 127, seconds)

    def noise(*shape: int) -> NDArray[np.uint8]:
        drawn = random.uniform(-1, 1, (seconds, *shape))
        return (128 + contrasts.reshape(-1, *(1 for _ in shape)) * drawn).astype(np.uint8)

    return Looks(
        views=noise(VIEWS, VIEW_SIZE, VIEW_SIZE, 3),
        motion=noise(MOTION_FRAMES, *MOTION_SIZE),
        counts=np.array(COUNTS, dtype=np.int64),
    )


def check_parity(model: CompactModel, student: CompactStudent) -> float:
    """Return :func:`largest_difference`.

    Raises:
        BundleError: it exceeds :data:`TOLERANCE`.
    """
    difference = largest_difference(model, student)
    if not difference <= TOLERANCE:
        raise BundleError(
            f"ONNX and PyTorch differ by {difference:.2g} (at most {TOLERANCE:g} is allowed)",
            remedy="export with another version of torch or onnxruntime",
        )
    return difference


def _export(
    network: nn.Module, arguments: tuple[Tensor, ...], path: Path, *, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    batch = torch.export.Dim("batch")
    with _quiet():
        torch.onnx.export(
            network,
            arguments,
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in arguments),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    _strip(path)


def _strip(path: Path) -> None:
    """Take the exporter's notes out of a network: stack traces with the paths of this machine, names of modules."""
    model = onnx.load(path)
    graph = model.graph
    noted = (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for part in noted:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own deprecations and of a missing torchvision, which nothing here needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
