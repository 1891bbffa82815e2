"""Temporal simulators: a picture that shakes, and a picture that stops.

Both leave the number of frames as it is. Amounts are our choice, for the paper names none.

Source: arXiv 2505.03631, section 4 and appendix A.3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.random import generator
from w2svqa.distort.axes import COLUMNS, ROWS, Banded, Taps, cubic_taps, filter_frame

Frame = NDArray[np.uint8]

JITTER_LEAST_SIDE: Final = 16
"""Pixels. In a smaller picture the mildest shift is no tenth of a pixel, and 8 bits do not show it."""


@dataclass(frozen=True, slots=True)
class Shake:
    """What jitter does to one axis of one frame: cut the same margin on both ends, shift, stretch back.

    Attributes:
        margin: cut from each end, as a share of the axis.
        shift: of the window, as a share of the axis; at most ``margin``, so that no border shows.
    """

    margin: float
    shift: float

    def taps(self, length: int) -> Taps:
        """Return the resampling of an axis of ``length`` pixels: cubic interpolation (Keys, a = -1/2)."""
        window = 1 - 2 * self.margin
        first = length * (self.margin + self.shift)
        positions = first + (np.arange(length, dtype=np.float64) + 0.5) * window - 0.5
        return cubic_taps(positions, length)


def draw_shakes(amount: float, size: tuple[int, int], random: np.random.Generator) -> tuple[Shake, Shake]:
    """Draw the shakes of height and width of one frame.

    Args:
        amount: largest shift, as a share of the shorter side.
        size: height and width in pixels.
        random: draws the direction; the same for every amount, so that a higher amount is the same way, further.
    """
    direction = random.uniform(-1, 1, size=2)
    height, width = (
        Shake(amount, amount * float(part) * min(size) / side) for part, side in zip(direction, size, strict=True)
    )
    return height, width


def jitter(frame: Frame, amount: float, random: np.random.Generator) -> Frame:
    """Shift the picture at random by fractions of a pixel, cut its edges off and stretch it back to its size.

    Our choice: the shift is uniform in ``[-amount, amount]`` shorter sides on both axes, drawn anew for each frame, the
    first among them; ``amount`` of each side is cut from both of its ends, whatever the shift, so that no border shows
    and the picture keeps its proportions; cubic interpolation.

    Args:
        frame: uint8 ``(height, width, 3)``, at least :data:`JITTER_LEAST_SIDE` pixels each way.
        amount: largest shift, as a share of the shorter side.
        random: draws the direction.

    Returns:
        uint8 ``(height, width, 3)``.

    Source: arXiv 2505.03631, equation 19.
    """
    height, width = frame.shape[:2]
    vertical, horizontal = draw_shakes(amount, (height, width), random)
    return filter_frame(frame, [(ROWS, Banded(vertical.taps(height))), (COLUMNS, Banded(horizontal.taps(width)))])


def stuttering(probability: float, count: int, seed: int, start: int) -> NDArray[np.bool_]:
    """Return which frames are replaced by what was on display before them.

    Our choice: what was *on display*, so that frames dropped in a row freeze the picture, as in a player; the paper's
    equation takes the source's predecessor. Each frame has a number of its own, compared with ``probability``: at a
    higher one the same frames are replaced, and more.

    Args:
        probability: with which a frame is replaced.
        count: frames.
        seed: fixes the numbers.
        start: index of the first frame in its video; frame 0 is never replaced.

    Returns:
        bool ``(count,)``.

    Source: arXiv 2505.03631, equation 20.
    """
    random = generator(seed, "stuttering")
    bits = random.bit_generator
    if isinstance(bits, np.random.PCG64):
        # one step of the generator is one number
        bits.advance(start)
    replaced = random.random(count) < probability
    if start == 0:
        replaced[:1] = False
    return np.asarray(replaced, dtype=np.bool_)
