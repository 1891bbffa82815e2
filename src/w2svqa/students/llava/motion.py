"""From the motion frames of a second to one motion token: SlowFast's fast pathway, then a projector of two layers.

SlowFast is frozen and its features are the same in every epoch, so it stands apart from the model that is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2svqa.networks.slowfast import SlowFast
from w2svqa.students.llava.config import MOTION_WIDTH, Span
from w2svqa.students.llava.pictures import motion_clip


class MotionProjector(nn.Sequential):
    """Motion features to the width of the language model: ``(K, 256) -> (K, hidden)``.

    Its keys are those of ``slowfast_projector`` in the released code: ``0.weight``, ``0.bias``, ``2.weight``,
    ``2.bias``.

    Args:
        hidden: width of the language model.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__(nn.Linear(MOTION_WIDTH, hidden), nn.GELU(), nn.Linear(hidden, hidden))


class MotionEncoder:
    """Motion frames to features; frozen.

    Args:
        network: SlowFast with weights; its slow pathway is not needed.
        span: which frames of a second it sees.
        version: changes with the weights: a part of the key under which features are kept.
    """

    def __init__(self, network: SlowFast, *, span: Span = "second", version: str = "") -> None:
        network.drop_slow()
        self.network = network.eval().requires_grad_(False)
        self.span: Span = span
        self.version = f"{version}-{span}"

    def to(self, device: torch.device | str) -> MotionEncoder:
        """Move it to a device and return it."""
        self.network.to(device)
        return self

    def features(self, seconds: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return one feature per second.

        Args:
            seconds: motion frames of each, uint8 ``(T, 224, 224, 3)``, RGB 0-255. T = 0, a still, gives zeros.

        Returns:
            float32 ``(seconds, 256)``: the mean of the fast pathway's last maps over time and places.
        """
        result = np.zeros((len(seconds), MOTION_WIDTH), np.float32)
        for place, frames in enumerate(seconds):
            if len(frames):
                result[place] = self._feature(motion_clip(frames, self.span))
        return result

    def _feature(self, clip: Tensor) -> NDArray[np.float32]:
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            maps = self.network.fast_maps(clip.to(device))
            feature: NDArray[np.float32] = maps.mean(dim=(2, 3, 4))[0].cpu().numpy()
        return feature
