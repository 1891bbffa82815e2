"""How many videos each group gives: shares turned into whole numbers that the groups can meet."""

from __future__ import annotations

import numpy as np

from w2svqa.stages.selection_problem import Counts, Floats


def quotas(shares: Floats, count: int, *, least: Counts, most: Counts) -> Counts:
    """Return whole numbers that sum to ``count``, as near to the shares as the limits allow.

    What a group cannot give, the others give in proportion; what is left after cutting off fractions goes to the
    largest of these.

    Args:
        shares: wished, 0 or more, not all 0, ``(groups,)``.
        count: how many in all; from the sum of ``least`` to that of ``most``.
        least: what each group must give, ``(groups,)``.
        most: what each group has, ``(groups,)``.

    Example:
        >>> quotas(np.array([0.5, 0.3, 0.2]), 10, least=np.array([0, 0, 0]), most=np.array([3, 99, 99])).tolist()
        [3, 4, 3]
    """
    wished = shares / shares.sum() * count
    # groups of which nothing is wished give only when all others have given everything
    wished = np.maximum(wished, 1e-9 * count)
    low, high = 0.0, 1.0
    while np.clip(wished * high, least, most).sum() < count:
        high *= 2.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.clip(wished * middle, least, most).sum() < count else (low, middle)
    exact = np.clip(wished * high, least, most)
    whole: Counts = np.floor(exact + 1e-6).astype(np.int64)
    while (missing := count - int(whole.sum())) > 0:
        order = np.argsort(whole - exact, kind="stable")
        order = order[whole[order] < most[order]][:missing]
        whole[order] += 1
    return whole
