"""Video Swin Transformer with gated position biases, and the head that makes quality maps of it: inference only.

One class serves FAST-VQA-B, FAST-VQA-M, FasterVQA and the technical branch of DOVER; they differ in
:class:`SwinSettings`. Keys are those of the official checkpoints. Their buffers ``relative_position_index`` follow from
the window and are not kept here: :data:`IGNORED` matches them.

Source: Liu et al., "Video Swin Transformer", CVPR 2022; Wu et al., "FAST-VQA", ECCV 2022, section 3.2 (gated relative
position biases); reference implementation ``fastvqa/models/swin_backbone.py`` and ``head.py``, and their copies in
DOVER. Departures: windows go through attention in small groups, whose biases are made when they are needed, from
differences that are kept per shape, and serve all clips and times; everything else is done clip by clip. So a clip's
result is the same to the last bit whatever else it comes with, and memory grows little with the number of clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from w2svqa.teachers.networks.swin_windows import Layout, Size, layout_of, merged, parted, resized_window

IGNORED = r".*\.relative_position_index"
"""Keys of checkpoints that are not needed, for :func:`w2svqa.networks.checkpoints.fill`."""

# Position biases of so many numbers at a time (8 MiB), which bounds memory: 1 to 32 MiB are equally fast within 5 %.
_BIASES_AT_ONCE = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinSettings:
    """What makes one backbone of the family differ from another.

    Attributes:
        window: tokens per attention window: time, height, width.
        fragment_bias: for each stage, whether it has a second table of biases for tokens of different fragments.
        adaptive: whether the window shrinks with the input, by its size over ``base_size``.
        depths: blocks per stage.
        heads: attention heads per stage.
        width: channels of the first stage; each stage has twice those of the one before.
        patch: pixels per token: time, height, width.
        base_size: frames, height and width of the input that ``window`` is meant for.
    """

    window: Size = (8, 7, 7)
    fragment_bias: tuple[bool, ...] = (True, True, True, False)
    adaptive: bool = True
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    width: int = 96
    patch: Size = (2, 4, 4)
    base_size: Size = (32, 224, 224)


FAST_VQA = SwinSettings()
"""FAST-VQA-B and FasterVQA."""

FAST_VQA_M = SwinSettings(window=(4, 4, 4), fragment_bias=(False, False, False, False))
"""FAST-VQA-M."""

DOVER_TECHNICAL = SwinSettings(adaptive=False)
"""The technical branch of DOVER."""


class VideoSwin(nn.Module):
    """The backbone: clips to feature maps.

    Args:
        settings: its shape; :data:`FAST_VQA`, :data:`FAST_VQA_M`, :data:`DOVER_TECHNICAL`.
    """

    def __init__(self, settings: SwinSettings = FAST_VQA) -> None:
        super().__init__()
        self.settings = settings
        widths = [settings.width * 2**stage for stage in range(len(settings.depths))]
        self.patch_embed = PatchEmbedding(settings.patch, settings.width)
        self.layers = nn.ModuleList(
            Stage(width, depth, heads, settings.window, gated, narrower=index < len(widths) - 1)
            for index, (width, depth, heads, gated) in enumerate(
                zip(widths, settings.depths, settings.heads, settings.fragment_bias, strict=True)
            )
        )
        self.norm = nn.LayerNorm(widths[-1])

    @property
    def features(self) -> int:
        """Channels of the feature maps: 768 in the released models."""
        return self.norm.normalized_shape[0]

    def forward(self, clips: Tensor) -> Tensor:
        """Return the feature maps of normalised clips.

        Args:
            clips: float32 ``(clips, 3, frames, height, width)``, normalised as by
                :func:`w2svqa.teachers.fragments.normalised`.

        Returns:
            float32 ``(clips, features, frames / 2, height / 32, width / 32)``, sizes rounded up.

        Raises:
            ValueError: with ``adaptive``, the input is so small that a window would be empty, or larger than
                ``base_size``.
        """
        frames, height, width = clips.shape[2:]
        window = None
        if self.settings.adaptive:
            window = resized_window(self.settings.window, (frames, height, width), self.settings.base_size)
        tokens = [self.patch_embed(clip) for clip in clips]
        for stage in self.layers:
            tokens = stage(tokens, window)
        return torch.stack([self.norm(each).permute(3, 0, 1, 2) for each in tokens])


class PatchEmbedding(nn.Module):
    """Boxes of pixels to tokens: ``(3, frames, height, width)`` to ``(time, height, width, channels)``."""

    def __init__(self, patch: Size, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv3d(3, width, kernel_size=patch, stride=patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, clip: Tensor) -> Tensor:
        """Return the tokens of one clip; zeros fill up the last boxes."""
        padded = functional.pad(clip, _missing(clip.shape[1:], self.patch))
        normed: Tensor = self.norm(self.proj(padded[None])[0].permute(1, 2, 3, 0))
        return normed


class Stage(nn.Module):
    """Blocks of one resolution, the windows of every other one shifted by half; then half the resolution."""

    def __init__(self, width: int, depth: int, heads: int, window: Size, gated: bool, *, narrower: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(Block(width, heads, window, gated) for _ in range(depth))
        self.downsample = PatchMerging(width) if narrower else None

    def forward(self, clips: list[Tensor], window: Size | None) -> list[Tensor]:
        """Return tokens ``(time, height, width, channels)`` of each clip; ``window`` if it is not the trained one."""
        time, height, width, _ = clips[0].shape
        half = (self.window[0] // 2, self.window[1] // 2, self.window[2] // 2)
        layouts = [
            layout_of((time, height, width), self.window, window, shift, clips[0].device) for shift in ((0, 0, 0), half)
        ]
        for index, block in enumerate(self.blocks):
            clips = block(clips, layouts[index % 2])
        return clips if self.downsample is None else [self.downsample(tokens) for tokens in clips]


class PatchMerging(nn.Module):
    """Four neighbouring tokens to one of twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``(time, height / 2, width / 2, 2 channels)``; zeros fill up odd sizes."""
        _, height, width, _ = tokens.shape
        padded = functional.pad(tokens, (0, 0, 0, width % 2, 0, height % 2))
        corners = [padded[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        reduced: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return reduced


class Block(nn.Module):
    """Attention within windows, then a perceptron on each token; both added to what came in."""

    def __init__(self, width: int, heads: int, window: Size, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window, gated)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Perceptron(width)

    def forward(self, clips: list[Tensor], layout: Layout) -> list[Tensor]:
        """Return tokens ``(time, height, width, channels)`` of each clip."""
        windows = self.attn([parted(self.norm1(tokens), layout) for tokens in clips], layout)
        attended = [tokens + merged(each, layout) for tokens, each in zip(clips, windows, strict=True)]
        return [tokens + self.mlp(self.norm2(tokens)) for tokens in attended]


class Perceptron(nn.Module):
    """Two layers, the hidden one four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        result: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return result


