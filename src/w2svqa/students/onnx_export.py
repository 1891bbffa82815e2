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
from safetensors.torch import save
from torch import Tensor, nn

from w2svqa.core.errors import BundleError
from w2svqa.core.random import generator
from w2svqa.students.bundle import WEIGHTS
from w2svqa.students.compact import CompactModel
from w2svqa.students.runtime import COMPARATOR, DIAGNOSIS, ENCODER, CompactStudent
from w2svqa.students.views import VIEW_SIZE, VIEWS

TOLERANCE = 1e-3
"""Largest allowed difference of a logit between ONNX Runtime and PyTorch; both compute in float32, in another order."""


def export_onnx(model: CompactModel, folder: Path) -> None:
    """Write the three networks and the weights of a model in evaluation mode.

    Args:
        model: the student.
        folder: gets ``encoder.onnx``, ``comparator.onnx``, ``diagnosis.onnx`` and ``weights.safetensors``.
    """
    views = torch.zeros((2, VIEWS, VIEW_SIZE, VIEW_SIZE, 3), dtype=torch.uint8)
    tokens = torch.zeros((2, model.config.token))
    _export(model.encoder, (views,), folder / ENCODER, inputs=["views"], outputs=["tokens"])
    _export(model.comparator, (tokens, tokens + 1), folder / COMPARATOR, inputs=["first", "second"], outputs=["logits"])
    _export(model.diagnosis, (tokens,), folder / DIAGNOSIS, inputs=["tokens"], outputs=["kinds", "severity"])
    weights = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    (folder / WEIGHTS).write_bytes(weights)  # safetensors' own files could be read by nobody else


def largest_difference(model: CompactModel, student: CompactStudent, *, seconds: int = 4, seed: int = 0) -> float:
    """Return the largest absolute difference of a logit between the two, over random views of several contrasts.

    Args:
        model: in evaluation mode.
        student: made from the files of :func:`export_onnx`.
        seconds: how many views to compare.
        seed: draws the views.
    """
    random = generator(seed, "parity")
    shape = (seconds, VIEWS, VIEW_SIZE, VIEW_SIZE, 3)
    contrasts = np.linspace(2, 127, seconds).reshape(-1, 1, 1, 1, 1)
    views = (128 + contrasts * random.uniform(-1, 1, shape)).astype(np.uint8)
    with torch.no_grad():
        tokens = model.encoder(torch.from_numpy(views))
        expected = model.comparator(tokens, tokens.flip(0)).numpy()
    encoded = student.encode_views(views)
    singles = [encoded[index : index + 1] for index in range(seconds)]
    return float(np.abs(student.judge(singles, singles[::-1]) - expected).max())


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)
