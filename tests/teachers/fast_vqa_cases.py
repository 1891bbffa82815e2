"""Inputs on which FAST-VQA is compared with its reference implementation. Only numpy: both environments have it."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

MODELS = {"fast-vqa": "fast-b.yml", "fast-vqa-m": "fast-m.yml", "faster-vqa": "f3dvqa-b.yml"}
"""Names here and option files there."""

# Network, shape of clips, how many, whether windows adapt. All have the full depth and width; eight frames make the
# windows of the large one 2 x 7 x 7, and keep its grid of 7 x 7 fragments.
FORWARDS = {
    "mobile": ("fast-vqa-m", (3, 16, 128, 128), 4, True),
    "mobile-fixed": ("fast-vqa-m", (3, 16, 128, 128), 1, False),
    "base": ("fast-vqa", (3, 8, 224, 224), 4, True),
}

COUNTS = (1, 5, 31, 63, 64, 65, 66, 150, 301, 1000)
"""Lengths of videos in frames."""
CLIP_KINDS = {"fast-vqa": (32, 4), "fast-vqa-m": (16, 4)}
"""Frames per clip, clips."""
RUNS, RUN_LENGTH, INTERVAL = 8, 4, 2

# Frames, height, width, cells per side, aligned frames: cells wider than fragments, as wide, and one of each.
VIDEOS = ((32, 240, 300, 7, 32), (32, 261, 224, 7, 8), (16, 128, 130, 4, 8), (32, 360, 224, 7, 8))
SMALL = ((112, 112), (100, 157), (200, 96), (223, 500))
"""Height, width of frames that are enlarged for a grid of 7 x 7."""
FULL_VIDEO = (90, 260, 300)
"""Length, height, width of the video that goes through FasterVQA as a whole."""

RAW = (-0.5, -0.11, -0.05, 0.02, 0.0239, 0.1, 0.1476, 0.2)
"""Outputs of networks to rescale."""


def frame(number: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return one frame of a video: a moving pattern with detail down to single pixels."""
    random = np.random.Generator(np.random.PCG64([height, width, number]))
    row, column = np.mgrid[:height, :width]
    waves = [110 + 60 * np.sin((row * (k + 1) + column * 2 + 9 * number) / 31) for k in range(3)]
    noisy = np.stack(waves, axis=-1) + random.normal(0, 25, (height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def starts(count: int) -> NDArray[np.float64]:
    """Return numbers from 0 to below 1 that stand in for the draws of the starts of runs."""
    return np.random.Generator(np.random.PCG64([1, count])).random(RUNS)


def shares(groups: int, cells: int) -> NDArray[np.float64]:
    """Return numbers from 0 to below 1 that stand in for the draws of places: ``(groups, cells, cells, 2)``."""
    return np.random.Generator(np.random.PCG64([2, groups, cells])).random((groups, cells, cells, 2))


class Given:
    """Stands in for a generator, and gives prepared numbers."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._values = values

    def random(self, size: int | tuple[int, ...]) -> NDArray[np.float64]:
        """Return the numbers; they must be as many as are wanted."""
        if self._values.shape != (size if isinstance(size, tuple) else (size,)):
            raise ValueError(f"{size} numbers wanted, {self._values.shape} prepared")
        return self._values


def prepared(values: NDArray[np.float64]) -> np.random.Generator:
    """Return what can be passed for a generator, and gives these numbers."""
    return cast(np.random.Generator, Given(values))