class WindowAttention(nn.Module):
    """Attention among the tokens of each window, with a learned bias for how they lie to each other.

    With ``gated`` there are two tables: between tokens of one fragment the second counts, between tokens of different
    fragments the first. As in the reference, the gate is no switch but the distance of the fragments in cells, ``g``:
    the bias is ``g first + (1 - g) second``.
    """

    relative_position_bias_table: Tensor
    fragment_position_bias_table: Tensor | None

    def __init__(self, width: int, heads: int, window: Size, gated: bool) -> None:
        super().__init__()
        self.heads = heads
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.fragment_position_bias_table = nn.Parameter(torch.zeros(rows, heads)) if gated else None
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, clips: list[Tensor], layout: Layout) -> list[Tensor]:
        """Return the windows of each clip after attention, ``(windows, tokens, channels)`` as they came in."""
        mixed = [self._mixed(windows) for windows in clips]
        bias, change = self._biases(layout)
        if change is None and layout.mask is None:
            return [self._attended(each, bias) for each in mixed]
        results = [torch.empty_like(windows) for windows in clips]
        different, group = layout.different, max(1, _BIASES_AT_ONCE // bias.numel())
        for start, end in pairwise([*range(0, different, group), different]):
            group_bias = layout.biased(bias, change, start, end)
            for each, result in zip(mixed, results, strict=True):
                for first in range(start, len(result), different):
                    alike = slice(first, first + end - start)
                    result[alike] = self._attended(each[:, alike], group_bias)
        return results

    def _mixed(self, windows: Tensor) -> Tensor:
        """Return queries, keys and values, ``(3, windows, heads, tokens, size)``."""
        count, tokens, width = windows.shape
        mixed: Tensor = self.qkv(windows)
        return mixed.view(count, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)

    def _attended(self, mixed: Tensor, bias: Tensor) -> Tensor:
        query, key, value = mixed.unbind()
        attended = functional.scaled_dot_product_attention(query, key, value, bias)
        joined: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return joined

    def _biases(self, layout: Layout) -> tuple[Tensor, Tensor | None]:
        """Return the bias within a fragment, ``(1, heads, tokens, tokens)``, and its change per cell of distance."""
        between = _looked_up(self.relative_position_bias_table, layout.index)
        if self.fragment_position_bias_table is None:
            return between, None
        within = _looked_up(self.fragment_position_bias_table, layout.index)
        return within, between - within


class QualityHead(nn.Module):
    """Two layers at every place of the feature maps: a map of local quality.

    Args:
        features: channels of the maps.
        hidden: channels between.
    """

    def __init__(self, features: int = 768, hidden: int = 64) -> None:
        super().__init__()
        self.fc_hid = nn.Conv3d(features, hidden, 1)
        self.fc_last = nn.Conv3d(hidden, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``(clips, 1, time, height, width)`` from ``(clips, features, time, height, width)``."""
        quality: Tensor = self.fc_last(functional.gelu(self.fc_hid(maps)))
        return quality


class FastVqaNetwork(nn.Module):
    """FAST-VQA and FasterVQA: backbone and head under the names of their checkpoints.

    Args:
        settings: of the backbone.
    """

    def __init__(self, settings: SwinSettings = FAST_VQA) -> None:
        super().__init__()
        self.fragments_backbone = VideoSwin(settings)
        self.vqa_head = QualityHead(self.fragments_backbone.features)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the mean quality of each clip, float32 ``(clips,)``, unbounded; higher is better.

        Args:
            clips: float32 ``(clips, 3, frames, height, width)``, normalised.
        """
        quality: Tensor = self.vqa_head(self.fragments_backbone(clips))
        return quality.mean(dim=(1, 2, 3, 4))


def _looked_up(table: Tensor, index: Tensor) -> Tensor:
    return table.t().index_select(1, index.flatten()).view(1, table.shape[1], *index.shape)


def _missing(sizes: Sequence[int], unit: Sequence[int]) -> list[int]:
    """Return how much to fill up behind each axis, last axis first, as ``functional.pad`` takes it."""
    return [amount for size, step in zip(reversed(sizes), reversed(unit), strict=True) for amount in (0, -size % step)]
