"""Blur: CPBD, the share of edges whose blur nobody would notice."""

from __future__ import annotations

from w2svqa.core.cpbd import BLOCK, sharpness
from w2svqa.metrics.base import Metric, Moment


def blur(moment: Moment) -> float:
    """Return CPBD of the key frame as shown: 0 (blurred) to 1 (sharp), a share without unit; NaN without any edge.

    The same number as the teacher ``cpbd`` gives, by the same arithmetic on the same grey levels; there it is written
    where it departs from the paper.

    Args:
        moment: whose key frame has at least 64x64 pixels.

    Source: Narvekar & Karam, IEEE TIP 20(9), 2011; see :mod:`w2svqa.core.cpbd`.
    """
    return sharpness(moment.grey)


METRIC = Metric(
    name="blur", unit="share of edges", range=(0.0, 1.0), meaning="higher is sharper", value=blur, least_size=BLOCK
)
