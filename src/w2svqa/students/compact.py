"""The compact student, all of it: views and motion -> tokens -> five level logits, in PyTorch. For training and export.

```
views (7, 128, 128, 3) uint8                       one second of video, from views.make_views
  -> luma, the same normalised, contrast, colours   (7, 5, 128, 128)
  -> four scales of convolutions, for all views      (7, 16, 64, 64) ... (7, 96, 8, 8)
  -> their mean and mean square, and the tones       (7, 448)
  -> [mean over details, the whole view]             (896) -+
motion (64, 32, 32) uint8, the first `count` of them real   |-> token (96)
  -> [frame, change from the last, change to the next]      |
  -> three convolutions, mean and maximum over positions    |
  -> a convolution over time, mean, deviation, maximum  (96)-+

tokens of the first and of the second video, each averaged over time
  -> quality of each, one number, by one network for both       difference -+
  -> how near the two are: versions of one clip, or two clips?  sharpness  -+-> five logits
```

Which of two videos is better depends on their qualities alone: comparisons never contradict each other, and what is
learned by comparing versions of one clip holds between clips as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        hidden: width of the comparator and of the diagnosis.
        motion: with a motion branch; without one it sees key frames alone.
        dropout: share of the features of all views that a step of training goes without.
        kinds: names of the distortions it can name; "none" comes before them by itself.
    """

    widths: tuple[int, int, int, int] = (16, 32, 64, 96)
    token: int = 96
    hidden: int = 64
    motion: bool = True
    dropout: float = 0.0
    kinds: tuple[str, ...] = ()


# ITU-R BT.601 luma and colour differences, scaled to about -1..1; which matrix matters little to a learned filter
_RGB_TO_PLANES = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))
PLANES = 5
"""Planes of a view: luma, normalised luma, logarithm of the local deviation, two colour differences."""

_WINDOW = 7
_CONTRAST_FLOOR = 1 / 255
_MOMENT = 96  # mean and maximum of 48 channels
_CHANGE_GAIN = 4.0  # neighbouring frames differ by few grey levels
_CONTENT = 16  # numbers by which two videos are near each other or not
_APART = 4  # pixels between those whose tones are counted: enough for a share, and cheap
_LARGEST = 5.0  # deviations by which a statistic may lie from its mean: what was never seen must not decide alone
_QUALITY_GAIN = 4.0  # a new network's qualities differ by little, and levels are steps of about one


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
        """Map ``(N, height, width, 3)`` RGB 0-255 of any type to float32 ``(N, PLANES, height, width)``."""
        rgb = pixels.float().permute(0, 3, 1, 2) / 255
        planes = functional.conv2d(rgb, self.get_buffer("matrix"))
        luma = planes[:, :1].contiguous()  # pooling a strided plane is many times slower
        mean = _local_mean(luma)
        # clamped: the difference of two rounded means can fall below zero on flat regions
        deviation = (_local_mean(luma * luma) - mean * mean).clamp(min=0).sqrt()
        floored = deviation + _CONTRAST_FLOOR
        return torch.cat([2 * luma - 1, (luma - mean) / floored, floored.log() / 2 + 2, 2 * planes[:, 1:]], dim=1)


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


