"""Score and compare the quality of videos without a reference, and train students that do so from weak teachers.

>>> import w2svqa
>>> sorted(w2svqa.__all__) == w2svqa.__all__
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from w2svqa.core.errors import (
        BundleError,
        ConfigError,
        InputError,
        MediaError,
        MissingExtraError,
        MissingInputError,
        RefusedMediaError,
        StoreError,
        UnwritableError,
        W2SVQAError,
    )
    from w2svqa.core.records import Comparison, Reason, Score
    from w2svqa.stages.evaluate import evaluate
    from w2svqa.stages.score import Scorer, compare, score

__version__ = "0.1.0"

# Loaded on first use, so that importing the package costs nothing (PEP 562).
_HOMES = {
    "BundleError": "core.errors",
    "Comparison": "core.records",
    "ConfigError": "core.errors",
    "InputError": "core.errors",
    "MediaError": "core.errors",
    "MissingExtraError": "core.errors",
    "MissingInputError": "core.errors",
    "Reason": "core.records",
    "RefusedMediaError": "core.errors",
    "Score": "core.records",
    "Scorer": "stages.score",
    "StoreError": "core.errors",
    "UnwritableError": "core.errors",
    "W2SVQAError": "core.errors",
    "compare": "stages.score",
    "evaluate": "stages.evaluate",
    "score": "stages.score",
}

__all__ = [
    "BundleError",
    "Comparison",
    "ConfigError",
    "InputError",
    "MediaError",
    "MissingExtraError",
    "MissingInputError",
    "Reason",
    "RefusedMediaError",
    "Score",
    "Scorer",
    "StoreError",
    "UnwritableError",
    "W2SVQAError",
    "compare",
    "evaluate",
    "score",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
