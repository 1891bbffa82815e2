"""Weights that anyone can make again: each value comes from a hash of its key, so that no checkpoint need be kept.

Used by the tests and by the scripts that made the golden files with the official code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def filled(key: str, shape: tuple[int, ...], *, scale: float = 1.0) -> NDArray[np.float32]:
    """Return values for the parameter ``key``, float32 of ``shape``.

    Matrices and kernels are normal with deviation ``scale / sqrt(inputs)``; vectors called ``...weight`` (of
    normalisations) lie around 1, ``...running_var`` between 0.5 and 1.5, other vectors are normal with deviation 0.1.
    """
    seed = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
    random = np.random.Generator(np.random.PCG64(seed))
    name = key.rpartition(".")[2]
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    values = random.standard_normal(shape).astype(np.float32)
    if len(shape) > 1 and math.prod(shape[1:]) > 1:
        return values * np.float32(scale / math.sqrt(math.prod(shape[1:])))
    if name in ("weight", "gamma"):
        return np.float32(1) + np.float32(0.1) * values
    return np.float32(0.1) * values


def filled_state(shapes: Mapping[str, tuple[int, ...]], *, scale: float = 1.0) -> dict[str, NDArray[np.float32]]:
    """Return :func:`filled` for every key of floating point parameters."""
    return {key: filled(key, shape, scale=scale) for key, shape in shapes.items()}