class Motion(nn.Module):
    """The motion frames of one second to what moves, stops and shakes in it.

    Jitter is a common shift that changes its direction from frame to frame, stutter a change of nothing between
    changes: both lie in the differences of neighbouring frames, so these are its input, amplified.
    """

    WIDTH = 96
    """Length of what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            _convolution(3, 16, stride=2), _convolution(16, 32, stride=2), _convolution(32, 48, stride=2)
        )
        self.time = nn.Sequential(
            nn.Conv1d(_MOMENT, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 32, 3, padding=1), nn.ReLU()
        )

    def forward(self, motion: Tensor, count: Tensor) -> Tensor:
        """Map uint8 ``(N, T, 32, 32)`` and the int64 number of real frames ``(N,)`` to ``(N, WIDTH)``.

        Fewer than three frames show no motion: the result is zero.
        """
        batch, length = motion.shape[:2]
        luma = motion.float() / 128 - 1
        change = _CHANGE_GAIN * (luma[:, 1:-1] - luma[:, :-2]), _CHANGE_GAIN * (luma[:, 2:] - luma[:, 1:-1])
        stacks = torch.stack([luma[:, 1:-1], *change], dim=2).flatten(0, 1)
        real = torch.arange(length - 2, device=motion.device) < (count - 2)[:, None]
        moments = self._moments(stacks, real.flatten()).reshape(batch, length - 2, -1).transpose(1, 2)
        real = real.float()[:, None]
        # what lies behind the last real frame must not reach it through the convolution over time
        over_time = self.time(moments * real) * real
        number = real.sum(dim=2).clamp(min=1)
        mean = over_time.sum(dim=2) / number
        deviation = ((((over_time - mean[:, :, None]) * real) ** 2).sum(dim=2) / number + 1e-6).sqrt()
        summary: Tensor = torch.cat([mean, deviation, over_time.amax(dim=2)], dim=1)
        return summary * (count > 2)[:, None]

    def _moments(self, stacks: Tensor, real: Tensor) -> Tensor:
        """Map each moment of three frames ``(M, 3, 32, 32)`` to ``(M, 96)``."""
        if not self.training:
            return self._pooled(stacks)
        # normalisation must not learn from what fills up short seconds; where nothing is left it learns nothing
        moments = stacks.new_zeros((len(stacks), _MOMENT))
        return moments.index_put((real.nonzero().squeeze(1),), self._pooled(stacks[real]).to(moments.dtype))

    def _pooled(self, stacks: Tensor) -> Tensor:
        features = self.frames(stacks)
        return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)


class Tones(nn.Module):
    """How often each lightness occurs in a view, and how much contrast there is where it does.

    A tone curve makes shadows flat and highlights steep, or the other way round: what darkens or brightens a picture
    shows in the contrast of its tones, where its mean lightness may be that of another picture by nature.
    """

    BINS = 16
    WIDTH = 2 * BINS
    """Length of what it returns."""

    def __init__(self) -> None:
        super().__init__()
        centres = torch.linspace(-1, 1, self.BINS).reshape(1, -1, 1, 1)
        self.register_buffer("centres", centres, persistent=False)

    def forward(self, planes: Tensor) -> Tensor:
        """Map ``(N, PLANES, side, side)`` to float32 ``(N, WIDTH)``: shares of the bins, then their contrasts."""
        planes = planes[:, :, ::_APART, ::_APART].float()
        luma, contrast = planes[:, :1], planes[:, 2:3]
        distance = (luma - self.get_buffer("centres")).abs() * ((self.BINS - 1) / 2)
        near = (1 - distance).clamp(min=0)
        share, weighted = near.mean(dim=(2, 3)), (near * contrast).mean(dim=(2, 3))
        return torch.cat([share.sqrt(), weighted / (share + 1e-3)], dim=1)


class Trunk(nn.Module):
    """The planes of a view to statistics of its features at every scale: their mean and root mean square.

    Fine scales tell noise, blur and coding apart on any content; coarse ones know more of the content.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        first, second, third, last = widths
        self.tones = Tones()
        self.width = 2 * sum(widths) + Tones.WIDTH
        self.scales = nn.ModuleList(
            [
                _convolution(PLANES, first, stride=2),
                nn.Sequential(_convolution(first, second, stride=2), Residual(second)),
                nn.Sequential(_convolution(second, third, stride=2), Residual(third)),
                nn.Sequential(_convolution(third, last, stride=2), Residual(last)),
            ]
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, PLANES, side, side)`` to float32 ``(N, width)``, tones first."""
        statistics = [self.tones(features)]
        for scale in self.scales:
            features = scale(features)
            statistics.append(_moments(features.float()))
        return torch.cat(statistics, dim=1)


def _moments(features: Tensor) -> Tensor:
    """Mean and root mean square over positions, ``(N, 2 * channels)``: a deviation follows from them and costs more."""
    size = math.sqrt(features.shape[2] * features.shape[3])
    return torch.cat([features.mean(dim=(2, 3)), torch.linalg.vector_norm(features, dim=(2, 3)) / size], dim=1)


class SharedDropout(nn.Module):
    """Dropout of the same features in every row, so that versions of one clip are still compared by like features."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, F)`` to the same shape; in evaluation mode nothing happens."""
        if not self.training or self.share == 0:
            return features
        return features * functional.dropout(features.new_ones(1, features.shape[1]), self.share)


