"""The five levels of a pair, in one place: their words, order and weights.

A level says how the quality of the *second* video compares with the *first*. Index 0 to 4, ascending.

Source: arXiv 2505.03631, section 4 (levels) and section 5 (weights of the soft comparison).
"""

from __future__ import annotations

from typing import Final

LEVELS: Final = ("inferior", "worse", "similar", "better", "superior")
"""Level words; the index is the level, of the second video relative to the first."""

LEVEL_WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""What each level contributes to the preference P(second is better than first)."""

INFERIOR, WORSE, SIMILAR, BETTER, SUPERIOR = range(5)


def opposite(level: int) -> int:
    """Return the level of the same pair with first and second exchanged.

    Example:
        >>> LEVELS[opposite(WORSE)]
        'better'
    """
    return len(LEVELS) - 1 - level
