"""The scale that turns latent quality into the 0-100 score, and what a bundle stores of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2svqa.preference.forms import Form

Floats = NDArray[np.float64]

NORMAL_FACTOR_90: Final = 1.6448536269514722
"""Half the width of the central 90 % of N(0, 1)."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBatch:
    """Scores of N videos, float64 ``(N,)`` each.

    Attributes:
        value: 0-100, clipped, for display; higher is better.
        low: lower end of the interval, 0-100, at most ``value``.
        high: upper end of the interval, 0-100, at least ``value``.
        raw: ``value`` before clipping: use it to rank, it has no ties beyond the ends.
    """

    value: Floats
    low: Floats
    high: Floats
    raw: Floats

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """All that scoring needs besides the student and the anchors' tokens; fixed in a bundle.

    Attributes:
        anchor_positions: latent positions of the anchors, in the order of their tokens.
        latent_zero: latent that scores 0: one in twenty worst severities of the calibration contents lies below it.
        latent_hundred: latent that scores 100: one in twenty clean primaries of the calibration contents lies above it.
        temperature: divides the student's logits.
        vote_weight: how many independent votes one soft preference is worth.
        interval_level: share of the target that the interval was fitted to hold.
        interval_factor: half the interval's width in posterior deviations.
        form: which form the latents are from; ``"released"`` ignores everything else here and has no interval.

    Example:
        >>> scale = Scale(anchor_positions=(-1.0, 0.0, 1.0), latent_zero=-2.0, latent_hundred=2.0)
        >>> scores = scale.score([0.0, 3.0], [0.1, 0.1])
        >>> scores.value, scores.raw
        (array([ 50., 100.]), array([ 50., 125.]))
    """

    anchor_positions: tuple[float, ...]
    latent_zero: float
    latent_hundred: float
    temperature: float = 1.0
    vote_weight: float = 1.0
    interval_level: float = 0.90
    interval_factor: float = NORMAL_FACTOR_90
    form: Form = "anchored"

    def __post_init__(self) -> None:
        """Reject a scale that cannot be used.

        Raises:
            ValueError: a number that is not finite or out of range, no anchors, or an unknown form.
        """
        if not self.anchor_positions:
            raise ValueError("a scale needs at least one anchor")
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        for name, value in (*numbers.items(), *(("anchor_positions", item) for item in self.anchor_positions)):
            if not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}")
        for name in ("temperature", "vote_weight", "interval_factor"):
            if numbers[name] <= 0.0:
                raise ValueError(f"{name} must be above 0, got {numbers[name]}")
        if not 0.0 < self.interval_level < 1.0:
            raise ValueError(f"interval_level must lie between 0 and 1, got {self.interval_level}")
        if self.latent_hundred <= self.latent_zero:
            raise ValueError(f"latent_hundred ({self.latent_hundred}) must be above latent_zero ({self.latent_zero})")
        if self.form not in get_args(Form):
            raise ValueError(f"form must be one of {', '.join(get_args(Form))}, got {self.form!r}")

    def score(self, latent: ArrayLike, deviation: ArrayLike, *, factor: float | None = None) -> ScoreBatch:
        """Map latents to scores: an affine map, then clipping for display.

        Args:
            latent: ``(N,)``, as a placement gives it.
            deviation: ``(N,)``, at least 0.
            factor: half the interval's width in deviations; :attr:`interval_factor` unless given. For another unit
                than the scale was calibrated for (single seconds, say), fit its own with
                :func:`w2svqa.preference.calibrate.fit_factor`.

        Returns:
            N scores with ``low <= value <= high``, also after clipping.

        Raises:
            ValueError: shapes that differ, a latent that is not finite, or a negative deviation.

        Source: ours. The paper leaves its latents as they are; the released code stretches each video's own six
        values to 0-100, so that everything beyond the end anchors is exactly 0 or 100.
        """
        latents, deviations = np.asarray(latent, dtype=np.float64), np.asarray(deviation, dtype=np.float64)
        if latents.ndim != 1 or latents.shape != deviations.shape:
            raise ValueError(f"latents {latents.shape} and deviations {deviations.shape} must be (N,) both")
        if not np.isfinite(latents).all() or not np.all(deviations >= 0.0):
            raise ValueError("latents must be finite and deviations at least 0")
        unit = 100.0 / (self.latent_hundred - self.latent_zero)
        raw = (latents - self.latent_zero) * unit
        half = deviations * (self.interval_factor if factor is None else factor) * unit
        return ScoreBatch(
            value=np.clip(raw, 0.0, 100.0),
            low=np.clip(raw - half, 0.0, 100.0),
            high=np.clip(raw + half, 0.0, 100.0),
            raw=raw,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the scale as JSON-ready values: numbers, a list of numbers, a string.

        Source: ours.
        """
        stored: dict[str, object] = {field.name: getattr(self, field.name) for field in fields(self)}
        stored["anchor_positions"] = list(self.anchor_positions)
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> Scale:
        """Rebuild a scale from :meth:`to_dict`, to the last bit.

        Raises:
            ValueError: a key is missing or unknown, or a value has the wrong type or range.

        Source: ours.
        """
        expected = {field.name for field in fields(cls)}
        if missing := sorted(expected - stored.keys()):
            raise ValueError(f"the scale lacks {', '.join(missing)}")
        if unknown := sorted(stored.keys() - expected):
            raise ValueError(f"the scale has unknown keys: {', '.join(unknown)}")
        positions = stored["anchor_positions"]
        if not isinstance(positions, list | tuple):
            raise ValueError(f"anchor_positions must be a list of numbers, got {positions!r}")
        numbers = {name: _number(name, stored[name]) for name in _NUMBERS}
        return cls(
            anchor_positions=tuple(_number("anchor_positions", item) for item in positions),
            form=_form(stored["form"]),
            **numbers,
        )


_NUMBERS: Final = (
    "latent_zero",
    "latent_hundred",
    "temperature",
    "vote_weight",
    "interval_level",
    "interval_factor",
)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return float(value)


def _form(value: object) -> Form:
    for form in get_args(Form):
        if value == form:
            known: Form = form
            return known
    raise ValueError(f"form must be one of {', '.join(get_args(Form))}, got {value!r}")
