"""The compact student, all of it: views -> tokens -> five level logits, in PyTorch. For training and export only.

```
views (7, 128, 128, 3) uint8                       one second of video, from views.make_views
  -> luma, local contrast, two chroma planes        (7, 4, 128, 128)
  -> seven convolutions, one trunk for all views     (7, 96, 8, 8)
  -> mean and deviation over positions               (7, 192)
  -> [mean over details, deviation, the whole view]  (576) -> token (64)

tokens of the first and of the second video, each averaged over time
  -> one network applied to (first, second) and to (second, first), the second result reversed and added
  -> five logits, so that exchanging the videos reverses them exactly
```
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from w2svqa.core.levels import LEVELS


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactConfig:
    """Size of the compact student.

    Attributes:
        widths: channels after each halving of the resolution.
        token: length of the token of one second.
        hidden: width of the comparator.
        kinds: names of the distortions it can name; "none" comes before them by itself.
    """

    widths: tuple[int, int, int, int] = (16, 32, 64, 96)
    token: int = 64
    hidden: int = 64
    kinds: tuple[str, ...] = ()


# ITU-R BT.601 luma and colour differences, scaled to about -1..1; which matrix matters little to a learned filter
_RGB_TO_PLANES = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))
_WINDOW = 7
_CONTRAST_FLOOR = 1 / 255


class Planes(nn.Module):
    """Pixels to four planes: luma, locally normalised luma, two colour differences.

    The normalised plane (luma minus its local mean, over its local deviation, 7 x 7 windows) shows noise, ringing and
    lost detail in dark and bright places alike. Source: the divisive normalisation of BRISQUE (Mittal et al. 2012,
    equation 1), with a flat instead of a Gaussian window.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.tensor(_RGB_TO_PLANES).reshape(3, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map ``(N, height, width, 3)`` RGB 0-255 of any type to float32 ``(N, 4, height, width)``."""
        rgb = pixels.float().permute(0, 3, 1, 2) / 255
        planes = functional.conv2d(rgb, self.get_buffer("matrix"))
        luma = planes[:, :1].contiguous()  # pooling a strided plane is many times slower
        mean = _local_mean(luma)
        # clamped: the difference of two rounded means can fall below zero on flat regions
        deviation = (_local_mean(luma * luma) - mean * mean).clamp(min=0).sqrt()
        normalised = (luma - mean) / (deviation + _CONTRAST_FLOOR)
        return torch.cat([2 * luma - 1, normalised, 2 * planes[:, 1:]], dim=1)


def _local_mean(plane: Tensor) -> Tensor:
    """Average over a window, one axis after the other."""
    half = _WINDOW // 2
    rows = functional.avg_pool2d(plane, (_WINDOW, 1), stride=1, padding=(half, 0), count_include_pad=False)
    return functional.avg_pool2d(rows, (1, _WINDOW), stride=1, padding=(0, half), count_include_pad=False)


def _convolution(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """A convolution added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = _convolution(width, width, stride=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, width, h, w)`` to the same shape."""
        added: Tensor = features + self.body(features)
        return added


class Encoder(nn.Module):
    """The views of one second to its token."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        first, second, third, last = config.widths
        self.planes = Planes()
        self.trunk = nn.Sequential(
            _convolution(4, first, stride=2),
            _convolution(first, second, stride=2),
            Residual(second),
            _convolution(second, third, stride=2),
            Residual(third),
            _convolution(third, last, stride=2),
            Residual(last),
        )
        self.head = nn.Sequential(nn.LayerNorm(6 * last), nn.Linear(6 * last, config.token))

    def forward(self, views: Tensor) -> Tensor:
        """Map uint8 ``(N, V, side, side, 3)``, the whole picture last, to float32 tokens ``(N, token)``.

        Training may give fewer detail crops than scoring does: they are averaged.
        """
        return self.from_planes(self.planes(views.flatten(0, 1)), views.shape[0])

    def from_planes(self, planes: Tensor, seconds: int) -> Tensor:
        """Map the planes of the views of ``seconds`` seconds, ``(seconds * V, 4, side, side)``, to tokens."""
        features = self.trunk(planes).float()
        mean = features.mean(dim=(2, 3))
        deviation = ((features - mean[:, :, None, None]) ** 2).mean(dim=(2, 3)).add(1e-6).sqrt()
        pooled = torch.cat([mean, deviation], dim=1).reshape(seconds, -1, 2 * features.shape[1])
        details = pooled[:, :-1]
        middle = details.mean(dim=1)
        spread = ((details - middle[:, None]) ** 2).mean(dim=1).add(1e-6).sqrt()
        tokens: Tensor = self.head(torch.cat([middle, spread, pooled[:, -1]], dim=1))
        return tokens


class Comparator(nn.Module):
    """Two videos' mean tokens to five level logits; exchanging the videos reverses the logits by construction."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.one_way = nn.Sequential(
            nn.Linear(2 * config.token, config.hidden), nn.GELU(), nn.Linear(config.hidden, len(LEVELS))
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map two float32 ``(N, token)`` to logits ``(N, 5)``: the level of the second relative to the first."""
        there = self.one_way(torch.cat([first, second], dim=1))
        back = self.one_way(torch.cat([second, first], dim=1))
        logits: Tensor = there + back.flip(1)
        return logits


class Diagnosis(nn.Module):
    """A mean token to what is wrong: logits of "none" and of each kind, and how severe it is."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.kinds = nn.Linear(config.token, 1 + len(config.kinds))
        self.severity = nn.Linear(config.token, 1)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(N, token)`` to kind logits ``(N, 1 + kinds)`` and severities ``(N,)`` in 0-1."""
        return self.kinds(tokens), torch.sigmoid(self.severity(tokens)).squeeze(1)


class CompactModel(nn.Module):
    """The compact student: encoder, comparator and diagnosis."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.comparator = Comparator(config)
        self.diagnosis = Diagnosis(config)