class Encoder(nn.Module):
    """The views and the motion of one second to its token."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.planes = Planes()
        self.trunk = Trunk(config.widths)
        self.motion = Motion() if config.motion else None
        seen = 2 * self.trunk.width + (Motion.WIDTH if config.motion else 0)
        self.head = nn.Sequential(
            nn.BatchNorm1d(seen, eps=1e-3, affine=False),
            nn.Hardtanh(-_LARGEST, _LARGEST),
            SharedDropout(config.dropout),
            nn.Linear(seen, config.token),
        )

    def forward(self, views: Tensor, motion: Tensor, count: Tensor) -> Tensor:
        """Map one second each to float32 tokens ``(N, token)``.

        Args:
            views: uint8 ``(N, V, side, side, 3)``, the whole picture last. Training may give fewer detail crops than
                scoring does: they are averaged.
            motion: uint8 ``(N, T, 32, 32)``; not looked at without a motion branch.
            count: int64 ``(N,)``, how many of the motion frames are real.
        """
        return self.from_planes(self.planes(views.flatten(0, 1)), motion, count)

    def from_planes(self, planes: Tensor, motion: Tensor, count: Tensor) -> Tensor:
        """Map the planes of all views, ``(N * V, PLANES, side, side)``, and the motion to tokens."""
        tokens: Tensor = self.head(self._seen(planes, motion, count))
        return tokens

    def statistics(self, views: Tensor, motion: Tensor, count: Tensor) -> Tensor:
        """Return what the last layer makes tokens of, float32 ``(N, F)``: normalised statistics, cut to their limits.

        A token is an affine function of them, so the mean token of a video is that of their mean: whoever trains the
        last layer alone need not keep the pictures.

        Args:
            views: as for a call.
            motion: likewise.
            count: likewise.
        """
        limited: Tensor = self.head[:2](self._seen(self.planes(views.flatten(0, 1)), motion, count))
        return limited

    def _seen(self, planes: Tensor, motion: Tensor, count: Tensor) -> Tensor:
        seen = self._spatial(self.trunk(planes), motion.shape[0])
        return seen if self.motion is None else torch.cat([seen, self.motion(motion, count).float()], dim=1)

    @staticmethod
    def _spatial(pooled: Tensor, seconds: int) -> Tensor:
        views = pooled.reshape(seconds, -1, pooled.shape[1])
        # no deviation over details: it would tell how many there are, which differs between training and scoring
        return torch.cat([views[:, :-1].mean(dim=1), views[:, -1]], dim=1)


class Comparator(nn.Module):
    """Two videos' mean tokens to five level logits; exchanging the videos reverses the logits by construction.

    An adjacent-categories model: each level is one step of ``sharpness * (quality of the second - of the first)`` more
    probable than the one below it, plus a bias that is the same for a level and its opposite. The sharpness has one
    value for videos that are near each other and one for those that are not, with a smooth transition: a difference
    between versions of one clip is certain long before one between two clips is. It depends on nothing else, or a video
    could score higher among the anchors for being compared less sharply.

    Source: A. Agresti, "Analysis of Ordinal Categorical Data", section 4.1, for the model; its use here is ours.
    """

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.quality = nn.Sequential(nn.Linear(config.token, config.hidden), nn.GELU(), nn.Linear(config.hidden, 1))
        self.content = nn.Linear(config.token, _CONTENT, bias=False)
        self.sharpness = nn.Parameter(torch.zeros(2))  # far, and how much more near; before softplus
        steps = torch.arange(len(LEVELS)) - len(LEVELS) // 2
        self.register_buffer("steps", steps.float(), persistent=False)
        # at the start each level is the likeliest in a range of its own: its borders are at -3/4, -1/4, 1/4 and 3/4
        self.bias = nn.Parameter(-(torch.arange(len(LEVELS) // 2 + 1).float() ** 2) / 4)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map two float32 ``(N, token)`` to logits ``(N, 5)``: the level of the second relative to the first."""
        nearness = torch.exp(-(self.content(second - first) ** 2).sum(dim=1, keepdim=True))
        far, more = functional.softplus(self.sharpness)
        difference = _QUALITY_GAIN * (far + more * nearness) * (self.quality(second) - self.quality(first))
        steps = self.get_buffer("steps")
        logits: Tensor = difference * steps + self.bias[steps.abs().long()]
        return logits


class Diagnosis(nn.Module):
    """A mean token to what is wrong: logits of "none" and of each kind, and how severe each kind is."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(config.token, config.hidden), nn.GELU())
        self.kinds = nn.Linear(config.hidden, 1 + len(config.kinds))
        self.severity = nn.Linear(config.hidden, len(config.kinds))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(N, token)`` to kind logits ``(N, 1 + kinds)`` and severities ``(N, kinds)`` in 0-1."""
        features = self.body(tokens)
        return self.kinds(features), torch.sigmoid(self.severity(features))


class CompactModel(nn.Module):
    """The compact student: encoder, comparator and diagnosis."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.comparator = Comparator(config)
        self.diagnosis = Diagnosis(config)
