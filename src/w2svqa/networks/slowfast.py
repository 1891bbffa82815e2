"""SlowFast R50 8x8, with the state-dict keys of PyTorchVideo's ``slowfast_r50``, without its classifier.

Two residual networks look at the same clip: the slow pathway at every fourth frame or so with many channels, the fast
pathway at all frames with an eighth of the channels. After the stem and after each stage but the last, what the fast
one sees is convolved and laid beside the channels of the slow one. Nothing flows back, so the fast pathway can be run
alone, at about a fifth of the work.

Source: C. Feichtenhofer, H. Fan, J. Malik, K. He, "SlowFast Networks for Video Recognition", ICCV 2019
(arXiv 1812.03982), section 3 and table 1. As in PyTorchVideo's model: fusion kernels span 7 frames (the paper has 5),
strides are in the 3x3 convolutions. This module needs nothing but PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

CLIP = 32
"""Frames of a clip in the fast pathway."""
RATIO = 4
"""Frames of the fast pathway per frame of the slow one."""
SIDE = 224
"""Height and width in pixels that it was trained for."""
FAST_FEATURES = 256
SLOW_FEATURES = 2048
MEAN = 0.45
DEVIATION = 0.225
"""Mean and standard deviation, of every channel, of pixels 0-1."""
CLASSIFIER = r"blocks\.6\.proj\.(weight|bias)"
"""Keys of the official checkpoint that are not needed, as a regular expression."""

_WINDOW = 7  # height and width of the last pooling
_STEM_SPANS = (1, 5)  # frames under a kernel of the stem: slow, fast
_SPANS = ((1, 1, 3, 3), (3, 3, 3, 3))  # of the first convolution of a block, per pathway and stage
_STRIDES = (1, 2, 2, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowFastShape:
    """Sizes; the defaults are those of R50.

    Attributes:
        width: channels of the slow stem; a stage puts out 4, 8, 16 and 32 times as many.
        reduction: the fast pathway has this many times fewer.
        depths: blocks per stage.
    """

    width: int = 64
    reduction: int = 8
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)


R50 = SlowFastShape()


class SlowFast(nn.Module):
    """Clips to feature vectors.

    Args:
        shape: sizes; those of R50 unless given.
    """

    def __init__(self, shape: SlowFastShape = R50) -> None:
        super().__init__()
        width, fast = shape.width, shape.width // shape.reduction
        stems = [_Stem(width, _STEM_SPANS[0]), _Stem(fast, _STEM_SPANS[1])]
        blocks = [_Pair(stems, _Fusion(fast))]
        taken = width
        for stage, depth in enumerate(shape.depths):
            given = width * 4 * 2**stage
            # The slow pathway also takes twice the channels of the fast one, which the fusion lays beside its own.
            incoming = (taken + 2 * taken // shape.reduction, taken // shape.reduction)
            outgoing = (given, given // shape.reduction)
            stages = [
                _Stage(incoming[way], outgoing[way], depth, _SPANS[way][stage], _STRIDES[stage]) for way in (0, 1)
            ]
            blocks.append(_Pair(stages, _Fusion(outgoing[1]) if stage < len(shape.depths) - 1 else nn.Identity()))
            taken = given
        self.blocks = nn.ModuleList(blocks)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled features of both pathways.

        Args:
            clips: float32 ``(clips, 3, 32, 224, 224)``, pixels 0-1 less :data:`MEAN` by :data:`DEVIATION`. Other sizes
                are taken as well: beyond 7 by 7 places of the last maps, places are weighted by how many windows of
                that size hold them, as the official pooling does; of fewer the mean is taken.

        Returns:
            float32 ``(clips, 2048)`` of the slow and ``(clips, 256)`` of the fast pathway.
        """
        slow, fast = self.maps(clips)[-1]
        return pooled(slow, CLIP // RATIO), pooled(fast, CLIP)

    def maps(self, clips: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the maps of both pathways after the stem and after each stage, fused."""
        slow, fast = slow_frames(clips), clips
        after = []
        for block in self._pairs():
            slow, fast = block(slow, fast)
            after.append((slow, fast))
        return after

    def fast_features(self, clips: Tensor) -> Tensor:
        """Return the features of the fast pathway, which is run alone: those that :meth:`forward` gives as well.

        Args:
            clips: see :meth:`forward`.

        Returns:
            float32 ``(clips, 256)``.
        """
        return pooled(self.fast_maps(clips), CLIP)

    def fast_maps(self, clips: Tensor) -> Tensor:
        """Return the last maps of the fast pathway, which is run alone.

        Args:
            clips: see :meth:`forward`; any number of frames.

        Returns:
            float32 ``(clips, 256, frames, height / 32, width / 32)``.
        """
        for block in self._pairs():
            clips = block.fast(clips)
        return clips

    def drop_slow(self) -> None:
        """Free the weights of the slow pathway, all but one in sixty; only :meth:`fast_features` works afterwards."""
        for block in self._pairs():
            block.multipathway_blocks[0] = nn.Identity()
            block.multipathway_fusion = nn.Identity()

    def _pairs(self) -> list[_Pair]:
        return [cast("_Pair", block) for block in self.blocks]


def slow_frames(clips: Tensor) -> Tensor:
    """Return the frames that the slow pathway sees: a quarter, spread evenly from the first to the last.

    Of 32 frames these are 0, 4, 8, 13, 17, 22, 26 and 31, as PyTorchVideo's examples take them; the paper takes every
    fourth.

    Example:
        >>> slow_frames(torch.arange(32).reshape(1, 1, 32, 1, 1)).flatten().tolist()
        [0, 4, 8, 13, 17, 22, 26, 31]
    """
    count = clips.shape[2]
    places = torch.linspace(0, count - 1, max(1, count // RATIO), device="cpu").long()
    return clips.index_select(2, places.to(clips.device))


def pooled(maps: Tensor, frames: int) -> Tensor:
    """Return the mean over windows of ``frames`` by 7 by 7 places, then over the windows: ``(clips, channels)``."""
    sizes = [min(size, most) for size, most in zip(maps.shape[2:], (frames, _WINDOW, _WINDOW), strict=True)]
    return functional.avg_pool3d(maps, sizes, stride=1).mean(dim=(2, 3, 4))


class _Pair(nn.Module):
    """One step of both pathways, and what the fast one then hands to the slow one."""

    def __init__(self, pathways: Sequence[nn.Module], fusion: nn.Module) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList(pathways)
        self.multipathway_fusion = fusion

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        slow, fast = self.multipathway_blocks[0](slow), self.fast(fast)
        if isinstance(self.multipathway_fusion, _Fusion):
            slow = torch.cat([slow, self.multipathway_fusion(fast)], dim=1)
        return slow, fast

    def fast(self, clips: Tensor) -> Tensor:
        maps: Tensor = self.multipathway_blocks[1](clips)
        return maps


class _Fusion(nn.Module):
    """Maps of the fast pathway at the frame rate of the slow one, with twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_fast_to_slow = _convolution(width, 2 * width, span=7, frame_stride=RATIO)
        self.norm = nn.BatchNorm3d(2 * width)

    def forward(self, fast: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv_fast_to_slow(fast)))


class _Stem(nn.Module):
    def __init__(self, width: int, span: int) -> None:
        super().__init__()
        self.conv = _convolution(3, width, span=span, side=7, stride=2)
        self.norm = nn.BatchNorm3d(width)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, clips: Tensor) -> Tensor:
        maps: Tensor = self.pool(functional.relu(self.norm(self.conv(clips)), inplace=True))
        return maps


