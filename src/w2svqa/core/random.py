"""Randomness that depends on what it is for, not on when or where it is drawn."""

from __future__ import annotations

import hashlib
import json
import operator

import numpy as np


def generator(seed: int, *labels: str | int) -> np.random.Generator:
    """Return the generator of one purpose: the same for the same arguments on any machine, process and order.

    Args:
        seed: the run's seed.
        labels: what the numbers are for, such as a stage, a clip's hash and a draw's index. Text and numbers are told
            apart, and ``("a", "b")`` is not ``("ab",)``.

    Example:
        >>> bool(generator(1, "pair", 7).random() == generator(1, "pair", 7).random())
        True
        >>> bool(generator(1, "pair", 7).random() == generator(1, "pair", 8).random())
        False
    """
    key = [label if isinstance(label, str) else operator.index(label) for label in (seed, *labels)]
    digest = hashlib.blake2b(json.dumps(key).encode("ascii"), digest_size=16).digest()
    # PCG64 by name: numpy may change its default generator, results may not change with it.
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
