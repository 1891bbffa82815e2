"""Contrast: the standard deviation of grey levels."""

from __future__ import annotations

from w2svqa.metrics.base import Grey, Metric, Moment, mean_and_spread


def contrast(grey: Grey) -> float:
    """Return the population standard deviation of all pixels, in grey levels: 0 (flat) to 127.5, higher is more.

    Departure: Peli divides grey levels by their greatest; here they stay 0-255.

    Args:
        grey: uint8 ``(height, width)``, of the picture as shown.

    Source: E. Peli, "Contrast in complex images", JOSA A 7(10), 1990 (root mean square contrast).
    """
    return mean_and_spread([grey])[1]


def _value(moment: Moment) -> float:
    return contrast(moment.grey)


METRIC = Metric(
    name="contrast", unit="grey levels", range=(0.0, 127.5), meaning="higher is more contrast", value=_value
)