class _Stage(nn.Module):
    def __init__(self, incoming: int, outgoing: int, depth: int, span: int, stride: int) -> None:
        super().__init__()
        first = _Residual(incoming, outgoing, span, stride)
        self.res_blocks = nn.Sequential(first, *(_Residual(outgoing, outgoing, span, 1) for _ in range(depth - 1)))

    def forward(self, maps: Tensor) -> Tensor:
        after: Tensor = self.res_blocks(maps)
        return after


class _Residual(nn.Module):
    """A bottleneck beside a shortcut, which is convolved where channels or size change."""

    def __init__(self, incoming: int, outgoing: int, span: int, stride: int) -> None:
        super().__init__()
        self.convolved = incoming != outgoing or stride != 1
        if self.convolved:
            self.branch1_conv = _convolution(incoming, outgoing, stride=stride)
            self.branch1_norm = nn.BatchNorm3d(outgoing)
        self.branch2 = _Bottleneck(incoming, outgoing // 4, outgoing, span, stride)

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = self.branch1_norm(self.branch1_conv(maps)) if self.convolved else maps
        return functional.relu(shortcut + self.branch2(maps), inplace=True)


class _Bottleneck(nn.Module):
    def __init__(self, incoming: int, inner: int, outgoing: int, span: int, stride: int) -> None:
        super().__init__()
        self.conv_a = _convolution(incoming, inner, span=span)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = _convolution(inner, inner, side=3, stride=stride)
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = _convolution(inner, outgoing)
        self.norm_c = nn.BatchNorm3d(outgoing)

    def forward(self, maps: Tensor) -> Tensor:
        maps = functional.relu(self.norm_a(self.conv_a(maps)), inplace=True)
        maps = functional.relu(self.norm_b(self.conv_b(maps)), inplace=True)
        after: Tensor = self.norm_c(self.conv_c(maps))
        return after


def _convolution(
    incoming: int, outgoing: int, *, span: int = 1, side: int = 1, stride: int = 1, frame_stride: int = 1
) -> nn.Conv3d:
    """Return a convolution over ``span`` frames and ``side`` by ``side`` places that keeps sizes but for strides."""
    return nn.Conv3d(
        incoming,
        outgoing,
        (span, side, side),
        stride=(frame_stride, stride, stride),
        padding=(span // 2, side // 2, side // 2),
        bias=False,
    )
