"""ConvNeXt over space and time: the kernels of an image network, some of them stretched over three frames.

Source: Z. Liu et al., "A ConvNet for the 2020s", CVPR 2022 (arXiv 2201.03545), section 2; S. Woo et al., "ConvNeXt V2",
CVPR 2023 (arXiv 2301.00808), section 3 (response normalisation); H. Wu et al., "Exploring Video Quality Assessment on
User Generated Contents from Aesthetic and Technical Perspectives", ICCV 2023 (arXiv 2211.04894), which stretches them.
What only the reference implementation of the last one says: the stem takes two frames to one, later stages keep the
frames; in each stage the blocks 2, 5, 8 ... see three frames, the others one.

Departures: none in the numbers. Features lie with their channels last in memory throughout, where the reference goes
back and forth: depthwise kernels are several times faster so on a CPU. The classifier that its second version keeps is
left out, nothing uses it (:data:`UNUSED_KEYS`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES_TINY = 768
"""Channels that :func:`convnext_video_tiny` puts out."""

FEATURES_FEMTO = 384
"""Channels that :func:`convnext_video_femto` puts out."""

UNUSED_KEYS = ("head.weight", "head.bias")
"""Keys in official state dicts of the second version for an ImageNet classifier, ``(1000, channels)``."""

_EPSILON = 1e-6
_EXPANSION = 4
_STRETCH = (1, 3, 1)  # frames that the depthwise kernels of successive blocks of a stage see
_PATCH = (2, 4, 4)
_HALVE = (1, 2, 2)


class ConvNextVideo(nn.Module):
    """The backbone. The keys of its state dict are those of the official checkpoints.

    Args:
        depths: blocks of the four stages.
        channels: of the four stages.
        response_norm: blocks of the second version, with response normalisation and no layer scale.
    """

    def __init__(self, depths: Sequence[int], channels: Sequence[int], *, response_norm: bool) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv3d(3, channels[0], _PATCH, _PATCH), ChannelNorm(channels[0]))
        self.downsample_layers = nn.ModuleList([stem])
        for before, after in pairwise(channels):
            halve = nn.Sequential(ChannelNorm(before), nn.Conv3d(before, after, _HALVE, _HALVE))
            self.downsample_layers.append(halve)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, _STRETCH[block % len(_STRETCH)], response_norm) for block in range(depth)))
            for depth, width in zip(depths, channels, strict=True)
        )
        self.norm = ChannelNorm(channels[-1])

    def forward(self, clips: Tensor) -> Tensor:
        """Return the features of clips.

        Args:
            clips: ``(clips, 3, frames, height, width)``, normalised; an even number of frames, sides that are multiples
                of 32 (what is left over is cut off).

        Returns:
            ``(clips, channels, frames / 2, height / 32, width / 32)``.
        """
        features = clips.contiguous(memory_format=torch.channels_last_3d)
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            features = stage(downsample(features))
        normalised: Tensor = self.norm(features)
        return normalised


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of ``(clips, channels, frames, height, width)``."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPSILON)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features with mean 0 and deviation 1 over the channels of each place, scaled and shifted."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    """One residual block: a depthwise kernel, then two layers on the channels of each place.

    Args:
        channels: in and out.
        frames: that the depthwise kernel sees, odd.
        response_norm: with response normalisation between the two layers, otherwise a scale per channel after them.
    """

    def __init__(self, channels: int, frames: int, response_norm: bool) -> None:
        super().__init__()
        self.dwconv = nn.Conv3d(channels, channels, (frames, 7, 7), padding=(frames // 2, 3, 3), groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.pwconv1 = nn.Linear(channels, _EXPANSION * channels)
        self.grn = ResponseNorm(_EXPANSION * channels) if response_norm else None
        self.pwconv2 = nn.Linear(_EXPANSION * channels, channels)
        self.gamma = None if response_norm else nn.Parameter(torch.full((channels,), _EPSILON))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, ``(clips, channels, frames, height, width)``."""
        branch = self.norm(self.dwconv(features).movedim(1, -1))
        branch = functional.gelu(self.pwconv1(branch))
        if self.grn is not None:
            branch = self.grn(branch)
        branch = self.pwconv2(branch).movedim(-1, 1)
        scale = None if self.gamma is None else self.gamma.view(-1, 1, 1, 1)
        result: Tensor = features + branch if scale is None else torch.addcmul(features, branch, scale)
        return result


class ResponseNorm(nn.Module):
    """Global response normalisation: channels that respond strongly are made stronger, relative to the others.

    Source: ConvNeXt V2, section 3.2, where the response of a channel is its norm over the whole picture. The reference
    implementation of DOVER-Mobile takes it over frames and rows and leaves the columns apart, perhaps unawares; its
    checkpoint was trained so, and so it is here.

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, ``(clips, frames, height, width, channels)``."""
        response = torch.linalg.vector_norm(features, dim=(1, 2), keepdim=True)
        relative = response / (response.mean(dim=-1, keepdim=True) + _EPSILON)
        result: Tensor = features * (1 + self.gamma * relative) + self.beta
        return result


def convnext_video_tiny() -> ConvNextVideo:
    """Return ConvNeXt-T, first version: the aesthetic branch of DOVER."""
    return ConvNextVideo((3, 3, 9, 3), (96, 192, 384, FEATURES_TINY), response_norm=False)


def convnext_video_femto() -> ConvNextVideo:
    """Return ConvNeXt V2 femto: both branches of DOVER-Mobile."""
    return ConvNextVideo((2, 2, 6, 2), (48, 96, 192, FEATURES_FEMTO), response_norm=True)
