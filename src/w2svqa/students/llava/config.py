"""What a LLaVA student looks at and in what order it reads it: plain values, for YAML and the card of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from w2svqa.core.errors import ConfigError

Layout = Literal["released", "interleaved"]
"""Where the motion tokens of a video stand. ``released``: all frames, the newline, then all motion; ``interleaved``:
each second's frame followed by its motion (equation 21 of the paper), the newline last."""

Span = Literal["second", "released"]
"""Which frames a motion feature is made of. ``second``: all of the second, as the paper says; ``released``: the first
32, the last one repeated where there are fewer."""

MOTION_WIDTH: Final = 256
"""Length of the motion feature of a second: channels of SlowFast's fast pathway."""

RELEASED_MOTION: Final = (8, 10)
"""Least and most motion tokens of a video in the released code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlavaConfig:
    """What the student sees. Sizes of the networks are the checkpoint's own.

    Attributes:
        layout: order of the visual tokens.
        frame_side: height and width in pixels that a key frame is squeezed to; the checkpoint's vision tower must be
            made for it.
        motion_span: frames of a motion feature.
        motion_least: a shorter video repeats its last motion token up to this many; 0 adds none.
        motion_most: motion tokens of a longer video beyond this many are left out; ``None`` keeps all.
        context: most tokens of a pair, prompt included. Never more than the language model was made for.
    """

    layout: Layout = "released"
    frame_side: int = 384
    motion_span: Span = "second"
    motion_least: int = 0
    motion_most: int | None = None
    context: int = 32768

    def __post_init__(self) -> None:
        for name, value, least in (
            ("frame_side", self.frame_side, 1),
            ("motion_least", self.motion_least, 0),
            ("context", self.context, 1),
            ("motion_most", self.motion_most, 1),
        ):
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}", remedy=f"give at least {least}")
        if self.motion_most is not None and self.motion_most < self.motion_least:
            raise ConfigError(
                f"motion_most is {self.motion_most}, less than motion_least, {self.motion_least}",
                remedy="swap the two",
            )
        if self.layout == "interleaved" and (self.motion_least, self.motion_most) != (0, None):
            raise ConfigError(
                "the interleaved layout has one motion token in every second",
                remedy="leave motion_least and motion_most out, or choose the layout 'released'",
            )


def released_config(frame_side: int = 384) -> LlavaConfig:
    """Return the configuration under which checkpoints of the released code were trained.

    Example:
        >>> released_config().motion_least, released_config().motion_most
        (8, 10)
    """
    least, most = RELEASED_MOTION
    return LlavaConfig(frame_side=frame_side, motion_span="released", motion_least=least, motion_most=most)
