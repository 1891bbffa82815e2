"""MinimalisticVQA: Swin features of key frames, with or without motion features, to one value per second.

Source: W. Sun et al., "Analysis of Video Quality Datasets via Design of Minimalistic Video Quality Models", TPAMI 2024
(arXiv 2307.13981), models VII and IX, with the state-dict keys of the released models. The regressor is two linear
layers with nothing between them, as there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from w2svqa.teachers.networks.swin import SWIN_B, Swin, SwinShape

HIDDEN = 128


class MinimalisticNetwork(nn.Module):
    """Key frames to values.

    Args:
        motion: length of the motion features that are laid behind those of a picture; 0 for none (model VII).
        shape: of the picture network; Swin-B unless given.
    """

    def __init__(self, motion: int = 0, shape: SwinShape = SWIN_B) -> None:
        super().__init__()
        self.feature_extraction = Swin(shape)
        self.quality = nn.Sequential(nn.Linear(shape.features + motion, HIDDEN), nn.Linear(HIDDEN, 1))

    def forward(self, pictures: Tensor, motion: Tensor | None = None) -> Tensor:
        """Return one value per picture.

        Args:
            pictures: float32 ``(pictures, 3, height, width)``, normalised.
            motion: float32 ``(pictures, motion)``; ``None`` if the network takes none.

        Returns:
            float32 ``(pictures,)``; higher is better.
        """
        return self.rate(self.feature_extraction(pictures), motion)

    def rate(self, features: Tensor, motion: Tensor | None = None) -> Tensor:
        """Return one value per vector of ``feature_extraction``; see :meth:`forward`."""
        both = features if motion is None else torch.cat([features, motion], dim=1)
        values: Tensor = self.quality(both)
        return values[:, 0]
